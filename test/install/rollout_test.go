package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

// The sample needs every right of the controller up to its manual pause: ReplicaSets, Services, the
// canary Ingress, an AnalysisRun, Events and status. Another Ingress then takes the place of the one it
// names, and the canary Ingress of that one has to go. Nothing may be refused.
func TestTheInstalledRightsSufficeForTheSample(t *testing.T) {
	w := newWorld(t)
	p := w.run(systemSpace)
	w.ready(p)
	sample, err := os.ReadFile(filepath.Join(kube.Root(), "config", "samples", "nginx-canary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.namespace, sample)
	c := w.typed()
	w.rolloutReaches(c, v1alpha1.RolloutPhaseHealthy)

	w.apply(w.namespace, []byte(strings.Replace(string(sample), "example-app:v0.4.0", "example-app:v0.5.0", 1)))
	w.rolloutReaches(c, v1alpha1.RolloutPhasePaused)
	w.canaryWeight("20")
	kube.Eventually(t, within, func() error {
		var runs v1alpha1.AnalysisRunList
		if err := c.List(t.Context(), &runs, client.InNamespace(w.namespace)); err != nil {
			return fmt.Errorf("listing AnalysisRuns: %w", err)
		}
		if len(runs.Items) != 1 {
			return fmt.Errorf("want one AnalysisRun, got %d", len(runs.Items))
		}
		return nil
	})
	w.moveTo(c, "other")
	w.restartAndLabel(c)
	if log := p.log(); strings.Contains(log, "forbidden") {
		t.Errorf("the installed rights do not suffice:\n%s", log)
	}
}

// restartAndLabel has all pods replaced, and then labelled.
func (w world) restartAndLabel(c client.Client) {
	w.Helper()
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}}
	at := metav1.NewTime(time.Now().Add(time.Second).Truncate(time.Second))
	patch := fmt.Appendf(nil, `{"spec":{"restartAt":%q,"strategy":{"canary":{"stableMetadata":{"labels":{"role":"stable"}}}}}}`, at.UTC().Format(time.RFC3339))
	if err := c.Patch(w.Context(), ro, client.RawPatch(types.MergePatchType, patch)); err != nil {
		w.Fatal(err)
	}
	kube.Eventually(w, within, func() error {
		if err := c.Get(w.Context(), client.ObjectKeyFromObject(ro), ro); err != nil {
			return fmt.Errorf("reading the Rollout: %w", err)
		}
		pods, err := w.client.CoreV1().Pods(w.namespace).List(w.Context(), metav1.ListOptions{LabelSelector: "role=stable"})
		if err != nil {
			return fmt.Errorf("listing pods: %w", err)
		}
		if !at.Equal(ro.Status.RestartedAt) || len(pods.Items) < int(ro.DesiredReplicas()) {
			return fmt.Errorf("restarted at %v, %d pods are labelled", ro.Status.RestartedAt, len(pods.Items))
		}
		return nil
	})
}

// moveTo makes an Ingress beside that of the sample, lets the Rollout name it instead, and waits until
// its canary Ingress is the only one.
func (w world) moveTo(c client.Client, name string) {
	w.Helper()
	ingresses := w.client.NetworkingV1().Ingresses(w.namespace)
	named, err := ingresses.Get(w.Context(), "web", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	other := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: named.Spec}
	other.Spec.Rules[0].Host = name + ".example.com"
	if _, err := ingresses.Create(w.Context(), other, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	patch := fmt.Appendf(nil, `{"spec":{"strategy":{"canary":{"trafficRouting":{"nginx":{"stableIngress":%q}}}}}}`, name)
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}}
	if err := c.Patch(w.Context(), ro, client.RawPatch(types.MergePatchType, patch)); err != nil {
		w.Fatal(err)
	}
	kube.Eventually(w, within, func() error {
		list, err := ingresses.List(w.Context(), metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing Ingresses: %w", err)
		}
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		if want := []string{name, "web", "web-" + name + "-canary"}; !slices.Equal(names, want) {
			return fmt.Errorf("want the Ingresses %v, got %v", want, names)
		}
		return nil
	})
	w.canaryWeight("20")
}

const experimentManifest = `
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: ab}
spec:
  scaleDownDelaySeconds: 1
  templates:
  - name: new
    service: {}
    selector: {matchLabels: {app: ab}}
    template:
      metadata: {labels: {app: ab}}
      spec:
        securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}
        containers:
        - name: web
          image: example.com/web:v1
          ports: [{containerPort: 8080}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
  analyses: [{name: rate, templateName: rate}]
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: rate}
spec:
  metrics: [{name: rate, interval: 1m, provider: {prometheus: {address: "http://127.0.0.1:1", query: rate}}}]
`

