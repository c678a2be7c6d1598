// Package podhash names pod templates by a hash, as the served API does. Both
// controllers that make ReplicaSets use it. It reads and writes nothing.
package podhash

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Of is the pod template hash of the served API: FNV-32a over the JSON of the
// template and, after a collision, the collision count. The JSON depends on the
// Kubernetes libraries compiled in, so the hash names something new and is never
// proof that a template changed.
func Of(template v1alpha1.PodTemplate, collisions *int32) (string, error) {
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
	return Encode(sum.Sum32()), nil
}

// Encode writes a sum in letters and digits that make no words.
func Encode(sum uint32) string { return rand.SafeEncodeString(strconv.FormatUint(uint64(sum), 10)) }
