package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/services"
)

// act carries out the actions. Each is safe by itself, so one that fails does
// not keep the others from being done: a Pod quota must not hold up an abort.
func (r *Reconciler) act(ctx context.Context, seen *observed, actions []plan.Action) error {
	log := ctrl.LoggerFrom(ctx)
	if leaves, err := r.leaves(ctx, seen, actions); leaves || err != nil {
		return err
	}
	do := actor{
		Reconciler: r,
		seen:       seen,
		client:     r.writes.Client(r.Client, client.ObjectKeyFromObject(seen.Rollout), seen.Now),
	}
	var failures []error
	for _, action := range actions {
		log.Info("Acting", "action", action.String())
		if err := do.one(ctx, action); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// actor carries out the actions of one pass.
type actor struct {
	*Reconciler

	seen   *observed
	client client.Client
}

func (a actor) one(ctx context.Context, action plan.Action) error {
	switch action := action.(type) {
	case plan.Point:
		return a.point(ctx, action)
	case plan.Route:
		return a.route(ctx, action)
	case plan.Number:
		return a.number(ctx, action)
	case plan.ScaleWorkload:
		return a.scaleWorkload(ctx, action)
	default:
		return a.onRevisions(ctx, action)
	}
}

func (a actor) onRevisions(ctx context.Context, action plan.Action) error {
	switch action := action.(type) {
	case plan.CreateRevision:
		return a.create(ctx, action)
	case plan.Adopt:
		return a.adopt(ctx, a.seen.replicaSets[action.Revision])
	case plan.Release:
		return a.release(ctx, a.seen.unselected[action.Name])
	case plan.Scale:
		return a.scale(ctx, action)
	case plan.Delay:
		return a.annotate(ctx, action.Revision, map[string]any{v1alpha1.ScaleDownDeadlineAnnotation: action.Until.UTC().Format(time.RFC3339)})
	case plan.Keep:
		return a.annotate(ctx, action.Revision, map[string]any{v1alpha1.ScaleDownDeadlineAnnotation: nil})
	case plan.Renumber:
		return a.renumber(ctx, action)
	case plan.Sync:
		return a.sync(ctx, action)
	case plan.DeleteRevision:
		return a.delete(ctx, a.seen.replicaSets[action.Revision])
	default:
		return a.onRuns(ctx, action)
	}
}

func (a actor) onRuns(ctx context.Context, action plan.Action) error {
	switch action := action.(type) {
	case plan.StartAnalysis:
		return a.startAnalysis(ctx, action)
	case plan.StopAnalysis:
		return a.end(ctx, a.seen.runs[action.Name], &v1alpha1.AnalysisRun{})
	case plan.DeleteAnalysis:
		return a.delete(ctx, a.seen.runs[action.Name])
	case plan.StartExperiment:
		return a.startExperiment(ctx, action)
	case plan.StopExperiment:
		return a.end(ctx, a.seen.experiments[action.Name], &v1alpha1.Experiment{})
	case plan.DeleteExperiment:
		return a.delete(ctx, a.seen.experiments[action.Name])
	default:
		return a.onPods(ctx, action)
	}
}

func (a actor) point(ctx context.Context, p plan.Point) error {
	ro := a.seen.Rollout
	changes, err := services.Point(ctx, a.client, services.Ref{
		Service: types.NamespacedName{Namespace: ro.Namespace, Name: p.Service},
		Rollout: ro.Name,
	}, p.To)
	a.tell(changes)
	if err != nil {
		return fmt.Errorf("pointing the %s Service: %w", p.Role, err)
	}
	return nil
}

// meshClient writes to the mesh and remembers it.
func (a actor) meshClient() client.Client {
	if a.Mesh == nil {
		return a.client
	}
	return a.meshWrites.Client(a.mesh(), client.ObjectKeyFromObject(a.seen.Rollout), a.seen.Now)
}

func (a actor) route(ctx context.Context, p plan.Route) error {
	changes, err := a.router(a.client, a.meshClient()).Apply(ctx, trafficrouting.Ref{Rollout: a.seen.Rollout}, p.Split)
	a.tell(changes)
	if err != nil {
		if !outcome.ConflictsOnly(err) {
			a.event(corev1.EventTypeWarning, "TrafficRoutingError", err.Error())
		}
		return fmt.Errorf("routing traffic: %w", err)
	}
	return nil
}

func (a actor) tell(changes []trafficrouting.Change) {
	for _, c := range changes {
		a.event(corev1.EventTypeNormal, c.Reason, c.Message)
	}
}

func (a actor) create(ctx context.Context, p plan.CreateRevision) error {
	rs := resources.ReplicaSet(a.seen.Rollout, p)
	if err := a.client.Create(ctx, rs); err != nil {
		if apierrors.IsAlreadyExists(err) { // the cache holds only those with the label of a hash
			return fmt.Errorf("creating ReplicaSet %s: there is one that this Rollout does not recognise: delete it, or give it its label %s back: %w",
				rs.Name, v1alpha1.PodTemplateHashLabel, err)
		}
		a.event(corev1.EventTypeWarning, plan.ReasonCreateError, fmt.Sprintf("Failed to create ReplicaSet %s: %v", rs.Name, err))
		return fmt.Errorf("creating ReplicaSet %s: %w", rs.Name, err)
	}
	a.event(corev1.EventTypeNormal, "RolloutUpdated", fmt.Sprintf("Rollout updated to revision %d", p.Number))
	a.event(corev1.EventTypeNormal, plan.ReasonCreated, fmt.Sprintf("Created ReplicaSet %s (revision %d)", rs.Name, p.Number))
	if p.Replicas > 0 {
		a.scaled(rs.Name, p.Number, 0, p.Replicas)
	}
	return nil
}

func (a actor) scaled(name string, number int64, from, to int32) {
	verb := "up"
	if to < from {
		verb = "down"
	}
	a.event(corev1.EventTypeNormal, "ScalingReplicaSet", fmt.Sprintf("Scaled %s ReplicaSet %s (revision %d) from %d to %d", verb, name, number, from, to))
}

// scale writes the size. Shrinking destroys, so it holds only for the very ReplicaSet that was seen.
func (a actor) scale(ctx context.Context, p plan.Scale) error {
	rs := a.seen.replicaSets[p.Revision]
	annotations := map[string]any{v1alpha1.DesiredReplicasAnnotation: strconv.Itoa(int(a.seen.Rollout.DesiredReplicas()))}
	if _, has := rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation]; has && !p.KeepDeadline {
		annotations[v1alpha1.ScaleDownDeadlineAnnotation] = nil
	}
	if _, has := rs.Annotations[v1alpha1.RestartSpareAnnotation]; has || p.Extra {
		annotations[v1alpha1.RestartSpareAnnotation] = map[bool]any{true: "true", false: nil}[p.Extra]
	}
	meta := map[string]any{"uid": rs.UID, "annotations": annotations}
	if p.To < p.From {
		meta["resourceVersion"] = rs.ResourceVersion
	}
	if err := a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, map[string]any{"metadata": meta, "spec": map[string]any{"replicas": p.To}}); err != nil {
		return fmt.Errorf("scaling ReplicaSet %s: %w", rs.Name, err)
	}
	a.scaled(rs.Name, a.seen.Revisions[p.Revision].Number, p.From, p.To)
	return nil
}

