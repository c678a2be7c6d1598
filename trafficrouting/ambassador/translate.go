package ambassador

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// total is what weights are shares of.
const total = 100

// pair is what the cluster holds for one target. Either Mapping is nil when it does not exist.
type pair struct {
	target
	base, canary *unstructured.Unstructured
}

// world is what the cluster holds for one Rollout.
type world struct {
	pairs []pair
	// strays are canary Mappings that were made for an earlier spec.
	strays []*unstructured.Unstructured
}

// write is one write. One of create, remove and change is filled.
type write struct {
	create, remove, change *unstructured.Unstructured
	// patch is what to change.
	patch patch.Patch
	// reason and message say what is written.
	reason, message string
}

// plan lists the writes that make the canary Mappings equal to a weight, and what keeps it from more.
func (in intent) plan(w world, weight int32) ([]write, []error) {
	var writes []write
	var failures []error
	for _, p := range w.pairs {
		todo, err := in.translate(p, weight)
		if err != nil {
			failures = append(failures, fmt.Errorf("routing by Mapping %s: %w", p.name, err))
		}
		if (err != nil || p.base == nil) && weight == 0 && p.canary != nil && in.ours(p.canary) {
			todo = rest(p.canary)
		}
		writes = append(writes, todo...)
	}
	for _, stray := range w.strays {
		writes = append(writes, in.retire(stray, weight)...)
	}
	return writes, failures
}

// translate says which write comes next on the way of one canary Mapping to its weight. It is there only
// while it has one: it is emptied first, and deleted when it was seen without traffic, so that Ambassador
// forgets the canary's Service only when nothing is sent there.
func (in intent) translate(p pair, weight int32) ([]write, error) {
	if p.base == nil {
		return nil, nil // That it is missing was said when it was read.
	}
	if p.canary != nil && !in.ours(p.canary) {
		return nil, field.Invalid(p.path, p.name, fmt.Sprintf("its canary Mapping %q is controlled by %s, and not by this Rollout: delete it, or name another Mapping",
			p.canary.GetName(), controllerOf(p.canary)))
	}
	wanted, err := in.canaryMapping(p, weight)
	switch {
	case err != nil:
		return nil, err
	case p.canary == nil && weight == 0:
		return nil, nil
	case p.canary == nil:
		return []write{{create: wanted, reason: ReasonWeight, message: fmt.Sprintf("Set canary mapping `%s` weight to %d", wanted.GetName(), weight)}}, nil
	case weight == 0:
		return rest(p.canary), nil
	}
	return in.change(p.canary, wanted, weight), nil
}

// canaryMapping is the whole Mapping to make where there is none: the spec of the base with the canary's
// Service and its weight. The labels go with it, since by them a Host chooses its Mappings, and Mappings
// that are chosen otherwise share no traffic.
func (in intent) canaryMapping(p pair, weight int32) (*unstructured.Unstructured, error) {
	base, _ := p.base.Object["spec"].(map[string]any)
	if has := base["weight"]; has != nil && has != int64(0) {
		return nil, field.Invalid(p.path, p.name, fmt.Sprintf("Mapping %q has the weight %v: remove it, since the canary Mapping is to take its share from all of the traffic", p.name, has))
	}
	text, _ := base["service"].(string)
	service, ok := replaced(text, in.stable, in.canary)
	if !ok {
		return nil, field.Invalid(p.path, p.name, fmt.Sprintf("Mapping %q leads to %q, and not to the stable Service: make its spec.service %q, or name a Mapping that leads there", p.name, text, in.stable))
	}
	spec := runtime.DeepCopyJSON(base)
	spec["service"], spec["weight"] = service, int64(weight)
	made := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	made.SetGroupVersionKind(p.base.GroupVersionKind())
	made.SetNamespace(p.base.GetNamespace())
	made.SetName(CanaryMappingName(p.name))
	made.SetLabels(p.base.GetLabels())
	made.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(in.rollout, v1alpha1.RolloutKind)})
	return made, nil
}

// replaced puts another Service into the address of a Mapping, and keeps scheme, namespace and port. Only
// a whole name counts: "shop" is no part of "workshop". It is false for an address of something else.
func replaced(address, from, to string) (string, bool) {
	scheme := ""
	if at := strings.Index(address, "://"); at >= 0 {
		scheme, address = address[:at+len("://")], address[at+len("://"):]
	}
	rest, ok := strings.CutPrefix(address, from)
	if !ok || rest != "" && !strings.ContainsRune(".:/", rune(rest[0])) {
		return "", false
	}
	return scheme + to + rest, true
}

// change is the narrowest patch between two canary Mappings; nothing when nothing of ours differs. Their
// spec is all ours; labels and owners of others stay.
func (in intent) change(existing, wanted *unstructured.Unstructured, weight int32) []write {
	var p patch.Patch
	compareSpecs(&p, existing, wanted)
	compareLabels(&p, existing.GetLabels(), wanted.GetLabels())
	if !metav1.IsControlledBy(existing, in.rollout) {
		p.Set(append(existing.GetOwnerReferences(), wanted.GetOwnerReferences()...), "metadata", "ownerReferences")
	}
	if p.Empty() {
		return nil
	}
	todo := write{change: existing, patch: p, reason: ReasonUpdated, message: fmt.Sprintf("Updating canary mapping `%s`", existing.GetName())}
	if weightOf(existing) != weight {
		todo.reason, todo.message = ReasonWeight, fmt.Sprintf("Set canary mapping `%s` weight to %d", existing.GetName(), weight)
	}
	return []write{todo}
}

