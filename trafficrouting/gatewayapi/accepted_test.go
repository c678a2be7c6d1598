package gatewayapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/trafficrouting"
)

func TestTrafficCountsAsMovedWhenEveryGatewayServesTheRouteAsItIs(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		parents string
		want    *bool
		why     string
	}{
		"no gateway has said anything":         {"[]", nil, ""},
		"a gateway that is not named any more": {"[{parentRef: {name: old}, conditions: []}]", nil, ""},
		"the same name in another section":     {"[{parentRef: {name: gateway, sectionName: a}, conditions: []}]", nil, ""},
		"both conditions at its generation": {
			"[{parentRef: {name: gateway, group: gateway.networking.k8s.io, kind: Gateway, namespace: shop}, conditions: [" +
				"{type: Accepted, status: 'True', observedGeneration: 3}, {type: ResolvedRefs, status: 'True', observedGeneration: 4}]}]", &yes, "",
		},
		"generations that are not told": {"[{parentRef: {name: gateway}, conditions: [{type: Accepted, status: 'True'}]}]", &yes, ""},
		"a generation that is not set": {
			"[{parentRef: {name: gateway}, conditions: [{type: Accepted, status: 'True', observedGeneration: 0}]}]", &yes, "",
		},
		"an earlier generation": {
			"[{parentRef: {name: gateway}, conditions: [{type: Accepted, status: 'True', observedGeneration: 2}]}]", &no,
			"HTTPRoute web: Gateway gateway has seen its generation 2, not 3",
		},
		"nothing about whether it is accepted": {"[{parentRef: {name: gateway}}]", &no, "HTTPRoute web: Gateway gateway has not accepted it yet"},
		"a backend that is not there": {
			"[{parentRef: {name: gateway}, conditions: [{type: Accepted, status: 'True', observedGeneration: 3}, " +
				"{type: ResolvedRefs, status: 'False', observedGeneration: 3, reason: BackendNotFound, message: no Service canary}]}]", &no,
			"HTTPRoute web: Gateway gateway says ResolvedRefs is False: BackendNotFound: no Service canary",
		},
		"the second of two gateways lags": {
			"[{parentRef: {name: gateway}, conditions: [{type: Accepted, status: 'True', observedGeneration: 3}]}, " +
				"{parentRef: {name: mesh, group: '', kind: Service, port: 80}, conditions: [{type: Accepted, status: 'True', observedGeneration: 1}]}]", &no,
			"HTTPRoute web: Service mesh has seen its generation 1, not 3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			route := parse(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop, generation: 3}
spec:
  parentRefs: [{name: gateway}, {name: mesh, group: "", kind: Service, port: 80}]
  rules: [{backendRefs: [{name: stable, weight: 100}]}]
status: {parents: `+c.parents+"}")
			l := labOf(t, web(), route)
			if err := l.wantSeen(trafficrouting.Observed{Exists: true, InSync: true, Verified: c.want, Unverified: c.why}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEverythingIsServedOnlyWhenEveryRouteIs(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct{ a, b, want *bool }{
		{nil, nil, nil}, {nil, &yes, &yes}, {&yes, nil, &yes}, {&yes, &yes, &yes}, {&yes, &no, &no}, {&no, &yes, &no}, {nil, &no, &no}, {&no, nil, &no},
	} {
		if diff := cmp.Diff(c.want, both(c.a, c.b)); diff != "" {
			t.Errorf("both of %v and %v (-want +got):\n%s", c.a, c.b, diff)
		}
	}
}
