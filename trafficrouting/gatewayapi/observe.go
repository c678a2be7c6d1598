package gatewayapi

import (
	"maps"
	"slices"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// seen is what one object asks for.
type seen struct {
	weight     int32
	additional map[string]int32
	routes     []trafficrouting.ManagedRoute
	// whole is false when a managed route is not there as it was made.
	whole bool
}

// see reads back what an object asks for. The rule that gives the canary most counts: any request may
// meet it. Weights that cannot be understood count as all of the traffic on the canary.
func (in intent) see(v view) seen {
	s := seen{additional: map[string]int32{}, whole: true}
	for _, r := range v.weighted {
		s.add(v.sides.count(r), in.total)
	}
	for _, r := range v.left {
		s.add(v.earlier.count(r), in.total)
	}
	s.routes, s.whole = v.seeRoutes()
	return s
}

// add takes in one rule.
func (s *seen) add(t tally, total int32) {
	ours := t.ours()
	if t.odd {
		s.weight = total
	}
	s.weight = max(s.weight, scaled(t.canary, ours, int64(total)))
	for service, weight := range t.additional {
		s.additional[service] = max(s.additional[service], scaled(weight, ours, int64(total)))
	}
}

// seeRoutes compares the rules that managed routes made with what they would be made like now. One
// that differs is there by its name alone.
func (v view) seeRoutes() ([]trafficrouting.ManagedRoute, bool) {
	var there []map[string]any
	for i, r := range v.rules {
		if v.made[i] {
			there = append(there, r.raw)
		}
	}
	routes, whole, at := v.routes(), true, 0
	m := v.maker(v.weighted)
	for i := range routes {
		wanted, _, err := m.make(routes[i : i+1])
		end := min(at+len(wanted), len(there))
		if err != nil || !slices.EqualFunc(there[at:end], wanted, sameRule) {
			routes[i], whole = trafficrouting.ManagedRoute{Name: routes[i].Name}, false
		}
		for _, raw := range wanted {
			m.names[text(raw, "name", "")] = true
		}
		at = end
	}
	return routes, whole && at == len(there)
}

// namedOnly reports whether a managed route was seen that is not as it was made.
func namedOnly(route trafficrouting.ManagedRoute) bool {
	return len(route.Headers) == 0 && !route.Mirrors()
}

// observed is what several objects ask for together, before they are compared with it.
func (in intent) observed(views []view) (trafficrouting.Observed, bool) {
	all := trafficrouting.Observed{Exists: len(views) > 0, InSync: true}
	additional := map[string]int32{}
	whole := true
	for _, v := range views {
		one := in.see(v)
		all.CanaryWeight = max(all.CanaryWeight, one.weight)
		for service, weight := range one.additional {
			additional[service] = max(additional[service], weight)
		}
		if len(one.routes) > len(all.Routes) {
			all.Routes = one.routes
		}
		whole = whole && one.whole
	}
	for _, service := range slices.Sorted(maps.Keys(additional)) {
		all.Additional = append(all.Additional, trafficrouting.Backend{Service: service, Weight: additional[service]})
	}
	return all, whole
}

// releases reports whether an object that the spec does not name is brought home when the canary is to
// get a weight. While the spec is wrong, it may name the object again once it is corrected.
func (in intent) releases(weight int32) bool {
	if !in.usable {
		return weight == 0
	}
	return trafficrouting.Releases(in.rollout, weight)
}
