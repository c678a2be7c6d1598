package istio

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// side is whose traffic a destination gets.
type side int

const (
	nobodys side = iota
	stableSide
	canarySide
)

// sides says how destinations of the two sides are known.
type sides struct {
	// stable and canary are Services; both empty where only subsets are named.
	stable, canary string
	// stableSubset and canarySubset are subsets; both empty where only Services are named.
	stableSubset, canarySubset string
	// bySubset says that a destination with a subset is known by nothing else: all of them may be
	// destinations of one Service, which may even be the stable one.
	bySubset bool
}

// markedSides are those that a mark remembers. It does not say whether they are Services or subsets.
func markedSides(mark trafficrouting.Mark) sides {
	return sides{stable: mark.Stable, canary: mark.Canary, stableSubset: mark.Stable, canarySubset: mark.Canary}
}

// names are the two sides as a mark remembers them.
func (s sides) names() (stable, canary string) {
	if s.bySubset {
		return s.stableSubset, s.canarySubset
	}
	return s.stable, s.canary
}

func (s sides) of(d destination) side {
	if d.subset != "" {
		switch d.subset {
		case s.canarySubset:
			return canarySide
		case s.stableSubset:
			return stableSide
		}
		if s.bySubset {
			return nobodys
		}
	}
	switch d.service() {
	case "":
		return nobodys
	case s.canary:
		return canarySide
	case s.stable:
		return stableSide
	}
	return nobodys
}

// has reports whether some destination of a route is of a side.
func (s sides) has(r route, wanted side) bool {
	return slices.ContainsFunc(r.to, func(d destination) bool { return s.of(d) == wanted })
}

// share is the largest share of a side in any of the routes.
func (s sides) share(routes []route, wanted side) int32 {
	var largest int32
	for _, r := range routes {
		largest = max(largest, r.share(func(d destination) bool { return s.of(d) == wanted }))
	}
	return largest
}

// gone is the weight of a destination that is to be removed.
const gone = -1

// wish is what the destinations of a route are to get.
type wish struct {
	sides
	// stableWeight is that of the stable side before what others keep is taken from it.
	stableWeight, canaryWeight int32
	// additional are the sides of an Experiment, sorted.
	additional []trafficrouting.Backend
	// keeps reports whether a destination that is nobody's keeps its weight; else it goes.
	keeps func(destination) bool
	// bare are the ids of the routes whose canary has no weight rather than one of 0.
	bare []string
}

// wishOf is what a split asks for. Subsets that the spec lists keep their weights.
func (in intent) wishOf(split trafficrouting.Split) wish {
	return wish{
		sides: in.sides, stableWeight: split.Stable.Weight, canaryWeight: split.Canary.Weight,
		additional: slices.SortedFunc(slices.Values(split.Additional), func(a, b trafficrouting.Backend) int {
			return cmp.Compare(a.Service, b.Service)
		}),
		keeps: func(d destination) bool {
			return in.rule != nil && d.subset != "" && slices.Contains(in.rule.AdditionalSubsetNames, d.subset)
		},
	}
}

// home is what a mark asks for when the traffic goes home: everything to the stable side but what
// others have, whom nobody knows any more.
func home(rec record) wish {
	return wish{
		sides: rec.sides, stableWeight: total, bare: rec.bare,
		keeps: func(d destination) bool { return !slices.ContainsFunc(rec.added, d.isSide) },
	}
}

// weights are what the destinations of a route get, in their order, and the sides that have none
// yet. The first destination of each side gets its weight and any other of that side nothing, so
// that no side counts twice.
func (w wish) weights(r route) ([]int32, []trafficrouting.Backend) {
	weights, missing := make([]int32, len(r.to)), slices.Clone(w.additional)
	rest, firsts := int64(w.stableWeight), map[side]int{}
	for i, d := range r.to {
		whose := w.of(d)
		_, had := firsts[whose]
		extra := slices.IndexFunc(missing, func(b trafficrouting.Backend) bool { return d.isSide(b.Service) })
		switch {
		case whose != nobodys && !had:
			firsts[whose] = i
		case whose != nobodys:
			weights[i] = 0
		case extra >= 0:
			weights[i] = missing[extra].Weight
			missing = slices.Delete(missing, extra, extra+1)
		case w.keeps(d):
			weights[i] = d.weight
			rest -= int64(d.weight)
		default:
			weights[i] = gone
		}
	}
	if i, ok := firsts[canarySide]; ok {
		weights[i] = w.canaryWeight
	}
	if i, ok := firsts[stableSide]; ok {
		weights[i] = int32(max(0, rest)) // At most stableWeight, since nobody keeps less than nothing.
	}
	return weights, missing
}

// service is the first label of the host, which is the name of a Service.
func (d destination) service() string {
	name, _, _ := strings.Cut(d.host, ".")
	return name
}

// isSide reports whether a destination is that of an Experiment's side: a subset of its name, or
// its Service.
func (d destination) isSide(service string) bool {
	return d.subset == service || d.subset == "" && d.service() == service
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
