package analysisrun_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/headway-rollouts/headway/analysis/provider/job"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/analysisrun"
	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) { os.Exit(kube.Main(m)) }

const within = 30 * time.Second

// TestRunsOnARealAPIServer measures with a server and with Jobs, on a real
// control plane: the CRD, the patches and the rights of the shell hold.
func TestRunsOnARealAPIServer(t *testing.T) {
	cluster := kube.Shared(t)
	if err := cluster.InstallCRDs(t.Context(), filepath.Join(kube.Root(), "config", "crd")); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	mgr, err := ctrl.NewManager(cluster.Config, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		samples, warnings := 1, ""
		if r.FormValue("query") != "up" {
			samples, warnings = 1000, strings.Repeat("w", 5000)
		}
		result := strings.Repeat(`,{"metric":{},"value":[1,"0.5"]}`, samples)[1:]
		fmt.Fprintf(w, `{"status":"success","warnings":[%q],"data":{"resultType":"vector","result":[%s]}}`, warnings, result)
	}))
	t.Cleanup(source.Close)
	elsewhere := cluster.Namespace(t) // beside their runs they are those of the examples
	r := analysisrun.New(analysisrun.Options{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), PrometheusAddress: source.URL,
		Jobs:     job.Place{Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Namespace: elsewhere},
		Recorder: mgr.GetEventRecorderFor("rollouts-controller"), //nolint:staticcheck // Users read core/v1 Events.
	})
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	go func() { _ = mgr.Start(t.Context()) }()

	const jobMetric = `job: {spec: {backoffLimit: 0, template: {metadata: {annotations: {sim/job: %s}}, spec: {restartPolicy: Never, containers: [{name: c, image: "job:1"}]}}}}`
	cases := []struct {
		name, metric string
		want         v1alpha1.AnalysisPhase
	}{
		{"good", `{name: rate, interval: 1s, count: 2, successCondition: "result[0] > 0.4", provider: {prometheus: {query: up}}}`, v1alpha1.AnalysisPhaseSuccessful},
		{"bad", `{name: rate, interval: 1h, successCondition: "result[0] > 0.9", provider: {prometheus: {query: up}}}`, v1alpha1.AnalysisPhaseFailed},
		{"job-passes", `{name: pass, provider: {` + fmt.Sprintf(jobMetric, "succeed") + `}}`, v1alpha1.AnalysisPhaseSuccessful},
		{"job-fails", `{name: random-fail, provider: {` + fmt.Sprintf(jobMetric, "fail") + `}}`, v1alpha1.AnalysisPhaseFailed},
		// Its spec and what comes of it are more than etcd takes.
		{"large", largeMetrics(65, 20_000), v1alpha1.AnalysisPhaseSuccessful},
		{"job-malformed", `{name: x, provider: {job: {spec: {template: 3}}}}`, v1alpha1.AnalysisPhaseError},
	}
	namespace := cluster.Namespace(t)
	for _, c := range cases {
		manifest := strings.NewReplacer("NAME", c.name, "METRIC", c.metric).Replace(`
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata: {name: NAME}
spec: {metrics: [METRIC]}
`)
		if err := cluster.Apply(t.Context(), namespace, []byte(manifest)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cases {
		kube.Eventually(t, within, func() error {
			var run v1alpha1.AnalysisRun
			if err := mgr.GetAPIReader().Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: c.name}, &run); err != nil {
				return fmt.Errorf("reading the run: %w", err)
			}
			if run.Status.Phase != c.want {
				return fmt.Errorf("%s is %s %q, want %s: %+v", c.name, run.Status.Phase, run.Status.Message, c.want, run.Status.MetricResults)
			}
			if c.name == "large" && !shortened(&run) {
				return errors.New("etcd took all of the large one")
			}
			return nil
		})
	}
	var jobs batchv1.JobList
	if err := mgr.GetAPIReader().List(t.Context(), &jobs, client.InNamespace(elsewhere)); err != nil {
		t.Fatal(err)
	}
	if len(jobs.Items) != 2 {
		t.Errorf("%d Jobs are in the namespace for them, want 2", len(jobs.Items))
	}
	for i := range jobs.Items {
		if metav1.GetControllerOf(&jobs.Items[i]) != nil || jobs.Items[i].Spec.TTLSecondsAfterFinished == nil {
			t.Errorf("Job %s stays for ever", jobs.Items[i].Name)
		}
	}
}

// shortened reports a value that was stored without most of it.
func shortened(run *v1alpha1.AnalysisRun) bool {
	for _, result := range run.Status.MetricResults {
		for _, m := range result.Measurements {
			if len(m.Value) < 100 && strings.HasSuffix(m.Value, "…") {
				return true
			}
		}
	}
	return false
}

// largeMetrics are metrics with long queries.
func largeMetrics(n, bytes int) string {
	metrics := make([]string, n)
	for i := range metrics {
		metrics[i] = fmt.Sprintf(`{name: m%d, successCondition: "all(result, # > 0.4)", provider: {prometheus: {query: %q}}}`, i, strings.Repeat("x", bytes))
	}
	return strings.Join(metrics, ", ")
}
