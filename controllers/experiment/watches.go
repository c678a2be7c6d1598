package experiment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// experimentIndex answers which objects an Experiment controls, by its UID, without reading a namespace.
const experimentIndex = "headway/experiment"

// SetupWithManager indexes the cache and watches everything a plan depends on.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	for _, obj := range []client.Object{&appsv1.ReplicaSet{}, &corev1.Service{}, &v1alpha1.AnalysisRun{}} {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), obj, experimentIndex, owner); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", obj, experimentIndex, err)
		}
	}
	if err := r.metrics.register(mgr.GetCache()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	yes := true
	err := ctrl.NewControllerManagedBy(mgr).
		Named("Experiments").
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency, RecoverPanic: &yes, EnableWarmup: &yes}).
		For(&v1alpha1.Experiment{}).
		Owns(&appsv1.ReplicaSet{}).
		Owns(&corev1.Service{}).
		Owns(&v1alpha1.AnalysisRun{}, builder.WithPredicates(verdictMoved{})).
		Complete(r)
	if err != nil {
		return fmt.Errorf("starting the Experiment controller: %w", err)
	}
	return nil
}

// owner is the UID of the Experiment that controls an object; nothing when none does.
func owner(obj client.Object) []string {
	ref := metav1.GetControllerOf(obj)
	if ref == nil || ref.Kind != v1alpha1.ExperimentKind.Kind || ref.APIVersion != v1alpha1.GroupVersion.String() {
		return nil
	}
	return []string{string(ref.UID)}
}

// verdictMoved lets an AnalysisRun through when its verdict moved: an
// Experiment never sees a metric, so measurements do not wake it.
type verdictMoved struct{ predicate.Funcs }

// Update reports whether the phase or message changed.
func (verdictMoved) Update(e event.UpdateEvent) bool {
	was, isRun := e.ObjectOld.(*v1alpha1.AnalysisRun)
	is, stillRun := e.ObjectNew.(*v1alpha1.AnalysisRun)
	return !isRun || !stillRun || was.Status.Phase != is.Status.Phase || was.Status.Message != is.Status.Message
}
