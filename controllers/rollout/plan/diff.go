package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// diff is the actions that lead from the world to a safe target. It is the only
// place that knows order: traffic first, since an abort must not wait behind a
// Pod quota; then growth, analysis, shrinking and tidying. What shrinks, shrinks
// by the traffic that was seen, not by the moves above it.
func diff(w world, safe target) []Action {
	actions := append(trafficMoves(w, safe), adoptions(w)...)
	actions = append(actions, revise(w, safe)...)
	actions = append(actions, grow(w, safe)...)
	actions = append(actions, analyses(w)...)
	actions = append(actions, shrink(w, safe)...)
	actions = append(actions, moveWorkload(w, safe)...)
	actions = append(actions, restarts(w, actions)...)
	actions = append(actions, labels(w)...)
	return slices.DeleteFunc(append(actions, tidy(w)...), w.ofOrphan)
}

// trafficMoves points Services and routes weights. Each move is safe by itself.
func trafficMoves(w world, safe target) []Action {
	var moves []Action
	if name := w.canary.StableService; w.moves(name, w.pointed.Stable, safe.stable) {
		moves = append(moves, Point{w.role(StableRole, ActiveRole), name, w.pointed.Stable.Hash, safe.stable, whyStable(w)})
	}
	if w.routesDiffer(safe) {
		moves = append(moves, Route{split(w, safe), whyRoute(w, safe)})
	}
	if name := w.canary.CanaryService; w.moves(name, w.pointed.Canary, safe.canary) {
		moves = append(moves, Point{w.role(CanaryRole, PreviewRole), name, w.pointed.Canary.Hash, safe.canary, whyCanary(w)})
	}
	return moves
}

// moves reports whether a Service is to select another revision. Where routes
// select revisions by themselves there may be none, and one that is named
// follows them: the guard judged by what the routes select.
func (w world) moves(service string, has Selected, to string) bool {
	if w.Traffic.Selects != nil && (service == "" || has.Missing || to == "") {
		return false
	}
	return has.Hash != to
}

// routesDiffer reports whether the routes are not what they should be. Those of
// a strategy that had routes before are taken back.
func (w world) routesDiffer(safe target) bool {
	if !w.routed() {
		return w.Traffic.Exists && !w.Traffic.InSync || w.canaryServes()
	}
	return safe.weight != w.Traffic.CanaryWeight || !w.Traffic.Exists || !w.Traffic.InSync ||
		!trafficrouting.EqualRoutes(safe.routes, w.Traffic.Routes) || w.selectsOthers(safe) ||
		!sameSides(w.Traffic.Additional, w.experimentSides(safe.weight))
}

// selectsOthers reports whether the routes select other revisions than they should.
func (w world) selectsOthers(safe target) bool {
	has := w.Traffic.Selects
	return has != nil && (safe.stable != "" && safe.stable != has.Stable || safe.canary != "" && safe.canary != has.Canary)
}

// sameSides reports whether the sides of an Experiment get what they should. A
// route that knows Services alone cannot tell their revisions.
func sameSides(has, want []trafficrouting.Backend) bool {
	return slices.EqualFunc(has, want, func(has, want trafficrouting.Backend) bool {
		return has.Service == want.Service && has.Weight == want.Weight && (has.Hash == want.Hash || has.Hash == "")
	})
}

// role is what the strategy calls one of its two Services.
func (w world) role(canary, blueGreen Role) Role {
	if w.blueGreen != nil {
		return blueGreen
	}
	return canary
}

func split(w world, safe target) trafficrouting.Split {
	sides := w.experimentSides(safe.weight)
	return trafficrouting.Split{
		MaxWeight:  w.total,
		Stable:     trafficrouting.Backend{Service: w.canary.StableService, Hash: safe.stable, Weight: w.total - safe.weight - sum(sides)},
		Canary:     trafficrouting.Backend{Service: w.canary.CanaryService, Hash: safe.canary, Weight: safe.weight},
		Additional: sides,
		Routes:     safe.routes,
	}
}

func whyStable(w world) string {
	switch {
	case w.abort.Decided:
		return "aborted: the stable revision takes over"
	case w.rolling() && w.blueGreen != nil && w.full:
		return "promoted in full"
	case w.rolling() && w.blueGreen != nil:
		return "the new revision is whole and approved"
	case w.rolling() && w.stepsDone():
		return "all steps are done"
	default:
		return "it is the stable revision"
	}
}

func whyCanary(w world) string {
	switch {
	case w.abort.Decided:
		return "aborted: nothing is tried"
	case w.rolling():
		return "it is the revision being tried"
	default:
		return "nothing is tried"
	}
}

func whyRoute(w world, safe target) string {
	switch {
	case !w.routed():
		return "the strategy has no routes any more"
	case !w.Traffic.Exists && (!w.abort.Decided || !w.leads()):
		return "there is no canary route yet"
	default:
		return whyRoutesMove(w, safe)
	}
}

