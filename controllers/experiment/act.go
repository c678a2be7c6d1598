package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/controllers/experiment/resources"
)

// act carries out the actions. Each is safe by itself, so one that fails does
// not keep the others from being done. What the cluster refused is told to the
// user; any other failure is an error.
func (r *Reconciler) act(ctx context.Context, seen *observed, actions []plan.Action) ([]plan.Refusal, error) {
	log := ctrl.LoggerFrom(ctx)
	do := actor{
		Reconciler: r,
		seen:       seen,
		client:     r.writes.Client(r.Client, client.ObjectKeyFromObject(seen.Experiment), seen.Now),
	}
	var refusals []plan.Refusal
	var failures []error
	for _, action := range actions {
		log.Info("Acting", "action", action.String())
		err := do.one(ctx, action)
		if err == nil {
			continue
		}
		if refusal, refused := refusalOf(action, err); refused {
			log.Info("Refused", "action", action.String(), "answer", err.Error())
			refusals = append(refusals, refusal)
			continue
		}
		failures = append(failures, err)
	}
	return refusals, errors.Join(failures...)
}

// refusalOf is what to tell the user about an action that failed; refused is
// false when it is not about what he asked for.
func refusalOf(action plan.Action, err error) (refusal plan.Refusal, refused bool) {
	hopeless := apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
	refused = hopeless || apierrors.IsForbidden(err) || apierrors.IsAlreadyExists(err)
	refusal = plan.Refusal{Message: err.Error(), Final: hopeless}
	switch action := action.(type) {
	case plan.CreateSet:
		refusal.Template = action.Template
	case plan.CreateService:
		refusal.Template = action.Template
	case plan.StartAnalysis:
		// No deadline ends an analysis that cannot be started, so this does.
		refusal.Analysis, refusal.Final = action.Analysis, true
	default:
		return plan.Refusal{}, false
	}
	return refusal, refused
}

// actor carries out the actions of one pass.
type actor struct {
	*Reconciler

	seen   *observed
	client client.Client
}

func (a actor) one(ctx context.Context, action plan.Action) error {
	switch action := action.(type) {
	case plan.CreateSet:
		return a.createSet(ctx, action)
	case plan.Scale:
		return a.scale(ctx, action)
	case plan.Delay:
		return a.annotate(ctx, action.Set, action.Until.UTC().Format(time.RFC3339))
	case plan.Keep:
		return a.annotate(ctx, action.Set, nil)
	case plan.DeleteSet:
		return a.delete(ctx, a.seen.replicaSets[action.Set])
	case plan.CreateService:
		return a.createService(ctx, action)
	case plan.DeleteService:
		return a.delete(ctx, a.seen.services[action.Service])
	case plan.StartAnalysis:
		return a.startAnalysis(ctx, action)
	case plan.StopAnalysis:
		return a.stopAnalysis(ctx, action)
	default:
		return fmt.Errorf("unknown action %T: this is a bug", action)
	}
}

// of is the template of the spec, and its pods, by its name.
func (a actor) of(template string) (*v1alpha1.TemplateSpec, plan.Set) {
	for _, set := range a.seen.Sets {
		if set.Template == template {
			return a.seen.templates[template], set
		}
	}
	return nil, plan.Set{} // the planner names none that the spec does not have
}

