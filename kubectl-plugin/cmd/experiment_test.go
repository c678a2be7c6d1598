package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// cartAB is an experiment of one template with one pod, measured by one analysis.
func cartAB(change ...func(*v1alpha1.Experiment)) *v1alpha1.Experiment {
	e := &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-ab", Namespace: "shop", UID: "ex", CreationTimestamp: metav1.NewTime(noon.Add(-10 * time.Minute)),
	}}
	e.Spec = v1alpha1.ExperimentSpec{
		Duration: "20m", Templates: []v1alpha1.TemplateSpec{{Name: "candidate"}},
		Analyses: []v1alpha1.ExperimentAnalysisTemplateRef{{Name: "errors", TemplateName: "compare"}},
	}
	e.Status = v1alpha1.ExperimentStatus{
		Phase: v1alpha1.AnalysisPhaseRunning, AvailableAt: ptr(metav1.NewTime(noon.Add(-5 * time.Minute))),
		TemplateStatuses: []v1alpha1.TemplateStatus{{Name: "candidate", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Status: v1alpha1.TemplateStatusRunning, PodTemplateHash: "84d6"}},
		AnalysisRuns:     []v1alpha1.ExperimentAnalysisRunStatus{{Name: "errors", AnalysisRun: "cart-ab-errors", Phase: v1alpha1.AnalysisPhaseRunning}},
	}
	for _, f := range change {
		f(e)
	}
	return e
}

func ended(e *v1alpha1.Experiment) {
	e.Status.Phase, e.Status.Message = v1alpha1.AnalysisPhaseFailed, "it was too slow"
}

// errorsRun is the run of the analysis of cartAB.
func errorsRun() *v1alpha1.AnalysisRun {
	run := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-ab-errors", Namespace: "shop", CreationTimestamp: metav1.NewTime(noon.Add(-5 * time.Minute)),
		OwnerReferences: []metav1.OwnerReference{{Kind: "Experiment", Name: "cart-ab", UID: "ex", Controller: ptr(true)}},
	}}
	run.Spec.Metrics = []v1alpha1.Metric{{Name: "ratio", Interval: "1m", SuccessCondition: "result[0] < 1", Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{Query: "up"}}}}
	at := metav1.NewTime(noon.Add(-30 * time.Second))
	run.Status = v1alpha1.AnalysisRunStatus{Phase: v1alpha1.AnalysisPhaseRunning, StartedAt: &at, MetricResults: []v1alpha1.MetricResult{{
		Name: "ratio", Phase: v1alpha1.AnalysisPhaseRunning, Count: 1, Successful: 1,
		Measurements: []v1alpha1.Measurement{{Phase: v1alpha1.AnalysisPhaseSuccessful, Value: "[0.2]", StartedAt: &at, FinishedAt: &at}},
	}}}
	return run
}

// lab is an experiment and all it owns, beside a pod of a Rollout.
func lab(change ...func(*v1alpha1.Experiment)) []client.Object {
	labels := map[string]string{"app": "cart", v1alpha1.PodTemplateHashLabel: "84d6"}
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-ab-candidate", Namespace: "shop", UID: "rs", Labels: labels, CreationTimestamp: metav1.NewTime(noon.Add(-10 * time.Minute)),
		Annotations:     map[string]string{v1alpha1.ExperimentTemplateAnnotation: "candidate"},
		OwnerReferences: []metav1.OwnerReference{{UID: "ex", Controller: ptr(true)}},
	}}
	rs.Spec.Replicas = ptr[int32](1)
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "cart:2"}}
	rs.Status = appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "cart-ab-candidate-x7q", Namespace: "shop", Labels: labels, CreationTimestamp: rs.CreationTimestamp,
		OwnerReferences: []metav1.OwnerReference{{UID: "rs", Controller: ptr(true)}},
	}}
	pod.Spec.Containers = rs.Spec.Template.Spec.Containers
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Ready: true}}}
	return append(owned("new", "42"), cartAB(change...), errorsRun(), rs, pod)
}

