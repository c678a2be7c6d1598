package cloudwatch

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/analysis/egress/aws/awstest"
	"github.com/headway-rollouts/headway/analysis/provider/cloudwatch/results"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func pointer[T any](value T) *T { return &value }

func latency(id string) v1alpha1.CloudWatchMetricDataQuery {
	return v1alpha1.CloudWatchMetricDataQuery{
		Id: id,
		MetricStat: &v1alpha1.CloudWatchMetricStat{
			Metric: v1alpha1.CloudWatchMetricStatMetric{
				Namespace: pointer("app"), MetricName: "Latency",
				Dimensions: []v1alpha1.CloudWatchMetricStatMetricDimension{{Name: "service", Value: "web"}},
			},
			Period: intstr.FromInt32(300), Stat: "p99", Unit: "Milliseconds",
		},
	}
}

type edit func(*v1alpha1.Metric)

func ask(edits ...edit) analysis.Query {
	metric := v1alpha1.Metric{
		Name: "latency",
		Provider: v1alpha1.MetricProvider{CloudWatch: &v1alpha1.CloudWatchMetric{
			MetricDataQueries: []v1alpha1.CloudWatchMetricDataQuery{latency("l")},
		}},
	}
	for _, each := range edits {
		each(&metric)
	}
	return analysis.Query{Verb: analysis.Take, Metric: metric, Number: 1, Now: noon}
}

func queries(list ...v1alpha1.CloudWatchMetricDataQuery) edit {
	return func(m *v1alpha1.Metric) { m.Provider.CloudWatch.MetricDataQueries = list }
}

func interval(text v1alpha1.DurationString) edit {
	return func(m *v1alpha1.Metric) { m.Provider.CloudWatch.Interval = text }
}

func conditions(success, failure string) edit {
	return func(m *v1alpha1.Metric) { m.SuccessCondition, m.FailureCondition = success, failure }
}