func (a actor) annotate(ctx context.Context, revision string, annotations map[string]any) error {
	rs := a.seen.replicaSets[revision]
	if err := a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, map[string]any{"metadata": map[string]any{"uid": rs.UID, "annotations": annotations}}); err != nil {
		return fmt.Errorf("annotating ReplicaSet %s: %w", rs.Name, err)
	}
	return nil
}

func (a actor) renumber(ctx context.Context, p plan.Renumber) error {
	err := a.annotate(ctx, p.Revision, map[string]any{
		v1alpha1.RevisionAnnotation:        strconv.FormatInt(p.To, 10),
		v1alpha1.RevisionHistoryAnnotation: resources.History(a.seen.replicaSets[p.Revision], p.From),
	})
	if err == nil {
		a.event(corev1.EventTypeNormal, "RolloutUpdated", fmt.Sprintf("Rollout updated to revision %d", p.To))
	}
	return err
}

func (a actor) sync(ctx context.Context, p plan.Sync) error {
	rs := a.seen.replicaSets[p.Revision]
	body := map[string]any{
		"metadata": map[string]any{"uid": rs.UID, "annotations": resources.CopiedAnnotations(a.seen.Rollout)},
		"spec":     map[string]any{"minReadySeconds": a.seen.Rollout.Spec.MinReadySeconds},
	}
	if err := a.patch(ctx, &appsv1.ReplicaSet{ObjectMeta: identity(rs)}, body); err != nil {
		return fmt.Errorf("syncing ReplicaSet %s: %w", rs.Name, err)
	}
	return nil
}

