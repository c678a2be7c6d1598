package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file replaces the pods that were made before spec.restartAt: they are
// evicted, the stable revision's first, and their ReplicaSets make new ones.
//
//   - A revision never lacks more than maxUnavailable of its pods, at least one.
//   - The last pod behind a Service does not go: one more is started first, and
//     taken back when the other one was replaced.
//   - Pods are evicted in a pass that moves neither pods nor traffic, since each
//     of them would be judged as if the other were not.
//   - What an eviction took is missing until its ReplicaSet was seen to know:
//     until then the ReplicaSet does not shrink, or it would take another one.

// restartRetry is how soon to look again while a restart goes on. Pods and
// PodDisruptionBudgets are not watched.
const restartRetry = 5 * time.Second

// PodsOf are the revisions whose pods the planner has to see, sorted; none at rest.
func PodsOf(s Snapshot) []string {
	due := restartDue(s)
	var hashes []string
	for hash, r := range s.Revisions {
		if due && (r.Replicas > 0 || r.Pods > 0) || r.Extra || r.Labelling && r.Observed {
			hashes = append(hashes, hash)
		}
	}
	slices.Sort(hashes)
	return hashes
}

// restartDue reports whether a restart is asked for, its time has come, and it is not done.
func restartDue(s Snapshot) bool {
	at, done := s.Rollout.Spec.RestartAt, s.Rollout.Status.RestartedAt
	return at != nil && !s.Now.Before(at.Time) && !at.Equal(done)
}

// restartPends reports whether a status leaves a restart to do.
func (w world) restartPends(st v1alpha1.RolloutStatus) bool {
	return restartDue(w.Snapshot) && !w.Rollout.Spec.RestartAt.Equal(st.RestartedAt)
}

// seenLive are the revisions with no more available pods than were seen: what
// was evicted is gone before its ReplicaSet counts again.
func seenLive(s Snapshot) map[string]Revision {
	hashes := PodsOf(s)
	if len(hashes) == 0 {
		return s.Revisions
	}
	live := make(map[string]Revision, len(s.Revisions))
	for hash, r := range s.Revisions {
		if slices.Contains(hashes, hash) {
			r.Available = min(r.Available, count(s.Pods, hash, func(p Pod) bool { return p.Available && !p.Going }))
		}
		live[hash] = r
	}
	return live
}

// withoutExtra are the revisions without the pods that a restart added: steps,
// sizes and traffic go on as if those were not there.
func withoutExtra(all map[string]Revision) map[string]Revision {
	if !anyExtra(all) {
		return all
	}
	out := make(map[string]Revision, len(all))
	for hash, r := range all {
		if r.Extra {
			r.Replicas--
			r.Pods = min(r.Pods, r.Replicas)
		}
		out[hash] = r
	}
	return out
}

func anyExtra(all map[string]Revision) bool {
	for _, r := range all {
		if r.Extra {
			return true
		}
	}
	return false
}

// staying reports whether a pod was not told to end.
func staying(p Pod) bool { return !p.Going }

func count(pods []Pod, hash string, is func(Pod) bool) int32 {
	n := int32(0)
	for _, pod := range pods {
		if pod.Revision == hash && is(pod) {
			n++
		}
	}
	return n
}

// asked is how many pods the ReplicaSet of a revision is told to have.
func asked(r Revision) int32 {
	if r.Extra {
		return r.Replicas + 1
	}
	return r.Replicas
}

// isOld reports whether a pod has to be replaced.
func (w world) isOld(p Pod) bool {
	return restartDue(w.Snapshot) && !p.Going && p.Created.Before(w.Rollout.Spec.RestartAt.Time)
}

// inFlight reports whether pods of a revision are gone, or going, and its
// ReplicaSet was not seen to know: it would have made others, or said why it cannot.
func (w world) inFlight(r Revision) bool {
	if !restartDue(w.Snapshot) && !r.Extra {
		return false
	}
	return r.Failure == "" && count(w.Pods, r.Hash, staying) < asked(r)
}

// whileRestarting weakens a target: a revision that just lost pods does not shrink.
func whileRestarting(w world, safe target) target {
	for hash, size := range safe.sizes {
		if r := w.Revisions[hash]; size < r.Replicas && w.inFlight(r) {
			safe.sizes[hash] = r.Replicas
		}
	}
	return safe
}