const labTree = `Name:            cart-ab
Namespace:       shop
Status:          ◌ Running
Why:             all pods are available, and it measures: analysis errors
  Next:          its duration is over at 2026-11-21T12:15:00Z (in 15m)
  To go on:      end it with: kubectl rollouts terminate experiment cart-ab -n shop
Duration:        20m, 15m left
Images:          cart:2 (Σ:candidate)

NAME                           KIND         STATUS     AGE  INFO
Σ cart-ab                      Experiment   ◌ Running  10m
├──⧉ cart-ab-candidate         ReplicaSet   ✔ Healthy  10m  Σ:candidate
│  └──□ cart-ab-candidate-x7q  Pod          ✔ Running  10m  ready:1/1
└──α cart-ab-errors            AnalysisRun  ◌ Running  5m   ✔ 1
   └──μ ratio                  Metric       ◌ Running       [0.2]  needs result[0] < 1
`

func TestGetShowsAnExperimentAndWhatItOwns(t *testing.T) {
	for _, line := range []string{
		"get experiment cart-ab", "get exp cart-ab", "get experiments exp/cart-ab", "get exp/cart-ab", "get experiment cart-ab -o wide --no-color",
	} {
		r := newRig(t, lab()...)
		if code := r.run("kubectl-rollouts " + line); code != ExitDone {
			t.Fatalf("%s: exit code %d: %s", line, code, r.err)
		}
		if diff := cmp.Diff(labTree, r.out.String()); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
}

func TestGetPrintsTheModelOfAnExperiment(t *testing.T) {
	r := newRig(t, lab()...)
	if code := r.run("kubectl-rollouts get experiment cart-ab -o json"); code != ExitDone {
		t.Fatalf("exit code %d: %s", code, r.err)
	}
	var v view.ExperimentView
	if err := json.Unmarshal([]byte(r.out.String()), &v); err != nil || v.Kind != view.ExperimentKind || len(v.Templates) != 1 || len(v.AnalysisRuns[0].Metrics) != 1 {
		t.Errorf("%v: %+v", err, v)
	}
	r = newRig(t, lab()...)
	if r.run("kubectl-rollouts get exp cart-ab -o name"); r.out.String() != "experiment.argoproj.io/cart-ab\n" {
		t.Errorf("the name is %q", r.out)
	}
}

func TestAnExperimentIsShownWithWhatMayBeRead(t *testing.T) {
	forbidden := errors.New("it is forbidden")
	r := newRig(t, lab()...)
	r.funcs.List = func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return forbidden
	}
	r.funcs.Get = func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
		if _, run := object.(*v1alpha1.AnalysisRun); run {
			return forbidden
		}
		return c.Get(ctx, key, object, opts...)
	}
	code := r.run("kubectl-rollouts get experiment cart-ab")
	for _, want := range []string{
		"Note:            ReplicaSets are not shown: it is forbidden\n", "details of AnalysisRun cart-ab-errors are not shown: it is forbidden\n",
		"⧉ candidate       Template     ✔ Running", "α cart-ab-errors  AnalysisRun  ◌ Running",
	} {
		if code != ExitDone || !strings.Contains(r.out.String(), want) {
			t.Errorf("exit code %d, %q is missing:\n%s", code, want, r.out)
		}
	}
	r = newRig(t, cartAB())
	if r.run("kubectl-rollouts get experiment cart-ab"); strings.Contains(r.out.String(), "Note:") {
		t.Errorf("a run that is gone is noted:\n%s", r.out)
	}
}

