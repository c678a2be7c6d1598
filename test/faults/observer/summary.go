package observer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Summary is where a Rollout has come to, without what differs between two runs
// that end alike: names with random parts, versions and times.
func Summary(h History, rollout string) (string, error) {
	s := emptyState()
	for _, c := range h {
		var err error
		if s, err = s.after(c, rollout); err != nil {
			return "", err
		}
	}
	if s.canary() == nil {
		return "gone", nil
	}
	return s.summary()
}

func (s state) summary() (string, error) {
	st := s.rollout.Status
	weight, err := s.weight()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "phase %s %s\n", st.Phase, st.Message)
	fmt.Fprintf(&out, "step %d of %d, abort %t, pauses %d, mark %t\n", ptr.Deref(st.CurrentStepIndex, -1), len(s.canary().Steps), st.Abort, len(st.PauseConditions), st.ControllerPause)
	fmt.Fprintf(&out, "stable is current %t, revision %s\n", st.StableRS == st.CurrentPodHash, s.rollout.Annotations[v1alpha1.RevisionAnnotation])
	fmt.Fprintf(&out, "pods %d updated %d ready %d available %d\n", st.Replicas, st.UpdatedReplicas, st.ReadyReplicas, st.AvailableReplicas)
	for _, c := range st.Conditions {
		fmt.Fprintf(&out, "condition %s %s %s\n", c.Type, c.Status, c.Reason)
	}
	if st.Why != nil {
		fmt.Fprintf(&out, "why %s: %s\n", st.Why.Code, st.Why.Message)
	}
	fmt.Fprintf(&out, "weight %d\n", weight)
	owned := s.owned()
	for _, hash := range slices.Sorted(maps.Keys(owned)) {
		rs := owned[hash]
		fmt.Fprintf(&out, "revision %s %s: asked %d, available %d, deadline %t\n", rs.Annotations[v1alpha1.RevisionAnnotation], hash,
			size(rs), s.available(hash), rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation] != "")
	}
	fmt.Fprintf(&out, "restarted %t, metadata %s\n", st.RestartedAt.Equal(s.rollout.Spec.RestartAt), strings.Join(s.metadata(), ", "))
	fmt.Fprintf(&out, "services stable %s canary %s\n", s.stableHash(), s.canaryHash())
	for _, name := range slices.Sorted(maps.Keys(s.runs)) {
		if run := s.runs[name]; metav1.IsControlledBy(run, s.rollout) {
			fmt.Fprintf(&out, "analysis %s: %s %s, stopped %t%s\n", name, run.Status.Phase, run.Status.Message, run.Spec.Terminate, measured(run))
		}
	}
	return out.String(), nil
}

// metadata is what the revisions and their pods carry for their role, and what is not done.
func (s state) metadata() []string {
	var out []string
	for hash, rs := range s.owned() {
		for _, key := range []string{v1alpha1.EphemeralMetadataAnnotation, v1alpha1.PendingMetadataAnnotation, v1alpha1.RestartSpareAnnotation} {
			if text := rs.Annotations[key]; text != "" {
				out = append(out, fmt.Sprintf("%s %s %s", hash, key, text))
			}
		}
	}
	for _, pod := range s.pods {
		out = append(out, fmt.Sprintf("pod of %s: role %q %q", pod.Labels[v1alpha1.PodTemplateHashLabel], pod.Labels["role"], pod.Annotations["role"]))
	}
	slices.Sort(out)
	return out
}

// measured counts the measurements of a run by metric.
func measured(run *v1alpha1.AnalysisRun) string {
	text := ""
	for _, m := range run.Status.MetricResults {
		text += fmt.Sprintf(", %s %s: %d measured, %d good, %d bad, %d errors", m.Name, m.Phase, m.Count, m.Successful, m.Failed, m.Error)
	}
	return text
}
