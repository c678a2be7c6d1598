package influxdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const token = "s3cr3t-token-0123456789=="

// holding is a cluster with one Secret of the controller.
func holding(held string, data map[string]string) analysis.SecretReader {
	return func(_ context.Context, namespace, name string) (map[string]string, error) {
		if namespace != "" || name != held {
			return nil, fmt.Errorf("secrets %q not found", namespace+"/"+name)
		}
		return data, nil
	}
}

func queryTo(address string) analysis.Query {
	return analysis.Query{
		Verb: analysis.Take, Number: 1, Now: noon,
		Secrets: holding("mine", map[string]string{"address": address + "\n", "org": "my org", "authToken": token + "\n"}),
		Metric: v1alpha1.Metric{Name: "rate", Provider: v1alpha1.MetricProvider{
			Influxdb: &v1alpha1.InfluxdbMetric{Profile: "mine", Query: "from(bucket: \"app\")\n  |> range(start: -15m)"},
		}},
	}
}

func TestConformance(t *testing.T) {
	providertest.Run(t, New(providertest.Client()), queryTo)
}

// lines ends lines as the server does.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n" }

// column is a reply with the column _value alone.
func column(kind, byDefault string, values ...string) string {
	out := []string{"#datatype,string,long," + kind, "#group,false,false,false", "#default,_result,," + byDefault, ",result,table,_value"}
	for _, value := range values {
		out = append(out, ",,0,"+value)
	}
	return lines(append(out, "", "")...)
}

// whole is what a server says of two series and an aggregate: a schema each, and one for an empty table.
var whole = lines(
	"#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string",
	"#group,false,false,true,true,false,false,true,true,true",
	"#default,_result,,,,,,,,",
	",result,table,_start,_stop,_time,_value,_field,_measurement,host",
	",,0,2026-03-01T11:45:00Z,2026-03-01T12:00:00.001Z,2026-03-01T11:50:00Z,15.43,mem,m,A",
	",,0,2026-03-01T11:45:00Z,2026-03-01T12:00:00.001Z,2026-03-01T11:55:00Z,1e-05,mem,m,A",
	`,,1,2026-03-01T11:45:00Z,2026-03-01T12:00:00.001Z,2026-03-01T11:50:00Z,59.25,mem,m,"a ""b"", c`,
	` #d"`,
	"",
	"#datatype,string,long,string,long",
	"#group,false,false,true,false",
	"#default,_result,2,mem,",
	",result,table,_field,_value",
	"",
	"#datatype,string,long,string,long",
	"#group,false,false,true,false",
	"#default,errors,,,",
	",result,table,_field,_value",
	",,0,5xx,-3",
	"", "",
)

const noCSV = "influxdb: the reply is no annotated CSV; the address may lead to something else"

