package resources

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/podhash"
)

// TemplateHash is the hash that names the revision of a template.
func TemplateHash(template v1alpha1.PodTemplate, collisions *int32) (string, error) {
	return podhash.Of(template, collisions)
}

// StepHash identifies the steps that a step index counts in.
func StepHash(strategy *v1alpha1.CanaryStrategy) (string, error) {
	if strategy == nil {
		return "", nil
	}
	data, err := json.Marshal(strategy.Steps)
	if err != nil {
		return "", fmt.Errorf("encoding the steps: %w", err)
	}
	sum := fnv.New32a()
	_, _ = sum.Write(data) // a hash never fails
	return podhash.Encode(sum.Sum32()), nil
}
