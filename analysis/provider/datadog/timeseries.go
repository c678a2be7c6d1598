package datadog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
)

var errForeign = errors.New("querying datadog: the reply is not one of Datadog; check the address")

// timeseries asks version 1 of the API. The value is the last point of the
// first series, leaving out points without a value at the end.
func (p *Provider) timeseries(ctx context.Context, q question) (analysis.Reply, error) {
	values := url.Values{
		"query": {q.metric.Query},
		"from":  {strconv.FormatInt(q.from, 10)},
		"to":    {strconv.FormatInt(q.to, 10)},
	}
	var reply struct {
		complaint
		Status string `json:"status"`
		Series []struct {
			Points [][]*float64 `json:"pointlist"`
		} `json:"series"`
	}
	if err := p.ask(ctx, q.account, egress.Request{URL: "/api/v1/query?" + values.Encode()}, &reply); err != nil {
		return analysis.Reply{}, err
	}
	switch {
	case reply.text() != "":
		return analysis.Reply{}, fmt.Errorf("datadog rejects the query: %s", reply.text())
	case reply.Status != "ok": // any JSON would be a query without data, which a condition may take for good
		return analysis.Reply{}, errForeign
	case len(reply.Series) == 0:
		return nothing(), nil
	}
	for _, point := range slices.Backward(reply.Series[0].Points) {
		if len(point) != 2 {
			return analysis.Reply{}, errForeign
		}
		if value := point[1]; value != nil {
			return analysis.Reply{Result: *value, Value: analysis.Number(*value)}, nil
		}
	}
	return nothing(), nil
}

// nothing is the reply for a query without data. It is no error: a condition
// may provide for it with isNil or default.
func nothing() analysis.Reply {
	return analysis.Reply{Value: "[]", NoData: true}
}
