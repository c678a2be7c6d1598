package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
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
	command, err := o.others[1].expand("/tmp/k")
	if err != nil || strings.ContainsAny(command, "{}") || !strings.HasPrefix(command, "exec env /x/other -k /tmp/k -p ") {
		t.Errorf("expand = %q, %v", command, err)
	}
}

func TestFakePrometheus(t *testing.T) {
	p, err := startFakePrometheus()
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
}
