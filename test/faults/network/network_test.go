package network

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// server counts the requests that reach it.
func server(t *testing.T) (cfg *rest.Config, arrived *atomic.Int32) {
	t.Helper()
	arrived = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL}, arrived
}

// send makes a request with a connection of its own and returns the code and the body.
func send(t *testing.T, method, url, body string) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	return reply.StatusCode, string(text), err
}

const pods = "/api/v1/namespaces/n/pods"

func TestAMeddlerLosesTheChosenWrite(t *testing.T) {
	for how, want := range map[Loss]struct {
		code    int
		arrives int32
		dead    bool
	}{
		Unsent:     {0, 1, true},
		Unanswered: {0, 2, true},
		Unclear:    {http.StatusInternalServerError, 2, false},
		Refused:    {http.StatusInternalServerError, 1, false},
	} {
		t.Run(string(how), func(t *testing.T) {
			cfg, arrived := server(t)
			m := NewMeddler(t, cfg)
			lost := m.Lose("n", 2, how)
			if code, body, err := send(t, http.MethodPost, m.Address+pods, "one"); code != http.StatusOK || body != "one" {
				t.Fatalf("the first write: %d %q %v", code, body, err)
			}
			select {
			case <-lost:
				t.Fatal("the first write was lost")
			default:
			}
			if code, body, _ := send(t, http.MethodPost, m.Address+pods, "two"); code != want.code || body == "two" {
				t.Errorf("the second write: %d %q", code, body)
			}
			<-lost
			if got := arrived.Load(); got != want.arrives {
				t.Errorf("%d writes arrived, want %d", got, want.arrives)
			}
			if _, _, err := send(t, http.MethodGet, m.Address+pods, ""); (err != nil) != want.dead {
				t.Errorf("the read after it: %v", err)
			}
			m.Pass()
			if code, body, err := send(t, http.MethodPost, m.Address+pods, "three"); code != http.StatusOK || body != "three" {
				t.Errorf("the write after all that: %d %q %v", code, body, err)
			}
		})
	}
}

func TestAMeddlerCountsTheWritesOfANamespaceAlone(t *testing.T) {
	cfg, _ := server(t)
	m := NewMeddler(t, cfg)
	m.Lose("n", 4, Unclear)
	for _, r := range []struct {
		method, path, body string
		code               int
	}{
		{http.MethodGet, pods, "", http.StatusOK},
		{http.MethodPost, pods + "?dryRun=All", "", http.StatusOK},
		{http.MethodPut, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "", http.StatusOK},
		{http.MethodPost, "/api/v1/namespaces/n/events", "{}", http.StatusOK},
		{http.MethodPost, pods, "{}", http.StatusOK},
		{http.MethodPatch, pods + "/a", `{"metadata":{"uid":"u"},"spec":{}}`, http.StatusOK},
		{http.MethodPatch, "/api/v1/namespaces/another/pods/b", `{"metadata":{"labels":{"resourceVersion":"no"}}}`, http.StatusOK},
		{http.MethodPut, pods + "/c/status", `{"metadata":{"resourceVersion":"1"}}`, http.StatusOK},
		{http.MethodDelete, pods + "/d", `{"preconditions":{"uid":"u"}}`, http.StatusInternalServerError},
		{http.MethodDelete, pods + "/e", `{"propagationPolicy":"Background"}`, http.StatusOK},
	} {
		if code, body, err := send(t, r.method, m.Address+r.path, r.body); code != r.code || code == http.StatusOK && body != r.body {
			t.Errorf("%s %s: %d %q %v", r.method, r.path, code, body, err)
		}
	}
	want := []Write{
		{Method: http.MethodPost, Path: "/api/v1/namespaces/n/events", Event: true, Guarded: true},
		{Method: http.MethodPost, Path: pods, Guarded: true},
		{Method: http.MethodPatch, Path: pods + "/a", Guarded: true},
		{Method: http.MethodPatch, Path: "/api/v1/namespaces/another/pods/b"},
		{Method: http.MethodPut, Path: pods + "/c/status", Guarded: true},
		{Method: http.MethodDelete, Path: pods + "/d", Guarded: true},
		{Method: http.MethodDelete, Path: pods + "/e"},
	}
	if diff := cmp.Diff(want, m.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestALineRefusesAndRecovers(t *testing.T) {
	cfg, arrived := server(t)
	line := NewLine(t, cfg)
	if code, _, err := send(t, http.MethodGet, line.Address, ""); code != http.StatusOK {
		t.Fatalf("connected: %d %v", code, err)
	}
	standing, err := net.Dial("tcp", strings.TrimPrefix(line.Address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = standing.Close() }()
	line.Refuse()
	if _, _, err := send(t, http.MethodGet, line.Address, ""); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("refused: %v, want an error at once", err)
	}
	_ = standing.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := standing.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection from before: %v, want it closed", err)
	}
	if got := arrived.Load(); got != 1 {
		t.Errorf("%d requests arrived, want 1", got)
	}
	line.Restore()
	if code, _, err := send(t, http.MethodGet, line.Address, ""); code != http.StatusOK {
		t.Errorf("restored: %d %v", code, err)
	}
}

func TestALineIsSilentAndThenPassesWhatWaited(t *testing.T) {
	cfg, arrived := server(t)
	line := NewLine(t, cfg)
	line.Silence()
	conn, err := net.Dial("tcp", strings.TrimPrefix(line.Address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("silent: %v, want nothing at all", err)
	}
	if got := arrived.Load(); got != 0 {
		t.Errorf("%d requests arrived, want 0", got)
	}
	line.Restore()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Errorf("restored: %v, want the answer", err)
	}
}

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}