// whyRoutesMove says why routes that are there change. A move of the weight is
// the news, whatever changes with it.
func whyRoutesMove(w world, safe target) string {
	weight := safe.weight
	switch {
	case weight != w.Traffic.CanaryWeight:
	case !trafficrouting.EqualRoutes(safe.routes, w.Traffic.Routes):
		return w.whyRoutes()
	case w.Traffic.Selects != nil && safe.stable != "" && safe.stable != w.Traffic.Selects.Stable:
		return whyStable(w)
	case w.selectsOthers(safe):
		return whyCanary(w)
	}
	return whyWeightMoves(w, weight)
}

func whyWeightMoves(w world, weight int32) string {
	now := w.Traffic.CanaryWeight
	switch {
	case weight == now && !sameSides(w.Traffic.Additional, w.experimentSides(now)):
		return w.whyExperiment()
	case weight == now:
		return "the routes differ from what the spec asks"
	case w.abort.Decided:
		return "aborted"
	case w.rolling() && w.stepsDone() && w.canary.PingPong != nil:
		return "all steps are done"
	case !w.rolling() && w.step > 0 || w.stepsDone():
		return "the stable service serves the current revision"
	case w.Services.Canary.Hash == "":
		return "the canary service selects no revision"
	case w.dead(w.Services.Canary.Hash, now):
		return "no pod of the canary is available"
	case w.Services.Canary.Hash != w.Current:
		return "a newer revision is being tried"
	default:
		return w.whyWeight()
	}
}

func (w world) whyExperiment() string {
	if len(w.experimentSides(w.Traffic.CanaryWeight)) > 0 {
		return "the experiment of " + w.stepName(w.step) + " runs"
	}
	return "no experiment runs"
}

// revise creates the current revision or gives it its number, and numbers the
// Rollout. The ReplicaSet comes first: pods take longest.
func revise(w world, safe target) []Action {
	number := nextNumber(w)
	var actions []Action
	switch current := w.current(); {
	case !w.currentExists():
		size := safe.sizes[w.Current]
		if safe.hold {
			size = 0
		}
		actions = append(actions, CreateRevision{w.Current, number, size, w.metadata(w.Current), w.avoids(), whySize(w, w.Current)})
	case current.Number != number:
		actions = append(actions, Renumber{w.Current, current.Number, number, "the revision is wanted again"})
	case current.Drift:
		actions = append(actions, Sync{w.Current, "the Rollout's annotations or minReadySeconds changed"})
	}
	actions = append(actions, avoid(w)...)
	return append(actions, numberRollout(w, number)...)
}

// numberRollout writes onto the Rollout what its annotations and its scale should say.
func numberRollout(w world, number int64) []Action {
	workload, why := w.unnotedWorkload(), "it names the current revision"
	switch numbered := w.Rollout.Annotations[numberAnnotation] == fmt.Sprint(number) && w.Rollout.Spec.Replicas != nil; {
	case numbered && workload == 0:
		return nil
	case numbered:
		why = "the workload changed"
	}
	return []Action{Number{To: number, Workload: workload, DefaultReplicas: w.Rollout.Spec.Replicas == nil, Why: why}}
}

// nextNumber is the revision number of the current revision: one above all
// others, also those whose ReplicaSet was deleted meanwhile.
func nextNumber(w world) int64 {
	highest := int64(0)
	for hash, r := range w.Revisions {
		if hash != w.Current {
			highest = max(highest, r.Number)
		}
	}
	// What cannot be parsed was not written by a controller.
	recorded, _ := strconv.ParseInt(w.Rollout.Annotations[numberAnnotation], 10, 64)
	switch own := w.current().Number; {
	case own > highest:
		return own
	case w.changed:
		return max(highest, recorded) + 1
	case !w.currentExists() && recorded > highest:
		return recorded // somebody deleted its ReplicaSet
	default:
		return highest + 1
	}
}

// sorted are the revisions, newest number first, so that a plan does not depend on map order.
func sorted(w world) []Revision {
	all := make([]Revision, 0, len(w.Revisions))
	for _, r := range w.Revisions {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Revision) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(a.Hash, b.Hash))
	})
	return all
}

// grow scales up, and takes revisions that are used again off the list of those to retire.
func grow(w world, safe target) []Action {
	var actions []Action
	for _, r := range sorted(w) {
		size, wanted := safe.sizes[r.Hash]
		switch {
		case !wanted || safe.hold:
		case size > r.Replicas && r.Pods > r.Replicas:
			// It is shrinking: the pods that are about to go are still counted as available.
		case size > r.Replicas:
			actions = append(actions, Scale{Revision: r.Hash, From: r.Replicas, To: size, Why: whySize(w, r.Hash)})
		case w.fastRollback():
			// The deadline tells that it served before; it stays until that is recorded.
		case !r.Deadline.IsZero() && r.Replicas > 0 && size > 0 && !w.promoted():
			actions = append(actions, Keep{r.Hash, "the revision is wanted again"})
		}
	}
	return actions
}

