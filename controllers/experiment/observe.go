package experiment

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
	"github.com/headway-rollouts/headway/controllers/experiment/resources"
	"github.com/headway-rollouts/headway/controllers/internal/analysistemplates"
)

// observed is a snapshot and the objects it was read from.
type observed struct {
	plan.Snapshot

	replicaSets map[string]*appsv1.ReplicaSet       // by name
	services    map[string]*corev1.Service          // by name
	runs        map[string]*v1alpha1.AnalysisRun    // by name
	specs       map[string]v1alpha1.AnalysisRunSpec // of runs that may be started, by analysis
	templates   map[string]*v1alpha1.TemplateSpec   // of the spec, by name
}

// observe reads everything the planner may know, nearly all of it from the cache. It changes nothing.
func (r *Reconciler) observe(ctx context.Context, e *v1alpha1.Experiment) (*observed, error) {
	seen := &observed{
		Snapshot:    plan.Snapshot{Now: r.Clock.Now(), Experiment: e, Unusable: map[string]string{}},
		replicaSets: map[string]*appsv1.ReplicaSet{}, services: map[string]*corev1.Service{},
		runs: map[string]*v1alpha1.AnalysisRun{}, specs: map[string]v1alpha1.AnalysisRunSpec{},
		templates: map[string]*v1alpha1.TemplateSpec{},
	}
	if errs := v1alpha1.ValidateExperiment(e); len(errs) > 0 {
		seen.Invalid = errs[0]
	}
	for _, read := range []func(context.Context, *observed) error{r.observeSets, r.observeServices, r.observeRuns, r.observeTemplates} {
		if err := read(ctx, seen); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// owned selects the objects of an Experiment in the cache.
func owned(e *v1alpha1.Experiment) []client.ListOption {
	return []client.ListOption{client.InNamespace(e.Namespace), client.MatchingFields{experimentIndex: string(e.UID)}, client.UnsafeDisableDeepCopy}
}

func (r *Reconciler) observeSets(ctx context.Context, seen *observed) error {
	var list appsv1.ReplicaSetList
	if err := r.Client.List(ctx, &list, owned(seen.Experiment)...); err != nil {
		return fmt.Errorf("listing ReplicaSets: %w", err)
	}
	for i := range list.Items {
		if rs := &list.Items[i]; rs.DeletionTimestamp.IsZero() {
			seen.replicaSets[rs.Name] = rs
		}
	}
	asked := map[string]bool{}
	if seen.Invalid == nil { // An invalid spec asks for nothing.
		sets, err := resources.Sets(seen.Experiment)
		if err != nil {
			return fmt.Errorf("naming the templates: %w", err)
		}
		for i, set := range sets {
			t := &seen.Experiment.Spec.Templates[i]
			seen.templates[t.Name], asked[set.Name] = t, true
			if set, err = r.set(ctx, seen, set, t); err != nil {
				return err
			}
			seen.Sets = append(seen.Sets, set)
		}
	}
	for name, rs := range seen.replicaSets {
		if !asked[name] {
			seen.Strays = append(seen.Strays, resources.Fill(plan.Set{}, nil, rs))
		}
	}
	slices.SortFunc(seen.Strays, func(a, b plan.Set) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// set reads the pods of one template, or who has the name that they need.
func (r *Reconciler) set(ctx context.Context, seen *observed, set plan.Set, t *v1alpha1.TemplateSpec) (plan.Set, error) {
	if rs := seen.replicaSets[set.Name]; rs != nil {
		return resources.Fill(set, t, rs), nil
	}
	var other appsv1.ReplicaSet
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: seen.Experiment.Namespace, Name: set.Name}, &other)
	switch {
	case apierrors.IsNotFound(err):
		return set, nil
	case err != nil:
		return set, fmt.Errorf("looking for ReplicaSet %s: %w", set.Name, err)
	case !other.DeletionTimestamp.IsZero():
		set.Taken = fmt.Sprintf("ReplicaSet %s is being deleted", set.Name)
	default:
		set.Taken = fmt.Sprintf("there is a ReplicaSet %s that is not of this Experiment: delete it, or give the Experiment another name", set.Name)
	}
	return set, nil
}

func (r *Reconciler) observeServices(ctx context.Context, seen *observed) error {
	var list corev1.ServiceList
	if err := r.Client.List(ctx, &list, owned(seen.Experiment)...); err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	for i := range list.Items {
		if svc := &list.Items[i]; svc.DeletionTimestamp.IsZero() {
			seen.services[svc.Name] = svc
			seen.Services = append(seen.Services, plan.Service{Name: svc.Name, Template: svc.Annotations[v1alpha1.ExperimentTemplateAnnotation]})
		}
	}
	slices.SortFunc(seen.Services, func(a, b plan.Service) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

func (r *Reconciler) observeRuns(ctx context.Context, seen *observed) error {
	var list v1alpha1.AnalysisRunList
	if err := r.Client.List(ctx, &list, owned(seen.Experiment)...); err != nil {
		return fmt.Errorf("listing AnalysisRuns: %w", err)
	}
	for i := range list.Items {
		if run := &list.Items[i]; run.DeletionTimestamp.IsZero() {
			seen.Runs, seen.runs[run.Name] = append(seen.Runs, resources.Run(run)), run
		}
	}
	slices.SortFunc(seen.Runs, func(a, b plan.Run) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

// observeTemplates reads what the analyses that were not started will need, so
// that a missing template is found before the first pod runs.
func (r *Reconciler) observeTemplates(ctx context.Context, seen *observed) error {
	e := seen.Experiment
	if !plan.NeedsTemplates(seen.Snapshot) {
		return nil
	}
	for i := range e.Spec.Analyses {
		ref := &e.Spec.Analyses[i]
		spec, err := r.runSpec(ctx, seen, ref)
		switch {
		case analysistemplates.IsMistake(err):
			seen.Unusable[ref.Name] = err.Error()
		case err != nil:
			return fmt.Errorf("preparing analysis %s: %w", ref.Name, err)
		default:
			seen.specs[ref.Name] = spec
		}
	}
	return nil
}

// runSpec is the spec of the AnalysisRun that an analysis asks for.
func (r *Reconciler) runSpec(ctx context.Context, seen *observed, ref *v1alpha1.ExperimentAnalysisTemplateRef) (v1alpha1.AnalysisRunSpec, error) {
	var none v1alpha1.AnalysisRunSpec
	e := seen.Experiment
	args, err := resources.Arguments(ref.Args, resources.Values(seen.Snapshot))
	if err != nil {
		return none, analysistemplates.Mistake{Err: err}
	}
	spec, err := r.templates.Spec(ctx, e.Namespace, []v1alpha1.AnalysisTemplateRef{{TemplateName: ref.TemplateName, ClusterScope: ref.ClusterScope}},
		analysis.Overrides{Args: args, DryRun: e.Spec.DryRun, MeasurementRetention: e.Spec.MeasurementRetention})
	if err != nil {
		return none, err
	}
	if err := resources.Unread(spec.Args); err != nil {
		return none, analysistemplates.Mistake{Err: err}
	}
	path := field.NewPath("spec")
	errs := v1alpha1.ValidateMetrics(spec.Metrics, path.Child("metrics"))
	if errs = append(errs, v1alpha1.ValidateRules(spec.DryRun, spec.MeasurementRetention, path)...); len(errs) > 0 {
		return none, analysistemplates.Mistake{Err: fmt.Errorf("template %s: %w", ref.TemplateName, errs[0])}
	}
	return spec, nil
}
