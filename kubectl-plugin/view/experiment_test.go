package view_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// trial is an experiment and what it owns.
type trial struct {
	e     *v1alpha1.Experiment
	owned view.Owned
}

func (w trial) view() view.ExperimentView { return view.OfExperiment(w.e, w.owned, now) }

// comparison is an experiment of two templates, all of whose pods run since five minutes.
func comparison() trial {
	w := trial{e: &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-ab", Namespace: "shop", UID: "ex", CreationTimestamp: ago(6 * time.Minute),
	}}}
	w.e.Spec = v1alpha1.ExperimentSpec{
		Duration: "20m", ProgressDeadlineSeconds: ptr[int32](300),
		Analyses: []v1alpha1.ExperimentAnalysisTemplateRef{{Name: "errors", TemplateName: "compare", RequiredForCompletion: true}},
	}
	w.e.Status = v1alpha1.ExperimentStatus{
		Phase: v1alpha1.AnalysisPhaseRunning, AvailableAt: at(-5 * time.Minute),
		AnalysisRuns: []v1alpha1.ExperimentAnalysisRunStatus{{Name: "errors", AnalysisRun: "cart-ab-errors", Phase: v1alpha1.AnalysisPhaseRunning}},
	}
	w = w.template("baseline", "shop/cart:2.7.4", "6f7c").template("candidate", "shop/cart:2.8.0", "84d6")
	return w.measured(v1alpha1.AnalysisPhaseRunning, 1.02, 1.08, 0.97)
}

// template adds a template whose two pods run.
func (w trial) template(name, image, hash string) trial {
	w.e.Spec.Templates = append(w.e.Spec.Templates, v1alpha1.TemplateSpec{Name: name, Replicas: ptr[int32](2)})
	w.e.Status.TemplateStatuses = append(w.e.Status.TemplateStatuses, v1alpha1.TemplateStatus{
		Name: name, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2,
		Status: v1alpha1.TemplateStatusRunning, LastTransitionTime: at(-5 * time.Minute), PodTemplateHash: hash,
	})
	rs := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-ab-" + name, Namespace: "shop", UID: types.UID("rs-" + name), CreationTimestamp: ago(6 * time.Minute), OwnerReferences: owner("ex"),
		Labels:      map[string]string{v1alpha1.PodTemplateHashLabel: hash},
		Annotations: map[string]string{v1alpha1.ExperimentTemplateAnnotation: name},
	}}
	rs.Spec.Replicas = ptr[int32](2)
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
	rs.Status = appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}
	w.owned.ReplicaSets = append(w.owned.ReplicaSets, rs)
	for _, end := range []string{"a0x7q", "b1x7q"} {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: rs.Name + "-" + end, CreationTimestamp: ago(6 * time.Minute), OwnerReferences: owner(rs.UID)}}
		pod.Spec.Containers = rs.Spec.Template.Spec.Containers
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Ready: true}}}
		w.owned.Pods = append(w.owned.Pods, pod)
	}
	return w
}

// measured adds the run of the analysis, with one metric that was measured each minute.
func (w trial) measured(phase v1alpha1.AnalysisPhase, values ...float64) trial {
	run := compared(phase, values...)
	run.OwnerReferences = []metav1.OwnerReference{{Kind: "Experiment", Name: "cart-ab", UID: "ex", Controller: ptr(true)}}
	w.owned.AnalysisRuns = append(w.owned.AnalysisRuns, run)
	return w
}

// compared is a run with one metric, of which a value above 1.2 fails and two may.
func compared(phase v1alpha1.AnalysisPhase, values ...float64) v1alpha1.AnalysisRun {
	run := v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Name: "cart-ab-errors", Namespace: "shop", CreationTimestamp: ago(5 * time.Minute)}}
	run.Spec.Metrics = []v1alpha1.Metric{{
		Name: "error-ratio", SuccessCondition: "result[0] <= 1.2", FailureLimit: ptr(intstr.FromInt32(2)), Interval: "1m", Count: ptr(intstr.FromInt32(10)),
		Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: "up"}},
	}}
	result := v1alpha1.MetricResult{Name: "error-ratio", Phase: phase, Count: int32(len(values))}
	for i, value := range values {
		finished := time.Duration(i-len(values))*time.Minute + 30*time.Second
		m := v1alpha1.Measurement{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: fmt.Sprintf("[%v]", value), StartedAt: at(finished), FinishedAt: at(finished)}
		if value > 1.2 {
			m.Phase = v1alpha1.AnalysisPhaseFailed
			result.Failed++
		} else {
			result.Successful++
		}
		result.Measurements = append(result.Measurements, m)
	}
	run.Status = v1alpha1.AnalysisRunStatus{Phase: phase, StartedAt: at(-5 * time.Minute)}
	if len(values) > 0 {
		run.Status.MetricResults = []v1alpha1.MetricResult{result}
	}
	return run
}

