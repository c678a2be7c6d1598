package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/network"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

func experimentNamed(name string) *v1alpha1.Experiment {
	return &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

const (
	running    = v1alpha1.AnalysisPhaseRunning
	successful = v1alpha1.AnalysisPhaseSuccessful
	failed     = v1alpha1.AnalysisPhaseFailed
)

// TestTheExperimentExampleRunsToTheEnd plays an example without a duration: it
// runs until a person ends it.
func TestTheExperimentExampleRunsToTheEnd(t *testing.T) {
	docs := example(t, "analysis-templates.yaml", "experiment-with-analysis.yaml")
	w := newWorld(t)
	w.apply(docs...)
	const name = "experiment-with-analysis"
	w.experimentIs(name, running, analysisIs("pass", successful), analysisIs("random-fail", successful))
	w.patch(experimentNamed(name), `{"spec":{"terminate":true,"scaleDownDelaySeconds":1}}`)
	w.experimentIs(name, successful, noPods)
	w.told("Experiment", name, "TemplateRunning", "ExperimentRunning", "AnalysisRunSuccessful", "ExperimentSuccessful", "NewReplicaSetCreated", "ScalingReplicaSet")
}

func TestAnExperimentRunsForItsDuration(t *testing.T) {
	w := newWorld(t)
	watch := observer.Watch(w, w.cluster.Config, w.namespace)
	metric := newPrometheus(t, value("0.99"))
	args := `analyses: [{name: rate, templateName: args, args: [` +
		`{name: hash, value: "{{templates.orange.podTemplateHash}}"}, {name: set, value: "{{templates.purple.replicaset.name}}"}, ` +
		`{name: times, value: "{{experiment.availableAt}} to {{experiment.finishedAt}}"}]}]`
	w.apply(strings.NewReplacer("name: measured", "name: args", "spec:\n", "spec:\n  args: [{name: hash}, {name: set}, {name: times}]\n").Replace(
		manifest.Metric{Address: metric.URL, Fields: everySecond}.YAML()))
	w.apply(experiment{Spec: []string{"duration: 3s", quickly, args, "analysisRunMetadata: {labels: {team: web}}"}}.YAML())
	e := w.experimentIs("ab", running, analysisIs("rate", running))
	ts := e.Status.TemplateStatuses
	if len(ts) != 2 || ts[0].Status != v1alpha1.TemplateStatusRunning || ts[1].AvailableReplicas != 2 {
		t.Errorf("templates: %+v", ts)
	}
	run := w.runs()[0]
	at := e.Status.AvailableAt.UTC()
	want := []string{ts[1].PodTemplateHash, "ab-purple", at.Format("2006-01-02T15:04:05Z") + " to " + at.Add(3e9).Format("2006-01-02T15:04:05Z")}
	var got []string
	for _, arg := range run.Spec.Args {
		got = append(got, *arg.Value)
	}
	if run.Name != "ab-rate" || run.Labels["team"] != "web" || !cmp.Equal(want, got) {
		t.Errorf("AnalysisRun %s with labels %v and arguments (-want +got):\n%s", run.Name, run.Labels, cmp.Diff(want, got))
	}
	e = w.experimentIs("ab", successful, noPods, analysisIs("rate", successful))
	if c := e.Status.Conditions; len(c) != 1 || c[0].Type != "Progressing" || c[0].Status != corev1.ConditionFalse || c[0].Reason != "ExperimentCompleted" {
		t.Errorf("conditions: %+v", c)
	}
	var rs appsv1.ReplicaSet
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "ab-orange"}, &rs); err != nil {
		t.Fatal(err)
	}
	wantMeta := metav1.ObjectMeta{
		Labels: map[string]string{"app": "web", "side": "orange", "rollouts-pod-template-hash": ts[1].PodTemplateHash},
		Annotations: map[string]string{
			"experiment.argoproj.io/name": "ab", "experiment.argoproj.io/template-name": "orange",
			"scale-down-deadline": rs.Annotations["scale-down-deadline"],
		},
	}
	if diff := cmp.Diff(wantMeta, metav1.ObjectMeta{Labels: rs.Labels, Annotations: rs.Annotations}); diff != "" {
		t.Errorf("ReplicaSet (-want +got):\n%s", diff)
	}
	w.createdOnce(watch, observer.ReplicaSet, 2)
	w.createdOnce(watch, observer.AnalysisRun, 1)
}

