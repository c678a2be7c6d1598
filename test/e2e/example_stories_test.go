package e2e

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

// exampleStory is what a person does to one of the manifests that users start from.
type exampleStory struct {
	rollout string
	files   []string
	// stable is the Service of the stable or active revision; empty when there is none.
	stable string
	// tag is the image of the update; one whose pods never are ready stops an update without pauses.
	tag string
	// middle is where an update stops by itself, for a person or for a while.
	middle func(*v1alpha1.Rollout) error
	// fixed is the image that ends it; empty when tag does.
	fixed string
	// routed says that pods of another revision may wait for their delay.
	routed bool
	// endless says that its Experiment has neither a duration nor an analysis that is required, so that a person ends the step.
	endless bool
	// meshes says that the cluster has to serve the kinds of meshes.
	meshes bool
	// container is the name of the container; default rollouts-demo. first is its image; default that of the others.
	container, first string
	// edit replaces what is out of reach of a test.
	edit func(*testing.T, []string)
}

var exampleStories = map[string]exampleStory{
	"the basic canary": {
		rollout: "rollouts-demo", files: []string{"getting-started/basic/rollout.yaml", "getting-started/basic/service.yaml"},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"the NGINX canary": {
		rollout: "rollouts-demo", stable: "rollouts-demo-stable", routed: true,
		files: []string{"getting-started/nginx/ingress.yaml", "getting-started/nginx/rollout.yaml", "getting-started/nginx/services.yaml"},
		tag:   "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"a canary with timed pauses": {
		rollout: "rollout-canary", files: []string{"rollout-canary.yaml"},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"a rolling update": {
		rollout: "rollout-rollingupdate", files: []string{"rollout-rolling-update.yaml"},
		tag: "neverready", middle: because("WaitingForPods"), fixed: "yellow",
	},
	"blue-green": {
		rollout: "rollout-bluegreen", files: []string{"rollout-bluegreen.yaml"}, stable: "rollout-bluegreen-active", routed: true,
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"background analysis": {
		rollout: "rollout-background-analysis", files: []string{"analysis-templates.yaml", "rollout-background-analysis.yaml"},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"an analysis step": {
		rollout: "rollout-analysis-step",
		files:   []string{"analysis-templates.yaml", "cluster-analysis-templates.yaml", "rollout-analysis-step.yaml"},
		tag:     "yellow", middle: because("AnalysisRunning"),
	},
	"an experiment step": {
		rollout: "rollout-experiment-step", files: []string{"analysis-templates.yaml", "rollout-experiment-step.yaml"},
		tag: "yellow", middle: because("ExperimentRunning"), endless: true,
	},
	"a baseline beside the canary": {
		rollout: "rollout-baseline-vs-canary", files: []string{"rollout-baseline-vs-canary.yaml"},
		tag: "yellow", middle: because("ExperimentRunning"), endless: true,
	},
	"a preview by an experiment": {
		rollout: "rollout-canary-preview", files: []string{"rollout-canary-preview.yaml"},
		tag: "yellow", middle: because("ExperimentRunning"), endless: true,
	},
	"a web metric whose URL is in a Secret": {
		rollout: "rollout-secret", files: []string{"rollout-secret.yaml"},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused), edit: toOwnServer,
	},
	"the template of a Deployment": {
		rollout: "rollout-ref-deployment", files: []string{"rollout-template-ref.yaml"},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"two VirtualServices": {
		rollout: "rollouts-demo", stable: "rollouts-demo-stable", routed: true, meshes: true,
		files: []string{
			"getting-started/istio/gateway.yaml", "getting-started/istio/multipleVirtualsvc.yaml", "getting-started/istio/rollout.yaml", "getting-started/istio/services.yaml",
		},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"a mirror route of Istio": {
		rollout: "istio-host-split", stable: "istio-host-split-stable", routed: true, meshes: true, container: "istio-host-split",
		files: []string{"istio/istio-mirror.yaml"}, first: "argoproj/rollouts-demo:green",
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"subsets of Istio": {
		rollout: "istio-subset-split", routed: true, meshes: true, container: "istio-subset-split",
		files: []string{"istio/istio-subset-split.yaml"}, first: "nginx:1.19-alpine",
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
	"an experiment behind Istio": {
		rollout: "istio-host-split", stable: "istio-host-split-stable", routed: true, meshes: true, container: "istio-host-split",
		files: []string{"traffic-routing-experiment-step/istio-host-split-experiment-step.yaml"},
		tag:   "yellow", middle: because("ExperimentRunning"), endless: true,
	},
	"an experiment behind an ALB": {
		rollout: "alb-rollout", stable: "alb-rollout-stable", routed: true, container: "alb-rollout",
		files: []string{"traffic-routing-experiment-step/rollout-alb-experiment-step.yaml"},
		tag:   "yellow", middle: because("ExperimentRunning"), endless: true,
	},
	"an experiment behind SMI": {
		rollout: "rollout-smi-experiment", stable: "rollout-smi-experiment-stable", routed: true, meshes: true, container: "rollout-smi-experiment",
		files: []string{"traffic-routing-experiment-step/rollout-smi-experiment-step.yaml"},
		tag:   "yellow", middle: because("ExperimentRunning"), endless: true,
	},
	"a workload of its own": {
		rollout: "rollout-ref-deployment", files: []string{"workload-ref/workload-ref.yaml"},
		tag: "yellow", middle: phase(v1alpha1.RolloutPhasePaused),
	},
}

// TestTheExamplesAreAbortedRetriedPromotedAndRolledBack plays the life of each example.
func TestTheExamplesAreAbortedRetriedPromotedAndRolledBack(t *testing.T) {
	t.Parallel()
	for name, s := range exampleStories {
		t.Run(name, func(t *testing.T) {
			docs := example(t, s.files...)
			if s.edit != nil {
				s.edit(t, docs)
			}
			w := s.world(t)
			w.apply(docs...)
			first := w.until(s.rollout, healthy)
			home := s.isHome(w, first)

			w.tag(s, s.tag)
			w.until(s.rollout, s.middle)
			w.run("abort", s.rollout)
			aborted := w.until(s.rollout, phase(v1alpha1.RolloutPhaseDegraded), home)
			if !aborted.Status.Abort || aborted.Status.AbortedAt == nil {
				t.Errorf("abort %t at %v", aborted.Status.Abort, aborted.Status.AbortedAt)
			}

			w.run("retry", "rollout", s.rollout)
			if again := w.until(s.rollout, s.middle); again.Status.Abort || again.Status.StableRS != first.Status.StableRS {
				t.Errorf("retried: %s", brief(again))
			}
			if s.fixed != "" {
				w.tag(s, s.fixed)
			}
			second := w.finished(s, first.Status.StableRS)
			if err := s.isHome(w, second)(second); err != nil {
				t.Errorf("promoted: %v", err)
			}

			w.image(s, cmp.Or(s.first, "argoproj/rollouts-demo:blue"))
			third := w.finished(s, second.Status.StableRS)
			if third.Status.StableRS != first.Status.StableRS {
				t.Errorf("rolled back to %s, want %s", third.Status.StableRS, first.Status.StableRS)
			}
			if err := s.isHome(w, third)(third); err != nil {
				t.Errorf("rolled back: %v", err)
			}
			w.noRunFailed()
		})
	}
}

// toOwnServer has the URL of the Secret lead to a server of the test, which says
// what the one in the example says.
func toOwnServer(t *testing.T, docs []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"message": "It worked!"}`)
	}))
	t.Cleanup(server.Close)
	url := regexp.MustCompile(`secretUrl: [A-Za-z0-9+/=]+`)
	if !url.MatchString(docs[0]) {
		t.Fatal("the example has no secretUrl")
	}
	docs[0] = url.ReplaceAllString(docs[0], "secretUrl: "+base64.StdEncoding.EncodeToString([]byte(server.URL)))
}

func (w *world) tag(s exampleStory, tag string) {
	w.Helper()
	w.image(s, "argoproj/rollouts-demo:"+tag)
}

func (w *world) image(s exampleStory, image string) {
	w.Helper()
	w.run("set", "image", s.rollout, cmp.Or(s.container, "rollouts-demo")+"="+image)
}

func (s exampleStory) world(t *testing.T) *world {
	t.Helper()
	if s.meshes {
		return newMeshWorld(t)
	}
	return newWorld(t)
}

// finished promotes as often as the update waits for somebody, until another revision is stable.
func (w *world) finished(s exampleStory, stable string) *v1alpha1.Rollout {
	w.Helper()
	var done *v1alpha1.Rollout
	kube.Eventually(w, within, func() error {
		ro, err := w.rollout(s.rollout)
		if err != nil {
			return err
		}
		if err := errors.Join(observed(ro), healthy(ro)); err == nil && ro.Status.StableRS != stable {
			done = ro
			return nil
		}
		if skip := s.endless && because("ExperimentRunning")(ro) == nil; skip || ro.Status.Phase == v1alpha1.RolloutPhasePaused {
			_, _, _ = w.plugin("promote", s.rollout) // A timed pause may end first.
		}
		return errors.New(brief(ro))
	})
	return done
}

// isHome asks that a revision serves everything: its pods, the Service, no weight elsewhere.
func (s exampleStory) isHome(w *world, ro *v1alpha1.Rollout) func(*v1alpha1.Rollout) error {
	hash, replicas := ro.Status.StableRS, ptr.Deref(ro.Spec.Replicas, 1)
	return func(ro *v1alpha1.Rollout) error {
		if ro.Status.StableRS != hash {
			return fmt.Errorf("%s is not stable", hash)
		}
		if weights := ro.Status.Canary.Weights; weights != nil && weights.Canary.Weight != 0 {
			return fmt.Errorf("the canary has weight %d", weights.Canary.Weight)
		}
		if s.stable != "" && w.selects(s.stable) != hash {
			return fmt.Errorf("the Service selects %s", w.selects(s.stable))
		}
		for _, rs := range w.replicaSets(s.rollout) {
			if own := rs.Labels[v1alpha1.PodTemplateHashLabel] == hash; own && rs.Status.AvailableReplicas != replicas {
				return fmt.Errorf("%d of %d pods are available", rs.Status.AvailableReplicas, replicas)
			} else if !own && !s.routed && rs.Status.Replicas > 0 {
				return fmt.Errorf("ReplicaSet %s still has pods", rs.Name)
			}
		}
		return nil
	}
}

// noRunFailed checks that no analysis went wrong.
func (w *world) noRunFailed() {
	w.Helper()
	for _, run := range w.runs() {
		if p := run.Status.Phase; p == v1alpha1.AnalysisPhaseFailed || p == v1alpha1.AnalysisPhaseError {
			w.Errorf("AnalysisRun %s is %s: %s", run.Name, p, run.Status.Message)
		}
	}
}
