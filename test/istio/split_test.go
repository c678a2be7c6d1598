package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"istio.io/istio/pkg/config"
)

// given is what of an .in.yaml file says which routes must share the traffic how.
type given struct {
	Split   *split  `json:"split"`
	Rollout rollout `json:"rollout"`
	// Finds is for broken samples: words of a finding that they must lead to.
	Finds string `json:"finds"`
}

// split is what the router was asked for: weights of 100, and the routes of the steps so far.
type split struct {
	Stable     float64            `json:"stable"`
	Canary     float64            `json:"canary"`
	Additional map[string]float64 `json:"additional"`
	Routes     []managedRoute     `json:"routes"`
}

type managedRoute struct {
	Name       string          `json:"name"`
	Mirror     json.RawMessage `json:"mirror"`
	Percentage float64         `json:"percentage"`
}

// A side is a revision, or a template of an Experiment, by the names of its Service and subset.
type side struct {
	names  []string
	weight float64
}

func (s side) String() string { return strings.Join(s.names, " or ") }

// part is what the side gets. A destination is known by its subset, or the first label of its host.
func (s side) part(of []share) float64 {
	got := 0.0
	for _, to := range of {
		service, _, _ := strings.Cut(to.Host, ".")
		if slices.Contains(s.names, to.Subset) || to.Subset == "" && slices.Contains(s.names, service) {
			got += to.Part
		}
	}
	return got
}

// sides are stable, canary and those of an Experiment. Weights that the router leaves alone
// are taken from stable's.
func (g given) sides() []side {
	spec := g.Rollout.Spec.Strategy.Canary
	stable, canary := spec.services(g.Rollout.Status.Canary.StablePingPong)
	all := []side{
		{names: []string{stable}, weight: g.Split.Stable},
		{names: []string{canary}, weight: g.Split.Canary},
	}
	if rule := spec.TrafficRouting.Istio.DestinationRule; rule != nil {
		all[0].names = append(append(all[0].names, rule.StableSubsetName), rule.AdditionalSubsetNames...)
		all[1].names = append(all[1].names, rule.CanarySubsetName)
	}
	for i := range all {
		slices.Sort(all[i].names)
		all[i].names = slices.DeleteFunc(slices.Compact(all[i].names), func(name string) bool { return name == "" })
	}
	for name, weight := range g.Split.Additional {
		all = append(all, side{names: []string{name}, weight: weight})
	}
	slices.SortFunc(all[2:], func(a, b side) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// sharing picks the lines that carry the weights.
func (g given) sharing(vs config.Config, at seat, lines []line) []line {
	ref, named := g.reference(vs)
	if g.Split == nil || !named {
		return nil
	}
	var others []line
	for _, l := range lines {
		if !g.managed(l.Name) {
			others = append(others, l)
		}
	}
	return ref.named(at, others)
}

func (g given) reference(vs config.Config) (reference, bool) {
	for _, ref := range g.Rollout.Spec.Strategy.Canary.references() {
		if name := strings.TrimSuffix(ref.Name, ".cluster.local"); name == vs.Name || name == vs.Name+"."+vs.Namespace {
			return ref, true
		}
	}
	return reference{}, false
}

// managed tells whether a route belongs to a step setHeaderRoute or setMirrorRoute.
func (g given) managed(name string) bool {
	for _, route := range g.Rollout.Spec.Strategy.Canary.TrafficRouting.ManagedRoutes {
		if route.Name == name {
			return true
		}
	}
	return false
}

// checkSplit compares the lines that carry the weights, and those of the steps, with what the
// router was asked for.
func (g given) checkSplit(vs config.Config, at seat, lines []line) []string {
	if _, named := g.reference(vs); g.Split == nil || !named {
		return nil
	}
	sharing := g.sharing(vs, at, lines)
	var all []string
	shared, seen := "", map[string]bool{}
	for _, l := range lines {
		switch {
		case g.managed(l.Name):
			seen[l.Name] = true
			all = append(all, g.checkManaged(l)...)
			if shared != "" {
				all = append(all, fmt.Sprintf("%s is below %s, which takes its requests", l, shared))
			}
		case slices.ContainsFunc(sharing, l.equals):
			shared = l.String()
			all = append(all, g.checkShares(l)...)
		}
	}
	for _, route := range g.Split.Routes {
		if at.Kind == kindHTTP && !seen[route.Name] {
			all = append(all, fmt.Sprintf("there is no route %q, which a step asks for", route.Name))
		}
	}
	return all
}

// checkShares compares the weights of one line with the split.
func (g given) checkShares(l line) []string {
	var all []string
	for _, s := range g.sides() {
		if got := s.part(l.To); got != s.weight {
			all = append(all, fmt.Sprintf("%s gives %s %v of 100, but the split says %v", l, s, got, s.weight))
		}
	}
	return all
}

// checkManaged checks a line of a step: headers lead to the canary, whatever the weights; a
// mirror copies to the canary and leaves the requests to the weights.
func (g given) checkManaged(l line) []string {
	canary := g.sides()[1]
	at := slices.IndexFunc(g.Split.Routes, func(r managedRoute) bool { return r.Name == l.Name })
	switch {
	case at < 0:
		return []string{fmt.Sprintf("%s is left over: no step asks for it now", l)}
	case len(g.Split.Routes[at].Mirror) == 0:
		if got := canary.part(l.To); got != 100 {
			return []string{fmt.Sprintf("%s gives %s %v of 100, not all", l, canary, got)}
		}
		return nil
	default:
		all := g.checkShares(l)
		if got := canary.part(l.Mirror); got != g.Split.Routes[at].Percentage {
			all = append(all, fmt.Sprintf("%s copies %v %% to %s, but the step says %v %%", l, got, canary, g.Split.Routes[at].Percentage))
		}
		return all
	}
}
