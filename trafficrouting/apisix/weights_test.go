package apisix

import "testing"

func TestTheShareThatARouteAsksForTheCanary(t *testing.T) {
	in, err := intentOf(rollout())
	if err != nil {
		t.Fatal(err)
	}
	withBackends := func(backends any) any { return object{"http": []any{object{"name": "web", "backends": backends}}} }
	for _, c := range []struct {
		name string
		spec any
		want int32
	}{
		{"weights are read as they are written", withBackends([]any{backend("stable", 80), backend("canary", 20)}), 20},
		{"a share of another sum is converted, rounded up", withBackends([]any{backend("stable", 999), backend("canary", 1)}), 1},
		{"backends that are neither side are not counted", withBackends([]any{backend("stable", 50), backend("canary", 50), backend("images", 900)}), 50},
		{"a backend without a weight has 100", withBackends([]any{backend("stable", 100), object{"serviceName": "canary"}}), 50},
		{"two backends of one Service have the sum", withBackends([]any{backend("stable", 50), backend("canary", 25), backend("canary", 25)}), 50},
		{"without the stable Service it is all", withBackends([]any{backend("canary", 1)}), 100},
		{"without the canary's it is nothing", withBackends([]any{backend("stable", 0)}), 0},
		{"no weight at all is nothing", withBackends([]any{backend("stable", 0), backend("canary", 0)}), 0},
		{"large weights do not overflow", withBackends([]any{backend("stable", 1<<31-1), backend("canary", 1<<31-1)}), 50},
		{"a weight below zero is all", withBackends([]any{backend("stable", 100), backend("canary", -1)}), 100},
		{"a weight beyond 32 bits is all", withBackends([]any{backend("stable", 1<<31), backend("canary", 0)}), 100},
		{"backends that are no list are all", withBackends("many"), 100},
		{"no backends are nothing", withBackends(nil), 0},
		{"rules that are no list are all", object{"http": "many"}, 100},
		{"a spec that is no object is all", "many", 100},
		{"no rules are nothing", object{}, 0},
		{"no spec is nothing", nil, 0},
		{"rules of other names are nothing", object{"http": []any{rule("other", backend("canary", 100))}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := route("web")
			web.Object["spec"] = c.spec
			if got := in.asks(web); got != c.want {
				t.Errorf("share %d, want %d", got, c.want)
			}
		})
	}
}
