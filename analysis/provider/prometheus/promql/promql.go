// Package promql asks a query of PromQL and reads what is answered. It knows no
// authentication: that is with the HTTP client that the provider hands it.
package promql

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/expr"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// MaxSamples is how many values a query may return. A condition looks at all
// of them, and nobody reads more.
const MaxSamples = 10_000

var errHistogram = errors.New("the query returns histograms; take a number from them, for example with histogram_quantile()")

// New makes the client of one query; the connections under it are shared.
func New(address string, client *http.Client) (promv1.API, error) {
	if err := egress.CheckURL(address); err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	made, err := api.NewClient(api.Config{Address: address, Client: client})
	if err != nil {
		return nil, fmt.Errorf("making the client of prometheus: %w", err)
	}
	return promv1.NewAPI(made), nil
}

// Ask asks the query of a metric, at a moment or over its range of time, for the
// result that conditions see. Warnings are in the form of the served API. An error
// is a short sentence.
func Ask(ctx context.Context, client promv1.API, metric *v1alpha1.PrometheusMetric, now time.Time) (reply analysis.Reply, warnings string, err error) {
	var (
		answer model.Value
		noted  promv1.Warnings
	)
	if metric.RangeQuery == nil {
		answer, noted, _, err = client.Query(ctx, metric.Query, now)
	} else {
		span, wrong := spanOf(metric.RangeQuery, now)
		if wrong != nil {
			return analysis.Reply{}, "", explain(wrong)
		}
		answer, noted, _, err = client.QueryRange(ctx, metric.Query, span)
	}
	if err != nil {
		return analysis.Reply{}, "", explain(err)
	}
	reply, err = replyOf(answer)
	return reply, told(noted), err
}

// explain makes a sentence of an error. What is said of a reply that cannot be
// read repeats pieces of it, and it may come from anywhere.
func explain(err error) error {
	var said *promv1.Error
	if errors.As(err, &said) && said.Type == promv1.ErrBadResponse && !strings.HasPrefix(said.Msg, "unexpected value type") {
		return errors.New("querying prometheus: the reply is not one of Prometheus; the address may lead to something else")
	}
	return egress.Explain("prometheus", err)
}

// spanOf reads the range of a query. Its ends are expressions over now().
func spanOf(args *v1alpha1.PrometheusRangeQueryArgs, now time.Time) (promv1.Range, error) {
	start, err := expr.Time(args.Start, now)
	if err != nil {
		return promv1.Range{}, fmt.Errorf("rangeQuery.start: %w", err)
	}
	end, err := expr.Time(args.End, now)
	if err != nil {
		return promv1.Range{}, fmt.Errorf("rangeQuery.end: %w", err)
	}
	step, err := args.Step.Duration()
	if err != nil {
		return promv1.Range{}, fmt.Errorf("rangeQuery.step: %w", err)
	}
	if step <= 0 || end.Before(start) {
		return promv1.Range{}, errors.New("rangeQuery: the step must be above 0 and the end after the start")
	}
	return promv1.Range{Start: start, End: end, Step: step}, nil
}

// replyOf is a number for a scalar, and the numbers in the order of the answer
// for a vector or a matrix.
func replyOf(answer model.Value) (analysis.Reply, error) {
	values := []float64{}
	switch v := answer.(type) {
	case *model.Scalar:
		return analysis.Reply{Result: float64(v.Value), Value: analysis.Number(float64(v.Value))}, nil
	case model.Vector:
		for _, sample := range v {
			if sample == nil || sample.Histogram != nil {
				return analysis.Reply{}, errHistogram
			}
			values = append(values, float64(sample.Value))
		}
	case model.Matrix:
		for _, series := range v {
			if len(series.Histograms) > 0 {
				return analysis.Reply{}, errHistogram
			}
			for _, pair := range series.Values {
				values = append(values, float64(pair.Value))
			}
		}
	case nil:
		return analysis.Reply{}, errors.New("the reply holds no result")
	default:
		return analysis.Reply{}, fmt.Errorf("the query returns a %s; it must return a scalar, a vector or a matrix", answer.Type())
	}
	if len(values) > MaxSamples {
		return analysis.Reply{}, fmt.Errorf("the query returns %d samples, above the limit of %d; aggregate it, for example with sum()", len(values), MaxSamples)
	}
	return analysis.Reply{Result: values, Value: analysis.Numbers(values)}, nil
}

func told(warnings promv1.Warnings) string {
	quoted := make([]string, len(warnings))
	for i, warning := range warnings {
		quoted[i] = strconv.Quote(warning)
	}
	return strings.Join(quoted, ", ")
}
