package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// prometheus is an HTTP server that answers queries as a test scripts it.
type prometheus struct {
	*httptest.Server

	mu     sync.Mutex
	answer http.HandlerFunc
	asked  int
	open   int
}

func startPrometheus(answer http.HandlerFunc) *prometheus {
	p := &prometheus{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	return p
}

// newPrometheus runs until the test ends.
func newPrometheus(t *testing.T, answer http.HandlerFunc) *prometheus {
	t.Helper()
	p := startPrometheus(answer)
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *prometheus) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	answer := p.answer
	p.asked++
	p.open++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
	}()
	answer(w, r)
}

// say changes the answer.
func (p *prometheus) say(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// waiting is how many queries wait for their answer.
func (p *prometheus) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// questions is how many queries came.
func (p *prometheus) questions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// vector answers with samples.
func vector(values ...string) http.HandlerFunc {
	samples := make([]string, len(values))
	for i, v := range values {
		samples[i] = fmt.Sprintf(`{"metric":{},"value":[%d,%q]}`, time.Now().Unix(), v)
	}
	body := fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(samples, ","))
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
}

// value answers with one sample.
func value(v string) http.HandlerFunc { return vector(v) }

// hang never answers. A server learns that its client has gone only when the query was read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// broken answers with 500.
func broken(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of memory", http.StatusInternalServerError)
}

// html answers as a login page in front of Prometheus does.
func html(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, "<html><body>Please log in</body></html>")
}

// endless answers with samples for as long as somebody reads.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[`)
	sample := strings.Repeat(`{"metric":{"a":"b"},"value":[1,"1"]},`, 1000)
	for {
		if _, err := fmt.Fprint(w, sample); err != nil {
			return
		}
	}
}
