package plan_test

import (
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

func TestWhenATemplateHasItsPods(t *testing.T) {
	whole := plan.Set{Template: "purple", Name: "ab-purple", Exists: true, Settled: true, Replicas: 2, Pods: 2, Ready: 2, Available: 2}
	for name, c := range map[string]struct {
		change func(*plan.Set)
		want   v1alpha1.TemplateStatusCode
	}{
		"when all are available":                          {func(*plan.Set) {}, v1alpha1.TemplateStatusRunning},
		"when more are available, which are about to go":  {func(s *plan.Set) { s.Available, s.Pods = 3, 3 }, v1alpha1.TemplateStatusRunning},
		"not when one is missing":                         {func(s *plan.Set) { s.Available = 1 }, v1alpha1.TemplateStatusProgressing},
		"not by counts of an earlier size":                {func(s *plan.Set) { s.Settled = false }, v1alpha1.TemplateStatusProgressing},
		"not before the size is asked for":                {func(s *plan.Set) { s.Replicas = 1 }, v1alpha1.TemplateStatusProgressing},
		"not when somebody else's ReplicaSet is counted":  {func(s *plan.Set) { s.Exists, s.Taken = false, "somebody" }, v1alpha1.TemplateStatusProgressing},
		"not when there is no ReplicaSet to have any pod": {func(s *plan.Set) { *s = plan.Set{Template: "purple", Name: "ab-purple"} }, v1alpha1.TemplateStatusProgressing},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(experiment([]string{"purple:2"}, nil))
			s := cluster.snapshot()
			s.Sets[0] = whole
			c.change(&s.Sets[0])
			if got := plan.Make(s).Status.TemplateStatuses[0].Status; got != c.want {
				t.Errorf("the template is %s, want %s", got, c.want)
			}
		})
	}
}
