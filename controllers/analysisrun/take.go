package analysisrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// patience is how long a measurement may take. Providers have shorter
	// timeouts of their own; this one ends what they forgot.
	patience = 2 * time.Minute
	// maxPatience is the longest a user may ask for.
	maxPatience = time.Hour
)

// take takes one measurement. It never panics and always has a result.
func (r *Reconciler) take(ctx context.Context, run *v1alpha1.AnalysisRun, task analysis.Task) (result analysis.Result) {
	result = analysis.Result{Task: task, Started: r.Clock.Now()}
	defer func() {
		if p := recover(); p != nil {
			ctrl.LoggerFrom(ctx).Error(fmt.Errorf("panic: %v", p), "Measuring failed",
				"namespace", run.Namespace, "name", run.Name, "metric", task.Metric)
			result.Reply = analysis.Failure(errors.New("the metric provider broke down; the log of the controller says more"))
		}
		result.Finished = r.Clock.Now()
	}()
	metric := &run.Spec.Metrics[task.Index]
	ctx, cancel := context.WithTimeout(ctx, patienceFor(metric))
	defer cancel()
	result.Reply = r.ask(ctx, run, task)
	return result
}

func patienceFor(metric *v1alpha1.Metric) time.Duration {
	if p := metric.Provider.Prometheus; p != nil && p.Timeout != nil {
		asked := time.Duration(min(*p.Timeout, int64(maxPatience/time.Second))) * time.Second
		return max(patience, asked+10*time.Second)
	}
	return patience
}

// ask fills in the arguments, asks the provider, and hides secrets in what it says.
func (r *Reconciler) ask(ctx context.Context, run *v1alpha1.AnalysisRun, task analysis.Task) analysis.Reply {
	values, secrets, err := r.values(ctx, run)
	if err != nil {
		return analysis.Failure(err)
	}
	metric, err := analysis.ResolveMetric(run.Spec.Metrics[task.Index], values)
	if err != nil {
		return analysis.RedactReply(analysis.Failure(err), secrets)
	}
	kinds := metric.Provider.Kinds()
	if len(kinds) != 1 {
		return analysis.Failure(errors.New("a metric needs exactly one provider"))
	}
	provider, served := r.Providers[kinds[0]]
	if !served {
		return analysis.Failure(fmt.Errorf("provider %s is not served by this version of Headway", kinds[0]))
	}
	reply := provider.Measure(ctx, analysis.Query{
		Verb:     task.Verb,
		Owner:    analysis.Owner{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID)},
		Metric:   metric,
		Number:   task.Number,
		UnderWay: task.UnderWay.DeepCopy(),
		Now:      r.Clock.Now(),
	})
	return analysis.RedactReply(reply, secrets)
}

// values are the arguments of a run, with what the Secrets hold now.
func (r *Reconciler) values(ctx context.Context, run *v1alpha1.AnalysisRun) (values map[string]string, secrets []string, err error) {
	values, fromSecrets, err := analysis.ArgValues(run.Spec.Args)
	if err != nil {
		return nil, nil, err
	}
	values = maps.Clone(values)
	read := map[string]*corev1.Secret{}
	for _, arg := range fromSecrets {
		ref := arg.ValueFrom.SecretKeyRef
		secret := read[ref.Name]
		if secret == nil {
			secret = &corev1.Secret{}
			if err := r.APIReader.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: ref.Name}, secret); err != nil {
				return nil, nil, fmt.Errorf("reading secret %q for args.%s: %w", ref.Name, arg.Name, err)
			}
			read[ref.Name] = secret
		}
		value, ok := secret.Data[ref.Key]
		if !ok {
			return nil, nil, fmt.Errorf("key '%s' does not exist in secret '%s'", ref.Key, ref.Name)
		}
		values[arg.Name] = string(value)
		secrets = append(secrets, string(value))
	}
	return values, secrets, nil
}

// inOrder sorts results by the order of the metrics, so that a status never
// depends on chance.
func inOrder(results []analysis.Result) {
	slices.SortFunc(results, func(a, b analysis.Result) int { return cmp.Compare(a.Task.Index, b.Task.Index) })
}