// restarts is what a restart does next, beside what else is planned.
func restarts(w world, planned []Action) []Action {
	due := restartDue(w.Snapshot)
	if !due && !anyExtra(w.Revisions) {
		return nil
	}
	actions := spares(w, planned)
	if !due || w.changed || movesPods(planned) || len(actions) > 0 || w.promoted() || w.firstStable() {
		return actions
	}
	return append(actions, evictions(w)...)
}

// evictions are the pods that may go now.
func evictions(w world) []Action {
	var actions []Action
	total := w.allAnswering()
	for _, r := range w.restartOrder() {
		has, least := w.answering(r), w.least(r)
		for _, pod := range w.replaceable(r.Hash) {
			if pod.Ready && (has <= least || w.byPods() && total <= w.leastOf(w.replicas)) {
				continue
			}
			if pod.Ready {
				has--
				total--
			}
			if len(actions) == podsAtOnce {
				return actions
			}
			actions = append(actions, Evict{pod.Name, r.Hash, "it was made before spec.restartAt"})
		}
	}
	return actions
}

// movesPods reports whether a plan moves pods or traffic.
func movesPods(planned []Action) bool {
	return slices.ContainsFunc(planned, func(a Action) bool {
		switch a.(type) {
		case Scale, ScaleWorkload, CreateRevision, Point, Route:
			return true
		default:
			return false
		}
	})
}

// spares starts one pod more for a revision whose only pod has to go, and takes
// it back when that was replaced.
func spares(w world, planned []Action) []Action {
	var actions []Action
	for _, r := range w.restartOrder() {
		old := count(w.Pods, r.Hash, w.isOld) > 0
		switch {
		case scales(planned, r.Hash):
		case r.Extra && !old && !w.inFlight(r) && w.verified():
			actions = append(actions, Scale{Revision: r.Hash, From: asked(r), To: w.withoutSpare(r), KeepDeadline: true, Why: "its pod was restarted"})
		case !r.Extra && old && !w.changed && w.needsSpare(r):
			actions = append(actions, Scale{Revision: r.Hash, From: r.Replicas, To: r.Replicas + 1, KeepDeadline: true, Extra: true, Why: "its only pod is restarted next"})
		}
	}
	return actions
}

// withoutSpare is the size of a revision when its spare pod is not needed for
// the restart any more. It stays if the Rollout grew meanwhile.
func (w world) withoutSpare(r Revision) int32 {
	need := max(wish(w).sizes[r.Hash], share(w.replicas, w.servedWeight(r.Hash), w.total))
	if goes := max(0, w.answering(r)-r.Replicas); w.byPods() && w.allAnswering()-goes < w.floor() {
		need = asked(r)
	}
	return min(asked(r), max(r.Replicas, need))
}

func scales(planned []Action, hash string) bool {
	return slices.ContainsFunc(planned, func(a Action) bool {
		scale, is := a.(Scale)
		return is && scale.Revision == hash
	})
}

// needsSpare reports whether the only pod of a revision may not go, however long one waits.
func (w world) needsSpare(r Revision) bool {
	if w.abort.Decided && r.Hash == w.Current || r.Hash != w.stable && r.Hash != w.Current {
		return false // It does not grow any more; its traffic is about to leave.
	}
	total := int32(0)
	for _, other := range w.Revisions {
		total += asked(other)
	}
	return r.Replicas == 1 && (w.least(r) > 0 || w.byPods() && total <= w.leastOf(w.replicas))
}

// answering is how many pods of a revision are available, the extra one too.
func (w world) answering(r Revision) int32 { return min(r.Available, asked(r)) }

func (w world) allAnswering() (total int32) {
	for _, r := range w.Revisions {
		total += w.answering(r)
	}
	return total
}

// least is how many pods of a revision must be available. What no Service
// reaches may be missing as a whole, some at a time.
func (w world) least(r Revision) int32 {
	if !w.reached(r.Hash) {
		return max(0, asked(r)-w.missing())
	}
	size := asked(r)
	if want := wish(w); !w.byPods() && !want.hold {
		size = max(size, want.sizes[r.Hash]) // what it is about to have
	}
	return w.leastOf(size)
}

// leastOf is how many of so many pods must be available: the last one stays,
// unless a maxSurge of 0 forbids that another one is started beside it.
func (w world) leastOf(pods int32) int32 {
	if pods <= 1 && w.surge() == 0 {
		return 0
	}
	return max(1, pods-w.missing())
}

