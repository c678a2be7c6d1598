package analysisrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
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

// shortestCredential is the length of what is kept out of messages, of all that
// a Secret for a provider holds.
const shortestCredential = 8

// take takes one measurement, or judges an answer that is there. It never
// panics and always has a result.
func (r *Reconciler) take(ctx context.Context, run *v1alpha1.AnalysisRun, task analysis.Task, given *answer) (result analysis.Result, made *answer) {
	result = analysis.Result{Task: task, Started: r.Clock.Now()}
	defer func() {
		if p := recover(); p != nil {
			ctrl.LoggerFrom(ctx).Error(fmt.Errorf("panic: %v", p), "Measuring failed",
				"namespace", run.Namespace, "name", run.Name, "metric", task.Metric)
			result.Reply = analysis.Failure(errors.New("the metric provider broke down; the log of the controller says more"))
			made = nil
		}
		result.Finished = r.Clock.Now()
	}()
	metric := &run.Spec.Metrics[task.Index]
	ctx, cancel := context.WithTimeout(ctx, patienceFor(metric))
	defer cancel()
	ctx, done := r.turns.Begin(ctx) // it ends when the value is judged
	defer done()
	result.Reply, made = r.ask(ctx, run, task, given)
	return result, made
}

// patienceFor is how long a measurement of a metric may take.
func patienceFor(metric *v1alpha1.Metric) time.Duration {
	asked := time.Duration(0)
	switch p := metric.Provider; {
	case p.Prometheus != nil && p.Prometheus.Timeout != nil:
		asked = seconds(*p.Prometheus.Timeout)
	case p.Web != nil:
		asked = seconds(p.Web.TimeoutSeconds)
	case p.NewRelic != nil && p.NewRelic.Timeout != nil:
		asked = seconds(*p.NewRelic.Timeout)
	case p.Datadog != nil:
		asked, _ = p.Datadog.RequestTimeout.Duration() // one that does not parse is the provider's error
	}
	return max(patience, min(asked, maxPatience)+10*time.Second)
}

func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxPatience/time.Second))) * time.Second
}

// ask fills in the arguments, asks the provider unless an answer is given,
// judges the answer, and hides secrets in what is said.
func (r *Reconciler) ask(ctx context.Context, run *v1alpha1.AnalysisRun, task analysis.Task, given *answer) (analysis.Reply, *answer) {
	values, secrets, err := r.values(ctx, run)
	if err != nil {
		return analysis.Failure(err), nil
	}
	metric, err := analysis.ResolveMetric(run.Spec.Metrics[task.Index], values)
	if err != nil {
		return analysis.RedactReply(analysis.Failure(err), secrets), nil
	}
	made := given
	if made == nil {
		made = r.answer(ctx, analysis.Query{
			Verb:     task.Verb,
			Owner:    analysis.Owner{Namespace: run.Namespace, Name: run.Name, UID: string(run.UID)},
			Metric:   metric,
			Number:   task.Number,
			UnderWay: task.UnderWay.DeepCopy(),
			Now:      r.Clock.Now(),
			Started:  startOf(run),
		})
	}
	reply := analysis.Decide(&metric, made.reply, made.samples, r.Clock.Now())
	reply.Result = nil // it is judged, and may be large
	reply = analysis.RedactReply(reply, append(secrets, made.secrets...))
	if len(made.reply.Value) > maxShared {
		made = nil
	}
	return reply, made
}

func startOf(run *v1alpha1.AnalysisRun) time.Time {
	if run.Status.StartedAt == nil {
		return time.Time{}
	}
	return run.Status.StartedAt.Time
}

// answer asks the provider of a metric, and how many samples its value rests on.
func (r *Reconciler) answer(ctx context.Context, q analysis.Query) *answer {
	made := &answer{asked: q.Now}
	var mu sync.Mutex // a provider may read several Secrets at once
	q.Secrets = func(ctx context.Context, namespace, name string) (map[string]string, error) {
		values, err := r.secret(ctx, cmp.Or(namespace, r.Namespace), name)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, value := range values {
			if len(value) >= shortestCredential { // what is shorter, such as a region, is none
				made.secrets = append(made.secrets, value)
			}
		}
		return values, nil
	}
	kinds := q.Metric.Provider.Kinds()
	if len(kinds) != 1 {
		made.reply = analysis.Failure(errors.New("a metric needs exactly one provider"))
		return made
	}
	provider, served := r.Providers[kinds[0]]
	if !served {
		made.reply = analysis.Failure(fmt.Errorf("provider %s is not served by this version of Headway", kinds[0]))
		return made
	}
	made.reply = provider.Measure(ctx, q)
	if guard := q.Metric.MinSamples; guard != nil && guard.Query != "" && made.reply.Phase == "" {
		made.count(ctx, provider, q)
	}
	return made
}

// count asks how many samples the value of an answer rests on.
func (a *answer) count(ctx context.Context, provider analysis.Provider, q analysis.Query) {
	var ok bool
	if q.Metric, ok = analysis.WithQuery(q.Metric, q.Metric.MinSamples.Query); !ok {
		a.reply = analysis.Failure(errors.New("minSamples.query: this provider has no query; leave it out to count the values of the result"))
		return
	}
	reply := provider.Measure(ctx, q)
	if reply.Phase != "" && !reply.NoData {
		a.reply = analysis.Failure(fmt.Errorf("minSamples.query: %s", reply.Message))
		return
	}
	counted, err := analysis.Samples(reply.Result)
	if err != nil {
		a.reply = analysis.Failure(err)
		return
	}
	a.samples = &counted
}

// secret reads a Secret that holds the credentials of a provider.
func (r *Reconciler) secret(ctx context.Context, namespace, name string) (map[string]string, error) {
	var secret corev1.Secret
	if err := r.APIReader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &secret); err != nil {
		return nil, fmt.Errorf("reading secret %q in namespace %q: %w", name, namespace, err)
	}
	out := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		out[key] = string(value)
	}
	return out, nil
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
// depends on chance. Those of a metric stay in the order in which they came.
func inOrder(results []analysis.Result) {
	slices.SortStableFunc(results, func(a, b analysis.Result) int { return cmp.Compare(a.Task.Index, b.Task.Index) })
}
