// Package v2 asks version 2 of the API of Datadog, which has queries and formulas
// that come to numbers.
package v2

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/datadog/api"
	"github.com/headway-rollouts/headway/analysis/provider/datadog/groups"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// defaultAggregator makes one value of a series. Datadog would take the average.
const defaultAggregator = "last"

// Scalar asks the queries of a metric for the time between two moments. The value
// is a number, or the numbers of all groups where a query groups, even if there
// is one group only.
func Scalar(ctx context.Context, site api.Site, metric *v1alpha1.DatadogMetric, between [2]time.Time) (analysis.Reply, error) {
	asked := map[string]any{"data": map[string]any{
		"type": "scalar_request",
		"attributes": map[string]any{
			"from": between[0].Unix() * 1000, "to": between[1].Unix() * 1000,
			"queries": queriesOf(metric), "formulas": formulasOf(metric),
		},
	}}
	var reply struct {
		api.Complaint
		Data struct {
			Type       string `json:"type"`
			Attributes struct {
				Columns []column `json:"columns"`
			} `json:"attributes"`
		} `json:"data"`
	}
	err := site.Ask(ctx, egress.Request{Method: http.MethodPost, URL: "/api/v2/query/scalar", JSON: asked}, &reply)
	if err == nil {
		err = reply.Rejection()
	}
	columns := reply.Data.Attributes.Columns
	switch {
	case err != nil:
		return analysis.Reply{}, err
	case columns == nil && reply.Data.Type != "scalar_response":
		return analysis.Reply{}, api.ErrForeign
	}
	return valueOf(columns)
}

func queriesOf(metric *v1alpha1.DatadogMetric) []map[string]string {
	named := metric.Queries
	if metric.Query != "" {
		named = map[string]string{"query": metric.Query}
	}
	queries := make([]map[string]string, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		queries = append(queries, map[string]string{
			"data_source": "metrics", "name": name, "query": named[name],
			"aggregator": cmp.Or(metric.Aggregator, defaultAggregator),
		})
	}
	return queries
}

func formulasOf(metric *v1alpha1.DatadogMetric) []map[string]string {
	if metric.Formula == "" {
		return []map[string]string{}
	}
	return []map[string]string{{"formula": metric.Formula}}
}

// column is one column of a table: numbers or null, or for each row the values
// of a tag that the query groups by.
type column struct {
	Type   string          `json:"type"`
	Values json.RawMessage `json:"values"`
}

// valueOf is the value of a table. Rows without a number are left out.
func valueOf(columns []column) (analysis.Reply, error) {
	rows, grouped, err := rowsOf(columns)
	switch {
	case err != nil:
		return analysis.Reply{}, api.ErrForeign
	case len(rows) == 0:
		return analysis.Reply{Value: "[]", NoData: true}, nil // no error: a condition may provide for it
	case !grouped:
		return analysis.Reply{Result: rows[0].Value, Value: analysis.Number(rows[0].Value)}, nil
	}
	values := make([]float64, len(rows))
	for i, row := range rows {
		values[i] = row.Value
	}
	return analysis.Reply{Result: values, Value: analysis.Numbers(values), Metadata: groups.Metadata(rows)}, nil
}

// rowsOf joins the first column of numbers and the names of its rows.
func rowsOf(columns []column) (rows []groups.Row, grouped bool, err error) {
	var numbers []*float64
	names := map[int][]string{}
	for _, c := range columns {
		var tags [][]string
		switch {
		case c.Type == "group":
			grouped, err = true, json.Unmarshal(c.Values, &tags)
		case numbers == nil:
			err = json.Unmarshal(c.Values, &numbers)
		}
		if err != nil {
			return nil, false, err //nolint:wrapcheck // The caller says what it means.
		}
		for i, tag := range tags {
			names[i] = append(names[i], tag...)
		}
	}
	for i, value := range numbers {
		if value != nil {
			rows = append(rows, groups.Row{Name: strings.Join(names[i], ","), Value: *value})
		}
	}
	return rows, grouped, nil
}
