package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/network"
)

// outage is how long the API server is out of reach.
func outage() time.Duration {
	if long() {
		return 30 * time.Second
	}
	return 10 * time.Second
}

// prometheus answers every query with the value it is set to.
type prometheus struct {
	*httptest.Server
	value atomic.Value
}

func newPrometheus(t *testing.T) *prometheus {
	t.Helper()
	p := &prometheus{}
	p.value.Store("0.99")
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,%q]}]}}`, p.value.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

// TestTheAPIServerOutOfReach runs three rollouts through an outage: one that is
// moving, one that waits in a pause that ends meanwhile, and one whose metric
// turns bad meanwhile.
func TestTheAPIServerOutOfReach(t *testing.T) {
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
			moving, waiting, failing, bad := cast(t, a, name)

			for _, s := range []*scene{waiting, failing} {
				s.release("v2")
				s.eventually(weighs(20))
			}
			moving.release("v2")
			cut(line)
			began := time.Now()
			bad.value.Store("0.5")
			time.Sleep(outage() - time.Since(began)) // The outage is what is tested.
			stays(t, waiting, 20)
			stays(t, failing, 20)
			line.Restore()

			for _, s := range []*scene{moving, waiting} {
				s.atRest()
				s.eventually(isPhase(v1alpha1.RolloutPhaseHealthy))
				s.check("")
			}
			failing.atRest()
			failing.eventually(isPhase(v1alpha1.RolloutPhaseDegraded))
			failing.eventually(abortedByAnalysis)
			failing.check("")
			if err := process.Running(); err != nil {
				t.Error(err)
			}
		})
	}
}

// cast opens the three scenes and waits until their first revision is healthy.
func cast(t *testing.T, a api, instance string) (moving, waiting, failing *scene, metric *prometheus) {
	t.Helper()
	metric = newPrometheus(t)
	analysed := canary(instance)
	analysed.Steps = "[{setWeight: 20}, {pause: {duration: 3s}}, {setWeight: 60}, {pause: {duration: 1s}}]"
	waits := a.open(t, analysed.All())
	analysed.Steps = "[{setWeight: 20}, {pause: {duration: 1h}}, {setWeight: 60}]"
	analysed.Strategy = append(analysed.Strategy, "abortScaleDownDelaySeconds: 1", "analysis: {templates: [{templateName: measured}]}")
	fails := a.open(t, manifest.Metric{
		Address: metric.URL, InstanceID: instance, Fields: []string{"interval: 1s", "successCondition: result[0] >= 0.95"},
	}.YAML()+analysed.All())
	moves := a.open(t, canary(instance).All())
	for _, s := range []*scene{moves, waits, fails} {
		s.atRest()
	}
	return moves, waits, fails, metric
}

func weighs(weight int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if w := ro.Status.Canary.Weights; w == nil || w.Canary.Weight != weight || ro.Status.Phase != v1alpha1.RolloutPhasePaused {
			return fmt.Errorf("not paused at weight %d: %s", weight, brief(ro))
		}
		return nil
	}
}

func isPhase(phase v1alpha1.RolloutPhase) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if ro.Status.Phase != phase {
			return fmt.Errorf("not %s: %s", phase, brief(ro))
		}
		return nil
	}
}

func abortedByAnalysis(ro *v1alpha1.Rollout) error {
	if why := ro.Status.Why; why == nil || why.Code != "AbortedByAnalysis" {
		return fmt.Errorf("not aborted by its analysis: %s", brief(ro))
	}
	return nil
}

// stays checks that nothing moved while the controller was cut off.
func stays(t *testing.T, s *scene, weight int32) {
	t.Helper()
	ro, err := s.rollout()
	if err != nil {
		t.Fatal(err)
	}
	if err := weighs(weight)(ro); err != nil {
		t.Errorf("it moved without an API server: %v", err)
	}
}
