package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// mostPoints of one range query, as in the real server.
const mostPoints = 11000

// queryAPI answers as the HTTP API of Prometheus does.
type queryAPI struct {
	engine *promql.Engine
	db     storage.Queryable
}

// answer is the envelope of every reply.
type answer struct {
	Status    string   `json:"status"`
	Data      *result  `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

type result struct {
	Type  parser.ValueType `json:"resultType"`
	Value parser.Value     `json:"result"`
}

func newQueryAPI(db storage.Queryable) *queryAPI {
	return &queryAPI{db: db, engine: promql.NewEngine(promql.EngineOpts{
		MaxSamples:           10_000_000,
		Timeout:              time.Minute,
		LookbackDelta:        5 * time.Minute,
		EnableAtModifier:     true,
		EnableNegativeOffset: true,
		Parser:               parser.NewParser(parser.Options{}),
		NoStepSubqueryIntervalFn: func(int64) int64 {
			return time.Second.Milliseconds()
		},
	})}
}

func (a *queryAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", a.instant)
	mux.HandleFunc("/api/v1/query_range", a.overRange)
	for _, path := range []string{"/-/ready", "/-/healthy"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintln(w, "Prometheus Server is Ready.")
		})
	}
	return mux
}

func (a *queryAPI) instant(w http.ResponseWriter, r *http.Request) {
	at, err := timeOf(r, "time", time.Now())
	if err != nil {
		refuse(w, err)
		return
	}
	q, err := a.engine.NewInstantQuery(r.Context(), a.db, nil, r.FormValue("query"), at)
	if err != nil {
		refuse(w, fmt.Errorf("invalid parameter \"query\": %w", err))
		return
	}
	run(w, r, q)
}

func (a *queryAPI) overRange(w http.ResponseWriter, r *http.Request) {
	start, err := timeOf(r, "start", time.Time{})
	if err != nil {
		refuse(w, err)
		return
	}
	end, err := timeOf(r, "end", time.Time{})
	if err != nil {
		refuse(w, err)
		return
	}
	step, err := stepOf(r)
	if err != nil {
		refuse(w, err)
		return
	}
	switch {
	case start.IsZero() || end.IsZero():
		refuse(w, errors.New("start and end are needed"))
		return
	case end.Before(start):
		refuse(w, errors.New("invalid parameter \"end\": end timestamp must not be before start time"))
		return
	case end.Sub(start)/step > mostPoints:
		refuse(w, fmt.Errorf("exceeded maximum resolution of %d points per timeseries", mostPoints))
		return
	}
	q, err := a.engine.NewRangeQuery(r.Context(), a.db, nil, r.FormValue("query"), start, end, step)
	if err != nil {
		refuse(w, fmt.Errorf("invalid parameter \"query\": %w", err))
		return
	}
	run(w, r, q)
}

// run executes the query and writes its result or its error.
func run(w http.ResponseWriter, r *http.Request, q promql.Query) {
	defer q.Close()
	res := q.Exec(r.Context())
	if res.Err != nil {
		reply(w, codeOf(res.Err), answer{Status: "error", ErrorType: kindOf(res.Err), Error: res.Err.Error()})
		return
	}
	if res.Value.Type() == parser.ValueTypeVector && res.Value.(promql.Vector) == nil {
		res.Value = promql.Vector{} // An empty list, not null.
	}
	if res.Value.Type() == parser.ValueTypeMatrix && res.Value.(promql.Matrix) == nil {
		res.Value = promql.Matrix{}
	}
	warnings, infos := res.Warnings.AsStrings(r.FormValue("query"), 10, 10)
	reply(w, http.StatusOK, answer{
		Status: "success", Warnings: warnings, Infos: infos,
		Data: &result{Type: res.Value.Type(), Value: res.Value},
	})
}

func kindOf(err error) string {
	var (
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		storage  promql.ErrStorage
	)
	switch {
	case errors.As(err, &canceled):
		return "canceled"
	case errors.As(err, &timeout):
		return "timeout"
	case errors.As(err, &storage):
		return "internal"
	}
	return "execution"
}

func codeOf(err error) int {
	switch kindOf(err) {
	case "canceled", "timeout":
		return http.StatusServiceUnavailable
	case "internal":
		return http.StatusInternalServerError
	}
	return http.StatusUnprocessableEntity
}

func timeOf(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	v := r.FormValue(name)
	if v == "" {
		return otherwise, nil
	}
	if seconds, err := strconv.ParseFloat(v, 64); err == nil {
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(math.Round(part*1000))*int64(time.Millisecond)).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return t, fmt.Errorf("invalid parameter %q: cannot parse %q to a valid timestamp", name, v)
	}
	return t, nil
}

// stepOf reads the step: seconds or a duration.
func stepOf(r *http.Request) (time.Duration, error) {
	v := r.FormValue("step")
	if seconds, err := strconv.ParseFloat(v, 64); err == nil && seconds > 0 {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("invalid parameter \"step\": cannot parse %q to a valid duration", v)
	}
	return time.Duration(d), nil
}

func refuse(w http.ResponseWriter, err error) {
	reply(w, http.StatusBadRequest, answer{Status: "error", ErrorType: "bad_data", Error: err.Error()})
}

func reply(w http.ResponseWriter, code int, a answer) {
	body, err := json.Marshal(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
