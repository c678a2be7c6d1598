package istio

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// write is one patch of one object, and what to say of it.
type write struct {
	obj    *unstructured.Unstructured
	patch  patch.Patch
	change trafficrouting.Change
}

// stage are writes of which all must be done before the next stage begins.
type stage struct {
	writes []write
	// blocked says that something which belongs here cannot be written, so that the next stage must wait.
	blocked bool
}

func (s *stage) add(w write) {
	if !w.patch.Empty() {
		s.writes = append(s.writes, w)
	}
}

// plan says what to write, in an order of which every prefix is safe: first what must be in the
// DestinationRule before the routes lead there, then the routes, then what must be out of use before
// it changes.
func (in intent) plan(w world, split trafficrouting.Split) ([]stage, error) {
	before, after, err := in.ruleStages(w, split)
	if err != nil {
		return nil, err
	}
	routes := in.routeStage(w, split)
	for _, s := range w.strayRules {
		if in.usable && trafficrouting.Releases(in.rollout, split.Canary.Weight) && s.readable {
			after.add(releasedRule(s, in.rollout))
		}
	}
	return []stage{before, routes, after}, nil
}

// ruleStages are the writes of the DestinationRule that the spec names. Without it traffic still
// comes home, since that needs no subset which was not there before.
func (in intent) ruleStages(w world, split trafficrouting.Split) (before, after stage, err error) {
	if w.rule == nil {
		return before, after, nil
	}
	if !w.rule.usable {
		before.blocked = split.Canary.Weight > 0
		return before, after, nil
	}
	moves := in.shift(w, split)
	todo, err := in.edits(*w.rule, split, moves)
	if err != nil {
		return before, after, err
	}
	due := &before
	now, late := todo.order(moves)
	if late {
		due = &after
	}
	due.add(write{w.rule.rule.obj, in.edited(*w.rule, now), in.ruleChange(w, split)})
	return before, after, nil
}

// shift compares the weights of both sides now with those of a split. Of routes that disagree the
// largest share counts, and all of the traffic where it cannot be told.
func (in intent) shift(w world, split trafficrouting.Split) shift {
	s := shift{stableTo: split.Stable.Weight, canaryTo: split.Canary.Weight}
	for _, n := range w.named {
		routes := slices.Concat(n.weighted, n.dropped())
		if n.state == unfit {
			routes = n.vs.routes
		}
		if n.state == unreadable {
			s.stableFrom, s.canaryFrom = total, total
		}
		s.stableFrom = max(s.stableFrom, in.sides.share(routes, stableSide))
		s.canaryFrom = max(s.canaryFrom, in.sides.share(routes, canarySide))
	}
	return s
}

// routeStage are the writes of the VirtualServices. One that cannot be written does not keep the
// weights from the others.
func (in intent) routeStage(w world, split trafficrouting.Split) stage {
	var s stage
	for _, n := range w.named {
		switch {
		case n.state == fit:
			s.add(write{n.vs.obj, in.translate(n, split), routeChange(n.vs.obj, split)})
			continue
		case (n.state == unfit || n.state == foreign && n.rec.marked) && split.Canary.Weight == 0:
			s.add(write{n.vs.obj, n.vs.homecoming(n.rec), routeChange(n.vs.obj, split)})
		}
		s.blocked = true
	}
	for _, stray := range w.strays {
		s.blocked = s.blocked || !stray.readable
		if stray.readable {
			s.add(in.fate(stray, split))
		}
	}
	return s
}

// fate is what becomes of a VirtualService that the spec does not name: it is released, or waits. A
// spec that is wrong may name it again when it is corrected, so then it keeps the mark.
func (in intent) fate(s stray, split trafficrouting.Split) write {
	w := write{obj: s.vs.obj, change: routeChange(s.vs.obj, trafficrouting.Split{})}
	switch {
	case !in.usable && split.Canary.Weight == 0:
		w.patch = s.vs.homecoming(s.rec)
	case in.usable && trafficrouting.Releases(in.rollout, split.Canary.Weight):
		w.patch = s.vs.release(s.rec, in.rollout)
		w.change.Message = fmt.Sprintf("VirtualService `%s` released: the Rollout no longer names it", s.vs.obj.GetName())
	}
	return w
}

func routeChange(obj *unstructured.Unstructured, split trafficrouting.Split) trafficrouting.Change {
	message := fmt.Sprintf("VirtualService `%s` set to desiredWeight '%d'", obj.GetName(), split.Canary.Weight)
	var names []string
	for _, route := range split.Routes {
		names = append(names, route.Name)
	}
	if len(names) > 0 {
		message += fmt.Sprintf(" with the routes '%s'", strings.Join(names, ", "))
	}
	return trafficrouting.Change{Reason: ReasonRoutes, Message: message}
}

// ruleChange tells the hashes as they are after the write.
func (in intent) ruleChange(w world, split trafficrouting.Split) trafficrouting.Change {
	hash := func(subset, wanted string) string {
		if wanted == "" {
			return w.hash(subset)
		}
		return wanted
	}
	return trafficrouting.Change{Reason: ReasonRule, Message: fmt.Sprintf("DestinationRule %s subset updated (%s: %s, %s: %s)",
		in.rule.Name, in.sides.canarySubset, hash(in.sides.canarySubset, split.Canary.Hash),
		in.sides.stableSubset, hash(in.sides.stableSubset, split.Stable.Hash))}
}

func releasedRule(s strayRule, ro *v1alpha1.Rollout) write {
	message := fmt.Sprintf("DestinationRule %s released: the Rollout no longer names it", s.rule.obj.GetName())
	return write{s.rule.obj, s.rule.release(s.rec, ro), trafficrouting.Change{Reason: ReasonRule, Message: message}}
}
