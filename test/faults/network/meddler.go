package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
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
	// Refused answers the same, and the write does not happen.
	Refused Loss = "refused"
)

// Crashes reports whether the controller is to be killed at that point.
func (l Loss) Crashes() bool { return l == Unsent || l == Unanswered }

// Meddler is an HTTP proxy to the API server that counts the writes of a
// controller, without Leases and Events, and loses one of them.
type Meddler struct {
	// Address is where it listens, as a URL. It adds the credentials itself.
	Address string

	upstream *httputil.ReverseProxy

	mu     sync.Mutex
	fenced bool
	in     string // the namespace where writes are counted
	count  int
	at     int
	loss   Loss
	lost   chan struct{}
	writes []Write
}

// Write is a request that changes something.
type Write struct {
	Method, Path string
	// Event says that it is about an Event. Those are not counted and not lost.
	Event bool
	// Guarded says that it names the object or the version that it means, so that
	// it cannot hit another. A new object needs no guard.
	Guarded bool
}

func (w Write) String() string { return w.Method + " " + w.Path }

// In reports whether the write is to a namespace.
func (w Write) In(namespace string) bool {
	return strings.Contains(w.Path, "/namespaces/"+namespace+"/")
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

// Lose starts to count the writes to a namespace and loses the one with that
// number, from 1. The channel is closed when it was lost; 0 loses none. When the
// loss is a crash, nothing passes from then on until Pass: a dead process sends
// nothing.
func (m *Meddler) Lose(namespace string, number int, loss Loss) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in, m.count, m.at, m.loss, m.lost, m.writes = namespace, 0, number, loss, make(chan struct{}), nil
	return m.lost
}

// Pass lets everything through again, and counts on.
func (m *Meddler) Pass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fenced = false
}

// Writes are all writes since Lose, to any namespace, without Leases and dry runs.
func (m *Meddler) Writes() []Write {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.writes)
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
	write, err := read(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch m.judge(write) {
	case drop:
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case pass:
		m.upstream.ServeHTTP(w, r)
		return
	case lose:
		m.drop(w, r)
	}
}

// drop lets the chosen write happen or not, and keeps the answer.
func (m *Meddler) drop(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	loss, lost := m.loss, m.lost
	m.mu.Unlock()
	if loss == Unanswered || loss == Unclear {
		m.upstream.ServeHTTP(httptest.NewRecorder(), r)
	}
	close(lost)
	if loss.Crashes() {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "the server broke down", http.StatusInternalServerError)
}

// judge says what becomes of a request; nil is one that writes nothing.
func (m *Meddler) judge(w *Write) verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.fenced:
		return drop
	case w == nil || m.lost == nil:
		return pass
	}
	m.writes = append(m.writes, *w)
	if w.Event || !w.In(m.in) {
		return pass
	}
	m.count++
	if m.count != m.at {
		return pass
	}
	m.fenced = m.loss.Crashes()
	return lose
}

// read looks at a request and leaves it as it was. It returns nil for reads, dry
// runs and Leases.
func read(r *http.Request) (*Write, error) {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil, nil
	}
	w := &Write{Method: r.Method, Path: r.URL.Path, Event: strings.Contains(r.URL.Path, "/events")}
	if strings.Contains(w.Path, "/leases") || r.URL.Query().Get("dryRun") != "" {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.Guarded = r.Method == http.MethodPost || guarded(body)
	return w, nil
}

// guarded reports whether the body of a patch or a deletion has a precondition.
func guarded(body []byte) bool {
	type names struct{ UID, ResourceVersion string }
	var fields struct{ Metadata, Preconditions names }
	// Kinds of Kubernetes itself are deleted with a body that is not JSON.
	if bytes.HasPrefix(body, []byte("k8s\x00")) {
		decoded, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		options, isDelete := decoded.(*metav1.DeleteOptions)
		return err == nil && isDelete && options.Preconditions != nil
	}
	return json.Unmarshal(body, &fields) == nil && (fields.Metadata != names{} || fields.Preconditions != names{})
}
