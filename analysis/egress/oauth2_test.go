package egress

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

const clientSecret = "hunter2-of-the-client"

// tokenServer is a server of tokens, and of what they open.
type tokenServer struct {
	url string
	// asked are the forms of the requests for tokens, with who sent them.
	asked []string
	// seen are the headers of the requests that were signed.
	seen []string
	// reply answers the nth request for a token; status the nth of the others.
	reply  func(w http.ResponseWriter, n int)
	status func(n int) int
}

func tokens200(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, n)
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{reply: tokens200, status: func(int) int { return http.StatusOK }}
	s.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			s.seen = append(s.seen, r.Header.Get("Authorization"))
			w.WriteHeader(s.status(len(s.seen)))
			return
		}
		id, secret, _ := r.BasicAuth()
		_ = r.ParseForm()
		s.asked = append(s.asked, fmt.Sprintf("%s %s %s:%s %s", r.Method, r.Header.Get("Content-Type"), id, secret, r.PostForm.Encode()))
		s.reply(w, len(s.asked))
	})
	return s
}

func (s *tokenServer) credentials(scopes ...string) ClientCredentials {
	return ClientCredentials{TokenURL: s.url + "/token", ClientID: "me", ClientSecret: clientSecret, Scopes: scopes}
}

// ask asks a question that is signed with a token.
func (s *tokenServer) ask(t *testing.T, c *Client, credentials ClientCredentials) error {
	t.Helper()
	signer, err := c.OAuth2(credentials)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Ask(t.Context(), Request{URL: s.url, Options: Options{Signer: signer}})
	return err
}

func TestATokenIsFetchedOnce(t *testing.T) {
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	for range 3 {
		if err := s.ask(t, c, s.credentials("read", "write")); err != nil {
			t.Fatal(err)
		}
	}
	const form = "POST application/x-www-form-urlencoded me:" + clientSecret + " grant_type=client_credentials&scope=read+write"
	if diff := cmp.Diff([]string{form}, s.asked) + cmp.Diff([]string{"Bearer token-1", "Bearer token-1", "Bearer token-1"}, s.seen); diff != "" {
		t.Error(diff)
	}
}

func TestEveryClientHasATokenOfItsOwn(t *testing.T) {
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	other := s.credentials()
	other.ClientSecret = "another"
	for _, credentials := range []ClientCredentials{s.credentials(), s.credentials("read"), other, s.credentials()} {
		if err := s.ask(t, c, credentials); credentials.ClientSecret == clientSecret && err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"Bearer token-1", "Bearer token-2", "Bearer token-3", "Bearer token-1"}, s.seen); diff != "" {
		t.Error(diff)
	}
}

func TestATokenIsFetchedAgain(t *testing.T) {
	cases := []struct {
		name   string
		reply  func(w http.ResponseWriter, n int)
		status func(n int) int
		asked  int
	}{
		{"not while it is good", tokens200, func(int) int { return 200 }, 1},
		{"not when it has no end", func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"t"}`)
		}, func(int) int { return 200 }, 1},
		{"when it expired", func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"t","expires_in":1}`)
		}, func(int) int { return 200 }, 3},
		{"when it was rejected", tokens200, func(n int) int { return map[bool]int{true: 401, false: 200}[n == 1] }, 2},
		{"not when it opens too little", tokens200, func(int) int { return 403 }, 1},
		{"not when the server is ill", tokens200, func(int) int { return 500 }, 1},
	}
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
			s.reply, s.status = each.reply, each.status
			for n := 1; n <= 3; n++ {
				if err := s.ask(t, c, s.credentials()); (err == nil) != (each.status(n) == 200) {
					t.Errorf("question %d: %v", n, err)
				}
			}
			if len(s.asked) != each.asked {
				t.Errorf("a token was asked for %d times, want %d", len(s.asked), each.asked)
			}
		})
	}
}