// ended is comparison after its end, with pods that are still kept.
func (w trial) ended(phase v1alpha1.AnalysisPhase, message string) trial {
	w.e.Status.Phase, w.e.Status.Message = phase, message
	w.e.Status.Conditions = []v1alpha1.ExperimentCondition{{
		Type: v1alpha1.ExperimentProgressing, Status: corev1.ConditionFalse, Reason: "ExperimentCompleted", LastTransitionTime: ago(10 * time.Second),
	}}
	for i := range w.owned.ReplicaSets {
		w.owned.ReplicaSets[i].Annotations[v1alpha1.ScaleDownDeadlineAnnotation] = now.Add(20 * time.Second).Format(time.RFC3339)
	}
	return w
}

func failedTrial() trial {
	w := comparison()
	w.owned.AnalysisRuns = nil
	w = w.measured(v1alpha1.AnalysisPhaseFailed, 1.02, 1.31, 1.4, 1.52)
	w.e.Status.AnalysisRuns[0].Phase = v1alpha1.AnalysisPhaseFailed
	return w.ended(v1alpha1.AnalysisPhaseFailed, `Metric "error-ratio" assessed Failed due to failed (3) > failureLimit (2)`)
}

// withoutImage is an experiment of which one template cannot start.
func withoutImage() trial {
	w := comparison()
	w.e.Status.Phase, w.e.Status.AvailableAt, w.e.Status.AnalysisRuns, w.owned.AnalysisRuns = v1alpha1.AnalysisPhasePending, nil, nil, nil
	st := &w.e.Status.TemplateStatuses[1]
	st.Status, st.ReadyReplicas, st.AvailableReplicas, st.LastTransitionTime = v1alpha1.TemplateStatusProgressing, 1, 1, at(-time.Minute)
	w.owned.ReplicaSets[1].Status = appsv1.ReplicaSetStatus{Replicas: 2, ReadyReplicas: 1, AvailableReplicas: 1}
	pod := &w.owned.Pods[3]
	pod.Status.Phase = corev1.PodPending
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: `Back-off pulling image "shop/cart:2.8.0"`},
	}}}
	return w
}

func lateTrial() trial {
	w := withoutImage()
	st := &w.e.Status.TemplateStatuses[1]
	st.Status, st.Message = v1alpha1.TemplateStatusFailed, `template "candidate" exceeded its progressDeadlineSeconds (300)`
	return w.ended(v1alpha1.AnalysisPhaseFailed, st.Message)
}

func invalidTrial() trial {
	w := comparison()
	w.owned, w.e.Status = view.Owned{}, v1alpha1.ExperimentStatus{}
	w.e.Status.Phase = v1alpha1.AnalysisPhaseError
	w.e.Status.Message = `The Experiment "cart-ab" is invalid: spec.templates: Required value: an Experiment needs pods to run`
	w.e.Status.Conditions = []v1alpha1.ExperimentCondition{{Type: v1alpha1.ExperimentInvalidSpec, Status: corev1.ConditionTrue}}
	return w
}

// refused is an experiment whose second template has no ReplicaSet.
func refused() trial {
	w := withoutImage()
	w.owned.ReplicaSets, w.owned.Pods = w.owned.ReplicaSets[:1], w.owned.Pods[:2]
	st := &w.e.Status.TemplateStatuses[1]
	st.Message, st.AvailableReplicas, st.ReadyReplicas, st.PodTemplateHash = "creating ReplicaSet cart-ab-candidate: exceeded quota: pods", 0, 0, ""
	return w
}

func hostileTrial() trial {
	const evil = "\x1b[2J\x1b]0;owned\a line\nbreak\ttab \u202edesrever\u009b31m"
	w := failedTrial()
	w.e.Status.Message, w.e.Spec.Duration = evil, evil
	w.e.Spec.Templates[1].Name = evil
	w.e.Status.TemplateStatuses[1].Name, w.e.Status.TemplateStatuses[1].Message = evil, evil
	w.e.OwnerReferences = []metav1.OwnerReference{{Kind: "Rollout", Name: evil, Controller: ptr(true)}}
	w.e.Spec.Analyses[0].Name, w.e.Status.AnalysisRuns[0].Name = evil, evil
	w.owned.AnalysisRuns[0].Spec.Metrics[0].SuccessCondition = evil
	w.owned.AnalysisRuns[0].Status.MetricResults[0].Measurements[3].Value = evil
	w.owned.Notes = []string{evil}
	return w
}