// growHome is the growth of the stable revision alone, for an abort of a spec
// that cannot be followed otherwise: with dynamicStableScale the traffic returns
// as its pods come.
func growHome(w world, safe target) []Action {
	return slices.DeleteFunc(grow(w, safe), func(a Action) bool {
		scale, is := a.(Scale)
		return !is || scale.Revision != w.stable
	})
}

func whySize(w world, hash string) string {
	tried := w.rolling() && hash == w.Current
	switch {
	case hash != w.stable && hash != w.Current:
		return "it is no longer used"
	case w.abort.Decided && (w.byPods() || w.gated() || w.canary.DynamicStableScale):
		return "aborted"
	case tried, w.rolling() && w.byPods():
		return w.whyTriedSize()
	case w.rolling() && w.stableSize(w.Traffic.CanaryWeight) < w.replicas:
		return "dynamicStableScale: it carries the rest of the traffic"
	default:
		return fmt.Sprintf("spec.replicas is %d", w.replicas)
	}
}

// whyTriedSize says what the strategy asks of the revision that is tried.
func (w world) whyTriedSize() string {
	switch {
	case w.blueGreen != nil && w.previewSize() != w.replicas && !w.switched():
		return fmt.Sprintf("previewReplicaCount is %d", w.previewSize())
	case w.blueGreen != nil:
		return fmt.Sprintf("spec.replicas is %d", w.replicas)
	case w.stepsDone():
		return "all steps are done"
	case w.scaleStep() >= 0:
		return w.stepName(w.scaleStep()) + " scales the canary"
	case w.weightStep() < 0 && len(w.stepRoutes()) > 0:
		return w.whyRouted()
	default:
		return w.whyWeight()
	}
}

// shrink scales down what has too many pods and retires what has no more work.
func shrink(w world, safe target) []Action {
	if safe.hold {
		return nil
	}
	var actions []Action
	waiting := int32(0)
	for _, r := range sorted(w) { // newest first: the limit of those that wait is for the oldest
		size, wanted := safe.sizes[r.Hash]
		switch {
		case r.Replicas == 0:
		case w.formerStable(r) > 0:
			actions = append(actions, delayBy(w, r, w.formerStable(r)))
			waiting++
		case wanted && size == 0 && w.drains(r):
			actions = append(actions, drainAction(w, r)...)
		case wanted && size < r.Replicas:
			actions = append(actions, Scale{Revision: r.Hash, From: r.Replicas, To: size, Why: whySize(w, r.Hash)})
		case !wanted:
			next := retireAction(w, r, waiting >= w.canary.DelayedRevisions())
			if actions = append(actions, next...); !goes(next) {
				waiting++
			}
		}
	}
	return actions
}

// goes reports whether a revision goes now, and so waits no more.
func goes(actions []Action) bool {
	return slices.ContainsFunc(actions, func(a Action) bool { _, is := a.(Scale); return is })
}

// drains reports whether a canary loses its last pods because its weight fell:
// proxies may send it requests for a moment after the route was written.
func (w world) drains(r Revision) bool {
	return r.Hash == w.Current && w.rolling() && w.routed() && r.Available > 0 && w.replicas > 0 &&
		(r.Deadline.IsZero() || w.Now.Before(r.Deadline))
}

func drainAction(w world, r Revision) []Action {
	if r.Deadline.IsZero() {
		return []Action{Delay{r.Hash, w.Now.Add(drain).Truncate(time.Second), "its weight fell; its pods stay for " + drain.String()}}
	}
	return nil
}

func delayBy(w world, r Revision, delay time.Duration) Action {
	return Delay{r.Hash, w.Now.Add(delay).Truncate(time.Second), fmt.Sprintf("it is no longer used; its pods stay for %s", delay)}
}

// retireAction is the next thing to do with a revision that has no more work.
// One too many that wait goes at once.
func retireAction(w world, r Revision, tooMany bool) []Action {
	end := retire(w, r)
	aborted := w.abort.Decided && r.Hash == w.Current
	switch {
	case end.Stay:
		return nil
	case tooMany && !aborted:
		return []Action{Scale{Revision: r.Hash, From: r.Replicas, To: 0, Why: "scaleDownDelayRevisionLimit lets no more wait"}}
	case end.Until.IsZero() && end.Delay > 0:
		return []Action{delayBy(w, r, end.Delay)}
	case w.Now.Before(end.Until):
		return nil
	default:
		return []Action{Scale{Revision: r.Hash, From: r.Replicas, To: 0, KeepDeadline: aborted, Why: "it is no longer used"}}
	}
}