func TestAServerMayWantTheCredentialsInTheForm(t *testing.T) {
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	s.reply = func(w http.ResponseWriter, n int) {
		if strings.Contains(s.asked[n-1], "client_secret="+clientSecret) {
			tokens200(w, n)
			return
		}
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
	}
	if err := s.ask(t, c, s.credentials()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongWithATokenIsToldWithoutSecrets(t *testing.T) {
	const none = "asking for an oauth2 token: the reply holds none; the tokenUrl may lead to something else"
	json := func(status int, text string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	form := func(text string) func(http.ResponseWriter, int) {
		return func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
			fmt.Fprint(w, text)
		}
	}
	cases := []struct {
		name  string
		reply func(w http.ResponseWriter, n int)
		want  string
	}{
		{"a wrong secret", json(401, `{"error":"invalid_client","error_description":"`+leak+`"}`), "asking for an oauth2 token: status 401, invalid_client"},
		{"a wrong scope", json(400, `{"error":"invalid_scope","error_uri":"`+leak+`"}`), "asking for an oauth2 token: status 400, invalid_scope"},
		{"an error that repeats the secret", json(400, `{"error":"no such secret: `+clientSecret+`"}`), "the server answered with status 400"},
		{"an error with status 200", json(200, `{"error":"`+leak+`"}`), "the server answered with status 200"},
		{"an error that is a page", json(500, "<html>"+leak), "the server answered with status 500"},
		{"an error in a form", form("error=" + leak), "the server answered with status 200"},
		{"no right", json(403, ""), "the server answered with status 403"},
		{"a page", json(200, "<html>"+leak), none},
		{"nothing", json(200, ""), none},
		{"no token", json(200, `{"expires_in":3600}`), none},
		{"a token that is a number", json(200, `{"access_token":20071969}`), none},
		{"an end that is a text", json(200, `{"access_token":"t","expires_in":"`+leak+`"}`), none},
		{"a form that is none", form("access_token=" + leak + "%zz"), none},
		{"a token with lines", json(200, `{"access_token":"`+leak+`\r\nX-A: b"}`), `net/http: invalid header field value for "Authorization"`},
		{"a kind of token with lines", json(200, `{"access_token":"t","token_type":"`+leak+`\r\nX-A: b"}`), `net/http: invalid header field value for "Authorization"`},
		{"a long token", json(200, `{"access_token":"`+strings.Repeat("x", 20_000)+`"}`), "the oauth2 token is longer than 16384 bytes"},
		{"a long kind of token", json(200, `{"access_token":"t","token_type":"`+strings.Repeat("x", 20_000)+`"}`), "the oauth2 token is longer than 16384 bytes"},
		{"1 MB", json(200, strings.Repeat(leak, 100_000)), "querying the oauth2 tokenUrl: the reply is larger than 1 MiB"},
		{"a deep reply", json(200, strings.Repeat("[", 1000)), "querying the oauth2 tokenUrl: the reply nests lists"},
		{"a redirect elsewhere", func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", "http://169.254.169.254/"+leak)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, "querying the oauth2 tokenUrl: the server redirects to another host"},
	}
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
			s.reply = each.reply
			err := s.ask(t, c, s.credentials())
			if err == nil || !strings.Contains(err.Error(), each.want) {
				t.Fatalf("got %v, want %q", err, each.want)
			}
			for _, text := range []string{err.Error(), Explain("web", err).Error()} {
				if strings.Contains(text, leak) || strings.Contains(text, clientSecret) || strings.Contains(text, "20071969") {
					t.Errorf("the message repeats a secret: %s", text)
				}
			}
			if len(s.seen) != 0 {
				t.Errorf("it was asked without a token: %v", s.seen)
			}
		})
	}
}

func TestASlowServerOfTokensIsGivenUp(t *testing.T) {
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	stop := make(chan struct{})
	defer close(stop)
	s.reply = func(http.ResponseWriter, int) { <-stop }
	signer, err := c.OAuth2(s.credentials())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.Ask(ctx, Request{URL: s.url, Options: Options{Signer: signer}})
	if err == nil || Explain("web", err).Error() != "querying web: the oauth2 tokenUrl did not answer in time" {
		t.Errorf("got %v", err)
	}
}

