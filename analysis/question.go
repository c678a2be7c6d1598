package analysis

import (
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Question tells what a measurement asks, without the Secrets it needs for it.
type Question struct {
	// Source is the kind of provider and the server that is asked.
	Source string
	// Key is equal for two questions that get the same answer at the same time.
	Key [sha256.Size]byte
	// Shared reports that one answer may serve all questions with the same key:
	// asking changes nothing, and the answer does not depend on who asks.
	Shared bool
	// Interval is how old an answer may be, and the time between two questions.
	Interval time.Duration
}

// QuestionOf is what a task of a run asks. A run that cannot be measured asks
// nothing in particular.
func QuestionOf(run *v1alpha1.AnalysisRun, task Task) Question {
	values, secrets, err := ArgValues(run.Spec.Args)
	if err != nil || task.Index >= len(run.Spec.Metrics) {
		return Question{}
	}
	for _, arg := range secrets {
		ref := arg.ValueFrom.SecretKeyRef
		values[arg.Name] = strings.Join([]string{"secret", run.Namespace, ref.Name, ref.Key}, "/")
	}
	metric, err := ResolveMetric(run.Spec.Metrics[task.Index], values)
	if err != nil {
		return Question{}
	}
	question := Question{Source: sourceOf(&metric.Provider), Interval: duration(metric.Interval)}
	if task.Verb != Take || !readsOnly(&metric.Provider) {
		return question
	}
	guard := ""
	if metric.MinSamples != nil {
		guard = metric.MinSamples.Query
	}
	text, err := json.Marshal([]any{metric.Provider, guard, namespaceOf(&metric.Provider, run.Namespace)})
	if err != nil {
		return question
	}
	question.Key, question.Shared = sha256.Sum256(text), true
	return question
}

// readsOnly reports that a provider asks without changing anything.
func readsOnly(p *v1alpha1.MetricProvider) bool {
	switch {
	case p.Job != nil, p.Kayenta != nil, len(p.Plugin) > 0:
		return false
	case p.Web != nil:
		return p.Web.Method == "" || p.Web.Method == v1alpha1.WebMetricMethodGet
	default:
		return true
	}
}

// namespaceOf is the namespace that an answer depends on; empty when it is the
// same for all.
func namespaceOf(p *v1alpha1.MetricProvider, namespace string) string {
	if p.Datadog != nil && p.Datadog.SecretRef.Namespaced {
		return namespace
	}
	return ""
}

// sourceOf names the server that a provider asks, or where it reads its name.
func sourceOf(p *v1alpha1.MetricProvider) string {
	kinds := p.Kinds()
	if len(kinds) != 1 {
		return ""
	}
	at := ""
	switch {
	case p.Prometheus != nil:
		at = p.Prometheus.Address
	case p.Web != nil:
		at = p.Web.URL
	case p.Graphite != nil:
		at = p.Graphite.Address
	case p.Wavefront != nil:
		at = p.Wavefront.Address
	case p.SkyWalking != nil:
		at = p.SkyWalking.Address
	case p.Kayenta != nil:
		at = p.Kayenta.Address
	case p.Influxdb != nil:
		at = p.Influxdb.Profile
	case p.NewRelic != nil:
		at = p.NewRelic.Profile
	}
	if parsed, err := url.Parse(at); err == nil && parsed.Host != "" {
		at = parsed.Host
	}
	return strings.TrimSpace(kinds[0] + " " + at)
}

// WithQuery is a metric that asks another query of the same source. ok is false
// for providers that have none.
func WithQuery(metric v1alpha1.Metric, query string) (asking v1alpha1.Metric, ok bool) {
	if !metric.Provider.AsksQuery() {
		return metric, false
	}
	asking = *metric.DeepCopy()
	switch p := &asking.Provider; {
	case p.Prometheus != nil:
		p.Prometheus.Query, p.Prometheus.RangeQuery = query, nil
	case p.Datadog != nil:
		p.Datadog.Query, p.Datadog.Queries, p.Datadog.Formula = query, nil, ""
	case p.NewRelic != nil:
		p.NewRelic.Query = query
	case p.Wavefront != nil:
		p.Wavefront.Query = query
	case p.Graphite != nil:
		p.Graphite.Query = query
	case p.Influxdb != nil:
		p.Influxdb.Query = query
	case p.SkyWalking != nil:
		p.SkyWalking.Query = query
	}
	return asking, true
}
