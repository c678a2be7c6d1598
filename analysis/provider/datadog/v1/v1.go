// Package v1 asks version 1 of the API of Datadog, which has timeseries.
package v1

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/provider/datadog/api"
)

// Timeseries asks a query for the time between two moments. The value is the last
// point of the first series, leaving out points without a value at the end.
func Timeseries(ctx context.Context, site api.Site, query string, between [2]time.Time) (analysis.Reply, error) {
	values := url.Values{
		"query": {query},
		"from":  {strconv.FormatInt(between[0].Unix(), 10)},
		"to":    {strconv.FormatInt(between[1].Unix(), 10)},
	}
	var reply struct {
		api.Complaint
		Status string `json:"status"`
		Series []struct {
			Points [][]*float64 `json:"pointlist"`
		} `json:"series"`
	}
	err := site.Ask(ctx, egress.Request{URL: "/api/v1/query?" + values.Encode()}, &reply)
	if err == nil {
		err = reply.Rejection()
	}
	switch {
	case err != nil:
		return analysis.Reply{}, err
	case reply.Status != "ok": // any JSON would be a query without data, which a condition may take for good
		return analysis.Reply{}, api.ErrForeign
	case len(reply.Series) == 0:
		return nothing, nil
	}
	for _, point := range slices.Backward(reply.Series[0].Points) {
		if len(point) != 2 {
			return analysis.Reply{}, api.ErrForeign
		}
		if value := point[1]; value != nil {
			return analysis.Reply{Result: *value, Value: analysis.Number(*value)}, nil
		}
	}
	return nothing, nil
}

// nothing is the reply for a query without data. It is no error: a condition
// may provide for it with isNil or default.
var nothing = analysis.Reply{Value: "[]", NoData: true}