func TestAWatchOfAnExperimentPrintsALineForEachChange(t *testing.T) {
	r := newRig(t, lab()...)
	ctx, stop := context.WithCancel(t.Context())
	code := r.start(ctx, "kubectl-rollouts get experiment cart-ab -w")
	r.eventually("the first line", func() bool { return strings.Count(r.out.String(), "\n") == 1 })
	r.changeExperiment(ended)
	r.eventually("the second line", func() bool {
		r.clock.advance(leastGap)
		return strings.Contains(r.out.String(), "cart-ab Failed")
	})
	stop()
	if got := <-code; got != ExitInterrupted {
		t.Errorf("exit code %d: %s", got, r.err)
	}
}

func (r *rig) experiment() *v1alpha1.Experiment {
	r.t.Helper()
	var e v1alpha1.Experiment
	if err := r.client.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "cart-ab"}, &e); err != nil {
		r.t.Fatal(err)
	}
	return &e
}

func (r *rig) changeExperiment(change func(*v1alpha1.Experiment)) {
	r.t.Helper()
	e := r.experiment()
	change(e)
	if err := r.client.Update(context.Background(), e); err != nil {
		r.t.Fatal(err)
	}
}

func TestListShowsExperiments(t *testing.T) {
	other := cartAB(ended)
	other.Name, other.Namespace = "load", "pay"
	for line, want := range map[string]string{
		"list experiments":                              "NAME     STATUS   DURATION  REMAINING  AGE\ncart-ab  Running  20m       15m        10m\n",
		"list exp -o name":                              "experiment.argoproj.io/cart-ab\n",
		"list experiments -A":                           "NAMESPACE  NAME     STATUS   DURATION  REMAINING  AGE\npay        load     Failed   20m       -          10m\nshop       cart-ab  Running  20m       15m        10m\n",
		"list experiments --all-namespaces --name load": "NAMESPACE  NAME  STATUS  DURATION  REMAINING  AGE\npay        load  Failed  20m       -          10m\n",
		"list experiments --timestamps":                 "TIMESTAMP             NAME     STATUS   DURATION  REMAINING  AGE\n2026-11-21T12:00:00Z  cart-ab  Running  20m       15m        10m\n",
	} {
		r := newRig(t, cartAB(), other.DeepCopy())
		code := r.run("kubectl-rollouts " + line)
		if diff := cmp.Diff(want, r.out.String()); diff != "" || code != ExitDone {
			t.Errorf("%s: exit code %d:\n%s", line, code, diff)
		}
	}
	r := newRig(t)
	if r.run("kubectl-rollouts list experiments"); r.err.String() != "No experiments found in namespace shop.\n" {
		t.Errorf("it says %q", r.err)
	}
	r = newRig(t, cartAB())
	r.run("kubectl-rollouts list experiments -o json")
	var list view.ExperimentViewList
	if err := json.Unmarshal([]byte(r.out.String()), &list); err != nil || list.Kind != view.ExperimentListKind || len(list.Items) != 1 {
		t.Errorf("%v: %s", err, r.out)
	}
}

func TestListFollowsTheExperimentsThatChange(t *testing.T) {
	r := newRig(t, cartAB())
	ctx, stop := context.WithCancel(t.Context())
	code := r.start(ctx, "kubectl-rollouts list experiments -w")
	r.eventually("the table", func() bool { return strings.Contains(r.out.String(), "Running") })
	r.changeExperiment(ended)
	r.eventually("the row", func() bool { return strings.Contains(r.out.String(), "Failed") })
	stop()
	if got := <-code; got != ExitInterrupted || strings.Count(r.out.String(), "\n") != 3 {
		t.Errorf("exit code %d:\n%s", got, r.out)
	}
}

