package resources

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// TemplateHash is the pod template hash of the served API: FNV-32a over the
// JSON of the template and, after a collision, the collision count. The JSON
// depends on the Kubernetes libraries compiled in, so the hash names a new
// revision and is never proof that a template changed.
func TemplateHash(template v1alpha1.PodTemplate, collisions *int32) (string, error) {
	data, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("encoding the pod template: %w", err)
	}
	sum := fnv.New32a()
	_, _ = sum.Write(data) // a hash never fails
	if collisions != nil {
		var count [8]byte
		binary.LittleEndian.PutUint32(count[:], uint32(*collisions)) //nolint:gosec // Only the bits matter.
		_, _ = sum.Write(count[:])
	}
	return encode(sum.Sum32()), nil
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
	return encode(sum.Sum32()), nil
}

func encode(sum uint32) string { return rand.SafeEncodeString(strconv.FormatUint(uint64(sum), 10)) }
