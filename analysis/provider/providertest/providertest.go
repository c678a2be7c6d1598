// Package providertest is the conformance suite of providers that ask a server
// over HTTP: whatever the server does, the provider gives a short error, soon,
// and the controller stays well. It is called by the tests of providers.
package providertest

import (
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Leak is a text in every bad reply that must not reach a message.
const Leak = "SECRET-OF-THE-SERVER"

// maxGrowth is how much memory one bad reply may take.
const maxGrowth = 16 << 20

// Hostile are servers that do everything wrong.
func Hostile() map[string]http.HandlerFunc {
	filler := strings.Repeat("x", 1<<16)
	page := "<html>" + strings.Repeat("<br>", 500) + Leak + "</html>"
	return map[string]http.HandlerFunc{
		"an internal error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, page, http.StatusInternalServerError) },
		"a page instead of data": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, page)
		},
		"no right": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, page, http.StatusForbidden) },
		"nothing":  func(http.ResponseWriter, *http.Request) {},
		"half of an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"status":`)
		},
		"an answer without end": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"`)
			for range 16 << 10 {
				if _, err := fmt.Fprint(w, filler); err != nil {
					return
				}
			}
		},
		"a small answer that unpacks to a large one": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			for range 16 << 10 {
				if _, err := packed.Write([]byte(filler)); err != nil {
					return
				}
			}
			_ = packed.Close()
		},
		"brackets without end": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("[", 900_000)) },
		"a redirect to elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/"+Leak, http.StatusFound)
		},
		"a redirect in a circle":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"a header without an end":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 1<<20)) },
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
}

// Client reaches the test servers of this machine, and nothing else that is
// refused by default.
func Client() *egress.Client {
	policy, err := egress.ParsePolicy([]string{"allow:loopback"})
	if err != nil {
		panic(err) // the rule is written above
	}
	return egress.New(policy)
}

// Run checks a provider against every hostile server, a slow one, and one that
// is down. query makes a query for a server at an address.
func Run(t *testing.T, provider analysis.Provider, query func(address string) analysis.Query) {
	t.Helper()
	for name, handler := range Hostile() {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			fails(t, provider, query(server.URL), 20*time.Second)
		})
	}
	t.Run("a server that is slow", func(t *testing.T) {
		stop := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
		defer server.Close()
		defer close(stop)
		fails(t, provider, query(server.URL), 200*time.Millisecond)
	})
	t.Run("a server that is down", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		fails(t, provider, query(server.URL), 20*time.Second)
	})
	t.Run("the metadata service of a cloud", func(t *testing.T) {
		fails(t, provider, query("http://169.254.169.254"), 5*time.Second)
	})
}

func fails(t *testing.T, provider analysis.Provider, q analysis.Query, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	reply := provider.Measure(ctx, q)
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)

	if reply.Phase != v1alpha1.AnalysisPhaseError || reply.Message == "" {
		t.Errorf("got %s %q", reply.Phase, reply.Message)
	}
	if len(reply.Message) > 500 || strings.Contains(reply.Message, "\n") {
		t.Errorf("the message is not short: %q", reply.Message)
	}
	if strings.Contains(reply.Message, Leak) {
		t.Errorf("the message repeats the server: %q", reply.Message)
	}
	if took > limit+5*time.Second {
		t.Errorf("took %s with a limit of %s", took, limit)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > maxGrowth {
		t.Errorf("memory grew by %d bytes", grown)
	}
}
