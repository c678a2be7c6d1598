// Package providertest is the conformance suite of providers that ask a server
// over HTTP: whatever the server does, the provider gives a short error, soon,
// and the controller stays well. It is called by the tests of providers.
package providertest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Leak is a text in every bad reply that must not reach a message.
const Leak = "SECRET-OF-THE-SERVER"

// maxGrowth is how much memory one bad reply may take.
const maxGrowth = 16 << 20

// Client reaches the test servers of this machine, and nothing else that is
// refused by default.
func Client() *egress.Client {
	policy, err := egress.ParsePolicy([]string{"allow:loopback"})
	if err != nil {
		panic(err) // the rule is written above
	}
	return egress.New(policy)
}

// Run checks a provider against every hostile server, slow ones, one that is
// down, and many at once. query makes a query for a server at an address; each
// call makes a new one.
func Run(t *testing.T, provider analysis.Provider, query func(address string) analysis.Query) {
	t.Helper()
	for name, handler := range Hostile() {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			fails(t, provider, query(server.URL), 20*time.Second)
		})
	}
	for name, handler := range slow() {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			fails(t, provider, query(server.URL), 200*time.Millisecond)
		})
	}
	t.Run("a server that is down", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		fails(t, provider, query(server.URL), 20*time.Second)
		fails(t, provider, query(strings.Replace(server.URL, "://", "://me:"+Leak+"@", 1)), 20*time.Second)
	})
	t.Run("the metadata service of a cloud", func(t *testing.T) {
		fails(t, provider, query("http://169.254.169.254"), 5*time.Second)
	})
	t.Run("nobody waits any more", func(t *testing.T) { abandoned(t, provider, query) })
	t.Run("many at once", func(t *testing.T) { together(t, provider, query) })
}

// fails checks that a measurement fails as it should.
func fails(t *testing.T, provider analysis.Provider, q analysis.Query, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	asked := q.Metric.DeepCopy()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	reply := provider.Measure(ctx, q)
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)

	short(t, reply)
	if diff := cmp.Diff(asked, &q.Metric); diff != "" {
		t.Errorf("the query is changed: %s", diff)
	}
	if took > limit+5*time.Second {
		t.Errorf("took %s with a limit of %s", took, limit)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > maxGrowth {
		t.Errorf("memory grew by %d bytes", grown)
	}
}

// short checks that a reply is an error that says little.
func short(t *testing.T, reply analysis.Reply) {
	t.Helper()
	if reply.Phase != v1alpha1.AnalysisPhaseError || reply.Message == "" {
		t.Errorf("got %s %q", reply.Phase, reply.Message)
	}
	if len(reply.Message) > 500 || strings.Contains(reply.Message, "\n") {
		t.Errorf("the message is not short: %q", reply.Message)
	}
	if strings.Contains(reply.Message, Leak) {
		t.Errorf("the message repeats the server or a password: %q", reply.Message)
	}
}

// abandoned checks that no server is asked for somebody who is gone.
func abandoned(t *testing.T, provider analysis.Provider, query func(address string) analysis.Query) {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	short(t, provider.Measure(ctx, query(server.URL)))
	if n := asked.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// together checks that measurements at the same time do not disturb each other.
func together(t *testing.T, provider analysis.Provider, query func(address string) analysis.Query) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	shared := query(server.URL)
	asked := shared.Metric.DeepCopy()
	replies := make([]analysis.Reply, 16)
	var wait sync.WaitGroup
	for i := range replies {
		wait.Go(func() { replies[i] = provider.Measure(t.Context(), shared) })
	}
	wait.Wait()
	for _, reply := range replies {
		short(t, reply)
		if diff := cmp.Diff(replies[0], reply); diff != "" {
			t.Errorf("the same question has another answer: %s", diff)
		}
	}
	if diff := cmp.Diff(asked, &shared.Metric); diff != "" {
		t.Errorf("the query is changed: %s", diff)
	}
}
