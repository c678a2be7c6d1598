package v1alpha1

import (
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"
)

// JobMetric runs a Kubernetes Job; it passes when the Job completes.
type JobMetric struct {
	// Metadata is added to the Job.
	// +optional
	Metadata JobMetadata `json:"metadata,omitempty,omitzero"`
	// Spec of the Job, as in batch/v1.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Spec JobSpec `json:"spec"`
}

// JobMetadata is added to the metadata of a Job.
type JobMetadata struct {
	// Labels to add.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations to add.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// JobSpec is the spec of a Job that never breaks the decoding of the object it
// is part of: one bad template must not blind a controller to a whole list.
type JobSpec struct {
	// JobSpec is the decoded spec; zero when Malformed is set.
	batchv1.JobSpec `json:"-"`
	// Malformed says why the spec could not be decoded; empty when it could.
	Malformed string `json:"-"`
	// Raw is the text that could not be decoded; nil when it could.
	Raw []byte `json:"-"`
}

// MarshalJSON writes the spec, or the text it came from when that was malformed.
func (s JobSpec) MarshalJSON() ([]byte, error) {
	if s.Malformed != "" && len(s.Raw) > 0 {
		return s.Raw, nil
	}
	out, err := json.Marshal(s.JobSpec)
	if err != nil {
		return nil, fmt.Errorf("encoding job spec: %w", err)
	}
	return out, nil
}

// UnmarshalJSON reads the spec. It keeps what does not decode in Malformed and
// Raw and returns no error.
func (s *JobSpec) UnmarshalJSON(data []byte) error {
	var spec batchv1.JobSpec
	if err := kjson.Unmarshal(data, &spec); err != nil {
		*s = JobSpec{Malformed: err.Error(), Raw: append([]byte(nil), data...)}
		return nil //nolint:nilerr // The reason is kept in the value.
	}
	*s = JobSpec{JobSpec: spec}
	return nil
}
