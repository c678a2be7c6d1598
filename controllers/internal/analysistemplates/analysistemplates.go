// Package analysistemplates reads AnalysisTemplates and ClusterAnalysisTemplates
// and makes the spec of a run of them. Every controller that starts AnalysisRuns
// uses it. It writes nothing.
package analysistemplates

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Reader reads templates.
type Reader struct {
	// Client reads from a cache.
	Client client.Reader
	// Live is asked when the cache has no such template, for callers to whom a
	// template that was made a moment ago must not be missing. Default nobody.
	Live client.Reader
	// Cluster says whether ClusterAnalysisTemplates may be read.
	Cluster bool
}

// Mistake is an error in what the user wrote, as opposed to one in reading it.
type Mistake struct{ Err error }

// Error says what is wrong.
func (m Mistake) Error() string { return m.Err.Error() }

// Unwrap is the reason.
func (m Mistake) Unwrap() error { return m.Err }

// IsMistake reports whether an error is one that only the user can correct.
func IsMistake(err error) bool {
	var mistake Mistake
	return errors.As(err, &mistake)
}

// Spec is the spec of the run that templates of a namespace make. A template
// that is missing, or that does not fit to the others, is a Mistake. Arguments
// with a fieldRef are left for the caller, who knows the object.
func (r Reader) Spec(ctx context.Context, namespace string, refs []v1alpha1.AnalysisTemplateRef, over analysis.Overrides) (v1alpha1.AnalysisRunSpec, error) {
	var readErr error
	spec, err := analysis.Flatten(refs, func(ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
		spec, err := r.template(ctx, namespace, ref)
		if err != nil && !apierrors.IsNotFound(err) && !IsMistake(err) {
			readErr = err
		}
		return spec, err
	}, over)
	switch {
	case readErr != nil:
		return v1alpha1.AnalysisRunSpec{}, readErr
	case err != nil:
		return v1alpha1.AnalysisRunSpec{}, Mistake{err}
	}
	return spec, nil
}

func (r Reader) template(ctx context.Context, namespace string, ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
	if !ref.ClusterScope {
		var template v1alpha1.AnalysisTemplate
		if err := r.get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.TemplateName}, &template); err != nil {
			return nil, fmt.Errorf("reading AnalysisTemplate %s: %w", ref.TemplateName, err)
		}
		return &template.Spec, nil
	}
	if !r.Cluster {
		return nil, Mistake{fmt.Errorf("ClusterAnalysisTemplate %s cannot be read by a namespaced controller: use an AnalysisTemplate", ref.TemplateName)}
	}
	var template v1alpha1.ClusterAnalysisTemplate
	if err := r.get(ctx, client.ObjectKey{Name: ref.TemplateName}, &template); err != nil {
		return nil, fmt.Errorf("reading ClusterAnalysisTemplate %s: %w", ref.TemplateName, err)
	}
	return &template.Spec, nil
}

func (r Reader) get(ctx context.Context, key client.ObjectKey, into client.Object) error {
	err := r.Client.Get(ctx, key, into)
	if apierrors.IsNotFound(err) && r.Live != nil {
		err = r.Live.Get(ctx, key, into)
	}
	return err //nolint:wrapcheck // The caller says what it was reading.
}