func TestRetryAndTerminateWriteTheServedPatches(t *testing.T) {
	for name, c := range map[string]struct{ line, patch, says string }{
		"retry experiment":             {"retry experiment cart-ab", `main {"status":null}`, "experiment 'cart-ab' retried\n"},
		"retry exp":                    {"retry exp exp/cart-ab", `main {"status":null}`, "experiment 'cart-ab' retried\n"},
		"retry with the type in front": {"retry experiments/cart-ab", `main {"status":null}`, "experiment 'cart-ab' retried\n"},
		"a dry run":                    {"retry experiment cart-ab --dry-run=server", `main {"status":null}`, "experiment 'cart-ab' retried (server dry run)\n"},
		"terminate experiment":         {"terminate experiment cart-ab", `main {"spec":{"terminate":true}}`, "experiment 'cart-ab' terminated\n"},
		"terminate exp":                {"terminate exp cart-ab", `main {"spec":{"terminate":true}}`, "experiment 'cart-ab' terminated\n"},
		"terminate analysisrun":        {"terminate analysisrun cart-ab-errors", `main {"spec":{"terminate":true}}`, "analysisRun 'cart-ab-errors' terminated\n"},
		"terminate ar":                 {"terminate ar ar/cart-ab-errors", `main {"spec":{"terminate":true}}`, "analysisRun 'cart-ab-errors' terminated\n"},
		"terminate analysisruns":       {"terminate analysisruns cart-ab-errors --dry-run=server", `main {"spec":{"terminate":true}}`, "analysisRun 'cart-ab-errors' terminated (server dry run)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, called := range []string{"kubectl-rollouts ", "kubectl-argo-rollouts "} {
				r := newRig(t, lab(ended)...)
				code := r.run(called + c.line)
				if diff := cmp.Diff([]string{c.patch}, r.patches); diff != "" || code != ExitDone || r.out.String() != c.says {
					t.Errorf("exit code %d, said %q %s, patches:\n%s", code, r.out, r.err, diff)
				}
			}
		})
	}
}

func TestARetryBeginsAnew(t *testing.T) {
	r := newRig(t, cartAB(ended))
	r.run("kubectl-rollouts retry experiment cart-ab")
	if e := r.experiment(); e.Status.Phase != "" || len(e.Status.TemplateStatuses) > 0 || r.err.String() != "" {
		t.Errorf("the status is %+v; said %s", e.Status, r.err)
	}
}

func TestARetryOfAnExperimentThatWasTerminatedSaysWhatIsMissing(t *testing.T) {
	r := newRig(t, cartAB(ended, func(e *v1alpha1.Experiment) { e.Spec.Terminate = true }))
	r.run("kubectl-rollouts retry experiment cart-ab")
	want := `next: kubectl patch experiments.argoproj.io cart-ab -n shop --type merge -p '{"spec":{"terminate":false},"status":null}'` + "\n"
	if !strings.HasPrefix(r.err.String(), "warning: spec.terminate of experiment 'cart-ab' is true, so it ends again at once") || !strings.HasSuffix(r.err.String(), want) {
		t.Errorf("it says %q", r.err)
	}
}

func TestOnlyAPersonIsAskedBeforeATermination(t *testing.T) {
	for name, c := range map[string]struct {
		line, answer string
		tty          bool
		code         int
		asks         string
	}{
		"an experiment":         {"kubectl-rollouts terminate experiment cart-ab", "y\n", true, ExitDone, "Terminate experiment 'cart-ab'? It ends Successful, unless an analysis failed. [y/N] "},
		"a run":                 {"kubectl-rollouts terminate analysisrun cart-ab-errors", "y\n", true, ExitDone, "Terminate AnalysisRun 'cart-ab-errors'? What it did not measure counts as passed. [y/N] "},
		"a no":                  {"kubectl-rollouts terminate experiment cart-ab", "n\n", true, ExitError, "Terminate experiment 'cart-ab'? It ends Successful, unless an analysis failed. [y/N] error: nothing was changed\n  why:  the question was not answered with y\n"},
		"not with --yes":        {"kubectl-rollouts terminate experiment cart-ab -y", "", true, ExitDone, ""},
		"not in a script":       {"kubectl-rollouts terminate experiment cart-ab", "", false, ExitDone, ""},
		"not by the served one": {"kubectl-argo-rollouts terminate experiment cart-ab", "", true, ExitDone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lab()...)
			r.tty, r.in = c.tty, c.answer
			code := r.run(c.line)
			if diff := cmp.Diff(c.asks, r.err.String()); diff != "" || code != c.code || (len(r.patches) > 0) != (c.code == ExitDone) {
				t.Errorf("exit code %d, %d patches:\n%s", code, len(r.patches), diff)
			}
		})
	}
}

