package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Of is the view of a Rollout and what it owns at one moment. It accepts any
// object, also one without a status or with an invalid spec.
func Of(ro *v1alpha1.Rollout, owned Owned, now time.Time) RolloutView {
	phase, message := phaseOf(ro)
	v := RolloutView{
		APIVersion: APIVersion,
		Kind:       RolloutKind,
		Name:       clean(ro.Name),
		Namespace:  clean(ro.Namespace),
		CreatedAt:  ro.CreationTimestamp.UTC(),
		ObservedAt: now.UTC().Truncate(time.Second),
		Revision:   revisionNumber(ro.Annotations),
		Phase:      phase,
		Message:    clean(message),
		Aborted:    ro.Status.Abort,
		Strategy:   strategyOf(ro),
		Step:       stepOf(ro),
		Pause:      pauseOf(ro),
		Replicas:   replicasOf(ro),
		Revisions:  revisionsOf(ro, owned),
		Notes:      cleanAll(owned.Notes),
	}
	v.Complete = complete(ro)
	v.Weight = weightOf(ro, v.Revisions)
	v.Images = imagesOf(v.Revisions)
	v.Why = whyOf(ro, v)
	return v
}

// phaseOf is the phase of the status, unless the status is about an older
// spec or an older wish: then the Rollout progresses, whatever it says.
func phaseOf(ro *v1alpha1.Rollout) (v1alpha1.RolloutPhase, string) {
	st := &ro.Status
	switch {
	case !generationObserved(ro):
		return v1alpha1.RolloutPhaseProgressing, "waiting for rollout spec update to be observed"
	case unpausing(ro):
		return v1alpha1.RolloutPhaseProgressing, "waiting for rollout to unpause"
	case st.Phase == v1alpha1.RolloutPhaseDegraded && !st.Abort && strings.HasPrefix(st.Message, "RolloutAborted"):
		return v1alpha1.RolloutPhaseProgressing, "waiting for the retry to be observed"
	case st.Phase == v1alpha1.RolloutPhasePaused && st.PromoteFull && !ro.Spec.Paused:
		return v1alpha1.RolloutPhaseProgressing, "waiting for the full promotion to be observed"
	case st.Phase == "":
		return v1alpha1.RolloutPhaseProgressing, "waiting for the controller to report a phase"
	}
	return st.Phase, st.Message
}

// generationObserved reports whether the status is about the present spec.
// An observedGeneration that is no number is of a format of long ago and
// counts as seen.
func generationObserved(ro *v1alpha1.Rollout) bool {
	return seen(ro.Status.ObservedGeneration, strconv.FormatInt(ro.Generation, 10)) && workloadObserved(ro)
}

func workloadObserved(ro *v1alpha1.Rollout) bool {
	want := ro.Annotations[v1alpha1.WorkloadGenerationAnnotation]
	if ro.Spec.WorkloadRef == nil || want == "" {
		return true
	}
	return seen(ro.Status.WorkloadObservedGeneration, want)
}

func seen(observed, generation string) bool {
	if observed == "" {
		return false
	}
	if _, err := strconv.ParseInt(observed, 10, 64); err != nil {
		return true
	}
	return observed == generation
}

// unpausing reports whether a person ended a pause and the controller has not acted on it yet.
func unpausing(ro *v1alpha1.Rollout) bool {
	return ro.Status.ControllerPause && len(ro.Status.PauseConditions) == 0 && !ro.Spec.Paused && !ro.Status.Abort
}

func complete(ro *v1alpha1.Rollout) bool {
	st := &ro.Status
	want := desired(ro)
	return generationObserved(ro) && !st.Abort && st.CurrentPodHash != "" && st.CurrentPodHash == st.StableRS &&
		st.UpdatedReplicas >= want && st.AvailableReplicas >= want
}

func desired(ro *v1alpha1.Rollout) int32 {
	if ro.Spec.Replicas == nil {
		return 1
	}
	return *ro.Spec.Replicas
}

