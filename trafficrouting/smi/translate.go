package smi

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// found is what the cluster holds for one Rollout.
type found struct {
	// kind is in the version that the cluster serves; empty when it serves none.
	kind schema.GroupVersionKind
	// named is the TrafficSplit of the spec; nil while there is none.
	named *unstructured.Unstructured
	// strays are controlled by the Rollout, and its spec does not name them.
	strays []*unstructured.Unstructured
}

// write is what makes one TrafficSplit obey: it is created or deleted, or patched.
type write struct {
	obj            *unstructured.Unstructured
	create, delete bool
	patch          patch.Patch
	change         trafficrouting.Change
}

func (w write) empty() bool { return !w.create && !w.delete && w.patch.Empty() }

// writes are those that make everything that was found equal to a split, also when the TrafficSplit of
// the spec is somebody else's, which is the error.
func (in intent) writes(f found, split trafficrouting.Split) ([]write, error) {
	var all []write
	var foreign error
	if in.name != "" && f.kind.Kind != "" {
		var todo write
		todo, foreign = in.route(f, split)
		all = append(all, todo)
	}
	for _, obj := range f.strays {
		all = append(all, in.retire(obj, split.Canary.Weight))
	}
	return slices.DeleteFunc(all, write.empty), foreign
}

// observed is what the TrafficSplits ask for together. Its error says why that of the spec cannot be used.
func (in intent) observed(f found) (trafficrouting.Observed, error) {
	seen := trafficrouting.Observed{Exists: f.named != nil || in.name == "" && len(f.strays) > 0}
	if f.named != nil {
		seen.CanaryWeight, seen.Additional = listOf(f.named).shares(in.stable, in.canary)
		seen.Unowned = in.unowned(f.named)
	}
	for _, obj := range f.strays {
		seen.CanaryWeight = max(seen.CanaryWeight, listOf(obj).away(in.stable))
	}
	needed, foreign := in.writes(f, in.splitWith(seen.CanaryWeight, seen.Additional))
	if foreign != nil {
		seen.Additional = nil // They are sides of somebody else.
	}
	seen.InSync = len(needed) == 0 && foreign == nil && (in.name == "" || f.named != nil)
	return seen, foreign
}

// unowned reports whether a TrafficSplit was left behind by a Rollout that is gone: nobody controls it,
// and it splits between the same two Services.
func (in intent) unowned(obj *unstructured.Unstructured) bool {
	list := listOf(obj)
	return metav1.GetControllerOf(obj) == nil && list.has(in.stable) && list.has(in.canary)
}

// route makes the TrafficSplit of the spec carry a split.
func (in intent) route(f found, split trafficrouting.Split) (write, error) {
	if f.named == nil {
		return write{obj: in.trafficSplit(f.kind, split), create: true, change: trafficrouting.Change{
			Reason: ReasonCreated, Message: fmt.Sprintf("TrafficSplit `%s` created with weight %d", in.name, split.Canary.Weight),
		}}, nil
	}
	adopts := in.unowned(f.named)
	if !adopts && !metav1.IsControlledBy(f.named, in.rollout) {
		return write{}, field.Invalid(in.path, in.name, fmt.Sprintf(
			"TrafficSplit %q is controlled by %s, not by this Rollout: delete it, or name another one", in.name, controllerOf(f.named)))
	}
	todo := modify(f.named, split.Canary.Weight)
	if adopts {
		own(&todo.patch, f.named, in.rollout)
	}
	in.sync(&todo.patch, f.named, split)
	return todo, nil
}

// modify is a write of a TrafficSplit that is there, without anything in it.
func modify(obj *unstructured.Unstructured, weight int32) write {
	return write{obj: obj, change: trafficrouting.Change{
		Reason: ReasonModified, Message: fmt.Sprintf("TrafficSplit `%s` modified to weight %d", obj.GetName(), weight),
	}}
}

// sides are the backends of a split in the order in which they are listed: the canary, what an
// Experiment adds, and the stable side last.
func sides(split trafficrouting.Split) []trafficrouting.Backend {
	additional := slices.SortedFunc(slices.Values(split.Additional), func(a, b trafficrouting.Backend) int {
		return cmp.Compare(a.Service, b.Service)
	})
	return slices.Concat([]trafficrouting.Backend{split.Canary}, additional, []trafficrouting.Backend{split.Stable})
}

func element(side trafficrouting.Backend) any {
	return map[string]any{"service": side.Service, "weight": int64(side.Weight)}
}

// trafficSplit is the whole TrafficSplit to make where there is none.
func (in intent) trafficSplit(kind schema.GroupVersionKind, split trafficrouting.Split) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"service": in.root, "backends": elements(split)},
	}}
	obj.SetGroupVersionKind(kind)
	obj.SetNamespace(in.rollout.Namespace)
	obj.SetName(in.name)
	obj.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(in.rollout, v1alpha1.RolloutKind)})
	return obj
}

func elements(split trafficrouting.Split) []any {
	var list []any
	for _, side := range sides(split) {
		list = append(list, element(side))
	}
	return list
}

// own makes the Rollout the controller of what nobody controls.
func own(todo *patch.Patch, obj *unstructured.Unstructured, ro *v1alpha1.Rollout) {
	ref := *metav1.NewControllerRef(ro, v1alpha1.RolloutKind)
	if owners := obj.GetOwnerReferences(); len(owners) > 0 {
		todo.Insert(ref, "metadata", "ownerReferences", len(owners))
		return
	}
	todo.Set([]metav1.OwnerReference{ref}, "metadata", "ownerReferences")
}

// controllerOf names the owner of an object for a message.
func controllerOf(obj metav1.Object) string {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s %q (uid %s)", owner.Kind, owner.Name, owner.UID)
}

// gone reports whether nothing is left to be done about what the spec does not name: it gets no
// traffic, and deleting it has begun.
func (in intent) gone(obj *unstructured.Unstructured) bool {
	return obj.GetDeletionTimestamp() != nil && listOf(obj).away(in.stable) == 0
}

// retire is for a TrafficSplit that the spec does not name. It is emptied, and deleted once it is seen
// without traffic: a deletion can be refused, or wait for a finalizer, while the mesh still splits. A
// wrong spec may name it again when it is corrected: it is emptied when the split says so, and stays.
func (in intent) retire(obj *unstructured.Unstructured, weight int32) write {
	switch {
	case !in.usable && weight > 0, !trafficrouting.Releases(in.rollout, weight):
		return write{}
	case listOf(obj).away(in.stable) > 0:
		return in.empty(obj)
	case !in.usable:
		return write{}
	}
	return write{obj: obj, delete: true, change: trafficrouting.Change{
		Reason: ReasonDeleted, Message: fmt.Sprintf("TrafficSplit `%s` deleted, which the Rollout no longer names", obj.GetName()),
	}}
}
