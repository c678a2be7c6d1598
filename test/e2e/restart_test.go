package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// resting are Rollouts with nothing to do, each for a reason of its own.
var resting = []string{"healthy", "promoted", "measured", "paused", "aborted", "invalid"}

func TestARestartWritesNothingWhileRolloutsRest(t *testing.T) {
	w := newWorld(t)
	metric := newPrometheus(t, value("0.99"))
	watch := w.watch(resting[:5]...)
	first := headway.Start(t, headway.Options{Kubeconfig: w.cluster.Kubeconfig, Args: []string{"--instance-id", w.namespace}})
	w.bringToRest(metric)
	w.quiet(watch)
	first.Stop()

	w.quiet(watch)
	before, asked := watch.History(t).Last(), metric.questions()
	meddler, second := w.countedController()
	kube.Eventually(t, within, func() error { return looked(second, w.namespace) })
	w.quiet(watch)
	for _, c := range watch.History(t).Since(before) {
		t.Errorf("%s %s was written at version %d", c.Kind, c.Name, c.Version)
	}
	for _, write := range meddler.Writes() {
		t.Errorf("the restarted controller wrote %s", write)
	}
	if again := metric.questions() - asked; again > 0 {
		t.Errorf("what had been measured was measured %d times again", again)
	}

	w.release("promoted", "v3") // Writes are seen when there are any.
	w.until("promoted", phase(v1alpha1.RolloutPhasePaused))
	if len(meddler.Writes()) == 0 || len(watch.History(t).Since(before)) == 0 {
		t.Error("the writes of an update were not seen")
	}
}

// bringToRest makes the Rollouts and waits until nothing is left to do for any.
func (w *world) bringToRest(metric *prometheus) {
	w.Helper()
	fields := append(first("initialDelay: 0s"), enough)
	w.apply(manifest.Metric{Address: metric.URL, Fields: fields, InstanceID: w.namespace}.YAML())
	for _, name := range resting {
		c := manifest.Canary{Name: name, Replicas: "2", Steps: half, Strategy: []string{quickAbort, quickEnd}, InstanceID: w.namespace}
		text := c.All()
		switch name {
		case "measured":
			c.Steps = gate
			text = c.All()
		case "invalid":
			text = c.Rollout() + c.Service("stable") + c.Ingress()
		}
		w.apply(text)
	}
	for _, name := range resting[:5] {
		w.until(name, healthy)
	}
	for _, name := range resting[1:5] {
		w.release(name, "v2")
	}
	for _, name := range []string{"promoted", "paused", "aborted"} {
		w.until(name, phase(v1alpha1.RolloutPhasePaused), because("PausedByStep"))
	}
	w.run("promote", "promoted")
	w.run("abort", "aborted")
	for _, name := range []string{"healthy", "promoted", "measured"} {
		w.until(name, healthy, because("Healthy"))
	}
	w.emptied("aborted", w.until("aborted", because("Aborted")).Status.CurrentPodHash)
	w.until("invalid", because("InvalidSpec"))
}

// stillness is for how long nothing may happen: more than a status waits for company.
const stillness = 2 * time.Second

// quiet waits until nothing happens for a while.
func (w *world) quiet(watch *observer.Observer) {
	w.Helper()
	last, since := watch.History(w).Last(), time.Now()
	kube.Eventually(w, within, func() error {
		if time.Since(since) < stillness {
			return errors.New("something still happens")
		}
		if now := watch.History(w).Last(); now != last {
			last, since = now, time.Now()
			return errors.New("something happened")
		}
		return nil
	})
}

// looked reports the resting Rollouts that a controller has not looked at, by its metrics.
func looked(p *headway.Process, namespace string) error {
	return lookedAt(p, namespace, "rollout", resting...)
}

// lookedAt reports the objects of a kind that a controller has not looked at.
func lookedAt(p *headway.Process, namespace, kind string, names ...string) error {
	address, err := p.Address("metrics")
	if err != nil {
		return err
	}
	response, err := http.Get(address + "/metrics")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	for _, name := range names {
		if series := fmt.Sprintf("%s_reconcile_count{name=%q,namespace=%q}", kind, name, namespace); !strings.Contains(string(text), series) {
			return fmt.Errorf("%s was not looked at yet", name)
		}
	}
	return nil
}
