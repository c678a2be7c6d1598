package faults

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
)

// plot is what is played with and without a fault. It must end alike.
type plot struct {
	name string
	// objects are the manifests for a controller of an instance ID.
	objects func(t *testing.T, instance string) string
	// before brings the scene to where the fault may happen, act goes on from there.
	before, act func(*scene)
	// most writes it may cost besides Events; 0 leaves it open.
	most int
}

// plots are an update to its end, one that a person takes back, one that
// analyses gate, and a restart of pods that carry the metadata of a new role.
var plots = []plot{update, abort, analysis, pods}

var (
	update = plot{
		name: "update",
		objects: func(_ *testing.T, instance string) string {
			c := canary(instance)
			c.Steps = "[{setWeight: 20}, {setWeight: 40}, {setWeight: 60}, {setWeight: 80}, {setWeight: 100}]"
			return c.All()
		},
		before: func(*scene) {},
		act:    func(s *scene) { s.release("v2") },
		most:   24,
	}
	abort = plot{
		name: "abort",
		objects: func(_ *testing.T, instance string) string {
			c := canary(instance)
			c.Steps = "[{setWeight: 50}, {pause: {}}]"
			c.Strategy = append(c.Strategy, "abortScaleDownDelaySeconds: 1")
			return c.All()
		},
		before: func(s *scene) {
			s.release("v2")
			s.eventually(isPhase(v1alpha1.RolloutPhasePaused))
		},
		act: (*scene).abort,
	}
	pods = plot{
		name: "pods",
		objects: func(_ *testing.T, instance string) string {
			c := canary(instance)
			c.Replicas, c.Steps = "1", "[{setWeight: 50}, {pause: {}}]"
			c.Strategy = append(c.Strategy,
				"canaryMetadata: {labels: {role: canary}}", "stableMetadata: {annotations: {role: stable}}",
				"antiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: {weight: 1}}")
			return c.All()
		},
		before: func(s *scene) {
			s.release("v2")
			s.eventually(isPhase(v1alpha1.RolloutPhasePaused))
		},
		act: func(s *scene) {
			at := time.Now().Add(time.Second).UTC().Format(time.RFC3339)
			s.patch(s.api.client, types.MergePatchType, fmt.Sprintf(`{"spec":{"restartAt":%q}}`, at))
			s.resume()
		},
	}
	analysis = plot{
		name: "analysis",
		objects: func(t *testing.T, instance string) string {
			good := newPrometheus(t, "0.99").URL
			c := canary(instance)
			c.Steps = "[{setWeight: 50}, {analysis: {templates: [{templateName: twice}]}}]"
			c.Strategy = append(c.Strategy, "analysis: {templates: [{templateName: for-ever}]}")
			return measures("twice", instance, good, "interval: 1s, count: 2") + measures("for-ever", instance, good, "interval: 1h") + c.All()
		},
		before: func(*scene) {},
		act:    func(s *scene) { s.release("v2") },
	}
)

// measures is an AnalysisTemplate whose metric asks a Prometheus that often.
func measures(name, instance, address, often string) string {
	return manifest.Metric{
		Name: name, Address: address, InstanceID: instance,
		Fields: append(lines(often), "successCondition: result[0] >= 0.95"),
	}.YAML()
}

// paused asks for a pause at a weight.
func paused(weight int32) func(*v1alpha1.Rollout) error {
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