func TestWhatFailsForExperimentsAndRunsSaysWhatToDo(t *testing.T) {
	resource := v1alpha1.GroupVersion.WithResource("experiments").GroupResource()
	for name, c := range map[string]struct {
		line, says string
		err        error
		code       int
	}{
		"an experiment that is not there": {
			"get experiment nope", "error: reading experiment 'nope' failed\n  why:  experiments.argoproj.io \"nope\" not found\n  next: kubectl rollouts list experiments -n shop, or name another namespace with -n\n", nil, ExitError,
		},
		"a run that is not there": {
			"terminate analysisrun nope", "error: terminating analysisrun 'nope' failed\n  why:  analysisruns.argoproj.io \"nope\" not found\n  next: kubectl get analysisruns -n shop, or name another namespace with -n\n", nil, ExitError,
		},
		"a termination that is forbidden": {
			"terminate experiment cart-ab",
			"error: terminating experiment 'cart-ab' failed\n  why:  experiments.argoproj.io \"cart-ab\" is forbidden: <nil>\n  next: ask an administrator for \"patch\" on \"experiments.argoproj.io\" in namespace shop; check with: kubectl auth can-i patch experiments.argoproj.io -n shop\n",
			apierrors.NewForbidden(resource, "cart-ab", nil), ExitForbidden,
		},
		"a cluster without experiments": {
			"retry experiment cart-ab", "error: retrying experiment 'cart-ab' failed\n  why:  the cluster does not serve experiments.argoproj.io\n  next: install the custom resource definitions; check with: kubectl get crd experiments.argoproj.io\n",
			apierrors.NewGenericServerResponse(404, "patch", resource, "", "", 0, true), ExitError,
		},
		"another kind":        {"retry experiment ro/cart", "error: \"ro/cart\" is not an experiment\n  next: name it as NAME or experiment/NAME\n", nil, ExitUsage},
		"no name":             {"terminate analysisrun", "error: kubectl rollouts terminate analysisrun needs the name of an analysisrun\n  next: for example: kubectl rollouts terminate analysisrun cart-6d9f-42\n", nil, ExitUsage},
		"nothing to end":      {"terminate", "error: terminate needs to know what\n  next: for example: kubectl rollouts terminate experiment cart-ab\n", nil, ExitUsage},
		"several at one time": {"get experiment a b -w", "error: -w follows one experiment, not several\n  next: kubectl rollouts list experiments -w follows all\n", nil, ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cartAB())
			if c.err != nil {
				r.funcs.Patch = func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
					return c.err
				}
			}
			code := r.run("kubectl-rollouts " + c.line)
			if diff := cmp.Diff(c.says, r.err.String()); diff != "" || code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, diff)
			}
		})
	}
}

