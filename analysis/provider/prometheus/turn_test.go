package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestARoundOfRepliesIsDecodedInTurns(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, vectorOf("1")) }))
	defer server.Close()
	provider := New(server.URL)
	for range maxDecoding {
		provider.decoding <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got := provider.Measure(ctx, queryTo("")); got.Phase != v1alpha1.AnalysisPhaseError {
		t.Errorf("decoded beside %d others: %+v", maxDecoding, got)
	}
	<-provider.decoding
	for range 2 {
		if got := provider.Measure(t.Context(), queryTo("")); got.Phase != v1alpha1.AnalysisPhaseSuccessful {
			t.Errorf("got %+v", got)
		}
	}
	if n := len(provider.decoding); n != maxDecoding-1 {
		t.Errorf("%d turns are taken", n)
	}
}

func TestASlowServerTakesNoTurn(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // the client asks again with GET
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	provider := New(server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		provider.Measure(ctx, queryTo(""))
		close(ended)
	}()
	<-asked
	if n := len(provider.decoding); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
	cancel()
	<-ended
}

func TestRepliesThatGrowWhenDecodedAreRefused(t *testing.T) {
	for name, reply := range map[string]string{
		"empty samples":  answer("vector", "["+strings.Repeat("{},", 300_000)+"{}]"),
		"empty warnings": `{"status":"success","warnings":[` + strings.Repeat(`"",`, 300_000) + `""],"data":{"resultType":"vector","result":[]}}`,
		"empty series":   answer("matrix", "["+strings.Repeat("{},", 300_000)+"{}]"),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, reply) }))
			defer server.Close()
			got := New(server.URL).Measure(t.Context(), queryTo(""))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, "more parts than 10000 samples need") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAsManySamplesAsAreAcceptedMayHaveLabels(t *testing.T) {
	sample := `{"metric":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"},"value":[1,"1"]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answer("vector", "["+strings.Repeat(sample+",", maxSamples-1)+sample+"]"))
	}))
	defer server.Close()
	if got := New(server.URL).Measure(t.Context(), queryTo("")); got.Phase != v1alpha1.AnalysisPhaseSuccessful {
		t.Errorf("got %s %s", got.Phase, got.Message)
	}
}
