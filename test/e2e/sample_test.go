package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// TestTheSampleRunsAsTheReadmeShows plays config/samples/nginx-canary.yaml with
// nothing changed but the address of Prometheus.
func TestTheSampleRunsAsTheReadmeShows(t *testing.T) {
	w := newWorld(t)
	metric := newPrometheus(t, value("0.99"))
	sample, err := os.ReadFile(filepath.Join(kube.Root(), "config/samples/nginx-canary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const address = "http://prometheus.monitoring:9090"
	if !strings.Contains(string(sample), address) {
		t.Fatalf("the sample does not name %s any more", address)
	}
	watch := w.watch("web")
	w.apply(strings.ReplaceAll(string(sample), address, metric.URL))
	first := w.until("web", healthy).Status.StableRS

	w.run("set", "image", "web", "web=quay.io/brancz/prometheus-example-app:v0.5.0")
	paused := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), because("PausedByStep"))
	if got := paused.Status.Canary.Weights.Canary.Weight; got != 20 {
		t.Errorf("it waits at weight %d, want 20", got)
	}
	if w.selects("web-stable") != first || w.selects("web-canary") != paused.Status.CurrentPodHash {
		t.Errorf("in the pause the Services select %s and %s", w.selects("web-stable"), w.selects("web-canary"))
	}
	w.run("promote", "web")
	done := w.until("web", healthy)

	if want, got := []string{"0", "20", "40", "60", "80", "0"}, weights(watch.History(t), "web-web-canary"); !cmp.Equal(want, got) {
		t.Errorf("weights of the canary Ingress (-want +got):\n%s", cmp.Diff(want, got))
	}
	if done.Status.StableRS == first || w.selects("web-stable") != done.Status.StableRS {
		t.Errorf("the stable Service selects %s, stable is %s", w.selects("web-stable"), done.Status.StableRS)
	}
	w.measuredWell(metric)
	w.retires("web", first, 5)
	w.madeOnce(watch, 2)
}

// measuredWell checks that the update was measured, and by success only.
func (w *world) measuredWell(metric *prometheus) {
	w.Helper()
	runs := w.runs()
	if len(runs) != 1 || metric.questions() == 0 {
		w.Fatalf("%d AnalysisRuns asked %d times, want one that asks", len(runs), metric.questions())
	}
	for _, result := range runs[0].Status.MetricResults {
		if result.Successful == 0 || result.Failed+result.Error+result.Inconclusive > 0 {
			w.Errorf("metric %s: %d good, %d bad, %d errors", result.Name, result.Successful, result.Failed, result.Error)
		}
	}
}

// retires checks that the old revision keeps its pods until a deadline.
func (w *world) retires(rollout, hash string, pods int32) {
	w.Helper()
	w.until(rollout, because("ScalingDownOldRevision"))
	for _, rs := range w.replicaSets(rollout) {
		if rs.Labels[v1alpha1.PodTemplateHashLabel] != hash {
			continue
		}
		if rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation] == "" || ptr.Deref(rs.Spec.Replicas, 1) != pods {
			w.Errorf("the old ReplicaSet has %d pods and the annotations %v", ptr.Deref(rs.Spec.Replicas, 1), rs.Annotations)
		}
	}
}

// madeOnce checks that there were never more ReplicaSets than templates.
func (w *world) madeOnce(watch *observer.Observer, templates int) {
	w.Helper()
	names := map[string]bool{}
	for _, c := range watch.History(w).Of(observer.ReplicaSet) {
		names[c.Name] = true
	}
	if len(names) != templates {
		w.Errorf("there were the ReplicaSets %v, want %d", names, templates)
	}
}
