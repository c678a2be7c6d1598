package gatewayapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// check says why an object cannot carry what the Rollout may ask of it, now or in a later step.
func (in intent) check(v view) error {
	if v.path == nil {
		return nil
	}
	name := v.obj.GetName()
	if len(v.weighted) == 0 {
		return field.Invalid(v.path, name, fmt.Sprintf(
			"the %s has no rule with the Service `%s` of namespace %s as a backend: add one, or name the route that has one",
			v.kind.name, in.stable, in.rollout.Namespace))
	}
	for _, r := range v.weighted {
		if t := v.sides.count(r); t.foreign > 0 {
			if _, shareable := wholeOf(t, int64(in.total)); !shareable {
				return field.Invalid(v.path, name, unshareable(v.sides, t, int64(in.total)).Error())
			}
		}
	}
	if !v.managed {
		return nil
	}
	return in.checkSteps(v)
}

// checkSteps makes the managed routes of every step, to see whether they fit.
func (in intent) checkSteps(v view) error {
	var active []trafficrouting.ManagedRoute
	for _, step := range in.steps {
		active = slices.DeleteFunc(active, func(r trafficrouting.ManagedRoute) bool { return r.Name == step.route.Name })
		if step.removes() {
			continue
		}
		active = append(active, step.route)
		rules, _, err := v.maker(v.weighted).make(active)
		if err == nil {
			err = withinLimits(v.kind, append(rules, v.others()...))
		}
		if err != nil {
			return field.Invalid(step.path, step.route.Name, fmt.Sprintf("%s %s: %v", v.kind.name, v.obj.GetName(), err))
		}
	}
	return nil
}

// todo is what makes an object obey: the whole split, or no more than bringing its traffic home where
// it cannot carry a split. Together with an error, it is what is to be done all the same.
func (in intent) todo(v view, split trafficrouting.Split) (patch.Patch, error) {
	if v.taken != "" {
		return patch.Patch{}, in.refused(v, split)
	}
	err := in.check(v)
	if err == nil {
		return in.translate(v, split)
	}
	if !home(split) {
		return patch.Patch{}, err
	}
	todo, failure := in.translate(v, split)
	return todo, errors.Join(err, failure)
}

// refused is the error of an object by which another Rollout leads the same Services. While it is home,
// there is nothing to be refused.
func (in intent) refused(v view, split trafficrouting.Split) error {
	if todo, _, err := in.rules(v, split); home(split) && err == nil && todo.Empty() {
		return nil
	}
	path := v.path
	if path == nil {
		path = field.NewPath("spec", "strategy", "canary", "trafficRouting")
	}
	return field.Invalid(path, v.obj.GetName(), fmt.Sprintf("this %s shares the traffic of Rollout %s between the same Services: "+
		"wait until that one is done, or give each Rollout Services of its own", v.kind.name, v.taken))
}

// home reports whether a split leaves nothing but the stable side.
func home(split trafficrouting.Split) bool { return still(split) && len(split.Routes) == 0 }

// translate is the patch from an object as it is to one that obeys the split.
func (in intent) translate(v view, split trafficrouting.Split) (patch.Patch, error) {
	if !v.managed {
		split.Routes = nil
	}
	todo, routes, err := in.rules(v, split)
	if err != nil {
		return patch.Patch{}, err
	}
	next := memory{routes: routes, label: in.labelKey}
	for _, side := range split.Additional {
		next.sides = append(next.sides, side.Service)
	}
	slices.Sort(next.sides)
	mark := trafficrouting.Mark{
		Rollout: trafficrouting.Key(in.rollout), Stable: v.sides.stable, Canary: v.sides.canary, Routes: next.notes(),
	}
	in.metadata(&todo, v, mark, home(split))
	return todo, nil
}