// number writes onto the Rollout itself. The version it returns is the one the
// status is then written against, so that nobody's change in between is missed.
func (a actor) number(ctx context.Context, p plan.Number) error {
	ro := a.seen.Rollout
	body := map[string]any{"metadata": map[string]any{
		"resourceVersion": ro.ResourceVersion,
		"annotations":     numbers(p),
	}}
	if p.DefaultReplicas {
		body["spec"] = map[string]any{"replicas": v1alpha1.DefaultReplicas}
	}
	into := &v1alpha1.Rollout{ObjectMeta: identity(ro)}
	if err := a.patch(ctx, into, body); err != nil {
		return fmt.Errorf("numbering the Rollout: %w", err)
	}
	ro.ResourceVersion = into.ResourceVersion
	return nil
}

func numbers(p plan.Number) map[string]any {
	annotations := map[string]any{v1alpha1.RevisionAnnotation: strconv.FormatInt(p.To, 10)}
	if p.Workload != 0 {
		annotations[v1alpha1.WorkloadGenerationAnnotation] = strconv.FormatInt(p.Workload, 10)
	}
	return annotations
}

func (a actor) startAnalysis(ctx context.Context, p plan.StartAnalysis) error {
	ro := a.seen.Rollout
	of := analysisOf(ro, p)
	spec, err := a.runSpec(ctx, a.seen, of)
	if err != nil {
		return fmt.Errorf("preparing AnalysisRun %s: %w", p.Name, err)
	}
	run := resources.AnalysisRun(a.seen.Snapshot, p, spec, of.AnalysisRunMetadata)
	return a.createFree(ctx, run, &v1alpha1.AnalysisRun{}, ".")
}

func (a actor) startExperiment(ctx context.Context, p plan.StartExperiment) error {
	e, err := resources.Experiment(a.seen.Snapshot, p, a.seen.replicaSets)
	if err != nil {
		return fmt.Errorf("preparing Experiment %s: %w", p.Name, err)
	}
	return a.createFree(ctx, e, &v1alpha1.Experiment{}, "-")
}

// createFree creates an object under its name or, where somebody else's has it,
// under the name with a mark and a number.
func (a actor) createFree(ctx context.Context, obj, taken client.Object, mark string) error {
	name := obj.GetName()
	what := fmt.Sprintf("%T %s", obj, name)
	what = what[strings.LastIndex(what, ".")+1:]
	for i := 1; i <= maxNames; i++ {
		err := a.client.Create(ctx, obj)
		if !apierrors.IsAlreadyExists(err) {
			return wrap(err, "creating "+what)
		}
		if err := a.Client.Get(ctx, client.ObjectKeyFromObject(obj), taken); err != nil {
			return wrap(client.IgnoreNotFound(err), "looking at "+what) // not in the cache yet: the next pass sees it
		}
		if metav1.IsControlledBy(taken, a.seen.Rollout) {
			return nil
		}
		obj.SetName(fmt.Sprintf("%s%s%d", name, mark, i)) // left by a Rollout of the same name that is gone
	}
	return fmt.Errorf("creating %s: the name and %d others are taken; delete old ones", what, maxNames)
}

// wrap says what was being done, if it failed.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// maxNames is how many names are tried when foreign objects have taken them.
const maxNames = 10

// end asks an AnalysisRun or Experiment to end, and marks that its Rollout did.
func (a actor) end(ctx context.Context, seen, into client.Object) error {
	into.SetNamespace(seen.GetNamespace())
	into.SetName(seen.GetName())
	err := a.patch(ctx, into, map[string]any{
		"metadata": map[string]any{"uid": seen.GetUID(), "annotations": map[string]any{v1alpha1.DismissedAnnotation: "true"}},
		"spec":     map[string]any{"terminate": true},
	})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("ending %s: %w", seen.GetName(), err)
	}
	return nil
}

func (a actor) delete(ctx context.Context, obj client.Object) error {
	opts := []client.DeleteOption{client.PropagationPolicy(metav1.DeletePropagationBackground)}
	if uid, version := obj.GetUID(), obj.GetResourceVersion(); uid != "" {
		opts = append(opts, client.Preconditions{UID: &uid, ResourceVersion: &version})
	}
	if err := a.client.Delete(ctx, obj, opts...); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s: %w", obj.GetName(), err)
	}
	return nil
}

func (a actor) patch(ctx context.Context, obj client.Object, body map[string]any) error {
	data, err := encode(body)
	if err != nil {
		return err
	}
	return a.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, data)) //nolint:wrapcheck // Callers say what they were doing.
}

func encode(body map[string]any) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding a patch: %w", err)
	}
	return data, nil
}

func (a actor) event(kind, reason, message string) {
	a.emit(a.seen.Rollout, plan.Event{Type: kind, Reason: reason, Message: message})
}

// identity is enough of an object to patch it.
func identity(obj client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}