// trials are all states, by the name of their golden files.
func trials() map[string]trial {
	fresh := comparison()
	fresh.e.Status, fresh.owned = v1alpha1.ExperimentStatus{}, view.Owned{}
	over := comparison()
	over.e.Status.AvailableAt = at(-21 * time.Minute)
	endless := comparison()
	endless.e.Spec.Duration, endless.e.Spec.Analyses[0].RequiredForCompletion = "", false
	untilDone := comparison()
	untilDone.e.Spec.Duration = ""
	told := comparison()
	told.e.Spec.Terminate = true
	done := comparison().ended(v1alpha1.AnalysisPhaseSuccessful, "")
	done.owned.AnalysisRuns, done.e.Status.AnalysisRuns[0].Phase = nil, v1alpha1.AnalysisPhaseSuccessful
	done = done.measured(v1alpha1.AnalysisPhaseSuccessful, 1.02, 1.08)
	terminated := comparison().ended(v1alpha1.AnalysisPhaseSuccessful, "Experiment Terminated")
	step := failedTrial()
	step.e.OwnerReferences = []metav1.OwnerReference{{Kind: "Rollout", Name: "cart", Controller: ptr(true)}}
	unread := failedTrial()
	unread.owned = view.Owned{Notes: []string{"pods are not shown: pods is forbidden"}}
	unread.e.Status.AnalysisRuns[0].Message = "3 of 4 measurements were too high"
	return map[string]trial{
		"running": comparison(), "failed": failedTrial(), "image-pull-error": withoutImage(), "late": lateTrial(), "invalid": invalidTrial(),
		"refused": refused(), "hostile": hostileTrial(), "new": fresh, "over": over, "endless": endless, "until-done": untilDone,
		"told-to-end": told, "done": done, "terminated": terminated, "step": step, "unread": unread, "empty": {e: &v1alpha1.Experiment{}},
	}
}

func TestEveryStateOfAnExperimentHasATreeAndAWhy(t *testing.T) {
	for name, w := range trials() {
		t.Run(name, func(t *testing.T) {
			golden(t, "experiment-"+name+".tree", view.ExperimentTree(w.view(), view.Style{}))
			golden(t, "experiment-"+name+".why", view.WhyExperiment(w.view(), view.Style{}))
		})
	}
}

func TestTheStyleChangesHowAnExperimentIsDrawn(t *testing.T) {
	for name, style := range map[string]view.Style{
		"width-60": {Width: 60}, "colour": {Colour: true}, "ascii": {Glyphs: view.GlyphsASCII}, "plain": {Glyphs: view.GlyphsPlain},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, "experiment-style-"+name, view.ExperimentTree(failedTrial().view(), style)+"\n"+
				view.WhyExperiment(failedTrial().view(), style)+"\n"+view.ExperimentList(series(), style, view.ListColumns{Namespace: true, Why: true}))
		})
	}
}

func series() []view.ExperimentView {
	views := []view.ExperimentView{failedTrial().view(), comparison().view(), trials()["endless"].view(), trials()["new"].view()}
	for i, name := range []string{"cart-ab", "basket-ab", "load", "search-ab"} {
		views[i].Name = name
	}
	view.SortExperiments(views)
	return views
}

func TestTheListShowsOneRowForEachExperiment(t *testing.T) {
	golden(t, "experiment-list", view.ExperimentList(series(), view.Style{}, view.ListColumns{}))
	golden(t, "experiment-list-terminal", view.ExperimentList(series(), view.Style{Colour: true, Signs: true}, view.ListColumns{Namespace: true}))
	golden(t, "experiment-list-timestamps", view.ExperimentList(series(), view.Style{}, view.ListColumns{Timestamp: true, NoHeader: true}))
}

func TestTheJSONOfAnExperimentIsTheDocumentedModel(t *testing.T) {
	for name, value := range map[string]any{"experiment-json": failedTrial().view(), "experiment-json-why": view.ExplainExperiment(failedTrial().view())} {
		out, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(out)+"\n")
	}
}

func TestNoLineAboutAnExperimentIsWiderThanTheTerminal(t *testing.T) {
	for name, w := range trials() {
		for _, width := range []int{60, 80, 120} {
			style := view.Style{Width: width}
			all := view.ExperimentTree(w.view(), style) + view.WhyExperiment(w.view(), style) +
				view.ExperimentList([]view.ExperimentView{w.view()}, style, view.ListColumns{Namespace: true, Timestamp: true, Why: true})
			for _, line := range strings.Split(all, "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s at width %d: a line has %d columns: %s", name, width, n, line)
				}
			}
		}
	}
}