// An Experiment makes a ReplicaSet, a Service and an AnalysisRun, ends all of them, and deletes the Service.
func TestTheInstalledRightsSufficeForAnExperiment(t *testing.T) {
	w := newWorld(t)
	p := w.run(systemSpace)
	w.ready(p)
	docs := strings.Split(experimentManifest, "---")
	w.apply(w.namespace, []byte(docs[1]))
	w.apply(w.namespace, []byte(docs[0]))
	c := w.typed()
	w.experimentReaches(c, func(st v1alpha1.ExperimentStatus) bool {
		return st.Phase == v1alpha1.AnalysisPhaseRunning && st.TemplateStatuses[0].ServiceName != "" && len(st.AnalysisRuns) == 1
	})
	e := &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "ab"}}
	if err := c.Patch(t.Context(), e, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"terminate":true}}`))); err != nil {
		t.Fatal(err)
	}
	w.experimentReaches(c, func(st v1alpha1.ExperimentStatus) bool {
		return st.Phase.Completed() && st.TemplateStatuses[0].ServiceName == "" && st.TemplateStatuses[0].Replicas == 0 && st.AnalysisRuns[0].Phase.Completed()
	})
	if log := p.log(); strings.Contains(log, "forbidden") {
		t.Errorf("the installed rights do not suffice:\n%s", log)
	}
}

func (w world) experimentReaches(c client.Client, want func(v1alpha1.ExperimentStatus) bool) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		var e v1alpha1.Experiment
		if err := c.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "ab"}, &e); err != nil {
			return fmt.Errorf("reading the Experiment: %w", err)
		}
		if !want(e.Status) {
			return fmt.Errorf("the Experiment is %+v", e.Status)
		}
		return nil
	})
}

const jobRun = `
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata: {name: %[1]s}
spec:
  metrics:
  - name: smoke
    provider:
      job:
        spec:
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              securityContext: {runAsNonRoot: true, runAsUser: 65534, seccompProfile: {type: RuntimeDefault}}
              containers:
              - name: smoke
                image: smoke:%[1]s
                securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// Jobs need rights of their own: making one, reading it, and listing its pods when it does not start.
func TestJobsNeedTheirComponentAndNoMore(t *testing.T) {
	w := newWorld(t)
	p := w.run(systemSpace)
	w.ready(p)
	w.apply(w.namespace, fmt.Appendf(nil, jobRun, "refused"))
	c := w.typed()
	kube.Eventually(t, within, func() error {
		run, err := w.analysisRun(c, "refused")
		if err != nil {
			return err
		}
		for _, result := range run.Status.MetricResults {
			for _, m := range result.Measurements {
				if m.Phase == v1alpha1.AnalysisPhaseError && strings.Contains(m.Message, "forbidden") {
					return nil
				}
			}
		}
		return fmt.Errorf("want a measurement that was refused, got %+v", run.Status)
	})
	if err := c.Delete(t.Context(), &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "refused"}}); err != nil {
		t.Fatal(err)
	}
	w.apply("", documents(t, overlay(t, strings.ReplaceAll(withJobs, "team-a", w.namespace))))
	kube.Eventually(t, within, func() error { // A new role is known a moment later.
		allowed, err := w.allowed(may("list", "", "pods", w.namespace))
		if err == nil && !allowed {
			err = errors.New("the component gives no right yet")
		}
		return err
	})
	before := len(p.log())
	for tag, want := range map[string]v1alpha1.AnalysisPhase{
		"good": v1alpha1.AnalysisPhaseSuccessful, "crash": v1alpha1.AnalysisPhaseFailed, "badpull": v1alpha1.AnalysisPhaseInconclusive,
	} {
		w.apply(w.namespace, fmt.Appendf(nil, jobRun, tag))
		kube.Eventually(t, 2*within, func() error {
			run, err := w.analysisRun(c, tag)
			if err != nil {
				return err
			}
			if run.Status.Phase != want {
				return fmt.Errorf("AnalysisRun %s: want %s, got %s: %s", tag, want, run.Status.Phase, run.Status.Message)
			}
			return nil
		})
	}
	if log := p.log()[before:]; strings.Contains(log, "forbidden") {
		t.Errorf("the rights of the component do not suffice:\n%s", log)
	}
}

func (w world) analysisRun(c client.Client, name string) (v1alpha1.AnalysisRun, error) {
	var run v1alpha1.AnalysisRun
	if err := c.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &run); err != nil {
		return run, fmt.Errorf("reading AnalysisRun %s: %w", name, err)
	}
	return run, nil
}

func (w world) rolloutReaches(c client.Client, phase v1alpha1.RolloutPhase) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		var ro v1alpha1.Rollout
		if err := c.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, &ro); err != nil {
			return fmt.Errorf("reading the Rollout: %w", err)
		}
		if ro.Status.Phase != phase || ro.Status.ObservedGeneration != fmt.Sprint(ro.Generation) {
			return fmt.Errorf("want %s, got %s: %s", phase, ro.Status.Phase, ro.Status.Message)
		}
		return nil
	})
}

func (w world) canaryWeight(want string) {
	w.Helper()
	const weight = "nginx.ingress.kubernetes.io/canary-weight"
	kube.Eventually(w, within, func() error {
		ingresses, err := w.client.NetworkingV1().Ingresses(w.namespace).List(w.Context(), metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing Ingresses: %w", err)
		}
		var seen []string
		for _, ingress := range ingresses.Items {
			if ingress.Annotations[weight] == want {
				return nil
			}
			seen = append(seen, ingress.Name+"="+ingress.Annotations[weight])
		}
		return fmt.Errorf("want a canary Ingress of weight %s, got %v", want, seen)
	})
}

func (w world) typed() client.Client {
	w.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		w.Fatal(err)
	}
	c, err := client.New(w.Config, client.Options{Scheme: scheme})
	if err != nil {
		w.Fatal(err)
	}
	return c
}
