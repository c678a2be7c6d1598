package sim

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

func equalStatus(a, b *v1alpha1.RolloutStatus) bool { return equality.Semantic.DeepEqual(a, b) }

// sortedRevisions are the revisions by name, so that a seed gives the same history again.
func sortedRevisions(all map[string]plan.Revision) []plan.Revision {
	out := make([]plan.Revision, 0, len(all))
	for _, r := range all {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b plan.Revision) int { return cmp.Compare(a.Hash, b.Hash) })
	return out
}