func TestAnExperimentThatIsTooHighIsFolded(t *testing.T) {
	golden(t, "experiment-folded", view.ExperimentTree(comparison().view(), view.Style{Height: 17}))
	golden(t, "experiment-folded-most", view.ExperimentTree(comparison().view(), view.Style{Height: 5}))
}

func TestNothingInAnExperimentReachesTheTerminalAsASequence(t *testing.T) {
	v := hostileTrial().view()
	run := hostileTrial().owned.AnalysisRuns[0]
	run.OwnerReferences[0].Name = "\x1b[2J"
	e := view.ExplainRun(&run, now)
	out, err := json.Marshal([]any{v, e})
	if err != nil {
		t.Fatal(err)
	}
	all := string(out) + view.ExperimentTree(v, view.Style{}) + view.WhyExperiment(v, view.Style{}) + view.ExperimentSummary(v) + view.WhyRun(e, view.Style{}) +
		view.ExperimentTree(v, view.Style{Glyphs: view.GlyphsPlain}) + view.ExperimentList([]view.ExperimentView{v}, view.Style{}, view.ListColumns{Why: true})
	if at := strings.IndexAny(all, "\x1b\a\x7f\u009b\u202e\t\r"); at >= 0 {
		t.Errorf("a control character is left at %q", all[at:min(at+20, len(all))])
	}
}

func TestASummaryOfAnExperimentHoldsNothingThatTicks(t *testing.T) {
	for name, w := range trials() {
		later := view.OfExperiment(w.e, w.owned, now.Add(time.Minute))
		if diff := cmp.Diff(view.ExperimentSummary(w.view()), view.ExperimentSummary(later)); diff != "" {
			t.Errorf("%s: a minute alone changed the summary:\n%s", name, diff)
		}
	}
}

func TestEveryStateOfAnAnalysisRunHasAWhy(t *testing.T) {
	ended := func(phase v1alpha1.AnalysisPhase, values ...float64) v1alpha1.AnalysisRun {
		run := compared(phase, values...)
		run.Status.CompletedAt = at(-10 * time.Second)
		return run
	}
	failed := ended(v1alpha1.AnalysisPhaseFailed, 1.02, 1.31, 1.4, 1.52)
	failed.OwnerReferences = []metav1.OwnerReference{{Kind: "Rollout", Name: "cart", Controller: ptr(true)}}
	failed.Spec.TTLStrategy = &v1alpha1.TTLStrategy{SecondsAfterCompletion: ptr[int32](3600)}
	ofExperiment := ended(v1alpha1.AnalysisPhaseInconclusive, 1.02)
	ofExperiment.Status.MetricResults[0].Inconclusive = 1
	ofExperiment.OwnerReferences = []metav1.OwnerReference{{Kind: "Experiment", Name: "cart-ab", Controller: ptr(true)}}
	waiting := compared(v1alpha1.AnalysisPhasePending)
	waiting.Spec.Metrics[0].InitialDelay = "10m"
	told := compared(v1alpha1.AnalysisPhaseRunning, 1.02)
	told.Spec.Terminate = true
	invalid := compared(v1alpha1.AnalysisPhasePending)
	invalid.Spec.Metrics[0].SuccessCondition = "result["
	endless := compared(v1alpha1.AnalysisPhaseRunning, 1.02)
	endless.Spec.Metrics[0].Count = nil
	unresolved := ended(v1alpha1.AnalysisPhaseError)
	unresolved.Status.Message = "Analysis spec invalid: args.service was not resolved"
	due := compared(v1alpha1.AnalysisPhaseRunning, 1.02)
	due.Status.MetricResults[0].Measurements[0].StartedAt = at(-3 * time.Minute)
	due.Status.MetricResults[0].Measurements[0].FinishedAt = at(-3 * time.Minute)
	for name, run := range map[string]v1alpha1.AnalysisRun{
		"running": compared(v1alpha1.AnalysisPhaseRunning, 1.02, 1.08), "failed": failed, "inconclusive": ofExperiment, "waiting": waiting, "told-to-end": told,
		"invalid": invalid, "endless": endless, "unresolved": unresolved, "due": due, "successful": ended(v1alpha1.AnalysisPhaseSuccessful, 1.02), "empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, "run-"+name+".why", view.WhyRun(view.ExplainRun(&run, now), view.Style{}))
		})
	}
}
