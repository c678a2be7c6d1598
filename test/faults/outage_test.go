package faults

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/network"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// outage is how long the API server is out of reach.
func outage() time.Duration {
	if long() {
		return 30 * time.Second
	}
	return 10 * time.Second
}

// cast are rollouts that an outage meets at different places.
type cast struct {
	moving    *scene // waits for pods that become ready meanwhile
	waiting   *scene // in a pause that ends meanwhile
	failing   *scene // its metric turns bad meanwhile
	measuring *scene // is measured meanwhile
	new       *scene // is released meanwhile

	metric *prometheus // of failing
	meter  *prometheus // of measuring
	next   string      // the release of moving
}

// meteredTimes is how often measuring is measured: it is not done when the outage begins.
const meteredTimes = 8

// TestTheAPIServerOutOfReach cuts the controller off. Nothing moves meanwhile,
// nobody is stuck, and afterwards everything comes to its end.
func TestTheAPIServerOutOfReach(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for name, cut := range map[string]func(*network.Line){
		"refused": (*network.Line).Refuse,
		"silent":  (*network.Line).Silence,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := network.NewLine(t, a.Config)
			process := headway.Start(t, headway.Options{
				Kubeconfig: network.Kubeconfig(t, a.Kubeconfig, line.Address),
				Args:       []string{"--instance-id", name},
			})
			look := windows(t, process)
			c := openCast(t, a, name)
			c.begin()
			cut(line)
			began := time.Now()
			c.metric.value.Store("0.5")
			before := c.still(t)
			c.new.release("v2")
			time.Sleep(outage() - time.Since(began)) // The outage is what is tested.
			c.stoodStill(t, before)
			look.alive(t)
			line.Restore()
			restored := time.Now()
			c.end(t)
			t.Logf("all is over %s after the outage", time.Since(restored).Round(time.Second))
			look.idle(t)
		})
	}
}

// openCast opens the scenes and waits until their first revision is healthy.
func openCast(t *testing.T, a api, instance string) *cast {
	t.Helper()
	out := &cast{metric: newPrometheus(t, "0.99"), meter: newPrometheus(t, "0.99")}
	play := func(c manifest.Canary) *scene {
		return a.open(t, measures("watched", instance, out.metric.URL, "interval: 1s")+
			measures("counted", instance, out.meter.URL, fmt.Sprintf("interval: 1s, count: %d", meteredTimes))+c.All())
	}
	with := func(steps string, more ...string) manifest.Canary {
		c := canary(instance)
		c.Steps, c.Strategy = steps, append(c.Strategy, more...)
		return c
	}
	slow := with("[{setWeight: 50}]")
	out.moving = play(slow)
	slow.Tag, slow.Annotations = "v2", `{sim/ready-delay: "5s"}`
	out.next = slow.Rollout()
	out.waiting = play(with("[{setWeight: 20}, {pause: {duration: 9s}}, {setWeight: 60}, {pause: {duration: 1s}}]"))
	out.failing = play(with("[{setWeight: 20}, {pause: {duration: 1h}}, {setWeight: 60}]",
		"abortScaleDownDelaySeconds: 1", "analysis: {templates: [{templateName: watched}]}"))
	out.measuring = play(with(counted, "analysis: {templates: [{templateName: counted}]}"))
	out.new = play(with("[{setWeight: 20}, {setWeight: 60}]"))
	for _, s := range out.all() {
		s.atRest()
	}
	return out
}

func (c *cast) all() []*scene {
	return []*scene{c.moving, c.waiting, c.failing, c.measuring, c.new}
}

// begin brings everybody to where the outage is to meet them.
func (c *cast) begin() {
	c.failing.release("v2")
	c.failing.eventually(paused(20))
	c.measuring.release("v2")
	c.waiting.release("v2")
	c.measuring.eventually(paused(20))
	kube.Eventually(c.measuring, within, func() error { return c.meter.asked(1) })
	c.waiting.eventually(paused(20))
	c.moving.apply(c.next)
	c.moving.eventually(func(ro *v1alpha1.Rollout) error {
		if why := ro.Status.Why; ro.Generation == 1 || why == nil || why.Code != "WaitingForPods" {
			return fmt.Errorf("not waiting for pods: %s", brief(ro))
		}
		return nil
	})
}

// versions are the newest changes of all scenes.
func (c *cast) versions() []uint64 {
	var all []uint64
	for _, s := range c.all() {
		all = append(all, s.watch.History(s).Last())
	}
	return all
}

// changes are the objects that somebody wrote to after the versions, by scene.
// Pods and what their controller counts are not among them.
func (c *cast) changes(after []uint64) map[*scene][]string {
	out := map[*scene][]string{}
	for i, s := range c.all() {
		before := map[string]observer.Change{}
		for _, change := range s.watch.History(s) {
			name := fmt.Sprintf("%s %s", change.Kind, change.Name)
			was := before[name]
			before[name] = change
			counted := change.Kind == observer.ReplicaSet && was.Object != nil && was.Object.GetGeneration() == change.Object.GetGeneration() &&
				maps.Equal(was.Object.GetAnnotations(), change.Object.GetAnnotations())
			if change.Version > after[i] && change.Kind != observer.Pod && !counted {
				out[s] = append(out[s], name)
			}
		}
	}
	return out
}