// amazon is CloudWatch: it takes calls that are signed well, gives one answer,
// and remembers what it was asked.
func amazon(t *testing.T, status int, answer string) (provider *Provider, asked *map[string]any) {
	t.Helper()
	asked = &map[string]any{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := awstest.Verify(r, awstest.Secret)
		if err != nil || found.Service != "monitoring" || found.Region != "eu-west-1" || !slices.Contains(found.Headers, "x-amz-target") {
			t.Errorf("signed with %+v: %v", found, err)
		}
		got := []string{r.Method, r.URL.String(), r.Header.Get("Content-Type"), r.Header.Get("X-Amz-Target")}
		if diff := cmp.Diff([]string{"POST", "/", "application/x-amz-json-1.0", "GraniteServiceVersion20100801.GetMetricData"}, got); diff != "" {
			t.Error(diff)
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, asked); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_CLOUDWATCH", server.URL)...)
	return New(providertest.Client(), aws.New()), asked
}

func series(id, status, values string) string {
	var times []string
	for i := range strings.Split(values, ",") {
		if values != "" {
			times = append(times, fmt.Sprint(noon.Unix()-int64(300*(i+1)))+".0")
		}
	}
	return fmt.Sprintf(`{"Id":%q,"Label":"Latency of %s","Messages":[],"StatusCode":%q,"Timestamps":[%s],"Values":[%s]}`,
		id, id, status, strings.Join(times, ","), values)
}

func answered(list ...string) string {
	return fmt.Sprintf(`{"Messages":[],"MetricDataResults":[%s]}`, strings.Join(list, ","))
}

func TestConformance(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	provider := New(providertest.Client(), aws.New())
	providertest.Run(t, provider, func(address string) analysis.Query {
		t.Setenv("AWS_ENDPOINT_URL_CLOUDWATCH", address)
		return ask()
	})
}

func TestWhatIsAsked(t *testing.T) {
	stat := map[string]any{
		"Metric": map[string]any{
			"Namespace": "app", "MetricName": "Latency",
			"Dimensions": []any{map[string]any{"Name": "service", "Value": "web"}},
		},
		"Period": 300.0, "Stat": "p99", "Unit": "Milliseconds",
	}
	asText := latency("l")
	asText.MetricStat.Period = intstr.FromString("300")
	short := v1alpha1.CloudWatchMetricDataQuery{Id: "s", MetricStat: &v1alpha1.CloudWatchMetricStat{
		Metric: v1alpha1.CloudWatchMetricStatMetric{MetricName: "Up"}, Period: intstr.FromInt32(60), Stat: "Sum",
	}}
	rate := v1alpha1.CloudWatchMetricDataQuery{
		Id: "rate", Expression: pointer("errors / requests"), Label: pointer("the rate"), Period: pointer(intstr.FromString("60")), ReturnData: pointer(true),
	}
	hidden := latency("errors")
	hidden.ReturnData = pointer(false)
	cases := []struct {
		name  string
		edits []edit
		start time.Duration
		want  []any
	}{
		{"the last five minutes", nil, 5 * time.Minute, []any{map[string]any{"Id": "l", "MetricStat": stat}}},
		{"the interval of the metric", []edit{interval("30m")}, 30 * time.Minute, []any{map[string]any{"Id": "l", "MetricStat": stat}}},
		{"a period that is a text", []edit{queries(asText)}, 5 * time.Minute, []any{map[string]any{"Id": "l", "MetricStat": stat}}},
		{"a metric without what may be left out", []edit{queries(short)}, 5 * time.Minute, []any{map[string]any{
			"Id": "s", "MetricStat": map[string]any{"Metric": map[string]any{"MetricName": "Up"}, "Period": 60.0, "Stat": "Sum"},
		}}},
		{"an expression over a query that returns nothing", []edit{queries(hidden, rate)}, 5 * time.Minute, []any{
			map[string]any{"Id": "errors", "MetricStat": stat, "ReturnData": false},
			map[string]any{"Id": "rate", "Expression": "errors / requests", "Label": "the rate", "Period": 60.0, "ReturnData": true},
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			provider, asked := amazon(t, http.StatusOK, answered(series("l", "Complete", "1")))
			if got := provider.Measure(t.Context(), ask(c.edits...)); got.Message != "" {
				t.Fatalf("got %+v", got)
			}
			want := map[string]any{
				"StartTime": float64(noon.Add(-c.start).Unix()), "EndTime": float64(noon.Unix()), "MetricDataQueries": c.want,
			}
			if diff := cmp.Diff(want, *asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsAnswered(t *testing.T) {
	at := func(minutes time.Duration) time.Time { return noon.Add(-minutes * time.Minute) }
	answer := `{"Messages":[{"Code":"MaxQueryRangeExceeded","Value":"The range was cut"}],"MetricDataResults":[` +
		series("l", "Complete", "2.5,1") + `,` +
		`{"Id":"m","Label":"second","StatusCode":"Complete","Timestamps":[1772366399.5],"Values":["NaN"],"Messages":[{"Code":"Info","Value":"Two\nlines"}]}]}`
	provider, _ := amazon(t, http.StatusOK, answer)
	want := analysis.Reply{
		Result: []results.MetricDataResult{
			{Id: "l", Label: "Latency of l", StatusCode: "Complete", Timestamps: []time.Time{at(5), at(10)}, Values: []float64{2.5, 1}, Messages: []results.MessageData{}},
			{Id: "m", Label: "second", StatusCode: "Complete", Timestamps: []time.Time{noon.Add(-500 * time.Millisecond)}, Values: []float64{nan()}, Messages: []results.MessageData{{Code: "Info", Value: "Two\nlines"}}},
		},
		Value:    "[[2.5,1],[NaN]]",
		Metadata: map[string]string{results.Messages: "MaxQueryRangeExceeded: The range was cut; m: Info: Two lines"},
	}
	if diff := cmp.Diff(want, provider.Measure(t.Context(), ask(queries(latency("l"), latency("m")))), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

func nan() float64 { return math.NaN() }

func TestMeasure(t *testing.T) {
	const (
		successful   = v1alpha1.AnalysisPhaseSuccessful
		failed       = v1alpha1.AnalysisPhaseFailed
		inconclusive = v1alpha1.AnalysisPhaseInconclusive
		errored      = v1alpha1.AnalysisPhaseError
	)
	policy := func(policy v1alpha1.NoDataPolicy) edit { return func(m *v1alpha1.Metric) { m.NoData = policy } }
	cases := []struct {
		name, answer string
		edits        []edit
		phase        v1alpha1.AnalysisPhase
		message      string
	}{
		{"a good value passes", answered(series("l", "Complete", "2")), []edit{conditions("result[0].Values[0] > 1", "")}, successful, ""},
		{"a bad value fails", answered(series("l", "Complete", "1")), []edit{conditions("result[0].Values[0] > 1", "")}, failed, ""},
		{"all values are judged", answered(series("l", "Complete", "2,60")), []edit{conditions("all(result[0].Values, {# <= 50})", "")}, failed, ""},
		{"a result is found by its name", answered(series("l", "Complete", "2"), series("m", "Complete", "3")), []edit{conditions(`filter(result, .Id == "m")[0].Values[0] == 3 && result[1].Label == "Latency of m"`, "")}, successful, ""},
		{"times are compared", answered(series("l", "Complete", "2")), []edit{conditions(`result[0].Timestamps[0] == now() - duration("5m") && result[0].StatusCode == "Complete"`, "")}, successful, ""},
		{"no values are no pass", answered(series("l", "Complete", "")), []edit{conditions("", "any(result[0].Values, # > 50)")}, inconclusive, "the metric has no data"},
		{"no values fail an index", answered(series("l", "Complete", "")), []edit{conditions("result[0].Values[0] > 1", "")}, errored, "there may be no data"},
		{"no results are no pass", answered(), []edit{conditions("all(result, all(.Values, # < 50))", "")}, inconclusive, "the metric has no data"},
		{"no values pass where that is asked for", answered(series("l", "Complete", "")), []edit{conditions("len(result[0].Values) == 0", "")}, successful, ""},
		{"no values fail by the policy", answered(series("l", "Complete", "")), []edit{conditions("", "false"), policy(v1alpha1.NoDataFail)}, failed, "the metric has no data: cloudwatch has no values of the last 5m0s"},
		{"no results pass by the policy", answered(), []edit{conditions("false", ""), policy(v1alpha1.NoDataPass)}, successful, "the metric has no data: cloudwatch has no values of the last 5m0s"},
		{"the values of one query are data", answered(series("l", "Complete", ""), series("m", "Complete", "2")), []edit{conditions("result[1].Values[0] == 2", ""), policy(v1alpha1.NoDataFail)}, successful, ""},
		{"NaN is no data", answered(series("l", "Complete", `"NaN"`)), []edit{conditions("result[0].Values[0] > 1", ""), policy(v1alpha1.NoDataInconclusive)}, inconclusive, "holds NaN"},
		{"infinity is no pass", answered(series("l", "Complete", `"Infinity"`)), []edit{conditions("result[0].Values[0] > 1", "")}, inconclusive, "holds infinity"},
		{"a value that is null is none", answered(series("l", "Complete", `null`)), []edit{conditions("result[0].Values[0] < 1", "")}, failed, ""},
		{"a field that does not exist is an error", answered(series("l", "Complete", "2")), []edit{conditions("", "result[0].Value[0] > 1")}, errored, "has no field Value"},
		{"part of the data is an error", answered(series("l", "PartialData", "2")), []edit{conditions("true", "")}, errored, `cloudwatch gives not all data of query "l": its status is "PartialData"`},
		{"an error within is an error", answered(series("l", "Complete", "2"), series("m", "InternalError", "")), []edit{conditions("true", ""), policy(v1alpha1.NoDataPass)}, errored, `of query "m": its status is "InternalError"`},
		{"a query that is forbidden is an error", `{"MetricDataResults":[{"Id":"l","StatusCode":"Forbidden","Messages":[{"Code":"Forbidden","Value":"not yours"}]}]}`, []edit{conditions("true", "")}, errored, `its status is "Forbidden": Forbidden: not yours`},
		{"a status that is new is an error", answered(series("l", "Fine", "2")), []edit{conditions("true", "")}, errored, `its status is "Fine"`},
		{"more pages are an error", `{"NextToken":"x","MetricDataResults":[` + series("l", "Complete", "2") + `]}`, []edit{conditions("true", "")}, errored, "make the interval shorter"},
		{"a reply of something else is an error", `{"status":"ok"}`, []edit{conditions("", "false"), policy(v1alpha1.NoDataPass)}, errored, "the reply has no MetricDataResults"},
		{"a reply that is no JSON is an error", `<GetMetricDataResponse/>`, []edit{conditions("true", "")}, errored, "not the JSON that was expected"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			provider, _ := amazon(t, http.StatusOK, c.answer)
			query := ask(c.edits...)
			got := analysis.Decide(&query.Metric, provider.Measure(t.Context(), query), nil, noon)
			if got.Phase != c.phase || !strings.Contains(got.Message, c.message) || (c.message == "") != (got.Message == "") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestErrorsOfAWSAreToldShortly(t *testing.T) {
	long := strings.Repeat("word ", 200)
	cases := []struct {
		name   string
		status int
		answer string
		want   string
	}{
		{"a query that is wrong", 400, `{"__type":"com.amazonaws.cloudwatch#InvalidParameterValueException","message":"The parameter Stat is not valid"}`, "querying cloudwatch: InvalidParameterValueException: The parameter Stat is not valid"},
		{"no right", 403, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: me is not authorized to perform: cloudwatch:GetMetricData"}`, "querying cloudwatch: AccessDeniedException: User: me is not authorized to perform: cloudwatch:GetMetricData"},
		{"too many calls", 400, `{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate exceeded"}`, "querying cloudwatch: too many calls of AWS; make the interval of the metric longer"},
		{"too many calls by another name", 400, `{"__type":"Throttling","message":"Rate exceeded"}`, "querying cloudwatch: too many calls of AWS; make the interval of the metric longer"},
		{"no message", 500, `{"__type":"InternalFailure"}`, "querying cloudwatch: InternalFailure"},
		{"a long message", 400, `{"__type":"ValidationError","message":"` + long + `"}`, "querying cloudwatch: " + ("ValidationError: " + long)[:200] + "…"},
		{"an error of something else", 502, `<html>secret</html>`, "querying cloudwatch: the server answered with status 502 Bad Gateway"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			provider, _ := amazon(t, c.status, c.answer)
			want := analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: c.want}
			if diff := cmp.Diff(want, provider.Measure(t.Context(), ask())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	wrong := latency("l")
	wrong.MetricStat.Period = intstr.FromString("5m")
	none := latency("l")
	none.MetricStat.Period = intstr.IntOrString{}
	outer := latency("l")
	outer.Period = pointer(intstr.FromInt32(-1))
	cases := []struct {
		name string
		env  []string
		edit edit
		want string
	}{
		{"no region", awstest.WithKeys(), interval(""), "querying cloudwatch: no AWS region is set; set AWS_REGION for the controller, or the region of the metric where it has one"},
		{"no queries", nil, queries(), "the metric has no cloudWatch.metricDataQueries"},
		{"an interval that is none", nil, interval("often"), `cloudWatch.interval: parsing duration "often": time: invalid duration "often"`},
		{"an interval of nothing", nil, interval("0s"), "cloudWatch.interval should be a second or more, such as 5m"},
		{"a period that is no number", nil, queries(latency("a"), wrong), "cloudWatch.metricDataQueries[1].metricStat.period should be a number of seconds, such as 300"},
		{"no period", nil, queries(none), "cloudWatch.metricDataQueries[0].metricStat.period should be a number of seconds, such as 300"},
		{"a period below nothing", nil, queries(outer), "cloudWatch.metricDataQueries[0].period should be a number of seconds, such as 300"},
		{"another provider", nil, func(m *v1alpha1.Metric) { m.Provider.CloudWatch = nil }, "the metric has no cloudWatch queries"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			awstest.Isolate(t, c.env...)
			want := analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: c.want}
			if diff := cmp.Diff(want, New(providertest.Client(), aws.New()).Measure(t.Context(), ask(c.edit))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file with keys is read again when AWS does not take those it had.
func TestKeysThatAreNotTakenAreReadAgain(t *testing.T) {
	cases := []struct {
		name, code string
		want       []string
	}{
		{"keys that are not taken", "com.amazon.coral.service#UnrecognizedClientException", []string{"FIRST", "SECOND"}},
		{"a query that is not allowed", "com.amazon.coral.service#AccessDeniedException", []string{"FIRST", "FIRST"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var used []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				found, err := awstest.Verify(r, awstest.Secret)
				if err != nil {
					t.Error(err)
				}
				used = append(used, found.KeyID)
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, c.code)
			}))
			defer server.Close()
			file := filepath.Join(t.TempDir(), "credentials")
			awstest.Isolate(t, "AWS_SHARED_CREDENTIALS_FILE", file, "AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_CLOUDWATCH", server.URL)
			room, now := aws.New(), time.Now()
			room.Now = func() time.Time { return now }
			provider := New(providertest.Client(), room)
			for _, id := range []string{"FIRST", "SECOND"} {
				text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, awstest.Secret)
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				provider.Measure(t.Context(), ask())
				now = now.Add(2 * time.Minute)
				if id == "FIRST" {
					provider.Measure(t.Context(), ask()) // old enough to be dropped
				}
			}
			if diff := cmp.Diff(append([]string{"FIRST"}, c.want...), used); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesAreKeptWithAnError(t *testing.T) {
	provider, _ := amazon(t, http.StatusOK, `{"Messages":[{"Code":"MaxMetricsExceeded","Value":"too many"}],"MetricDataResults":[`+series("l", "PartialData", "1")+`]}`)
	want := analysis.Reply{
		Phase: v1alpha1.AnalysisPhaseError, Message: `cloudwatch gives not all data of query "l": its status is "PartialData"`,
		Metadata: map[string]string{results.Messages: "MaxMetricsExceeded: too many"},
	}
	if diff := cmp.Diff(want, provider.Measure(t.Context(), ask())); diff != "" {
		t.Error(diff)
	}
}