func compareSpecs(p *patch.Patch, existing, wanted *unstructured.Unstructured) {
	want, _ := wanted.Object["spec"].(map[string]any)
	has, ok := existing.Object["spec"].(map[string]any)
	if !ok {
		p.Set(want, "spec")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if old, there := has[key]; !there || !equality.Semantic.DeepEqual(old, want[key]) {
			p.Set(want[key], "spec", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(has)) {
		if _, wants := want[key]; !wants {
			p.Remove("spec", key)
		}
	}
}

func compareLabels(p *patch.Patch, existing, wanted map[string]string) {
	if len(existing) == 0 && len(wanted) > 0 {
		p.Set(wanted, "metadata", "labels")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if has, ok := existing[key]; !ok || has != wanted[key] {
			p.Set(wanted[key], "metadata", "labels", key)
		}
	}
}

// retire brings a stray to its end. While the spec is wrong it keeps its traffic until all of it is to go
// home; nothing is lost with it then, since it can be made again.
func (in intent) retire(stray *unstructured.Unstructured, weight int32) []write {
	if !in.usable && weight > 0 || in.usable && !trafficrouting.Releases(in.rollout, weight) {
		return nil
	}
	return rest(stray)
}

// rest takes a canary Mapping away, one write at a time: its traffic first.
func rest(canary *unstructured.Unstructured) []write {
	if weightOf(canary) == 0 {
		return remove(canary)
	}
	var p patch.Patch
	if _, ok := canary.Object["spec"].(map[string]any); ok {
		p.Set(int64(0), "spec", "weight")
	} else {
		p.Set(map[string]int64{"weight": 0}, "spec")
	}
	return []write{{change: canary, patch: p, reason: ReasonWeight, message: fmt.Sprintf("Set canary mapping `%s` weight to 0", canary.GetName())}}
}

// remove deletes a canary Mapping that gets no traffic; nothing when that has begun.
func remove(canary *unstructured.Unstructured) []write {
	if canary.GetDeletionTimestamp() != nil {
		return nil
	}
	return []write{{remove: canary, reason: ReasonDeleted, message: fmt.Sprintf("Deleting canary mapping `%s`", canary.GetName())}}
}

// observed is what the canary Mappings ask for. They are in sync when the same weight would write nothing.
// With every base there, no canary Mapping is a weight of 0 that exists: it is how this router rests.
func (in intent) observed(w world) (trafficrouting.Observed, []error) {
	seen, bases := trafficrouting.Observed{Exists: len(w.strays) > 0}, 0
	for _, p := range w.pairs {
		if p.base != nil {
			bases++
		}
		if p.canary != nil && in.ours(p.canary) {
			seen.Exists, seen.CanaryWeight = true, max(seen.CanaryWeight, weightOf(p.canary))
			seen.Unowned = seen.Unowned || in.unowned(p.canary)
		}
	}
	seen.Exists = seen.Exists || bases > 0 && bases == len(w.pairs)
	for _, stray := range w.strays {
		seen.CanaryWeight = max(seen.CanaryWeight, weightOf(stray))
	}
	todo, failures := in.plan(w, seen.CanaryWeight)
	seen.InSync = len(todo) == 0
	return seen, failures
}

// ours reports whether the Rollout may write a canary Mapping.
func (in intent) ours(canary *unstructured.Unstructured) bool {
	return metav1.IsControlledBy(canary, in.rollout) || in.unowned(canary)
}

// unowned reports whether a canary Mapping was left behind by a Rollout that is gone, or by a controller
// that made it without an owner: it has a weight, leads to the canary's Service, and nobody controls it.
func (in intent) unowned(canary *unstructured.Unstructured) bool {
	spec, _ := canary.Object["spec"].(map[string]any)
	address, _ := spec["service"].(string)
	_, leads := replaced(address, in.canary, "")
	return leads && spec["weight"] != nil && metav1.GetControllerOf(canary) == nil
}

// marked reports whether a Mapping that the Rollout owns was made by this router: it has the name and a
// weight. Somebody's own Mapping, which the Rollout may own too, has not.
func marked(mapping *unstructured.Unstructured) bool {
	spec, ok := mapping.Object["spec"].(map[string]any)
	return strings.HasSuffix(mapping.GetName(), canarySuffix) && (!ok || spec["weight"] != nil)
}

// weightOf is the share of the traffic that a canary Mapping asks for; all of it when it does not say so
// clearly, since the planner must assume the worst. Ambassador gives a Mapping without a weight what is left.
func weightOf(canary *unstructured.Unstructured) int32 {
	spec, _ := canary.Object["spec"].(map[string]any)
	weight, ok := spec["weight"].(int64)
	if !ok || weight < 0 || weight > total {
		return total
	}
	return int32(weight)
}

// controllerOf names the owner of an object for a message.
func controllerOf(obj metav1.Object) string {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s %q (uid %s)", owner.Kind, owner.Name, owner.UID)
}
