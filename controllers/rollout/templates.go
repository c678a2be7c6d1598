package rollout

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/analysistemplates"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// checkTemplates reports analysis templates that are missing or do not fit
// together before the update needs them.
func (r *Reconciler) checkTemplates(ctx context.Context, seen *observed) error {
	for _, named := range analysesOf(seen.Rollout) {
		if err := r.checkAnalysis(ctx, seen, named.analysis, named.path.Child("templates")); err != nil {
			return err
		}
	}
	return nil
}

// namedAnalysis is an analysis as the spec names it, and what starts it.
type namedAnalysis struct {
	analysis *v1alpha1.RolloutAnalysis
	path     *field.Path
	kind     string
	step     int32
}

// analysesOf are all analyses of a strategy.
func analysesOf(ro *v1alpha1.Rollout) []namedAnalysis {
	var all []namedAnalysis
	add := func(analysis *v1alpha1.RolloutAnalysis, path *field.Path, kind string, step int) {
		if analysis != nil {
			all = append(all, namedAnalysis{analysis, path, kind, int32(step)})
		}
	}
	add(ro.Spec.InitialAnalysis, field.NewPath("spec", "initialAnalysis"), v1alpha1.RolloutTypeInitial, 0)
	if canary := ro.Spec.Strategy.Canary; canary != nil {
		path := field.NewPath("spec", "strategy", "canary")
		if canary.Analysis != nil {
			add(&canary.Analysis.RolloutAnalysis, path.Child("analysis"), v1alpha1.RolloutTypeBackground, 0)
		}
		for i := range canary.Steps {
			step := path.Child("steps").Index(i)
			add(canary.Steps[i].Analysis, step.Child("analysis"), v1alpha1.RolloutTypeStep, i)
			if e := canary.Steps[i].Experiment; e != nil {
				for j := range e.Analyses {
					add(ofExperiment(e, j), step.Child("experiment", "analyses").Index(j), plan.KindExperiment, i)
				}
			}
		}
	}
	if blueGreen := ro.Spec.Strategy.BlueGreen; blueGreen != nil {
		path := field.NewPath("spec", "strategy", "blueGreen")
		add(blueGreen.PrePromotionAnalysis, path.Child("prePromotionAnalysis"), v1alpha1.RolloutTypePrePromotion, 0)
		add(blueGreen.PostPromotionAnalysis, path.Child("postPromotionAnalysis"), v1alpha1.RolloutTypePostPromotion, 0)
	}
	return all
}

// ofExperiment is an analysis of an Experiment in the words of a Rollout's, so
// that its template is looked at before the step comes.
func ofExperiment(e *v1alpha1.RolloutExperimentStep, i int) *v1alpha1.RolloutAnalysis {
	ref := e.Analyses[i]
	return &v1alpha1.RolloutAnalysis{
		Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: ref.TemplateName, ClusterScope: ref.ClusterScope}},
		Args:      ref.Args,
	}
}

func (r *Reconciler) checkAnalysis(ctx context.Context, seen *observed, a *v1alpha1.RolloutAnalysis, path *field.Path) error {
	spec, err := r.runSpec(ctx, seen, a)
	switch {
	case errors.Is(err, resources.ErrNotYet) && seen.Rollout.Status.StableRS == "":
		return nil // a first deploy needs no analysis, and brings the status
	case analysistemplates.IsMistake(err):
		return field.Invalid(path, templateNames(a), err.Error())
	case err != nil:
		return err
	}
	errs := v1alpha1.ValidateMetrics(spec.Metrics, path)
	if errs = append(errs, v1alpha1.ValidateRules(spec.DryRun, spec.MeasurementRetention, path)...); len(errs) > 0 {
		return errs[0]
	}
	return nil
}

func templateNames(a *v1alpha1.RolloutAnalysis) string {
	names := make([]string, 0, len(a.Templates))
	for _, ref := range a.Templates {
		names = append(names, ref.TemplateName)
	}
	return strings.Join(names, ",")
}

// runSpec is the spec of the AnalysisRun that an analysis of the Rollout asks for.
func (r *Reconciler) runSpec(ctx context.Context, seen *observed, a *v1alpha1.RolloutAnalysis) (v1alpha1.AnalysisRunSpec, error) {
	args, err := resources.Arguments(seen.Rollout, a.Args, seen.Rollout.Status.StableRS, seen.Current)
	if err != nil {
		return v1alpha1.AnalysisRunSpec{}, analysistemplates.Mistake{Err: err}
	}
	templates := analysistemplates.Reader{Client: r.Client, Cluster: r.ClusterTemplates}
	spec, err := templates.Spec(ctx, seen.Rollout.Namespace, a.Templates,
		analysis.Overrides{Args: args, DryRun: a.DryRun, MeasurementRetention: a.MeasurementRetention})
	if err != nil {
		return v1alpha1.AnalysisRunSpec{}, err
	}
	if err := resources.FillFields(seen.Rollout, spec.Args); err != nil {
		return v1alpha1.AnalysisRunSpec{}, analysistemplates.Mistake{Err: err}
	}
	return spec, nil
}

// analysisOf is the part of the spec that an AnalysisRun is started for.
func analysisOf(ro *v1alpha1.Rollout, start plan.StartAnalysis) *v1alpha1.RolloutAnalysis {
	for _, named := range analysesOf(ro) {
		if named.kind == start.Kind && named.step == start.Step {
			return named.analysis
		}
	}
	return &v1alpha1.RolloutAnalysis{} // the planner asks for none that the spec does not name
}