func TestAnExperimentFailsByItsAnalysis(t *testing.T) {
	w := newWorld(t)
	metric := newPrometheus(t, value("0.5"))
	w.apply(manifest.Metric{Address: metric.URL, Fields: once}.YAML(), experiment{Spec: []string{byRate, quickly}}.YAML())
	e := w.experimentIs("ab", failed, noPods)
	if err := holds(e.Status.Message, "success-rate", "failed (1) > failureLimit (0)"); err != nil {
		t.Error(err)
	}
	w.told("Experiment", "ab", "AnalysisRunFailed", "ExperimentFailed")

	metric.say(value("0.99")) // A person begins it again.
	w.patch(experimentNamed("ab"), `{"status":null}`)
	w.experimentIs("ab", running, analysisIs("rate", successful))
	if runs := w.runs(); len(runs) != 2 {
		t.Errorf("%d AnalysisRuns, want that of each attempt", len(runs))
	}
}

func TestAnExperimentWhoseTemplateIsMissingRunsNothing(t *testing.T) {
	w := newWorld(t)
	w.apply(experiment{Spec: []string{byRate}}.YAML())
	e := w.experimentIs("ab", v1alpha1.AnalysisPhaseError, analysisIs("rate", v1alpha1.AnalysisPhaseError))
	if err := holds(e.Status.Message, "AnalysisTemplate", "measured", "not found"); err != nil {
		t.Error(err)
	}
	if sets := w.replicaSets(""); len(sets) > 0 {
		t.Errorf("%d ReplicaSets were made", len(sets))
	}
}

func TestAnExperimentThatIsNeverAvailableFails(t *testing.T) {
	w := newWorld(t)
	w.apply(experiment{Orange: "badpull", Spec: []string{"progressDeadlineSeconds: 4", quickly}}.YAML())
	w.experimentIs("ab", v1alpha1.AnalysisPhasePending)
	e := w.experimentIs("ab", failed, noPods)
	if err := holds(e.Status.Message, "orange", "progressDeadlineSeconds (4)"); err != nil {
		t.Error(err)
	}
	if ts := e.Status.TemplateStatuses; ts[0].Status != v1alpha1.TemplateStatusSuccessful || ts[1].Status != v1alpha1.TemplateStatusFailed {
		t.Errorf("templates: %+v", ts)
	}
}

func TestAnExperimentIsTerminated(t *testing.T) {
	w := newWorld(t)
	metric := newPrometheus(t, value("0.99"))
	w.apply(manifest.Metric{Address: metric.URL, Fields: everySecond}.YAML(), experiment{Spec: []string{byRate, quickly, "duration: 1h"}}.YAML())
	w.experimentIs("ab", running, analysisIs("rate", running))
	w.patch(experimentNamed("ab"), `{"spec":{"terminate":true}}`)
	w.experimentIs("ab", successful, noPods, analysisIs("rate", successful))
	w.told("Experiment", "ab", "AnalysisRunTerminating", "ExperimentSuccessful")
}

