package egress

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestRepliesAreDecodedInTurns(t *testing.T) {
	url, c, turns := serve(t, says("{}")), New(policyOf(t, "allow:loopback")), NewTurns(2)
	var ends []func()
	for range 2 {
		ctx, end := turns.Begin(t.Context())
		if err := c.AskJSON(ctx, Request{URL: url}, new(any)); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	ctx, end := turns.Begin(t.Context())
	defer end()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := c.AskJSON(short, Request{URL: url}, new(any)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("decoded beside two others: %v", err)
	}
	ends[0]()
	if err := c.AskJSON(ctx, Request{URL: url}, new(any)); err != nil {
		t.Errorf("a turn that was given back is not taken: %v", err)
	}
	end()
	ends[1]()
	ends[1]() // is a turn given back twice?
	if n := len(turns.places); n != 0 {
		t.Errorf("%d turns are taken when all have ended", n)
	}
}

func TestASlowServerTakesNoTurn(t *testing.T) {
	asked := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	c, turns := New(policyOf(t, "allow:loopback")), NewTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	ctx, end := turns.Begin(ctx)
	ended := make(chan error)
	go func() {
		_, err := c.Ask(ctx, Request{URL: url})
		ended <- err
	}()
	<-asked
	if n := len(turns.places); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	end()
	if n := len(turns.places); n != 0 {
		t.Errorf("%d turns are taken at the end", n)
	}
}

// Whoever asks again gives its turn back first: here with a redirect, with a
// token, and with a second question.
func TestNoTurnIsKeptWhileAServerIsAsked(t *testing.T) {
	turns := NewTurns(1)
	var taken []int
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		taken = append(taken, len(turns.places))
		switch r.URL.Path {
		case "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"t","expires_in":3600}`))
		case "/":
			http.Redirect(w, r, "/moved", http.StatusFound)
		}
	})
	c := New(policyOf(t, "allow:loopback"))
	signer, err := c.OAuth2(ClientCredentials{TokenURL: url + "/token", ClientID: "me", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := turns.Begin(t.Context())
	for _, by := range []Signer{signer, signer, nil} {
		if _, err := c.Ask(ctx, Request{URL: url, Options: Options{Signer: by}}); err != nil {
			t.Fatal(err)
		}
		if n := len(turns.places); n != 1 {
			t.Errorf("%d turns are taken while the reply is decoded", n)
		}
	}
	end()
	if n := len(turns.places); n != 0 {
		t.Errorf("%d turns are taken at the end", n)
	}
	for i, n := range taken {
		if n != 0 {
			t.Errorf("a turn is taken while question %d of %d waits", i+1, len(taken))
		}
	}
	if len(taken) != 7 {
		t.Errorf("the server was asked %d times", len(taken))
	}
}

func TestATurnIsGivenBackAfterAnError(t *testing.T) {
	cases := []struct {
		name  string
		serve http.HandlerFunc
	}{
		{"an error of the server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadGateway) }},
		{"no JSON", says("x")},
		{"too much", withoutEnd(ok+"\r\n", "x")},
		{"a redirect elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}},
		{"a broken connection", bytesOf("")},
	}
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			turns := NewTurns(1)
			ctx, end := turns.Begin(t.Context())
			if err := New(policyOf(t, "allow:loopback")).AskJSON(ctx, Request{URL: serve(t, each.serve)}, new(any)); err == nil {
				t.Error("there is no error")
			}
			end()
			if n := len(turns.places); n != 0 {
				t.Errorf("%d turns are taken", n)
			}
		})
	}
}

func TestWithoutTurnsNobodyWaits(t *testing.T) {
	url, c := serve(t, says("{}")), New(policyOf(t, "allow:loopback"))
	for range 3 {
		if err := c.AskJSON(t.Context(), Request{URL: url}, new(any)); err != nil {
			t.Error(err)
		}
	}
}
