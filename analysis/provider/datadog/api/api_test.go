package api

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestTheSiteIsThatOfTheUSUnlessOneIsNamed(t *testing.T) {
	q := analysis.Query{Metric: v1alpha1.Metric{Provider: v1alpha1.MetricProvider{Datadog: &v1alpha1.DatadogMetric{}}}}
	q.Secrets = func(context.Context, string, string) (map[string]string, error) {
		return map[string]string{"api-key": "a", "app-key": "b"}, nil
	}
	got, err := Environment{}.Account(t.Context(), q)
	want := Account{address: "https://api.datadoghq.com", apiKey: "a", appKey: "b"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Account{})); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
