package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/services"
)

// observed is a snapshot and the objects it was read from.
type observed struct {
	plan.Snapshot

	replicaSets map[string]*appsv1.ReplicaSet    // by hash
	unselected  map[string]*appsv1.ReplicaSet    // by name
	runs        map[string]*v1alpha1.AnalysisRun // by name
	experiments map[string]*v1alpha1.Experiment  // by name
	workload    *resources.Workload
	pods        map[string]*corev1.Pod // by name
	// unresolved is set when the template is not known, since the workload that has it is not.
	unresolved bool
	// refused are the evictions that have to wait, told by carrying out the plan.
	refused []refusal
}

// observe reads everything the planner may know, all of it from the cache, but
// for the body of a workload that changed and pods that are restarted. It changes nothing.
func (r *Reconciler) observe(ctx context.Context, ro *v1alpha1.Rollout) (*observed, error) {
	seen := &observed{
		Snapshot:    plan.Snapshot{Now: r.Clock.Now(), Rollout: ro},
		replicaSets: map[string]*appsv1.ReplicaSet{}, unselected: map[string]*appsv1.ReplicaSet{},
		runs: map[string]*v1alpha1.AnalysisRun{}, experiments: map[string]*v1alpha1.Experiment{}, pods: map[string]*corev1.Pod{},
	}
	if errs := v1alpha1.ValidateRollout(ro); len(errs) > 0 {
		seen.Invalid = errs[0]
	}
	if err := seen.invalidOr(r.observeWorkload(ctx, seen)); err != nil {
		return nil, err
	}
	if err := r.observeRevisions(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.observeAnalyses(ctx, seen); err != nil {
		return nil, err
	}
	if err := r.observePods(ctx, seen); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *observed) error{r.observeServices, r.observeTraffic, r.observeBalancers, r.checkTemplates} {
		if err := seen.invalidOr(read(ctx, seen)); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// invalidOr keeps the first error that is about the spec and returns any other.
func (s *observed) invalidOr(err error) error {
	var invalid *field.Error
	if !errors.As(err, &invalid) {
		return err
	}
	if s.Invalid == nil {
		s.Invalid = invalid
	}
	return nil
}

func (r *Reconciler) observeAnalyses(ctx context.Context, seen *observed) error {
	var list v1alpha1.AnalysisRunList
	if err := r.Client.List(ctx, &list, client.InNamespace(seen.Rollout.Namespace), client.MatchingFields{ownerIndex: string(seen.Rollout.UID)}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing AnalysisRuns: %w", err)
	}
	for i := range list.Items {
		if run := &list.Items[i]; run.DeletionTimestamp.IsZero() {
			seen.Analyses, seen.runs[run.Name] = append(seen.Analyses, resources.Analysis(run)), run
		}
	}
	if err := r.observeExperiments(ctx, seen); err != nil {
		return err
	}
	slices.SortFunc(seen.Analyses, func(a, b plan.Analysis) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

func (r *Reconciler) observeExperiments(ctx context.Context, seen *observed) error {
	var list v1alpha1.ExperimentList
	if err := r.Client.List(ctx, &list, client.InNamespace(seen.Rollout.Namespace), client.MatchingFields{ownerIndex: string(seen.Rollout.UID)}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing Experiments: %w", err)
	}
	for i := range list.Items {
		if e := &list.Items[i]; e.DeletionTimestamp.IsZero() {
			seen.Analyses, seen.experiments[e.Name] = append(seen.Analyses, resources.ExperimentVerdict(seen.Rollout.Name, e)), e
		}
	}
	return nil
}

func (r *Reconciler) observeServices(ctx context.Context, seen *observed) error {
	names := servicesOf(seen.Rollout)
	stable, stableErr := r.selected(ctx, seen, names[0].name, names[0].path)
	tried, triedErr := r.selected(ctx, seen, names[1].name, names[1].path)
	// Also when one is missing: an abort can still move the traffic by the other.
	seen.Services = plan.Services{Stable: stable, Canary: tried}
	if stableErr != nil {
		return stableErr
	}
	return triedErr
}

// namedService is a Service as the spec names it; its name may be empty.
type namedService struct {
	name string
	path *field.Path
}

// servicesOf are the two Services of a strategy: the one that serves the stable
// revision, and the one that shows the current one.
func servicesOf(ro *v1alpha1.Rollout) [2]namedService {
	path := field.NewPath("spec", "strategy")
	switch strategy := ro.Spec.Strategy; {
	case strategy.Canary != nil:
		stable, canary := ro.CanaryServices()
		path = path.Child("canary")
		if strategy.Canary.PingPong != nil {
			path = path.Child("pingPong")
			return [2]namedService{{stable, path}, {canary, path}}
		}
		return [2]namedService{{stable, path.Child("stableService")}, {canary, path.Child("canaryService")}}
	case strategy.BlueGreen != nil:
		path = path.Child("blueGreen")
		return [2]namedService{
			{strategy.BlueGreen.ActiveService, path.Child("activeService")},
			{strategy.BlueGreen.PreviewService, path.Child("previewService")},
		}
	default:
		return [2]namedService{}
	}
}

func (r *Reconciler) selected(ctx context.Context, seen *observed, name string, path *field.Path) (plan.Selected, error) {
	if name == "" {
		return plan.Selected{}, nil
	}
	var svc corev1.Service
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: seen.Rollout.Namespace, Name: name}, &svc)
	if apierrors.IsNotFound(err) {
		return plan.Selected{Missing: true}, services.NotFound(path, name)
	}
	if err != nil {
		return plan.Selected{}, fmt.Errorf("reading Service %s: %w", name, err)
	}
	// An untyped nil is no error, a nil *field.Error in an error would be one.
	if invalid := services.Validate(&svc, seen.Rollout.Name, seen.Rollout.Spec.Template.Labels, path); invalid != nil && !seen.unresolved {
		return plan.Selected{}, invalid
	}
	return plan.Selected{Hash: services.Hash(&svc), Adopted: services.ManagedBy(&svc) != ""}, nil
}

func (r *Reconciler) observeTraffic(ctx context.Context, seen *observed) error {
	traffic, err := r.router(r.Client, r.mesh()).Observe(ctx, trafficrouting.Ref{Rollout: seen.Rollout})
	seen.Traffic = traffic
	if err = behind(err); errors.Is(err, errBehind) {
		return err // what else is wrong was found by half of what there is
	}
	if err != nil {
		return fmt.Errorf("observing traffic: %w", err)
	}
	return nil
}
