package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// serve answers requests of both protocols until the test ends.
func serve(t *testing.T, answer http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.Protocols = &http.Protocols{}
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestAnswersAreCounted(t *testing.T) {
	for _, c := range []struct {
		name     string
		protocol Protocol
		answer   http.HandlerFunc
		want     Answer
	}{
		{"a page", HTTP, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Version", "v1")
			w.Header().Set("X-Pod", "p")
		}, Answer{Version: "v1", Pod: "p"}},
		{"a page that failed on purpose", HTTP, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Version", "v1")
			w.Header().Set("X-Deliberate", "true")
			w.WriteHeader(http.StatusInternalServerError)
		}, Answer{Version: "v1", Deliberate: true}},
		{"a page of a proxy without pods", HTTP, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no available server", http.StatusServiceUnavailable)
		}, Answer{Lost: `503 Service Unavailable, grpc-status "", from "": no available server`}},
		{"a page of somebody else", HTTP, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "hello")
		}, Answer{Lost: `200 OK, grpc-status "", from "": hello`}},
		{"a call", GRPC, call("0"), Answer{Version: "v1"}},
		{"a call that was not answered", GRPC, call("14"), Answer{Lost: `200 OK, grpc-status "14", from "": `}},
		{"a call of a proxy without pods", GRPC, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no available server", http.StatusServiceUnavailable)
		}, Answer{Lost: `503 Service Unavailable, grpc-status "", from "": no available server`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAsker(Target{Address: serve(t, c.answer), Host: "web.test", Protocol: c.protocol})
			defer a.close()
			if got := a.ask(t.Context()); got != c.want {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
}

// call ends a call with a status, in the trailers. It must be what a client of gRPC sends.
func call(status string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
			http.Error(w, "this is no gRPC", http.StatusBadRequest)
			return
		}
		w.Header().Set("X-Version", "v1")
		w.Header().Set("Trailer", grpcStatus)
		w.WriteHeader(http.StatusOK)
		w.Header().Set(grpcStatus, status)
	}
}

func TestABurstIsCountedAloneAndTheStreamIsHeldBack(t *testing.T) {
	var asked atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", fmt.Sprintf("v%d", asked.Add(1)%2))
	})
	l := Start(t.Context(), Target{Address: address, Host: "web.test"}, 500)
	got := l.Burst(t.Context(), 200)
	if want := map[string]int{"v0": 100, "v1": 100}; got.Total != 200 || got.Lost != 0 || !cmp.Equal(got.Versions, want) {
		t.Errorf("the burst: %s", got)
	}
	if all := l.Stop(); all.Total != int(asked.Load()) || all.Lost != 0 {
		t.Errorf("of %d requests that came: %s", asked.Load(), all)
	}
}