func TestAnExperimentHasServices(t *testing.T) {
	w := newWorld(t)
	w.apply(experiment{Spec: []string{quickly}, Template: []string{"service: {}"}}.YAML())
	e := w.experimentIs("ab", running)
	hash := e.Status.TemplateStatuses[1].PodTemplateHash
	if name := e.Status.TemplateStatuses[1].ServiceName; name != "ab-orange" {
		t.Errorf("the Service is %q", name)
	}
	var svc corev1.Service
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "ab-orange"}, &svc); err != nil {
		t.Fatal(err)
	}
	want := corev1.ServiceSpec{
		Selector: map[string]string{"app": "web", "side": "orange", "rollouts-pod-template-hash": hash},
		Ports: []corev1.ServicePort{
			{Name: "tcp-8080", Protocol: "TCP", Port: 8080, TargetPort: intstr.FromInt32(8080)},
			{Name: "admin", Protocol: "TCP", Port: 9000, TargetPort: intstr.FromInt32(9000)},
		},
	}
	if diff := cmp.Diff(want, corev1.ServiceSpec{Selector: svc.Spec.Selector, Ports: svc.Spec.Ports}); diff != "" {
		t.Errorf("Service (-want +got):\n%s", diff)
	}
	for _, lost := range []client.Object{&svc, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "ab-orange"}}} {
		if err := w.client.Delete(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		w.experimentIs("ab", running, func(e *v1alpha1.Experiment) error { // It is made again.
			if t := e.Status.TemplateStatuses[1]; t.AvailableReplicas != 2 || t.ServiceName == "" || w.size("ab-orange") != 2 {
				return fmt.Errorf("orange is not whole again: %+v", t)
			}
			return nil
		})
	}
	w.patch(experimentNamed("ab"), `{"spec":{"terminate":true}}`)
	w.experimentIs("ab", successful, noPods)
	w.vanished(&corev1.Service{}, "ab-orange")
	if size := w.size("ab-orange"); size != 0 {
		t.Errorf("the ReplicaSet has size %d", size)
	}
}

// TestAnExperimentTakesNoNamesOfOthers begins with the ReplicaSet of somebody else in its way.
func TestAnExperimentTakesNoNamesOfOthers(t *testing.T) {
	w := newWorld(t)
	const other = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: ab-orange}
spec:
  replicas: 1
  selector: {matchLabels: {app: other}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: other, image: "example.com/other:v1"}]}}
