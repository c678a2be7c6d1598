package network

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// Loss is what happens to the chosen write.
type Loss string

// The losses.
const (
	// Unsent loses the write before the API server gets it.
	Unsent Loss = "unsent"
	// Unanswered lets the write happen and loses the answer.
	Unanswered Loss = "unanswered"
	// Unclear lets the write happen and answers that the server broke down.
	Unclear Loss = "unclear"
)

// Crashes reports whether the controller is to be killed at that point.
func (l Loss) Crashes() bool { return l != Unclear }

// Meddler is an HTTP proxy to the API server that counts the writes of a
// controller, without Leases and Events, and loses one of them.
type Meddler struct {
	// Address is where it listens, as a URL. It adds the credentials itself.
	Address string

	upstream *httputil.ReverseProxy

	mu     sync.Mutex
	fenced bool
	armed  bool
	lost   chan struct{}
	count  int
	at     int
	loss   Loss
	writes []string
}

// NewMeddler listens on loopback until the test ends.
func NewMeddler(t testing.TB, cfg *rest.Config) *Meddler {
	t.Helper()
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatalf("parsing the address of the API server: %v", err)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatalf("making a transport to the API server: %v", err)
	}
	m := &Meddler{upstream: &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}}
	server := httptest.NewServer(m)
	m.Address = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return m
}

// Lose starts to count writes and loses the one with that number, from 1. The
// channel is closed when it was lost; 0 loses none. When the loss is a crash,
// nothing passes from then on until Pass: a dead process sends nothing.
func (m *Meddler) Lose(number int, loss Loss) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed, m.count, m.at, m.loss, m.lost, m.writes = true, 0, number, loss, make(chan struct{}), nil
	return m.lost
}

// Pass lets everything through again, and counts on.
func (m *Meddler) Pass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fenced = false
}

// Writes are the writes since Lose, one line each.
func (m *Meddler) Writes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.writes...)
}

// verdict is what becomes of a request.
type verdict int

const (
	pass verdict = iota
	drop
	lose
)

// ServeHTTP passes a request on, or does not.
func (m *Meddler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch m.judge(r) {
	case drop:
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case pass:
		m.upstream.ServeHTTP(w, r)
		return
	case lose:
	}
	if m.loss != Unsent {
		m.upstream.ServeHTTP(httptest.NewRecorder(), r)
	}
	close(m.lost)
	if m.loss == Unclear {
		http.Error(w, "the answer was lost", http.StatusInternalServerError)
		return
	}
	panic(http.ErrAbortHandler)
}

func (m *Meddler) judge(r *http.Request) verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.fenced:
		return drop
	case !m.armed || !isWrite(r):
		return pass
	}
	m.count++
	m.writes = append(m.writes, fmt.Sprintf("%d %s %s", m.count, r.Method, r.URL.Path))
	if m.count != m.at {
		return pass
	}
	m.fenced = m.loss.Crashes()
	return lose
}

func isWrite(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return false
	}
	path := r.URL.Path
	return !strings.Contains(path, "/events") && !strings.Contains(path, "/leases") && r.URL.Query().Get("dryRun") == ""
}
