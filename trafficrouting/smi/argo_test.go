package smi

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// Reports of users of argo-rollouts, by number.

// The sides of an Experiment are listed between the canary and the stable side, and afterwards there are two again.
func TestArgo1351AnExperimentComesAndGoesBetweenTheTwoSides(t *testing.T) {
	w := world(t)
	apply(t, w, rollout(), splitOf(5))
	apply(t, w, rollout(), splitOf(5, trafficrouting.Backend{Service: "exp-b", Weight: 4}, trafficrouting.Backend{Service: "exp-a", Weight: 1}))
	wantShown(t, w, "web: stable to canary=5 exp-a=1 exp-b=4 stable=90")
	wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 5, InSync: true, Additional: []trafficrouting.Backend{
		{Service: "exp-a", Weight: 1}, {Service: "exp-b", Weight: 4},
	}})
	apply(t, w, rollout(), splitOf(10))
	wantShown(t, w, "web: stable to canary=10 stable=90")
	wantWrites(t, w, "create web", "patch web", "patch web")
}

// Some meshes serve v1alpha4 and nothing else.
func TestArgo3587VersionV1alpha4IsServed(t *testing.T) {
	w := routertest.NewWorld(t, serving("v1alpha4"))
	apply(t, w, rollout(), splitOf(20))
	if diff := cmp.Diff([]string{"web: stable to canary=20 stable=80"}, shown(t, w, "v1alpha4")); diff != "" {
		t.Errorf("TrafficSplits (-want +got):\n%s", diff)
	}
}

// The event of a change was sent on every pass, whether or not anything was changed.
func TestAPassThatChangesNothingReportsNothing(t *testing.T) {
	w := world(t)
	apply(t, w, rollout(), splitOf(20))
	if changes := apply(t, w, rollout(), splitOf(20)); len(changes) > 0 {
		t.Errorf("changes %v, want none", changes)
	}
}

// Version v1alpha1 counts in quantities, and argo-rollouts wrote them as texts. They are read as they are
// meant, and taken over without a write. What is written then is numbers, since v1alpha2 refuses texts.
func TestWhatWasWrittenInQuantitiesIsTakenOver(t *testing.T) {
	w := world(t, trafficSplit("web", to("canary", "20"), to("stable", "80")))
	wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 20, InSync: true})
	apply(t, w, rollout(), splitOf(20))
	wantWrites(t, w)
	apply(t, w, rollout(), splitOf(20, trafficrouting.Backend{Service: "exp", Weight: 5}))
	wantShown(t, w, "web: stable to canary=20 exp=5 stable=75")
}

func TestWeightOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  int64 // in thousandths; -1 for what cannot be understood
	}{
		{"a number", int64(20), 20_000},
		{"zero", int64(0), 0},
		{"a number that was written with a point", 20.0, 20_000},
		{"a text", "20", 20_000},
		{"thousandths", "500m", 500},
		{"the largest number", int64(1_000_000), 1_000_000_000},
		{"the largest text", "1000000000m", 1_000_000_000},
		{"more than that", int64(1_000_001), -1},
		{"more than that in thousandths", "1000000001m", -1},
		{"more than 64 bits", "99999999999999999999", -1},
		{"many digits", "0000000000000000000000000000000000000000000001", -1},
		{"below zero", int64(-1), -1},
		{"a text below zero", "-1", -1},
		{"a fraction", 0.5, -1},
		{"an endless fraction", 1e300, -1},
		{"a quantity of another unit", "2k", -1},
		{"an exponent", "1e9", -1},
		{"nothing", nil, -1},
		{"an empty text", "", -1},
		{"a unit alone", "m", -1},
		{"a truth", true, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := weightOf(c.value)
			if ok != (c.want >= 0) || ok && got != c.want {
				t.Errorf("weight %d, %t, want %d", got, ok, c.want)
			}
		})
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		name   string
		list   []any
		canary int32
		others []trafficrouting.Backend
	}{
		{"shares of 100 are read as they are", []any{to("canary", int64(20)), to("stable", int64(80))}, 20, nil},
		{"shares of another sum are converted", []any{to("canary", "500m"), to("stable", "500m")}, 50, nil},
		{"a share is rounded up, never to zero", []any{to("canary", int64(1)), to("stable", int64(1000))}, 1, nil},
		{"each backend counts", []any{to("canary", int64(10)), to("stable", int64(80)), to("canary", int64(10))}, 20, nil},
		{"what is neither side is one of its own", []any{to("b", int64(5)), to("canary", int64(20)), to("a", int64(3)), to("stable", int64(72))}, 20, []trafficrouting.Backend{
			{Service: "a", Weight: 3}, {Service: "b", Weight: 5},
		}},
		{"without any weight it is all", []any{to("canary", int64(0)), to("stable", int64(0))}, 100, nil},
		{"an empty list is all", nil, 100, nil},
		{"an odd weight is all", []any{to("canary", int64(0)), to("stable", "all")}, 100, nil},
		{"an odd element is all", []any{to("canary", int64(0)), to("stable", int64(100)), "x"}, 100, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			canary, others := listOf(trafficSplit("web", c.list...)).shares("stable", "canary")
			if canary != c.canary || !cmp.Equal(c.others, others) {
				t.Errorf("canary %d and %v, want %d and %v", canary, others, c.canary, c.others)
			}
		})
	}
}
