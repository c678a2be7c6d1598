package alb

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// groups is an action with these target groups, without their port.
func groups(list string) string {
	return `{"Type":"forward","ForwardConfig":{"TargetGroups":[` + list + `]}}`
}

func TestObservedWeight(t *testing.T) {
	sides := func(weight int32, additional ...trafficrouting.Backend) trafficrouting.Observed {
		return trafficrouting.Observed{Exists: true, CanaryWeight: weight, Additional: additional, InSync: true}
	}
	for _, c := range []struct {
		name, action string
		want         trafficrouting.Observed
	}{
		{"a weight is read as it is written", groups(`{"ServiceName":"canary","Weight":20},{"ServiceName":"stable","Weight":80}`), sides(20)},
		{"a share of another total is converted", groups(`{"ServiceName":"canary","Weight":1},{"ServiceName":"stable","Weight":1}`), sides(50)},
		{"a share is rounded up, never to zero", groups(`{"ServiceName":"canary","Weight":1},{"ServiceName":"stable","Weight":999}`), sides(1)},
		{"the same Service twice counts twice", groups(`{"ServiceName":"canary","Weight":20},{"ServiceName":"canary","Weight":30},{"ServiceName":"stable","Weight":50}`), sides(50)},
		{
			"other Services are other sides", groups(`{"ServiceName":"canary","Weight":20},{"ServiceName":"b","Weight":10},{"ServiceName":"a","Weight":5},{"ServiceName":"stable","Weight":65}`),
			sides(20, trafficrouting.Backend{Service: "a", Weight: 5}, trafficrouting.Backend{Service: "b", Weight: 10}),
		},
		{"an only group needs no weight", groups(`{"ServiceName":"canary"}`), sides(100)},
		{"and may be the stable side", groups(`{"ServiceName":"stable"}`), sides(0)},
		{"several groups need one", groups(`{"ServiceName":"canary"},{"ServiceName":"stable","Weight":80}`), sides(100)},
		{"a group that is no Service is anything", groups(`{"TargetGroupARN":"arn:x","Weight":20},{"ServiceName":"stable","Weight":80}`), sides(100)},
		{"a negative weight is anything", groups(`{"ServiceName":"canary","Weight":-1},{"ServiceName":"stable","Weight":80}`), sides(100)},
		{"a weight beyond 999 is anything", groups(`{"ServiceName":"canary","Weight":0},{"ServiceName":"stable","Weight":1000}`), sides(100)},
		{"weights that sum to nothing are anything", groups(`{"ServiceName":"canary","Weight":0},{"ServiceName":"stable","Weight":0}`), sides(100)},
		{"another type is anything", strings.Replace(shared0, "forward", "fixed-response", 1), sides(100)},
		{"a port that is none is anything", strings.Replace(shared0, `"80"`, `true`, 1), sides(100)},
		{"a text without end is anything", shared0 + strings.Repeat(" ", maxText), sides(100)},
		{"nothing that can be read is anything", "", sides(100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := intentOf(rollout("web"))
			if err != nil {
				t.Fatal(err)
			}
			i := ingress("web")
			i.Annotations[rootAction] = c.action
			if diff := cmp.Diff(c.want, in.observed(in.holding(i, true))); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
		})
	}
}

// A Rollout whose Services get other names in an update still knows who was who.
func TestTheMarkTellsTheSidesOfAnEarlierSpec(t *testing.T) {
	for _, c := range []struct {
		name, mark string
		canary     int32
		additional []trafficrouting.Backend
	}{
		{"with its mark", mark, 20, nil},
		{
			"with the mark of another Rollout", strings.Replace(mark, "shop/web", "shop/other", 1), 0,
			[]trafficrouting.Backend{{Service: "canary", Weight: 20}, {Service: "stable", Weight: 80}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout("web")
			ro.Spec.Strategy.Canary.CanaryService, ro.Spec.Strategy.Canary.StableService = "new-canary", "new-stable"
			in, err := intentOf(ro)
			if err != nil {
				t.Fatal(err)
			}
			i := ingress("web")
			i.Annotations[rootAction] = groups(`{"ServiceName":"canary","Weight":20},{"ServiceName":"stable","Weight":80}`)
			i.Annotations[v1alpha1.RoutedByAnnotation] = c.mark
			seen := in.observed(in.holding(i, true))
			if diff := cmp.Diff(c.additional, seen.Additional); diff != "" || seen.CanaryWeight != c.canary {
				t.Errorf("canary %d, want %d; the others (-want +got):\n%s", seen.CanaryWeight, c.canary, diff)
			}
		})
	}
}

// What is unusable is never in sync: there may be a write when it is mended.
func TestAnUnusableIngressIsNotInSync(t *testing.T) {
	c := atHalf(t)
	broken := stored(t, c, "a")
	broken.Spec.Rules = nil
	if err := c.Update(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	seen, err := New(c, nil).Observe(t.Context(), trafficrouting.Ref{Rollout: rollout("a", "b")})
	if diff := cmp.Diff(trafficrouting.Observed{Exists: true, CanaryWeight: 50}, seen); diff != "" || err == nil {
		t.Errorf("observed, error %v (-want +got):\n%s", err, diff)
	}
}
