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

// record is what the mark of an object tells.
type record struct {
	marked bool
	sides  sides
	// weighted are the ids of the routes that carry weights, and managed the names of those that steps added.
	weighted, managed []string
	// added are the sides of Experiments among destinations, and subsets those among subsets.
	added, subsets []string
	// bare are the ids of the routes whose canary had no weight when it got the first one. It has
	// none again when it gets nothing, so that what a Git tool compares is what its author wrote.
	bare []string
}

// recordOf reads the mark that a Rollout left on an object. The mark of another one tells nothing.
func recordOf(obj *unstructured.Unstructured, ro *v1alpha1.Rollout) record {
	mark, marked := trafficrouting.MarkOf(obj)
	if !marked || mark.Rollout != trafficrouting.Key(ro) {
		return record{}
	}
	rec := record{marked: true, sides: markedSides(mark)}
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

// mark is the one that an object must have, with a list in an order of its own.
func (in intent) mark(entries []string) trafficrouting.Mark {
	slices.Sort(entries)
	mark := trafficrouting.Mark{Rollout: trafficrouting.Key(in.rollout), Routes: slices.Compact(entries)}
	mark.Stable, mark.Canary = in.sides.names()
	return mark
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