func TestATokenIsNotFetchedFromARefusedAddress(t *testing.T) {
	sink, s := listen(t, "127.0.0.2:0"), newTokenServer(t)
	resolveBy(t, names)
	c := New(policyOf(t, "allow:127.0.0.1").WithKubernetes("10.96.0.1"))
	cases := []struct{ name, url, want string }{
		{"loopback", "http://127.0.0.2:" + sink.port + "/token", "loopback addresses are refused"},
		{"metadata", "http://169.254.169.254/latest/meta-data/iam", "metadata addresses are refused"},
		{"metadata by a name", "http://metadata.google.internal/computeMetadata/v1/token", "metadata addresses are refused"},
		{"the API server", "https://10.96.0.1/token", "the API server is refused"},
	}
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			err := s.ask(t, c, ClientCredentials{TokenURL: each.url, ClientID: "me", ClientSecret: clientSecret})
			if err == nil || !strings.Contains(err.Error(), each.want) || !strings.Contains(err.Error(), "querying the oauth2 tokenUrl") {
				t.Errorf("got %v, want %q", err, each.want)
			}
		})
	}
	if n := sink.count.Load(); n != 0 || len(s.seen) != 0 {
		t.Errorf("%d connections arrived, and %d questions", n, len(s.seen))
	}
}

func TestIncompleteCredentialsAreNamed(t *testing.T) {
	cases := []struct {
		name string
		have ClientCredentials
		want string
	}{
		{"nothing", ClientCredentials{}, "oauth2 is not complete; set tokenUrl and clientId and clientSecret too"},
		{"only scopes", ClientCredentials{Scopes: []string{"read"}}, "oauth2 is not complete; set tokenUrl and clientId and clientSecret too"},
		{"no URL", ClientCredentials{ClientID: "me", ClientSecret: clientSecret}, "oauth2 is not complete; set tokenUrl too"},
		{"no id", ClientCredentials{TokenURL: "http://a/", ClientSecret: clientSecret}, "oauth2 is not complete; set clientId too"},
		{"no secret", ClientCredentials{TokenURL: "http://a/", ClientID: "me"}, "oauth2 is not complete; set clientSecret too"},
		{"what is no URL", ClientCredentials{TokenURL: "a/token", ClientID: "me", ClientSecret: clientSecret}, "oauth2 tokenUrl: the address is not a URL such as http://metrics.example.com:8080"},
		{"a file", ClientCredentials{TokenURL: "file:///token", ClientID: "me", ClientSecret: clientSecret}, "oauth2 tokenUrl: the address is not a URL such as http://metrics.example.com:8080"},
	}
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			if _, err := New(Policy{}).OAuth2(each.have); err == nil || err.Error() != each.want {
				t.Errorf("got %v, want %s", err, each.want)
			}
		})
	}
}

func TestACertificateOfTheServerOfTokensIsVerified(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tokens200(w, int(asked.Add(1))) }))
	defer server.Close()
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	credentials := s.credentials()
	credentials.TokenURL = server.URL
	if err := s.ask(t, c, credentials); err == nil || !strings.Contains(err.Error(), "failed to verify certificate") {
		t.Errorf("got %v", err)
	}
	credentials.Insecure = true
	if err := s.ask(t, c, credentials); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("a token was given %d times", n)
	}
}

func TestOfATokenOnlyItselfIsKept(t *testing.T) {
	s, c := newTokenServer(t), New(policyOf(t, "allow:loopback"))
	s.reply = func(w http.ResponseWriter, _ int) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"t","refresh_token":"r","large":["`+strings.Repeat("x", 100_000)+`"]}`)
	}
	if err := s.ask(t, c, s.credentials()); err != nil {
		t.Fatal(err)
	}
	for _, token := range c.tokens.held {
		if token.Extra("large") != nil || token.RefreshToken != "" || token.AccessToken != "t" {
			t.Errorf("got %+v", token)
		}
	}
}

func TestSoManyTokensAreKept(t *testing.T) {
	var kept tokens
	for i := range 3 * maxTokens {
		key, err := keyOf(ClientCredentials{ClientID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		kept.put(key, &oauth2.Token{AccessToken: "t"})
		if kept.get(key) == nil || len(kept.held) > maxTokens {
			t.Fatalf("of %d tokens %d are kept", i+1, len(kept.held))
		}
	}
}