func strategyOf(ro *v1alpha1.Rollout) Strategy {
	switch {
	case ro.Spec.Strategy.Canary != nil:
		return Canary
	case ro.Spec.Strategy.BlueGreen != nil:
		return BlueGreen
	}
	return ""
}

func replicasOf(ro *v1alpha1.Rollout) ReplicasView {
	return ReplicasView{
		Desired:   desired(ro),
		Current:   ro.Status.Replicas,
		Updated:   ro.Status.UpdatedReplicas,
		Ready:     ro.Status.ReadyReplicas,
		Available: ro.Status.AvailableReplicas,
	}
}

// revisionNumber reads the revision annotation; 0 when there is none.
func revisionNumber(annotations map[string]string) int64 {
	n, err := strconv.ParseInt(annotations[v1alpha1.RevisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func revisionsOf(ro *v1alpha1.Rollout, owned Owned) []RevisionView {
	byNumber := map[int64]*RevisionView{}
	of := func(number int64) *RevisionView {
		if byNumber[number] == nil {
			byNumber[number] = &RevisionView{Number: number}
		}
		return byNumber[number]
	}
	for i := range owned.ReplicaSets {
		rs := &owned.ReplicaSets[i]
		if metav1.IsControlledBy(rs, ro) {
			rev, v := of(revisionNumber(rs.Annotations)), replicaSetOf(rs, owned.Pods)
			v.Roles = rolesOf(ro, rs.Labels[v1alpha1.PodTemplateHashLabel])
			rev.ReplicaSets = append(rev.ReplicaSets, v)
		}
	}
	for i := range owned.AnalysisRuns {
		run := &owned.AnalysisRuns[i]
		if metav1.IsControlledBy(run, ro) {
			rev := of(revisionNumber(run.Annotations))
			rev.AnalysisRuns = append(rev.AnalysisRuns, analysisRunOf(run))
		}
	}
	var out []RevisionView
	for _, rev := range byNumber {
		sortRevision(rev)
		out = append(out, *rev)
	}
	slices.SortFunc(out, func(a, b RevisionView) int { return cmp.Compare(b.Number, a.Number) })
	return out
}

func sortRevision(rev *RevisionView) {
	slices.SortFunc(rev.ReplicaSets, func(a, b ReplicaSetView) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(rev.AnalysisRuns, func(a, b AnalysisRunView) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
}

// imagesOf lists the images of revisions that have a role, in the order of their revisions.
func imagesOf(revisions []RevisionView) []ImageView {
	var out []ImageView
	for _, rev := range revisions {
		for _, rs := range rev.ReplicaSets {
			if len(rs.Roles) == 0 && rs.Desired == 0 {
				continue
			}
			for _, image := range rs.Images {
				out = addImage(out, image, rs.Roles)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b ImageView) int { return cmp.Compare(a.Image, b.Image) })
	return out
}

func addImage(images []ImageView, image string, roles []string) []ImageView {
	at := slices.IndexFunc(images, func(i ImageView) bool { return i.Image == image })
	if at < 0 {
		return append(images, ImageView{Image: image, Roles: slices.Clone(roles)})
	}
	for _, role := range roles {
		if !slices.Contains(images[at].Roles, role) {
			images[at].Roles = append(images[at].Roles, role)
		}
	}
	return images
}

func timeOf(t *metav1.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

// Command is how the plugin is called in texts, here and in those of the controller. Whoever shows them
// under another name puts that name in its place.
const Command = "kubectl rollouts"

// command is a command line about the rollout that a person can paste.
func (v RolloutView) command(verb string) string { return commandLine(verb, v.Name, v.Namespace) }

func commandLine(verb, name, namespace string) string {
	line := fmt.Sprintf("%s %s %s", Command, verb, name)
	if namespace != "" {
		line += " -n " + namespace
	}
	return line
}