// still waits until what was under way at the API server has ended, and returns
// the versions from which on nothing may change.
func (c *cast) still(t *testing.T) (since []uint64) {
	t.Helper()
	kube.Eventually(t, outage()/2, func() error {
		since = c.versions()
		time.Sleep(500 * time.Millisecond) // Nothing is to happen in it.
		if changes := c.changes(since); len(changes) > 0 {
			return fmt.Errorf("changes in spite of the outage: %v", changes)
		}
		return nil
	})
	return since
}

// stoodStill checks that nobody was moved while the controller was cut off, and
// that there was reason to.
func (c *cast) stoodStill(t *testing.T, since []uint64) {
	t.Helper()
	changes := c.changes(since)
	if released := changes[c.new]; !slices.Equal(released, []string{"Rollout web"}) {
		t.Errorf("besides the release there changed %q", released)
	}
	delete(changes, c.new)
	for s, changed := range changes {
		t.Errorf("%s: there changed %q without an API server", s.namespace, changed)
	}
	for _, s := range []*scene{c.waiting, c.failing, c.measuring} {
		s.eventually(paused(20))
	}
	if ro, err := c.waiting.rollout(); err != nil || len(ro.Status.PauseConditions) == 0 || time.Since(ro.Status.PauseConditions[0].StartTime.Time) < 9*time.Second {
		t.Errorf("the pause did not end in the outage: %v %s", err, brief(ro))
	}
	waits := 0
	for _, pod := range c.moving.watch.Present(observer.Pod) {
		conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
		if pod.GetAnnotations()["sim/ready-delay"] != "" && slices.ContainsFunc(conditions, func(c any) bool {
			condition, _ := c.(map[string]any)
			return condition["type"] == "Ready" && condition["status"] == "True"
		}) {
			waits++
		}
	}
	if waits != 2 {
		t.Errorf("%d new pods became ready in the outage, want 2", waits)
	}
}

// end waits for the end of everybody.
func (c *cast) end(t *testing.T) {
	t.Helper()
	for _, s := range []*scene{c.moving, c.waiting, c.new} {
		s.atRest()
		s.eventually(isPhase(v1alpha1.RolloutPhaseHealthy))
		s.check("")
	}
	c.failing.atRest()
	c.failing.eventually(abortedByAnalysis)
	c.failing.check("")

	c.measuring.measuredAll(meteredTimes)
	if asked := c.meter.count.Load(); asked != meteredTimes {
		t.Errorf("the metric was measured %d times, want %d", asked, meteredTimes)
	}
	c.measuring.resume()
	c.measuring.atRest()
	c.measuring.eventually(isPhase(v1alpha1.RolloutPhaseHealthy))
	c.measuring.check("")
}

func abortedByAnalysis(ro *v1alpha1.Rollout) error {
	if why := ro.Status.Why; why == nil || why.Code != "AbortedByAnalysis" {
		return fmt.Errorf("not aborted by its analysis: %s", brief(ro))
	}
	return nil
}

// window is where a controller shows how it is.
type window struct {
	process         *headway.Process
	health, metrics string
}

func windows(t *testing.T, process *headway.Process) window {
	t.Helper()
	w := window{process: process}
	kube.Eventually(t, within, func() (err error) {
		if w.health, err = process.Address("health"); err == nil {
			w.metrics, err = process.Address("metrics")
		}
		return err
	})
	return w
}

// heldAtMost is how long an API server that does not answer may hold a worker:
// 15 s, and what a busy machine adds. Only a long outage shows more.
const heldAtMost = 20 * time.Second

// alive checks that a controller that is cut off is not taken for a broken one,
// and that no worker waits for as long as the outage takes.
func (w window) alive(t *testing.T) {
	t.Helper()
	if err := w.process.Running(); err != nil {
		t.Error(err)
	}
	if _, err := ask(w.health + "/healthz"); err != nil {
		t.Errorf("without an API server: %v", err)
	}
	text, err := ask(w.metrics + "/metrics")
	if err != nil {
		t.Errorf("without an API server: %v", err)
	}
	if err := gauges(text, func(name string, value float64) bool {
		return name == "controller_runtime_active_workers" || value < heldAtMost.Seconds()
	}); err != nil {
		t.Errorf("a worker is held: %v", err)
	}
}

// gauge is what workers are doing now: how many are busy, and for how long.
var gauge = regexp.MustCompile(`(?m)^(controller_runtime_active_workers|workqueue_longest_running_processor_seconds)\{[^}]*\} (\S+)$`)

// gauges is an error unless the gauges of all controllers are fine.
func gauges(metrics string, fine func(name string, value float64) bool) error {
	all := gauge.FindAllStringSubmatch(metrics, -1)
	if len(all) < 4 {
		return fmt.Errorf("%d gauges, want two of each controller: %q", len(all), all)
	}
	for _, g := range all {
		if value, err := strconv.ParseFloat(g[2], 64); err != nil || !fine(g[1], value) {
			return errors.New(g[0])
		}
	}
	return nil
}

// idle checks that the controller runs and that every worker is free.
func (w window) idle(t *testing.T) {
	t.Helper()
	kube.Eventually(t, within, func() error {
		text, err := ask(w.metrics + "/metrics")
		if err != nil {
			return err
		}
		return gauges(text, func(_ string, value float64) bool { return value == 0 })
	})
	if err := w.process.Running(); err != nil {
		t.Error(err)
	}
}

// ask gets a page.
func ask(page string) (string, error) {
	reply, err := http.Get(page)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", page, reply.StatusCode, strings.TrimSpace(string(text)))
	}
	return string(text), err
}