// missing is how many pods a restart may take at a time: maxUnavailable, at least one.
func (w world) missing() int32 { return max(1, tolerated(w.canary.MaxUnavailable, w.replicas)) }

// reached reports whether requests may depend on the pods of this very revision.
func (w world) reached(hash string) bool {
	named := w.Services.Stable.Hash == hash || w.Services.Canary.Hash == hash || w.servedWeight(hash) > 0
	return named || !w.byPods() && (hash == w.stable || hash == w.Current && !w.abort.Decided)
}

// restartOrder is the order in which pods are replaced: the stable revision,
// the current one, and then the newest first.
func (w world) restartOrder() []Revision {
	all := sorted(w)
	place := func(r Revision) int {
		switch r.Hash {
		case w.stable:
			return 0
		case w.Current:
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(all, func(a, b Revision) int { return cmp.Compare(place(a), place(b)) })
	return all
}

// replaceable are the pods of a revision that have to go: those that do not
// answer first, then the oldest.
func (w world) replaceable(hash string) []Pod {
	var pods []Pod
	for _, pod := range w.Pods {
		if pod.Revision == hash && w.isOld(pod) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b Pod) int {
		return cmp.Or(compareBools(a.Ready, b.Ready), a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// restartedAt is the restart that is done: no old pod is left, and each was
// seen to be replaced. A new template counts as one, since it replaces them all.
func restartedAt(w world) *metav1.Time {
	if !restartDue(w.Snapshot) {
		return w.old.RestartedAt
	}
	for _, r := range w.Revisions {
		moves := w.inFlight(r) || r.Extra
		left := r.Failure == "" && r.Pods != r.Replicas || count(w.Pods, r.Hash, w.isOld) > 0
		if moves || left && !w.newTemplate() {
			return w.old.RestartedAt
		}
	}
	return w.Rollout.Spec.RestartAt.DeepCopy()
}

// newTemplate reports whether the template is another one, and not that of the stable revision again.
func (w world) newTemplate() bool {
	return w.Current != w.old.CurrentPodHash && (w.rolling() || w.initial())
}

// nextRestart is when to look at pods to restart; zero when there is nothing to restart.
func nextRestart(w world, st v1alpha1.RolloutStatus) time.Time {
	at := w.Rollout.Spec.RestartAt
	switch {
	case at != nil && w.Now.Before(at.Time):
		return at.Time
	case w.restartPends(st), anyExtra(w.Revisions):
		return w.Now.Add(restartRetry)
	default:
		return time.Time{}
	}
}

// whyRestarting tells of a restart under way.
func whyRestarting(w world, st v1alpha1.RolloutStatus) *v1alpha1.Why {
	if !w.restartPends(st) {
		return nil
	}
	left, all := int32(0), int32(0)
	for _, r := range w.Revisions {
		left += count(w.Pods, r.Hash, w.isOld)
		all += count(w.Pods, r.Hash, staying)
	}
	reason := &v1alpha1.Why{
		Code:    WhyRestarting,
		Message: fmt.Sprintf("Pods made before %s are replaced: %d of %d are left.", w.Rollout.Spec.RestartAt.UTC().Format(time.RFC3339), left, all),
		Next:    &v1alpha1.WhyNext{Event: "more of them go as others become available"},
		Unblock: fmt.Sprintf("if it stays: kubectl rollouts get rollout %s shows the pods", w.named()),
	}
	if left == 0 {
		reason.Message = fmt.Sprintf("Pods made before %s are gone; the last ones that replace them are started.", w.Rollout.Spec.RestartAt.UTC().Format(time.RFC3339))
	}
	return reason
}

// Refused is the status to report when a pod was not allowed to go, which is no
// failure: the plan stands, and it is tried again.
func Refused(s Snapshot, st v1alpha1.RolloutStatus, pod, reason string) v1alpha1.RolloutStatus {
	if st.Why == nil || st.Why.Code != WhyRestarting {
		return st
	}
	st.Why = st.Why.DeepCopy()
	st.Why.Message = fmt.Sprintf("%s Pod %s may not go now: %s", st.Why.Message, pod, reason)
	st.Why.Next = &v1alpha1.WhyNext{Event: fmt.Sprintf("it is tried again every %s", restartRetry)}
	st.Why.Unblock = fmt.Sprintf("kubectl get poddisruptionbudgets -n %s shows how many pods may be missing", s.Rollout.Namespace)
	return st
}