func TestWhySaysTheReasonOfExperimentsAndRuns(t *testing.T) {
	experiment := `◌ cart-ab is Running: all pods are available, and it measures: analysis errors

  since     2026-11-21T11:55:00Z (5m ago)
  analysis  cart-ab-errors ◌ Running
    metric  ◌ ratio Running, needs result[0] < 1, 0 of 1 measurements failed, limit 0
  next      its duration is over at 2026-11-21T12:15:00Z (in 15m)
  to go on  end it with: kubectl rollouts terminate experiment cart-ab -n shop
`
	for line, want := range map[string]string{
		"why experiment cart-ab": experiment,
		"why exp/cart-ab":        experiment,
		"why analysisrun cart-ab-errors": "◌ cart-ab-errors is Running: metric ratio has 1 measurement so far\n\n" +
			"  since     2026-11-21T11:59:30Z (30s ago)\n" +
			"  metric    ◌ ratio Running, needs result[0] < 1, 0 of 1 measurements failed, limit 0\n" +
			"  next      the next measurement at 2026-11-21T12:00:30Z (in 30s)\n" +
			"  to go on  end it with: kubectl rollouts terminate analysisrun cart-ab-errors -n shop\n",
	} {
		r := newRig(t, lab()...)
		code := r.run("kubectl-rollouts " + line)
		if diff := cmp.Diff(want, r.out.String()); diff != "" || code != ExitDone {
			t.Errorf("%s: exit code %d %s:\n%s", line, code, r.err, diff)
		}
	}
	for line, object := range map[string]string{"why exp cart-ab -o json": "Experiment", "why ar/cart-ab-errors -o json": "AnalysisRun"} {
		r := newRig(t, lab()...)
		r.run("kubectl-argo-rollouts " + line)
		var e view.Explanation
		if err := json.Unmarshal([]byte(r.out.String()), &e); err != nil || e.Object != object || !strings.Contains(e.Why.Unblock, "kubectl argo rollouts terminate") {
			t.Errorf("%s: %v: %s", line, err, r.out)
		}
	}
}

func TestExperimentsAndRunsAreAskedForAtTheirAddresses(t *testing.T) {
	const all = "/apis/argoproj.io/v1alpha1/"
	const shop = all + "namespaces/shop/"
	for line, want := range map[string][]string{
		"get experiment cart-ab -o name": {
			"GET " + shop + "experiments/cart-ab ", "GET /apis/apps/v1/namespaces/shop/replicasets ", "GET /api/v1/namespaces/shop/pods ",
			"GET " + shop + "analysisruns/cart-ab-errors ",
		},
		"list experiments -A -o name":  {"GET " + all + "experiments "},
		"retry experiment cart-ab":     {"PATCH " + shop + "experiments/cart-ab application/merge-patch+json"},
		"terminate analysisrun cart-1": {"PATCH " + shop + "analysisruns/cart-1 application/merge-patch+json"},
		"create analysisrun --global --from always -a region=eu --name x": {
			"GET " + all + "clusteranalysistemplates/always ", "POST " + shop + "analysisruns application/json",
		},
		"create -f " + file(t, clusterTemplateFile+"---\n"+experimentFile): {
			"POST " + all + "clusteranalysistemplates application/json", "POST " + all + "namespaces/pay/experiments application/json",
		},
	} {
		t.Run(line, func(t *testing.T) {
			var requests []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				requests = append(requests, request.Method+" "+request.URL.Path+" "+request.Header.Get("Content-Type"))
				w.Header().Set("Content-Type", "application/json")
				var answer any = cartAB()
				switch {
				case strings.HasSuffix(request.URL.Path, "/replicasets"):
					answer = &appsv1.ReplicaSetList{}
				case strings.HasSuffix(request.URL.Path, "/pods"):
					answer = &corev1.PodList{}
				case strings.HasSuffix(request.URL.Path, "/always"):
					answer = always()
				case request.Method == http.MethodPost:
					_, _ = io.Copy(w, request.Body)
					return
				}
				_ = json.NewEncoder(w).Encode(answer)
			}))
			defer server.Close()
			config := file(t, "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, namespace: shop}}]\nclusters: [{name: a, cluster: {server: \""+server.URL+"\"}}]\n")
			errOut := &buffer{}
			streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &buffer{}, ErrOut: errOut}
			code := Execute(append(append([]string{"kubectl-rollouts"}, strings.Fields(line)...), "--kubeconfig", config), streams)
			if diff := cmp.Diff(want, requests); diff != "" || code != ExitDone {
				t.Errorf("exit code %d: %s%s", code, errOut, diff)
			}
		})
	}
}
