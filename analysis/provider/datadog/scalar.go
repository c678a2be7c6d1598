package datadog

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Keys of the metadata of a measurement. They are served API.
const (
	// Groups are the names and values of the groups, as JSON.
	Groups = "groups"
	// GroupsTruncated is true when some groups are left out.
	GroupsTruncated = "groups_truncated"
)

const (
	// defaultAggregator makes one value of a series. Datadog would take the average.
	defaultAggregator = "last"
	// maxGroups is how long the groups may be as JSON. The status cuts what is
	// above 2 KiB, and cut JSON is none.
	maxGroups = 2000
)

// scalar asks version 2 of the API. The value is a number, or the numbers of
// all groups where the query groups, even if there is one group only.
func (p *Provider) scalar(ctx context.Context, q question) (analysis.Reply, error) {
	body, err := json.Marshal(map[string]any{"data": map[string]any{
		"type": "scalar_request",
		"attributes": map[string]any{
			"from": q.from * 1000, "to": q.to * 1000,
			"queries": queriesOf(q.metric), "formulas": formulasOf(q.metric),
		},
	}})
	if err != nil {
		return analysis.Reply{}, fmt.Errorf("encoding the datadog query: %w", err)
	}
	var reply struct {
		complaint
		Data struct {
			Type       string `json:"type"`
			Attributes struct {
				Columns []column `json:"columns"`
			} `json:"attributes"`
		} `json:"data"`
	}
	request := egress.Request{Method: http.MethodPost, URL: "/api/v2/query/scalar", Body: body}
	if err := p.ask(ctx, q.account, request, &reply); err != nil {
		return analysis.Reply{}, err
	}
	columns := reply.Data.Attributes.Columns
	switch {
	case reply.text() != "":
		return analysis.Reply{}, fmt.Errorf("datadog rejects the query: %s", reply.text())
	case columns == nil && reply.Data.Type != "scalar_response":
		return analysis.Reply{}, errForeign
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

// group is a row of a table; its name is empty where the query does not group.
type group struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// valueOf is the value of a table. Rows without a number are left out.
func valueOf(columns []column) (analysis.Reply, error) {
	rows, grouped, err := rowsOf(columns)
	switch {
	case err != nil:
		return analysis.Reply{}, errForeign
	case len(rows) == 0:
		return nothing(), nil
	case !grouped:
		return analysis.Reply{Result: rows[0].Value, Value: analysis.Number(rows[0].Value)}, nil
	}
	values := make([]float64, len(rows))
	for i, row := range rows {
		values[i] = row.Value
	}
	return analysis.Reply{Result: values, Value: analysis.Numbers(values), Metadata: metadata(rows)}, nil
}

// rowsOf joins the first column of numbers and the names of its rows.
func rowsOf(columns []column) (rows []group, grouped bool, err error) {
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
			rows = append(rows, group{Name: strings.Join(names[i], ","), Value: *value})
		}
	}
	return rows, grouped, nil
}

// metadata tells which group has which value. Where that is too long for a
// status, groups in the middle are left out: one that is bad is at an end.
func metadata(rows []group) map[string]string {
	text, _ := json.Marshal(rows) // texts and finite numbers always encode
	told := map[string]string{Groups: string(text)}
	if len(text) <= maxGroups {
		return told
	}
	rows = slices.SortedStableFunc(slices.Values(rows), func(a, b group) int { return cmp.Compare(a.Value, b.Value) })
	for len(text) > maxGroups {
		rows = slices.Delete(rows, len(rows)/4, len(rows)-len(rows)/4)
		text, _ = json.Marshal(rows)
	}
	told[Groups], told[GroupsTruncated] = string(text), "true"
	return told
}