var cases = []struct {
	name, answer string
	want         analysis.Reply
}{
	{"values of several tables are a list", whole, found("[15.43 1e-05 59.25 -3]", 15.43, 1e-05, 59.25, int64(-3))},
	{"a double", column("double", "", "0.5", "NaN", "+Inf", "-Inf"), found("[0.5 NaN +Inf -Inf]", 0.5, math.NaN(), math.Inf(1), math.Inf(-1))},
	{"a long", column("long", "", "9223372036854775807"), found("[9223372036854775807]", int64(math.MaxInt64))},
	{"an unsigned long", column("unsignedLong", "", "18446744073709551615"), found("[18446744073709551615]", uint64(math.MaxUint64))},
	{"a boolean", column("boolean", "", "true", "false"), found("[true false]", true, false)},
	{"a text", column("string", "", `"a, ""b"""`, "c"), found(`[a, "b" c]`, `a, "b"`, "c")},
	{"a time", column("dateTime:RFC3339", "", "2026-03-01T12:00:00Z"), found("[2026-03-01 12:00:00 +0000 UTC]", noon)},
	{"a time with nanoseconds", column("dateTime:RFC3339Nano", "", "2026-03-01T12:00:00.000000001Z"), found("[2026-03-01 12:00:00.000000001 +0000 UTC]", noon.Add(1))},
	{"a default stands for what is empty", column("long", "7", "", "8"), found("[7 8]", int64(7), int64(8))},
	{"no value and no default is nil", column("double", "", "", "1"), found("[<nil> 1]", nil, 1.0)},
	{"no column of that name is nil", lines("#datatype,string,long", "#default,_result,", ",result,table", ",,0"), found("[<nil>]", nil)},
	{"lines may end as they like", strings.ReplaceAll(column("long", "", "1"), "\r\n", "\n"), found("[1]", int64(1))},
	{"the last line needs no end", strings.TrimSpace(column("long", "", "1")), found("[1]", int64(1))},
	{"annotations may follow without a blank line", strings.ReplaceAll(column("long", "", "1"), "\r\n\r\n", "\r\n") + column("double", "", "2"), found("[1 2]", int64(1), 2.0)},
	{"no tables are no data", "\r\n", nothing()},
	{"no rows are no data", column("long", ""), nothing()},
	{"an error is told", lines("error,reference", "Failed to parse query,897"), failure("influxdb: the query failed: Failed to parse query 897")},
	{"an error with annotations is told", lines("#datatype,string,long", "#group,true,true", "#default,,", ",error,reference", `,"runtime error, @1:1",`), failure("influxdb: the query failed: runtime error, @1:1")},
	{"an error after rows is told", column("long", "", "1") + lines("error,reference", "out of memory,"), failure("influxdb: the query failed: out of memory")},
	{"a long error is cut", lines("error,reference", strings.Repeat("x", 500)+","), failure("influxdb: the query failed: " + strings.Repeat("x", 200-len("the query failed: ")) + "…")},
	{"an unknown type is an error", column("base64Binary", "", "AA=="), failure(`influxdb: values of type base64Binary are not served; convert them in the query, for example with float()`)},
	{"a value of another type is an error", column("long", "", "1.5"), failure("influxdb: the reply has a value that is no long")},
	{"a row of another width is an error", column("long", "", "1,2"), failure("influxdb: a row of the reply has 5 columns and its table 4")},
	{"an empty reply is an error", "", failure("influxdb: the reply is empty; the address may lead to something else")},
	{"no annotations are an error", lines(",result,table,_value", ",,0,1"), failure(noCSV)},
	{"a JSON is an error", `{"results":[]}`, failure(noCSV)},
	{"an open quote is an error", column("string", "", `"a`), failure("influxdb: the reply ends within a quoted text")},
	{"too many rows are an error", column("long", "1", strings.Split(strings.Repeat("\n", 10_000), "\n")...), failure("influxdb: the query returns more than 10000 rows; aggregate them, for example with mean()")},
	{"too many columns are an error", strings.Repeat(",", 200), failure("influxdb: the query returns 201 columns, above the limit of 200; keep() those that the metric needs")},
}

func found(text string, values ...any) analysis.Reply {
	return analysis.Reply{Result: values, Value: text}
}

func failure(message string) analysis.Reply {
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: message}
}

func nothing() analysis.Reply {
	reply := failure("influxdb has no rows for the query")
	reply.NoData = true
	return reply
}