`
	w.apply(other)
	w.apply(experiment{Spec: []string{quickly}}.YAML())
	w.experimentIs("ab", v1alpha1.AnalysisPhasePending, func(e *v1alpha1.Experiment) error {
		return holds(e.Status.Message, "ReplicaSet ab-orange", "not of this Experiment")
	})
	if size := w.size("ab-orange"); size != 1 {
		t.Errorf("the other ReplicaSet has size %d", size)
	}
	if err := w.client.Delete(t.Context(), &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "ab-orange"}}); err != nil {
		t.Fatal(err)
	}
	w.experimentIs("ab", running)
}

func TestAnInvalidExperimentRunsNothingUntilItIsCorrected(t *testing.T) {
	w := newWorld(t)
	w.apply(experiment{Spec: []string{quickly, "duration: soon"}}.YAML())
	e := w.experimentIs("ab", v1alpha1.AnalysisPhaseError)
	if err := holds(e.Status.Message, `The Experiment "ab" is invalid: `, "spec.duration", "soon"); err != nil {
		t.Error(err)
	}
	if sets := w.replicaSets(""); len(sets) > 0 {
		t.Errorf("%d ReplicaSets were made", len(sets))
	}
	w.patch(experimentNamed("ab"), `{"spec":{"duration":"1s"}}`)
	w.experimentIs("ab", successful, noPods)
}

// TestAnExperimentEndsTheSameWhicheverWriteKillsTheController loses each write,
// before or after the API server has it, and kills the controller there.
func TestAnExperimentEndsTheSameWhicheverWriteKillsTheController(t *testing.T) {
	undisturbed := newWorld(t).killedAt(0, network.Unsent)
	t.Logf("it takes %d writes:\n%s", len(undisturbed), strings.Join(undisturbed, "\n"))
	for n := 1; n <= len(undisturbed); n++ {
		how := []network.Loss{network.Unsent, network.Unanswered}[n%2]
		t.Run(fmt.Sprintf("write %d is %s", n, how), func(t *testing.T) { newWorld(t).killedAt(n, how) })
	}
}

// killedAt plays an Experiment to its end and kills the controller at one write; 0 at none.
func (w *world) killedAt(number int, how network.Loss) (writes []string) {
	w.Helper()
	watch := observer.Watch(w, w.cluster.Config, w.namespace)
	meddler := network.NewMeddler(w, w.cluster.Config)
	lost := meddler.Lose(w.namespace, number, how)
	options := headway.Options{
		Kubeconfig: network.Kubeconfig(w, w.cluster.Kubeconfig, meddler.Address), Args: []string{"--instance-id", w.namespace},
	}
	process := headway.Start(w, options)
	metric := newPrometheus(w.T, value("0.99"))
	w.apply(
		manifest.Metric{Address: metric.URL, Fields: once, InstanceID: w.namespace}.YAML(),
		experiment{Spec: []string{byRate, quickly, "duration: 2s"}, Template: []string{"service: {name: shop}"}, InstanceID: w.namespace}.YAML(),
	)
	if number > 0 {
		kube.Eventually(w, within, func() error {
			select {
			case <-lost:
				return nil
			default:
				return fmt.Errorf("write %d has not come yet", number)
			}
		})
		process.Kill()
		meddler.Pass()
		headway.Start(w, options)
	}
	e := w.experimentIs("ab", successful, noPods, analysisIs("rate", successful))
	w.vanished(&corev1.Service{}, "shop")
	if e.Status.Message != "" || w.size("ab-purple") != 0 || w.size("ab-orange") != 0 {
		w.Errorf("it ends with %q and ReplicaSets of %d and %d", e.Status.Message, w.size("ab-purple"), w.size("ab-orange"))
	}
	w.createdOnce(watch, observer.ReplicaSet, 2)
	w.createdOnce(watch, observer.AnalysisRun, 1)
	for _, write := range meddler.Writes() {
		if !write.Event && !write.Guarded {
			w.Errorf("%s names neither the object nor the version that it means", write)
		}
		if !write.Event && !strings.Contains(write.Path, "/analysisruns/") {
			writes = append(writes, write.String())
		}
	}
	return writes
}

func TestARestartWritesNothingWhileExperimentsRest(t *testing.T) {
	w := newWorld(t)
	watch := observer.Watch(w, w.cluster.Config, w.namespace)
	metric := newPrometheus(t, value("0.99"))
	first := headway.Start(t, headway.Options{Kubeconfig: w.cluster.Kubeconfig, Args: []string{"--instance-id", w.namespace}})
	w.apply(manifest.Metric{Address: metric.URL, Fields: once, InstanceID: w.namespace}.YAML())
	text := experiment{Spec: []string{byRate, quickly}, Template: []string{"service: {}"}, InstanceID: w.namespace}.YAML()
	w.apply(text, strings.ReplaceAll(strings.ReplaceAll(text, "name: ab,", "name: ended,"), "spec:\n  analyses", "spec:\n  terminate: true\n  analyses"))
	w.experimentIs("ab", running, analysisIs("rate", successful))
	w.experimentIs("ended", successful)
	w.quiet(watch)
	first.Stop()
	meddler, second := w.countedController()
	kube.Eventually(t, within, func() error { return lookedAt(second, w.namespace, "experiment", "ab", "ended") })
	w.quiet(watch)
	for _, write := range meddler.Writes() {
		t.Errorf("the restarted controller wrote %s", write)
	}
	w.patch(experimentNamed("ab"), `{"spec":{"terminate":true}}`) // Writes are seen when there are any.
	w.experimentIs("ab", successful, noPods)
	if len(meddler.Writes()) == 0 {
		t.Error("the writes of an end were not seen")
	}
}
