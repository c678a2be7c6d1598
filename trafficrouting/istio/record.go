package istio

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// What the list of a mark holds beside the ids of the routes that carry weights.
const (
	managedPrefix = "managed/" // an HTTP route that a step added
	addedPrefix   = "side/"    // a destination of an Experiment, by its Service
	subsetPrefix  = "subset/"  // a subset of an Experiment
	barePrefix    = "bare/"    // a route whose canary has no weight at rest, by its id
)

// record is what the marks of an object tell.
type record struct {
	marked bool
	sides  sides
	// claims are what the marks of other Rollouts list, and whose it is. A VirtualService may have
	// routes of many teams.
	claims map[string]string
	// weighted are the ids of the routes that carry weights, and managed the names of those that steps added.
	weighted, managed []string
	// added are the sides of Experiments among destinations, and subsets those among subsets.
	added, subsets []string
	// bare are the ids of the routes whose canary had no weight when it got the first one. It has
	// none again when it gets nothing, so that what a Git tool compares is what its author wrote.
	bare []string
}

// recordOf reads the mark that a Rollout left on an object, and those of others beside it.
func recordOf(obj *unstructured.Unstructured, ro *v1alpha1.Rollout) record {
	rec := record{claims: map[string]string{}}
	for _, other := range trafficrouting.MarksBeside(obj, ro) {
		for _, entry := range other.Routes {
			rec.claims[entry] = other.Rollout
		}
	}
	mark, marked := trafficrouting.MarkFor(obj, ro)
	if !marked {
		return rec
	}
	rec.marked, rec.sides = true, markedSides(mark)
	lists := []struct {
		prefix string
		into   *[]string
	}{{managedPrefix, &rec.managed}, {addedPrefix, &rec.added}, {subsetPrefix, &rec.subsets}, {barePrefix, &rec.bare}, {"", &rec.weighted}}
	for _, entry := range mark.Routes {
		for _, list := range lists {
			if name, ok := strings.CutPrefix(entry, list.prefix); ok {
				*list.into = append(*list.into, name)
				break
			}
		}
	}
	return rec
}

// mark is the annotation that an object must have, with a list in an order of its own.
func (in intent) mark(obj *unstructured.Unstructured, entries []string) string {
	slices.Sort(entries)
	mark := trafficrouting.Mark{Rollout: trafficrouting.Key(in.rollout), Routes: slices.Compact(entries)}
	mark.Stable, mark.Canary = in.sides.names()
	return mark.Beside(obj)
}

// claimed reports which other Rollout has marked one of the routes, by what its mark lists.
func (rec record) claimed(routes []route, managed []string) (by string, taken bool) {
	var entries []string
	for _, r := range routes {
		entries = append(entries, r.id())
	}
	for _, name := range managed {
		entries = append(entries, managedPrefix+name)
	}
	for _, entry := range entries {
		if by, taken := rec.claims[entry]; taken {
			return by, true
		}
	}
	return "", false
}

// theirs are the names of the managed routes of other Rollouts.
func (rec record) theirs() []string {
	var names []string
	for _, entry := range sortedKeys(rec.claims) {
		if name, ok := strings.CutPrefix(entry, managedPrefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// routes are those of the routes that the record names. Of several HTTP routes of one name it is the
// first, as in a spec.
func (rec record) routes(all []route) []route {
	var some []route
	seen := map[string]bool{}
	for _, r := range all {
		if slices.Contains(rec.weighted, r.id()) && (r.section != http || !seen[r.id()]) {
			some = append(some, r)
		}
		seen[r.id()] = true
	}
	return some
}

// annotate gives an object annotations, or takes away those whose value is empty. Only what differs
// is patched.
func annotate(p *patch.Patch, obj *unstructured.Unstructured, annotations map[string]string) {
	if len(obj.GetAnnotations()) > 0 {
		for _, key := range sortedKeys(annotations) {
			p.Annotate(obj, key, annotations[key])
		}
		return
	}
	given := map[string]string{}
	for key, value := range annotations {
		if value != "" {
			given[key] = value
		}
	}
	if len(given) > 0 {
		p.Set(given, "metadata", "annotations")
	}
}
