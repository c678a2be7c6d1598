package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsSent(t *testing.T) {
	type sent struct{ Request, Key, Length, Body string }
	var got sent
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = sent{r.Method + " " + r.RequestURI, r.Header.Get("X-Key"), r.Header.Get("Content-Length"), string(body)}
	})
	cases := []struct {
		name    string
		request Request
		want    sent
	}{
		{"GET is the default", Request{URL: "/a?b=c"}, sent{"GET /a?b=c", "", "", ""}},
		{"a method and a body", Request{URL: "/", Method: "PUT", Body: []byte("{}")}, sent{"PUT /", "", "2", "{}"}},
		{"headers", Request{URL: "/", Header: http.Header{"X-Key": {"mine"}}}, sent{"GET /", "mine", "", ""}},
		{"what a signer adds wins", Request{URL: "/", Header: http.Header{"X-Key": {"mine"}}, Options: Options{Signer: signedBy("theirs")}}, sent{"GET /", "theirs", "", ""}},
	}
	c := New(policyOf(t, "allow:loopback"))
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			before := each.request.Header.Clone()
			each.request.URL = url + each.request.URL
			if _, err := c.Ask(t.Context(), each.request); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(each.want, got) + cmp.Diff(before, each.request.Header); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func signedBy(name string) Signer {
	return SignerFunc(func(r *http.Request) error {
		r.Header.Set("X-Key", name)
		return nil
	})
}

func TestEveryRequestIsSignedOnItsHost(t *testing.T) {
	var got []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+" "+r.Header.Get("X-Key"))
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/moved", http.StatusFound)
		}
	})
	if _, err := New(policyOf(t, "allow:loopback")).Ask(t.Context(), Request{URL: url, Options: Options{Signer: signedBy("me")}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/ me", "/moved me"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatASignerCannotSignIsNotSent(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	signer := SignerFunc(func(*http.Request) error { return errors.New("no key") })
	_, err := New(policyOf(t, "allow:loopback")).Ask(t.Context(), Request{URL: url, Options: Options{Signer: signer}})
	if err == nil || Explain("web", err).Error() != "querying web: no key" || asked.Load() != 0 {
		t.Errorf("got %v after %d requests", err, asked.Load())
	}
}

func TestAStatusErrorHasTheBodyAndDoesNotTellIt(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, leak)
	})
	_, err := New(policyOf(t, "allow:loopback")).Ask(t.Context(), Request{URL: url})
	var status *StatusError
	if !errors.As(err, &status) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(&StatusError{Code: 403, Body: []byte(leak)}, status); diff != "" {
		t.Error(diff)
	}
	if got := Explain("web", err).Error(); got != "querying web: the server answered with status 403 Forbidden" {
		t.Error(got)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var made atomic.Int32
	server := httptest.NewUnstartedServer(says("{}"))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := New(policyOf(t, "allow:loopback"))
	for range 10 {
		if _, err := c.Ask(t.Context(), Request{URL: server.URL}); err != nil {
			t.Fatal(err)
		}
	}
	if n := made.Load(); n != 1 {
		t.Errorf("10 questions made %d connections", n)
	}
}

func TestOnlyInsecureTrustsAnyCertificate(t *testing.T) {
	server := httptest.NewTLSServer(says("{}"))
	defer server.Close()
	c := New(policyOf(t, "allow:loopback"))
	for _, insecure := range []bool{true, false, true} { // a connection that is trusted is not shared
		_, err := c.Ask(t.Context(), Request{URL: server.URL, Options: Options{Insecure: insecure}})
		if (err == nil) != insecure || (err != nil && !strings.Contains(err.Error(), "failed to verify certificate")) {
			t.Errorf("insecure is %t: %v", insecure, err)
		}
	}
}

func TestOneClientServesManyAtOnce(t *testing.T) {
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	var mu sync.Mutex
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q", r.Header.Get("Authorization")+r.URL.Path)
	})
	handler := s.reply
	s.reply = func(w http.ResponseWriter, n int) {
		mu.Lock()
		defer mu.Unlock()
		handler(w, 1)
	}
	if err := s.ask(t, c, s.credentials()); err != nil {
		t.Fatal(err)
	}
	signer, err := c.OAuth2(s.credentials())
	if err != nil {
		t.Fatal(err)
	}
	turns, wait := NewTurns(2), sync.WaitGroup{}
	for i := range 20 {
		wait.Go(func() {
			ctx, end := turns.Begin(t.Context())
			defer end()
			var got string
			err := c.AskJSON(ctx, Request{URL: fmt.Sprintf("%s/%d", target, i), Options: Options{Signer: signer}}, &got)
			if want := fmt.Sprintf("Bearer token-1/%d", i); err != nil || got != want {
				t.Errorf("got %q and %v, want %q", got, err, want)
			}
		})
	}
	wait.Wait()
	if len(s.asked) != 1 {
		t.Errorf("a token was asked for %d times", len(s.asked))
	}
}

func TestExplain(t *testing.T) {
	cases := []struct {
		name string
		err  error
		want string
	}{
		{"a reason", errors.New("no query"), "querying web: no query"},
		{"no time", fmt.Errorf("waiting: %w", context.DeadlineExceeded), "web did not answer in time"},
		{"a URL is left out", &url.Error{Op: "Get", URL: "http://" + leak, Err: errors.New("broken")}, "querying web: broken"},
		{"lines become one", errors.New("a\r\n\tb"), "querying web: a b"},
		{"what a terminal obeys is left out", errors.New("a\x1b[31mb\u202ec\x00"), "querying web: a[31mbc"},
		{"what is not UTF-8 is left out", errors.New("a\xffb"), "querying web: ab"},
		{"200 bytes are kept", errors.New(strings.Repeat("x", 200)), "querying web: " + strings.Repeat("x", 200)},
		{"more is cut", errors.New(strings.Repeat("x", 201)), "querying web: " + strings.Repeat("x", 200) + "…"},
		{"no letter is cut", errors.New(strings.Repeat("x", 199) + "éé"), "querying web: " + strings.Repeat("x", 199) + "…"},
		{"much more is cut", errors.New(strings.Repeat("x\n", 1<<20)), "querying web: " + strings.Repeat("x ", 100) + "…"},
	}
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			if got := Explain("web", each.err).Error(); got != each.want {
				t.Errorf("got %q, want %q", got, each.want)
			}
		})
	}
}

func TestABadMethodIsNotSent(t *testing.T) {
	_, err := New(Policy{}).Ask(t.Context(), Request{Method: "GET /" + leak, URL: "http://192.0.2.1"})
	if err == nil || err.Error() != "the request cannot be made of this method and URL" {
		t.Errorf("got %v", err)
	}
}

func TestABadHeaderIsNamed(t *testing.T) {
	for _, header := range []http.Header{{"X A": {"b"}}, {"X-A": {leak + "\r\nX-B: c"}}} {
		_, err := New(Policy{}).Ask(t.Context(), Request{URL: "http://192.0.2.1", Header: header})
		if err == nil || !strings.Contains(err.Error(), "net/http: invalid header field") || strings.Contains(err.Error(), leak) {
			t.Errorf("got %v", err)
		}
	}
}
