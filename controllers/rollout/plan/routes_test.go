package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// routed makes managed routes: `vip` by a header, `shadow` by a mirror.
func routed(names ...string) []trafficrouting.ManagedRoute {
	var routes []trafficrouting.ManagedRoute
	for _, name := range names {
		route := trafficrouting.ManagedRoute{Name: name, Headers: []v1alpha1.HeaderRoutingMatch{{HeaderName: "x-user"}}}
		if name == "shadow" {
			route = trafficrouting.ManagedRoute{Name: name, Mirror: []v1alpha1.RouteMatch{{Method: &v1alpha1.StringMatch{Exact: "GET"}}}, Percentage: 100}
		}
		routes = append(routes, route)
	}
	return routes
}

// TestTheGuardLeadsChosenRequestsOnlyWhereTheyAreAnswered has two of four pods as the canary's size: step 1 sets weight 50.
func TestTheGuardLeadsChosenRequestsOnlyWhereTheyAreAnswered(t *testing.T) {
	for _, c := range []struct {
		name             string
		scene            scene
		seen, want, safe []trafficrouting.ManagedRoute
		// stable and canary are what the Services are to select; default v1 and v2.
		stable, canary string
	}{
		{"a route comes when the canary is as large as its step asks", scene{4, 2, "v1", "v2", 0, 0, false}, nil, routed("vip"), routed("vip"), "", ""},
		{"a new one waits while the canary is smaller", scene{4, 1, "v1", "v2", 0, 0, false}, nil, routed("vip"), nil, "", ""},
		{"those that are there stay meanwhile", scene{4, 1, "v1", "v2", 0, 0, false}, routed("vip"), routed("shadow", "vip"), routed("vip"), "", ""},
		{"but none leads to a canary without pods", scene{4, 0, "v1", "v2", 0, 0, false}, routed("vip", "shadow"), routed("vip", "shadow"), nil, "", ""},
		{"nor to another revision than the one that is meant", scene{4, 4, "v1", "v1", 0, 0, false}, routed("vip"), routed("vip"), nil, "", ""},
		{"a route may always go", scene{4, 1, "v1", "v2", 0, 0, true}, routed("vip", "shadow"), nil, nil, "", ""},
		{"a Rollout without replicas has nobody to wait for", scene{0, 0, "v1", "v2", 0, -1, false}, nil, routed("vip"), routed("vip"), "", ""},
		{"while a Service is missing nothing moves", scene{4, 4, "?", "v2", 20, 0, true}, routed("vip"), nil, routed("vip"), "", ""},
		{"nor while the canary Service is", scene{4, 4, "v1", "?", 0, 0, false}, routed("vip"), nil, routed("vip"), "", ""},
		{"the stable Service moves alone", scene{4, 4, "v1", "v2", 50, 0, false}, routed("vip"), nil, routed("vip"), "v2", "v2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.scene.world()
			w.Traffic.Routes = c.seen
			want := wanted(c.scene.weight, "v1", "v2")
			if c.stable != "" {
				want.stable, want.canary = c.stable, c.canary
			}
			want.routes = c.want
			if diff := cmp.Diff(c.safe, guard(w, want).routes); diff != "" {
				t.Errorf("(-safe +got):\n%s", diff)
			}
		})
	}
}

func TestTheCanaryServiceStaysWhileAManagedRouteLeadsToIt(t *testing.T) {
	for name, c := range map[string]struct {
		routes []trafficrouting.ManagedRoute
		want   string
	}{
		"none does":                    {nil, "v2"},
		"one sends requests":           {routed("vip"), "v1"},
		"one that only copies is none": {routed("shadow"), "v2"},
	} {
		w := scene{v1: 4, v2: 4, stable: "v1", canary: "v1"}.world()
		w.Traffic.Routes = c.routes
		if got := guard(w, wanted(0, "v1", "v2")).canary; got != c.want {
			t.Errorf("%s: it selects %s, want %s", name, got, c.want)
		}
	}
}

func TestACanaryKeepsAPodForTheRequestsThatAManagedRouteSends(t *testing.T) {
	for name, c := range map[string]struct {
		routes []trafficrouting.ManagedRoute
		want   int32
	}{"none does": {nil, 0}, "one does": {routed("vip"), 1}} {
		w := scene{v1: 4, v2: 4, stable: "v1", canary: "v2"}.world()
		w.Traffic.Routes = c.routes
		want := wanted(0, "v1", "v2")
		want.sizes = map[string]int32{"v2": 0}
		if got := guard(w, want).sizes["v2"]; got != c.want {
			t.Errorf("%s: %d pods, want %d", name, got, c.want)
		}
	}
}

// TestWhatRoutesSelectCounts has Services that select something else than the routes do.
func TestWhatRoutesSelectCounts(t *testing.T) {
	w := scene{v1: 4, v2: 4, stable: "v1", canary: "v1"}.world()
	s := w.Snapshot
	s.Traffic.Selects = &trafficrouting.Selection{Stable: "v1", Canary: "v2"}
	s.Services = Services{Stable: selected("v0"), Canary: selected("?")}
	w = read(s)
	w.canary.StableService, w.canary.CanaryService = "stable", "canary"
	moves := trafficMoves(w, target{stable: "v1", canary: "v2"})
	want := []Action{Point{StableRole, "stable", "v0", "v1", "it is the stable revision"}}
	if diff := cmp.Diff(want, moves); diff != "" {
		t.Errorf("a named Service follows, one that is missing does not (-want +got):\n%s", diff)
	}
}
