package e2e

import (
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// experiment is the Experiment ab of the tests: purple beside orange.
type experiment struct {
	// Orange is the tag of the image of orange; default v2.
	Orange string
	// Spec are more fields of the spec as YAML lines, without indentation.
	Spec []string
	// Template are more fields of the template orange as YAML lines.
	Template []string
	// InstanceID is the controller's; default none.
	InstanceID string
}

// quickly lets the pods go a second after the end.
const quickly = "scaleDownDelaySeconds: 1"

// byRate is the analysis of most Experiments here, with arguments that only the Experiment can fill in.
const byRate = "analyses: [{name: rate, templateName: measured}]"

// YAML is the Experiment.
func (e experiment) YAML() string {
	if e.Orange == "" {
		e.Orange = "v2"
	}
	label := ""
	if e.InstanceID != "" {
		label = ", labels: {argo-rollouts.argoproj.io/controller-instance-id: " + e.InstanceID + "}"
	}
	var more, template strings.Builder
	for _, line := range e.Spec {
		more.WriteString("  " + line + "\n")
	}
	for _, line := range e.Template {
		template.WriteString("    " + line + "\n")
	}
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: ab%s}
spec:
%s  templates:
  - name: purple
    selector: {matchLabels: {app: web, side: purple}}
    template:
      metadata: {labels: {app: web, side: purple}}
      spec: {containers: [{name: web, image: "example.com/web:v1"}]}
  - name: orange
    replicas: 2
    selector: {matchLabels: {app: web, side: orange}}
%s    template:
      metadata: {labels: {app: web, side: orange}}
      spec: {containers: [{name: web, image: "example.com/web:%s", ports: [{containerPort: 8080}, {name: admin, containerPort: 9000}]}]}
`, label, more.String(), template.String(), e.Orange)
}

// experimentIs waits until an Experiment is in a phase, and as wanted.
func (w *world) experimentIs(name string, phase v1alpha1.AnalysisPhase, want ...func(*v1alpha1.Experiment) error) *v1alpha1.Experiment {
	w.Helper()
	e := &v1alpha1.Experiment{}
	kube.Eventually(w, within, func() error {
		if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, e); err != nil {
			return err
		}
		var errs []error
		if e.Status.Phase != phase {
			errs = append(errs, fmt.Errorf("not %s", phase))
		}
		for _, f := range want {
			errs = append(errs, f(e))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("%w\nExperiment %s: %s %q %+v %+v", err, name, e.Status.Phase, e.Status.Message, e.Status.TemplateStatuses, e.Status.AnalysisRuns)
		}
		return nil
	})
	return e
}

// analysisIs asks for the phase of an analysis.
func analysisIs(name string, phase v1alpha1.AnalysisPhase) func(*v1alpha1.Experiment) error {
	return func(e *v1alpha1.Experiment) error {
		for _, run := range e.Status.AnalysisRuns {
			if run.Name == name && run.Phase == phase {
				return nil
			}
		}
		return fmt.Errorf("analysis %s is not %s", name, phase)
	}
}

// noPods asks for templates that have lost theirs.
func noPods(e *v1alpha1.Experiment) error {
	for _, t := range e.Status.TemplateStatuses {
		if t.Replicas > 0 || t.ServiceName != "" {
			return fmt.Errorf("template %s has %d pods and the Service %q", t.Name, t.Replicas, t.ServiceName)
		}
	}
	return nil
}

// vanished waits until there is no such object.
func (w *world) vanished(obj client.Object, name string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, obj)
		if err == nil {
			return fmt.Errorf("%T %s is there", obj, name)
		}
		return client.IgnoreNotFound(err)
	})
}

// size is what a ReplicaSet is asked for; -1 when there is none.
func (w *world) size(name string) int32 {
	w.Helper()
	var rs appsv1.ReplicaSet
	err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &rs)
	if apierrors.IsNotFound(err) {
		return -1
	}
	if err != nil {
		w.Fatal(err)
	}
	return ptr.Deref(rs.Spec.Replicas, 1)
}

// createdOnce checks that no object of a kind was made twice.
func (w *world) createdOnce(watch *observer.Observer, kind observer.Kind, want int) {
	w.Helper()
	uids := map[string]bool{}
	for _, c := range watch.History(w).Of(kind) {
		uids[c.Name+" "+string(c.Object.GetUID())] = true
	}
	if len(uids) != want {
		w.Errorf("%d objects of kind %s were made, want %d: %v", len(uids), kind, want, uids)
	}
}

// told waits for the reasons of Events about an object.
func (w *world) told(kind, name string, reasons ...string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		var list corev1.EventList
		if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, event := range list.Items {
			if event.InvolvedObject.Kind == kind && event.InvolvedObject.Name == name {
				seen[event.Reason] = true
			}
		}
		for _, reason := range reasons {
			if !seen[reason] {
				return fmt.Errorf("no Event %s about %s %s, only %v", reason, kind, name, seen)
			}
		}
		return nil
	})
}