func (a actor) createSet(ctx context.Context, p plan.CreateSet) error {
	template, set := a.of(p.Template)
	rs := resources.ReplicaSet(a.seen.Experiment, template, set, p.Replicas)
	created, err := a.create(ctx, rs, &appsv1.ReplicaSet{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("there is a ReplicaSet %s that is not of this Experiment: delete it, or give the Experiment another name: %w", rs.Name, err)
	}
	if err != nil || !created {
		return err
	}
	a.tell("NewReplicaSetCreated", fmt.Sprintf("Created ReplicaSet %s", rs.Name))
	if p.Replicas > 0 {
		a.scaled(rs.Name, 0, p.Replicas)
	}
	return nil
}

// create makes an object unless the Experiment has it already, which the cache
// may not show yet; created is false then.
func (a actor) create(ctx context.Context, obj, existing client.Object) (created bool, err error) {
	err = a.client.Create(ctx, obj)
	if apierrors.IsAlreadyExists(err) {
		if readErr := a.APIReader.Get(ctx, client.ObjectKeyFromObject(obj), existing); readErr != nil {
			return false, fmt.Errorf("looking at what has the name %s: %w", obj.GetName(), readErr)
		}
		if metav1.IsControlledBy(existing, a.seen.Experiment) {
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("creating %s: %w", obj.GetName(), err)
	}
	return true, nil
}

func (a actor) scaled(name string, from, to int32) {
	verb := "up"
	if to < from {
		verb = "down"
	}
	a.tell("ScalingReplicaSet", fmt.Sprintf("Scaled %s ReplicaSet %s from %d to %d", verb, name, from, to))
}

// scale writes the size. Shrinking destroys, so it holds only for the very ReplicaSet that was seen.
func (a actor) scale(ctx context.Context, p plan.Scale) error {
	rs := a.seen.replicaSets[p.Set]
	meta := map[string]any{"uid": rs.UID}
	if _, has := rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation]; has && !p.KeepDeadline {
		meta["annotations"] = map[string]any{v1alpha1.ScaleDownDeadlineAnnotation: nil}
	}
	if p.To < p.From {
		meta["resourceVersion"] = rs.ResourceVersion
	}
	body := map[string]any{"metadata": meta, "spec": map[string]any{"replicas": p.To}}
	if err := a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, body); err != nil {
		if !apierrors.IsConflict(err) {
			a.emit(a.seen.Experiment, plan.Event{
				Type: corev1.EventTypeWarning, Reason: "ReplicaSetUpdateError", Message: fmt.Sprintf("Cannot scale ReplicaSet %s: %v", rs.Name, err),
			})
		}
		return fmt.Errorf("scaling ReplicaSet %s: %w", rs.Name, err)
	}
	a.scaled(rs.Name, p.From, p.To)
	return nil
}

// annotate sets the scale-down deadline; nil takes it off.
func (a actor) annotate(ctx context.Context, name string, deadline any) error {
	rs := a.seen.replicaSets[name]
	meta := map[string]any{"uid": rs.UID, "annotations": map[string]any{v1alpha1.ScaleDownDeadlineAnnotation: deadline}}
	if err := a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, map[string]any{"metadata": meta}); err != nil {
		return fmt.Errorf("annotating ReplicaSet %s: %w", rs.Name, err)
	}
	return nil
}

func (a actor) createService(ctx context.Context, p plan.CreateService) error {
	template, set := a.of(p.Template)
	svc := resources.Service(a.seen.Experiment, template, set, p.Service)
	_, err := a.create(ctx, svc, &corev1.Service{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("there is a Service %s that is not of this Experiment: delete it, or name another: %w", svc.Name, err)
	}
	return err
}

func (a actor) startAnalysis(ctx context.Context, p plan.StartAnalysis) error {
	run := resources.AnalysisRun(a.seen.Experiment, p, a.seen.specs[p.Analysis])
	var err error
	for i := 1; i <= maxNames; i++ {
		if _, err = a.create(ctx, run, &v1alpha1.AnalysisRun{}); !apierrors.IsAlreadyExists(err) {
			return err
		}
		run.Name = fmt.Sprintf("%s.%d", p.Name, i) // left by an Experiment of the same name that is gone
	}
	return fmt.Errorf("creating AnalysisRun %s: the name and %d others are taken; delete old AnalysisRuns: %w", p.Name, maxNames-1, err)
}

// maxNames is how many names are tried when foreign AnalysisRuns have taken them.
const maxNames = 10

func (a actor) stopAnalysis(ctx context.Context, p plan.StopAnalysis) error {
	seen := a.seen.runs[p.Name]
	err := a.patch(ctx, &v1alpha1.AnalysisRun{ObjectMeta: identity(seen)}, map[string]any{
		"metadata": map[string]any{"uid": seen.UID},
		"spec":     map[string]any{"terminate": true},
	})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("stopping AnalysisRun %s: %w", p.Name, err)
	}
	if err == nil {
		a.tell("AnalysisRunTerminating", fmt.Sprintf("Terminating AnalysisRun %s", p.Name))
	}
	return nil
}

// delete removes the very object that was seen.
func (a actor) delete(ctx context.Context, obj client.Object) error {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	err := a.client.Delete(ctx, obj, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s: %w", obj.GetName(), err)
	}
	return nil
}

func (a actor) patch(ctx context.Context, obj client.Object, body map[string]any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	return a.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, data)) //nolint:wrapcheck // Callers say what they were doing.
}

func (a actor) tell(reason, message string) {
	a.emit(a.seen.Experiment, plan.Event{Type: corev1.EventTypeNormal, Reason: reason, Message: message})
}

// identity is enough of an object to patch it.
func identity(obj client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}
