package main

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestCallOf(t *testing.T) {
	for _, c := range []struct {
		name, method, url string
		want              call
	}{
		{"a collection is listed", "GET", "/apis/apps/v1/namespaces/shop/replicasets?limit=500", call{"list", "replicasets"}},
		{"a collection of the cluster is listed", "GET", "/apis/argoproj.io/v1alpha1/rollouts", call{"list", "rollouts"}},
		{"a collection is watched", "GET", "/apis/argoproj.io/v1alpha1/rollouts?watch=true", call{"watch", "rollouts"}},
		{"a named object is read", "GET", "/api/v1/namespaces/shop/services/cart", call{"get", "services"}},
		{"a namespace is an object", "GET", "/api/v1/namespaces/shop", call{"get", "namespaces"}},
		{"the status of a namespace is its subresource", "PUT", "/api/v1/namespaces/shop/status", call{"update", "namespaces/status"}},
		{"an object is created in a collection", "POST", "/api/v1/namespaces/shop/events", call{"create", "events"}},
		{"a subresource has a slash", "PATCH", "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/cart/status", call{"patch", "rollouts/status"}},
		{"an object is updated", "PUT", "/apis/apps/v1/namespaces/shop/replicasets/cart-1", call{"update", "replicasets"}},
		{"an object is deleted", "DELETE", "/apis/apps/v1/namespaces/shop/replicasets/cart-1", call{"delete", "replicasets"}},
		{"a collection is deleted", "DELETE", "/apis/apps/v1/namespaces/shop/replicasets", call{"deletecollection", "replicasets"}},
		{"discovery is no resource", "GET", "/apis/apps/v1", call{"get", "other"}},
		{"neither is the version", "GET", "/version", call{"get", "other"}},
		{"nor the root", "GET", "/", call{"get", "other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, callOf(httptest.NewRequest(c.method, c.url, nil))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestProxyCountsWhatPasses(t *testing.T) {
	release := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "true" {
			_, _ = io.WriteString(w, "one event")
			w.(http.Flusher).Flush()
			<-release
			return
		}
		if r.Method == http.MethodPatch {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusConflict)
		}
		_, _ = io.WriteString(w, "reply")
	}))
	defer api.Close()
	defer close(release)
	p, err := startProxy(&rest.Config{Host: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()

	send(t, "PATCH", p.address+"/apis/apps/v1/namespaces/a/replicasets/b", "patch")
	send(t, "PUT", p.address+"/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "lease")
	send(t, "POST", p.address+"/api/v1/namespaces/a/events", "event")
	before, _ := p.read()
	watch, err := http.Get(p.address + "/apis/apps/v1/replicasets?watch=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Body.Close() }()
	got := make([]byte, len("one event"))
	if _, err := io.ReadFull(watch.Body, got); err != nil || string(got) != "one event" {
		t.Fatalf("a watch event does not pass while the watch is open: %q, %v", got, err)
	}

	all, _ := p.read()
	want := counts{
		{"patch", "replicasets"}: {Requests: 1, Refused: 1, Sent: 5, Received: 5},
		{"create", "events"}:     {Requests: 1, Sent: 5, Received: 5},
		{"watch", "replicasets"}: {Requests: 1, Received: 9},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("all counts, -want +got\n%s", diff)
	}
	if diff := cmp.Diff(counts{{"watch", "replicasets"}: {Requests: 1, Received: 9}}, all.since(before)); diff != "" {
		t.Errorf("counts of the phase, -want +got\n%s", diff)
	}
	if got := all.total(isWrite); got.Requests != 1 {
		t.Errorf("writes besides Events = %d, want 1", got.Requests)
	}
}

func send(t *testing.T, method, url, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, reply.Body)
	_ = reply.Body.Close()
}

func TestParseUsage(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\n"
	got, err := parseUsage("17 (a b) c) S 1 1 1 0 -1 4194304 1 0 0 0 250 50 0 0 20 0", status)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(usage{CPU: 3 * time.Second, Resident: 2, Peak: 4}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, c := range map[string][2]string{
		"a short stat is an error":                 {"17 (x) S 1", status},
		"a status without memory is an error":      {"17 (x) S 1 1 1 0 -1 4194304 1 0 0 0 250 50 0 0 20 0", "Name:\tx\n"},
		"a CPU time that is no number is an error": {"17 (x) S 1 1 1 0 -1 4194304 1 0 0 0 much 50 0 0 20 0", status},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseUsage(c[0], c[1]); err == nil {
				t.Errorf("parsed as %v", got)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	samples := []time.Duration{50, 10, 40, 20, 30}
	for _, c := range []struct {
		name    string
		samples []time.Duration
		p       float64
		want    time.Duration
	}{
		{"the median is the middle one", samples, 50, 30},
		{"the 99th percentile of few is the largest", samples, 99, 50},
		{"the 20th percentile of five is the smallest", samples, 20, 10},
		{"no samples have none", nil, 50, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := percentile(c.samples, c.p); got != c.want {
				t.Errorf("percentile = %d, want %d", got, c.want)
			}
		})
	}
}

func TestReportPutsControllersSideBySide(t *testing.T) {
	r := report{
		Rollouts: 500,
		Floor:    figures{{"floor", "bare create p50", "ms", 1.25}},
		Controllers: []column{
			{subject{Name: "headway"}, figures{{"one", "writes", "", 22}, {"many", "CPU seconds", "s", 9.5}}},
			{subject{Name: "other-2"}, figures{{"one", "writes", "", 33}, {"one", "  update rollouts", "", 4}, {"many", "CPU seconds", "s", 0}}},
		},
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); len(fields) > 0 {
			got = append(got, strings.Join(fields, " "))
		}
	}
	want := []string{
		"headway other-2 / other-2",
		"One canary: five setWeight steps, 2 replicas, NGINX",
		"writes 22 33 0.67",
		"update rollouts - 4 -",
		"500 such canaries at once",
		"CPU seconds 9.50 0 s -",
		"Floor: a bare client on the same cluster",
		"bare create p50 1.25 ms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s\n%s", diff, out.String())
	}
}

func TestFlags(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown scenario is refused":                   {"-scenarios", "one,none"},
		"a controller without a kubeconfig is refused":     {"-controller", "other --fast"},
		"a controller that is only environment is refused": {"-controller", "KUBECONFIG={kubeconfig}"},
		"measuring nothing at all is refused":              {"-n", "0"},
		"asking nothing is refused":                        {"-queries", "0"},
		"halves without a measurement are refused":         {"-runs-for", "19s"},
	} {
		t.Run(name, func(t *testing.T) {
			if o, err := parse(args); err == nil {
				t.Errorf("accepted: %+v", o)
			}
		})
	}
	o, err := parse([]string{"-controller", "A=b /x/other --kubeconfig {kubeconfig}", "-controller", "/x/other -k {kubeconfig} -p {port}"})
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{o.others[0].Name, o.others[1].Name}; !cmp.Equal(got, []string{"other-2", "other-3"}) {
		t.Errorf("names = %q", got)
	}
	expanded, err := o.others[1].expand("/tmp/k")
	if err != nil || strings.ContainsAny(expanded.command, "{}") || !strings.HasPrefix(expanded.command, "exec env /x/other -k /tmp/k -p ") {
		t.Errorf("expand = %+v, %v", expanded, err)
	}
	if expanded.metrics != "" || expanded.pprof != "" {
		t.Errorf("a command that names no ports of its own has some: %+v", expanded)
	}
	expanded, err = headway("/x").expand("/tmp/k")
	if err != nil || strings.ContainsAny(expanded.command, "{}") {
		t.Fatalf("expand = %+v, %v", expanded, err)
	}
	for flag, address := range map[string]string{"--metricsPort ": expanded.metrics, "--enable-pprof-address 127.0.0.1:": expanded.pprof} {
		port, local := strings.CutPrefix(address, "http://127.0.0.1:")
		if !local || port == "" || !strings.Contains(expanded.command, flag+port) {
			t.Errorf("%s is not at %q: %s", flag, address, expanded.command)
		}
	}
}

func TestFakePrometheus(t *testing.T) {
	p, err := startFakePrometheus(0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	send(t, "GET", p.address+"/api/v1/query?query=x", "")
	if good, bad := p.answered(); good != 1 || !bad.IsZero() {
		t.Errorf("before it is spoilt: %d good answers, first bad %v", good, bad)
	}
	p.spoil()
	before := time.Now()
	send(t, "GET", p.address+"/api/v1/query?query=x", "")
	if good, bad := p.answered(); good != 1 || bad.Before(before) {
		t.Errorf("after: %d good answers, first bad %v", good, bad)
	}
	p.reset()
	if good, bad := p.answered(); good != 0 || !bad.IsZero() {
		t.Errorf("after a reset: %d good answers, first bad %v", good, bad)
	}
	if got := p.queries(); got != 2 {
		t.Errorf("%d queries are counted, want 2", got)
	}
}

func TestFakePrometheusTakesItsTime(t *testing.T) {
	p, err := startFakePrometheus(20 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	began := time.Now()
	send(t, "GET", p.address+"/api/v1/query?query=x", "")
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("an answer took %s, want 20ms or more", took)
	}
}

func TestPrometheusThatHangsNeverAnswers(t *testing.T) {
	p, err := startFakePrometheus(never)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	impatient := http.Client{Timeout: 50 * time.Millisecond}
	if reply, err := impatient.Post(p.address+"/api/v1/query", "text/plain", strings.NewReader("query=x")); err == nil {
		t.Errorf("it answered %s", reply.Status)
	}
	if got := p.queries(); got != 1 {
		t.Errorf("%d queries are counted, want 1", got)
	}
}

func TestSeriesAreReadAsTheyAreWritten(t *testing.T) {
	got, err := parseSeries(strings.NewReader(`# HELP headway_measurement_late_seconds Time.
# TYPE headway_measurement_late_seconds histogram
headway_measurement_late_seconds_bucket{le="0.5"} 3
headway_measurement_late_seconds_bucket{le="+Inf"} 1.5e+03 1700000000000
headway_measurement_late_seconds_sum 0.25
analysis_run_info{namespace="a",name="b"} 1
go_memstats_heap_alloc_bytes 1.2345e+07
go_memstats_heap_alloc_bytes{why="a b"} 7
go_goroutines 9
`))
	if err != nil {
		t.Fatal(err)
	}
	want := series{
		`headway_measurement_late_seconds_bucket{le="0.5"}`:  3,
		`headway_measurement_late_seconds_bucket{le="+Inf"}`: 1500,
		`headway_measurement_late_seconds_sum`:               0.25,
		`go_memstats_heap_alloc_bytes`:                       12345000,
		`go_memstats_heap_alloc_bytes{why="a b"}`:            7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, text := range map[string]string{
		"a series without a value is an error":              "go_memstats_heap_alloc_bytes\n",
		"a series with labels and no value is an error":     `headway_measurement_late_seconds_bucket{le="1"}` + "\n",
		"a value that is no number is an error":             "go_memstats_heap_alloc_bytes much\n",
		"a line that is longer than any series is an error": strings.Repeat("x", 1<<17),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseSeries(strings.NewReader(text)); err == nil {
				t.Errorf("read as %v", got)
			}
		})
	}
}

func TestBucketsAreThoseAddedSinceAScrape(t *testing.T) {
	earlier := series{`late_bucket{le="0.1"}`: 1, `late_bucket{le="+Inf"}`: 2}
	now := series{`late_bucket{le="+Inf"}`: 9, `late_bucket{le="0.1"}`: 5, `late_bucket{le="2"}`: 6, "late_sum": 3, `later_bucket{le="7"}`: 1}
	want := []bucket{{0.1, 4}, {2, 6}, {math.Inf(1), 7}}
	if diff := cmp.Diff(want, now.since(earlier).buckets("late"), cmp.AllowUnexported(bucket{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	hundred := []bucket{{1, 50}, {2, 50}, {4, 90}, {inf, 100}}
	for _, c := range []struct {
		name    string
		buckets []bucket
		q       float64
		want    [2]float64
		ok      bool
	}{
		{"within the first bucket it is spread from zero", hundred, 0.25, [2]float64{0.5, 1}, true},
		{"at the end of a bucket it is its bound", hundred, 0.5, [2]float64{1, 1}, true},
		{"an empty bucket is passed over", hundred, 0.7, [2]float64{3, 4}, true},
		{"in the last bucket it is the most that is known", hundred, 0.99, [2]float64{4, inf}, true},
		{"all in the last bucket are beyond every bound", []bucket{{1, 0}, {inf, 5}}, 0.5, [2]float64{1, inf}, true},
		{"a first bucket that is empty is passed over", []bucket{{1, 0}, {2, 4}, {inf, 4}}, 0.5, [2]float64{1.5, 2}, true},
		{"without observations there is none", []bucket{{1, 0}, {inf, 0}}, 0.5, [2]float64{}, false},
		{"without buckets there is none", nil, 0.5, [2]float64{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, bound, ok := quantile(c.buckets, c.q)
			if got := [2]float64{value, bound}; got != c.want || ok != c.ok {
				t.Errorf("quantile = %v, %v; want %v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestLatenessIsLeftOutOfAControllerThatTellsNone(t *testing.T) {
	var out sheet
	out.lateness("late", half{to: mark{served: series{heapSeries: 1}}}.late())
	out.lateness("late then", []bucket{{0.01, 98}, {math.Inf(1), 100}})
	want := figures{{"", "late then p50", "ms", 0.5 / 0.98 * 10}, {"", "late then p50, at most", "ms", 10}, {"", "late then p99", "ms", 10}}
	if diff := cmp.Diff(want, out.rows, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestReadingsTellThePace(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	before := readings{
		"steady": {at: at(0), taken: 2, last: at(-3)},
		"slow":   {at: at(0), taken: 2, failed: 1, last: at(-1)},
		"new":    {at: at(0)},
		"stuck":  {at: at(0), taken: 4, last: at(-1)},
		"gone":   {at: at(0), taken: 7, last: at(-1)},
	}
	after := readings{
		"steady": {at: at(60), taken: 8, last: at(57)},            // 6 in 60 s
		"slow":   {at: at(40), taken: 6, failed: 3, last: at(47)}, // 4 in 48 s
		"new":    {at: at(60), taken: 3, last: at(50)},
		"stuck":  {at: at(60), taken: 4, last: at(-1)},
	}
	if got, want := after.rate(before), 6.0/60+4.0/40+3.0/60; math.Abs(got-want) > 1e-9 {
		t.Errorf("rate = %v, want %v", got, want)
	}
	if got := after.failed(before); got != 2 {
		t.Errorf("failed = %d, want 2", got)
	}
	mean, largest := after.drift(before, 10*time.Second)
	if mean != 800*time.Millisecond || largest != 2*time.Second { // (60 s + 48 s) / 10; 48 s / 4
		t.Errorf("drift = %s, largest %s; want 800ms, 2s", mean, largest)
	}
	if mean, largest := after.drift(readings{}, 10*time.Second); mean != 0 || largest != 0 {
		t.Errorf("drift of runs without a measurement before = %s, %s; want none", mean, largest)
	}
}

func TestReadingCountsErrorsAsMeasurements(t *testing.T) {
	last := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 7, 0, time.UTC))
	run := analysisRun("a", "b", asking("http://x", 1))
	run.Status.MetricResults = []v1alpha1.MetricResult{{Count: 3, Error: 2, Measurements: []v1alpha1.Measurement{{}, {StartedAt: &last}}}}
	want := reading{taken: 5, failed: 2, last: last.Time}
	if diff := cmp.Diff(want, readingOf(run), cmp.AllowUnexported(reading{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := readingOf(analysisRun("a", "b")); got != (reading{}) {
		t.Errorf("a run without a measurement reads as %+v", got)
	}
}

func TestWavesHaveEveryNumberOnce(t *testing.T) {
	want := [][]int{{10, 11, 12}, {13, 14}, {15, 16}}
	if diff := cmp.Diff(want, waves(10, 17, 3)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