func TestMeasure(t *testing.T) {
	provider := New(providertest.Client())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/csv; charset=utf-8")
				fmt.Fprint(w, c.answer)
			}))
			defer server.Close()
			got := provider.Measure(t.Context(), queryTo(server.URL))
			if diff := cmp.Diff(c.want, got, cmpopts.EquateNaNs()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAStatusIsTold(t *testing.T) {
	cases := []struct {
		name   string
		status int
		answer string
		want   string
	}{
		{"what is wrong with the query", http.StatusBadRequest, `{"code":"invalid","message":"error in building plan while starting program:\n cannot query an empty range"}`, "influxdb refused the query: invalid: error in building plan while starting program: cannot query an empty range"},
		{"a token that is not known", http.StatusUnauthorized, `{"code":"unauthorized","message":"unauthorized access"}`, "influxdb refused the query: unauthorized: unauthorized access"},
		{"a page", http.StatusNotFound, "<html>" + providertest.Leak, "querying influxdb: the server answered with status 404 Not Found"},
		{"a JSON of another kind", http.StatusBadGateway, `{"error":"` + providertest.Leak + `"}`, "querying influxdb: the server answered with status 502 Bad Gateway"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.answer)
			}))
			defer server.Close()
			if diff := cmp.Diff(failure(c.want), New(providertest.Client()).Measure(t.Context(), queryTo(server.URL))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsSent(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = []string{r.Method, r.RequestURI, string(body), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("Accept")}
		fmt.Fprint(w, column("long", "", "1"))
	}))
	defer server.Close()
	for _, base := range []string{server.URL + "/base", server.URL + "/base/"} {
		if reply := New(providertest.Client()).Measure(t.Context(), queryTo(base)); reply.Phase != "" {
			t.Errorf("got %+v", reply)
		}
		want := []string{
			"POST", "/base/api/v2/query?org=my+org",
			`{"dialect":{"annotations":["datatype","group","default"],"delimiter":",","header":true},` +
				`"query":"from(bucket: \"app\")\n  |\u003e range(start: -15m)","type":"flux"}`,
			"Token " + token, "application/json", "application/csv",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTheServerComesFromTheSecret(t *testing.T) {
	lacks := "the controller's Secret influxdb lacks one of address, authToken and org; add it"
	cases := []struct {
		name    string
		secrets analysis.SecretReader
		want    string
	}{
		{"no Secret", func(context.Context, string, string) (map[string]string, error) { return nil, errors.New("not found") }, "reading Secret influxdb for influxdb: not found"},
		{"an empty Secret", holding("influxdb", nil), lacks},
		{"no address", holding("influxdb", map[string]string{"org": "o", "authToken": token}), lacks},
		{"no organization", holding("influxdb", map[string]string{"address": "http://127.0.0.1:1", "authToken": token, "org": " "}), lacks},
		{"no token", holding("influxdb", map[string]string{"address": "http://127.0.0.1:1", "org": "o"}), lacks},
		{"an address that is no URL", holding("influxdb", map[string]string{"address": "influxdb:8086", "org": "o", "authToken": token}), "querying influxdb: the address is not a URL such as http://metrics.example.com:8080"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := queryTo("")
			q.Metric.Provider.Influxdb.Profile, q.Secrets = "", c.secrets
			if diff := cmp.Diff(failure(c.want), New(providertest.Client()).Measure(t.Context(), q)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATokenThatNoHeaderHoldsIsNotRepeated(t *testing.T) {
	q := queryTo("")
	q.Secrets = holding("mine", map[string]string{"address": "http://127.0.0.1:1", "org": "o", "authToken": token + "\n" + token})
	got := New(providertest.Client()).Measure(t.Context(), q)
	if got.Phase != v1alpha1.AnalysisPhaseError || strings.Contains(got.Message, "s3cr3t") {
		t.Errorf("got %+v", got)
	}
}

func TestAMetricOfAnotherProviderIsAnError(t *testing.T) {
	got := New(providertest.Client()).Measure(t.Context(), analysis.Query{})
	if diff := cmp.Diff(failure("the metric has no influxdb query"), got); diff != "" {
		t.Error(diff)
	}
}

func TestOneProviderServesManyAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, column("string", "", r.FormValue("org")))
	}))
	defer server.Close()
	provider := New(providertest.Client())
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			q, org := queryTo(""), fmt.Sprintf("org%d", i)
			q.Secrets = holding("mine", map[string]string{"address": server.URL, "org": org, "authToken": token})
			if diff := cmp.Diff(found("["+org+"]", org), provider.Measure(t.Context(), q)); diff != "" {
				t.Error(diff)
			}
		})
	}
	all.Wait()
}
