package main

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// fakePrometheus answers every query with one value, good until it is spoiled.
type fakePrometheus struct {
	address string
	server  *http.Server
	// takes is the time for an answer.
	takes time.Duration

	mu     sync.Mutex
	spoilt bool
	asked  int
	good   int
	bad    time.Time
}

// never is the time for the answer of a server that accepts and hangs.
const never time.Duration = math.MaxInt64

func startFakePrometheus(takes time.Duration) (*fakePrometheus, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening as Prometheus: %w", err)
	}
	p := &fakePrometheus{address: "http://" + ln.Addr().String(), takes: takes}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(ln) }()
	return p, nil
}

func (p *fakePrometheus) close() { _ = p.server.Close() }

// ServeHTTP answers in the form of /api/v1/query. A bad answer's time is taken when
// it has been handed to the network.
func (p *fakePrometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // only then it is noticed that whoever asks gives up
	if p.takes > 0 && pass(r.Context(), p.takes) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	value := "0.999"
	if p.spoilt {
		value = "0.5"
	}
	body := fmt.Appendf(nil, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,%q]}]}}`,
		time.Now().Unix(), value)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	switch {
	case !p.spoilt:
		p.good++
	case p.bad.IsZero():
		p.bad = time.Now()
	}
}

// reset makes answers good and forgets what was answered.
func (p *fakePrometheus) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoilt, p.good, p.bad = false, 0, time.Time{}
}

// queries is how many queries came.
func (p *fakePrometheus) queries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// spoil makes every further answer bad.
func (p *fakePrometheus) spoil() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoilt = true
}

// answered is the number of good answers and the time of the first bad one.
func (p *fakePrometheus) answered() (good int, bad time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good, p.bad
}
