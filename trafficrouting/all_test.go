package trafficrouting

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stub is a router with fixed answers.
type stub struct {
	name    string
	seen    Observed
	changes []Change
	err     error
	applied []Split
}

func (s *stub) Type() string { return s.name }

func (s *stub) Observe(context.Context, Ref) (Observed, error) { return s.seen, s.err }

func (s *stub) Apply(_ context.Context, _ Ref, split Split) ([]Change, error) {
	s.applied = append(s.applied, split)
	return s.changes, s.err
}

func TestAllObservesTheWorstOfItsRouters(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	at := func(weight int32) Observed { return Observed{Exists: true, CanaryWeight: weight, InSync: true} }
	routes := []ManagedRoute{{Name: "vip"}}
	verified := func(v *bool) Observed { return Observed{Exists: true, InSync: true, Verified: v} }
	for _, c := range []struct {
		name string
		seen []Observed
		want Observed
	}{
		{"no router has no route", nil, Observed{InSync: true}},
		{"one router is reported as it is", []Observed{{Exists: true, CanaryWeight: 7, Verified: &no}}, Observed{Exists: true, CanaryWeight: 7, Verified: &no}},
		{"equal weights in sync are in sync", []Observed{at(20), at(20)}, at(20)},
		{"the largest weight counts, and different weights are not in sync", []Observed{at(20), at(50), at(0)}, Observed{Exists: true, CanaryWeight: 50}},
		{"one out of sync is all out of sync", []Observed{at(20), {Exists: true, CanaryWeight: 20}}, Observed{Exists: true, CanaryWeight: 20}},
		{"also when the other one comes first", []Observed{{Exists: true, CanaryWeight: 20}, at(20)}, Observed{Exists: true, CanaryWeight: 20}},
		{"one without its routes is all without", []Observed{{CanaryWeight: 0}, at(0)}, Observed{}},
		{"one that the Rollout has nothing to do with does not count", []Observed{{InSync: true}, at(20), {InSync: true}}, at(20)},
		{"managed routes that differ are not in sync", []Observed{{Exists: true, InSync: true, Routes: routes}, at(0)}, Observed{Exists: true, Routes: routes}},
		{"equal managed routes are", []Observed{{Exists: true, InSync: true, Routes: routes}, {Exists: true, InSync: true, Routes: routes}}, Observed{Exists: true, InSync: true, Routes: routes}},
		{"what one selects all select", []Observed{at(0), {Exists: true, InSync: true, Selects: &Selection{"a", "b"}}}, Observed{Exists: true, InSync: true, Selects: &Selection{"a", "b"}}},
		{"one that is not verified is all not verified", []Observed{verified(&yes), verified(nil), verified(&no)}, verified(&no)},
		{"the first that says why it is not verified is heard", []Observed{verified(&yes), {Exists: true, InSync: true, Verified: &no, Unverified: "late"}}, Observed{Exists: true, InSync: true, Verified: &no, Unverified: "late"}},
		{"a router that cannot tell does not hide one that can", []Observed{verified(nil), verified(&yes)}, verified(&yes)},
		{"routers that cannot tell say nothing", []Observed{verified(nil), verified(nil)}, verified(nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var routers []Router
			for _, seen := range c.seen {
				routers = append(routers, &stub{seen: seen})
			}
			got, err := All(routers...).Observe(t.Context(), Ref{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllReportsEveryFailureOfObservingAndWhatWasSeen(t *testing.T) {
	t.Parallel()
	one, two := errors.New("one"), errors.New("two")
	broken := &stub{name: "A", err: one, seen: Observed{Exists: true, CanaryWeight: 20}}
	got, err := All(broken, &stub{seen: Observed{Exists: true, InSync: true}}, &stub{name: "B", err: two, seen: Observed{InSync: true}}).Observe(t.Context(), Ref{})
	if !errors.Is(err, one) || !errors.Is(err, two) {
		t.Errorf("error %v, want both", err)
	}
	if diff := cmp.Diff(Observed{CanaryWeight: 20}, got); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestAllAppliesToEveryRouterAlsoWhenOneFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("refused")
	first := &stub{name: "A", err: failure, changes: []Change{{Reason: "Half"}}}
	second := &stub{name: "B", changes: []Change{{Reason: "Done"}}}
	split := Split{MaxWeight: 100, Stable: Backend{Weight: 100}}
	changes, err := All(first, second).Apply(t.Context(), Ref{}, split)
	if !errors.Is(err, failure) {
		t.Errorf("error %v, want one that wraps %v", err, failure)
	}
	if diff := cmp.Diff([]Change{{Reason: "Half"}, {Reason: "Done"}}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Split{split}, second.applied); diff != "" {
		t.Errorf("the second router got (-want +got):\n%s", diff)
	}
}

func TestAllIsNamedAfterItsRouters(t *testing.T) {
	t.Parallel()
	if got := All(&stub{name: "Nginx"}, &stub{name: "Istio"}).Type(); got != "Nginx,Istio" {
		t.Errorf("type %q, want Nginx,Istio", got)
	}
}

func TestASplitReadsAsItsWeights(t *testing.T) {
	t.Parallel()
	split := Split{MaxWeight: 100, Stable: Backend{Weight: 80}, Canary: Backend{Weight: 20}}
	if got := split.String(); got != "stable=80 canary=20" {
		t.Errorf("text %q", got)
	}
}
