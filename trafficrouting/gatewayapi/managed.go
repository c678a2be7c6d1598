package gatewayapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// The limits of the API.
const (
	maxRules           = 16
	maxMatches         = 64
	maxMatchesTogether = 128
)

// maker makes the rules of managed routes for one route.
type maker struct {
	kind  kind
	sides sides
	// weighted are the rules that share traffic, as they are to be.
	weighted []rule
	// names are those that rules have already. The API wants them to differ.
	names map[string]bool
}

// make lists the rules of all managed routes, the first to match first, and what to remember of them.
func (m maker) make(routes []trafficrouting.ManagedRoute) ([]map[string]any, []made, error) {
	var rules []map[string]any
	var remembered []made
	m.names = maps.Clone(m.names)
	for _, route := range routes {
		some, err := m.rulesOf(route)
		if err != nil {
			return nil, nil, err
		}
		next := made{ManagedRoute: route}
		for i, raw := range some {
			m.name(raw, route.Name, i)
			next.Rules = append(next.Rules, traceOf(raw))
		}
		rules, remembered = append(rules, some...), append(remembered, next)
	}
	return rules, remembered, nil
}

// name gives a rule the name of its managed route, by which people and the tools that sync manifests
// know it, unless it cannot be a name or another rule has it.
func (m maker) name(raw map[string]any, name string, index int) {
	if index > 0 {
		name = fmt.Sprintf("%s-%d", name, index+1)
	}
	if !m.names[name] && len(validation.IsDNS1123Subdomain(name)) == 0 {
		m.names[name] = true
		raw["name"] = name
	}
}

// rulesOf lists the rules of one managed route: one for each rule that shares traffic, with its matches
// narrowed and the rest of it as it is.
func (m maker) rulesOf(route trafficrouting.ManagedRoute) ([]map[string]any, error) {
	var rules []map[string]any
	for _, r := range m.weighted {
		pinned := rewritesPrefix(r.raw)
		matches := m.matches(route, r, pinned)
		if len(matches) == 0 {
			continue
		}
		groups := [][]any{matches}
		if pinned {
			groups = nil
			for _, match := range matches {
				groups = append(groups, []any{match})
			}
		}
		for _, group := range groups {
			rules = append(rules, m.rule(route, r, group))
		}
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("route `%s` narrows no rule of the %s: none of its rules matches requests with these headers, paths and methods, "+
			"or the rules that do replace their prefix or match by regular expression", route.Name, m.kind.name)
	}
	return rules, nil
}

// matches are those of a rule, each narrowed by each condition of a managed route.
func (m maker) matches(route trafficrouting.ManagedRoute, r rule, pinned bool) []any {
	given := list(r.raw, "matches")
	if len(given) == 0 {
		given = []any{map[string]any{}}
	}
	var matches []any
	seen := map[string]bool{}
	for _, element := range given {
		match, ok := element.(map[string]any)
		if !ok {
			continue
		}
		for _, c := range conditionsOf(route) {
			narrowed, ok := c.and(match, m.kind, pinned)
			if key := encoded(narrowed); ok && !seen[key] {
				seen[key] = true
				matches = append(matches, narrowed)
			}
		}
	}
	return matches
}

// rule is one that a managed route adds: to the canary alone, or as the weights say with a copy of
// each request to the canary. A weight of 1 is the only one of its rule, and no setWeight reaches it.
func (m maker) rule(route trafficrouting.ManagedRoute, from rule, matches []any) map[string]any {
	raw := runtime.DeepCopyJSON(from.raw)
	delete(raw, "name")
	raw["matches"] = matches
	canary := m.canaryRef(from)
	if !route.Mirrors() {
		raw["backendRefs"] = []any{with(canary, map[string]any{"weight": int64(1)})}
		return raw
	}
	ref := map[string]any{}
	for _, key := range []string{"group", "kind", "namespace", "name", "port"} {
		if value, ok := canary[key]; ok {
			ref[key] = value
		}
	}
	mirror := map[string]any{"backendRef": ref}
	if route.Percentage != 100 { // The default, which older definitions do not know how to write.
		mirror["percent"] = int64(route.Percentage)
	}
	filters := append([]any{}, list(raw, "filters")...)
	raw["filters"] = append(filters, map[string]any{"type": "RequestMirror", "requestMirror": mirror})
	return raw
}

func (m maker) canaryRef(r rule) map[string]any {
	for _, b := range r.backends {
		if b.service == m.sides.canary {
			return b.raw
		}
	}
	return m.sides.copyOf(r, m.sides.canary, 1)
}

// withinLimits refuses more rules and matches than a route can have.
func withinLimits(k kind, rules []map[string]any) error {
	if len(rules) > maxRules {
		return fmt.Errorf("the %s would have %d rules, and at most %d are allowed: use fewer managed routes, or split the route", k.name, len(rules), maxRules)
	}
	together := 0
	for _, raw := range rules {
		count := len(list(raw, "matches"))
		together += count
		if count > maxMatches {
			return fmt.Errorf("a rule of the %s would have %d matches, and at most %d are allowed: match fewer headers, or split the rule", k.name, count, maxMatches)
		}
	}
	if together > maxMatchesTogether {
		return fmt.Errorf("the rules of the %s would have %d matches together, and at most %d are allowed: match fewer headers, or split the route",
			k.name, together, maxMatchesTogether)
	}
	return nil
}

// sameRule compares a rule that is there with one that is wanted. The name does not count where
// it is missing: older definitions have none.
func sameRule(there, wanted map[string]any) bool {
	if _, named := there["name"]; !named {
		wanted = maps.Clone(wanted)
		delete(wanted, "name")
	}
	return encoded(there) == encoded(wanted)
}

// encoded is a value as canonical JSON. What was read from JSON can always be written.
func encoded(value any) string {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(value); err != nil {
		return ""
	}
	return text.String()
}
