package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// PodTemplate is a pod template that never fails to decode.
//
// The CRD leaves the template open so that it stays small and follows every
// Kubernetes version. A template with a field of the wrong type would then
// make the list of all Rollouts undecodable; instead the reason is kept in
// Malformed and reported on the one object that has it.
type PodTemplate struct {
	corev1.PodTemplateSpec `json:"-"`

	// Malformed says why the template could not be decoded; empty when it could.
	Malformed string `json:"-"`
	// Raw is the template as it was given when it is malformed, so that writing the object back loses nothing.
	Raw []byte `json:"-"`
}

// UnmarshalJSON decodes the template and keeps the reason when it cannot.
func (t *PodTemplate) UnmarshalJSON(data []byte) error {
	*t = PodTemplate{}
	if err := json.Unmarshal(data, &t.PodTemplateSpec); err != nil {
		*t = PodTemplate{Malformed: fmt.Sprintf("the pod template is malformed: %v", err), Raw: bytes.Clone(data)}
	}
	return nil
}

// MarshalJSON encodes the template, a malformed one as it was given.
func (t PodTemplate) MarshalJSON() ([]byte, error) {
	if t.Malformed != "" {
		return t.Raw, nil
	}
	return json.Marshal(t.PodTemplateSpec) //nolint:wrapcheck // The encoder that calls it says what it was encoding.
}