// metadata gives an object that shares traffic its mark and its label, and takes them from one that is
// home. A route at home is as its user wrote it, but for the weights.
func (in intent) metadata(todo *patch.Patch, v view, mark trafficrouting.Mark, home bool) {
	annotations, labels := maps.Clone(v.obj.GetAnnotations()), maps.Clone(v.obj.GetLabels())
	others := trafficrouting.Without(v.obj, in.rollout)
	if v.memory.label != "" && !in.labelled(v) {
		delete(labels, v.memory.label)
	}
	delete(annotations, v1alpha1.RoutedByAnnotation)
	switch {
	case home && others != "":
		annotations = withMember(annotations, v1alpha1.RoutedByAnnotation, others)
	case !home:
		annotations = withMember(annotations, v1alpha1.RoutedByAnnotation, mark.Beside(v.obj))
		if in.labelKey != "" {
			labels = withMember(labels, in.labelKey, in.labelValue)
		}
	}
	setMembers(todo, "labels", v.obj.GetLabels(), labels)
	setMembers(todo, "annotations", v.obj.GetAnnotations(), annotations)
}

// labelled reports whether another Rollout that shares the object wants the label that this one gave it.
func (in intent) labelled(v view) bool {
	return slices.ContainsFunc(trafficrouting.MarksBeside(v.obj, in.rollout), func(other trafficrouting.Mark) bool {
		return remembered(other).label == v.memory.label
	})
}

func withMember(members map[string]string, key, value string) map[string]string {
	if members == nil {
		members = map[string]string{}
	}
	members[key] = value
	return members
}

// setMembers changes labels or annotations, member by member.
func setMembers(todo *patch.Patch, name string, before, after map[string]string) {
	switch {
	case maps.Equal(before, after):
		return
	case len(before) == 0:
		todo.Set(after, "metadata", name)
		return
	case len(after) == 0:
		todo.Remove("metadata", name)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[key]; !stays {
			todo.Remove("metadata", name, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[key]; !ok || was != after[key] {
			todo.Set(after[key], "metadata", name, key)
		}
	}
}

// rules is the patch of the rules alone, and what managed routes they come to.
func (in intent) rules(v view, split trafficrouting.Split) (patch.Patch, []made, error) {
	var todo patch.Patch
	for _, side := range split.Additional {
		if !v.sides.has(side.Service) {
			v.sides.additional = append(slices.Clone(v.sides.additional), side.Service)
		}
	}
	slices.Sort(v.sides.additional) // They are added in this order.
	for _, r := range v.left {
		shares, err := v.earlier.sharesOf(v.earlier.count(r), in.homeSplit())
		if err != nil {
			return patch.Patch{}, nil, err
		}
		if shares != nil {
			v.earlier.reweigh(&todo, r, shares)
		}
	}
	weighted := make([]rule, 0, len(v.weighted))
	for _, r := range v.weighted {
		shares, err := v.sides.sharesOf(v.sides.count(r), split)
		if err != nil {
			return patch.Patch{}, nil, err
		}
		if shares != nil {
			r = v.sides.reweigh(&todo, r, shares)
		}
		weighted = append(weighted, r)
	}
	wanted, routes, err := v.maker(weighted).make(split.Routes)
	if err == nil && len(wanted) > 0 {
		err = withinLimits(v.kind, append(wanted, v.others()...))
	}
	if err != nil {
		return patch.Patch{}, nil, err
	}
	v.replace(&todo, wanted)
	return todo, routes, nil
}

// userWrote reports whether a user wrote any of the rules before a position.
func (v view) userWrote(position int) bool {
	for i := range position {
		if !v.made[i] && !v.beside[i] {
			return true
		}
	}
	return false
}

// replace makes the rules of managed routes those that are wanted, before all that users wrote, unless they
// are. Those of another Rollout, which lead to other Services, may stand before them.
func (v view) replace(todo *patch.Patch, wanted []map[string]any) {
	var there []int
	same := true
	for i, r := range v.rules {
		if v.made[i] {
			at := len(there)
			same = same && !v.userWrote(i) && at < len(wanted) && sameRule(r.raw, wanted[at])
			there = append(there, i)
		}
	}
	if same && len(there) == len(wanted) {
		return
	}
	for _, i := range slices.Backward(there) {
		todo.Remove("spec", "rules", i)
	}
	for i, raw := range wanted {
		todo.Insert(raw, "spec", "rules", i)
	}
}
