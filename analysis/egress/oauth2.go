package egress

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// maxTokens is how many tokens are kept. Beyond it all are dropped and asked
	// for again: so many different clients at once is a mistake or an attack.
	maxTokens = 1000
	// maxToken is how many bytes one may have: more do not fit in the header of
	// a request at most servers.
	maxToken = 16 << 10
)

// ClientCredentials is how to get a token with OAuth2 client credentials.
type ClientCredentials struct {
	TokenURL, ClientID, ClientSecret string
	Scopes                           []string
	// Insecure skips the verification of the certificate of the token's server.
	Insecure bool
}

// tokens are kept until they expire, so that a measurement does not ask for one
// each time.
type tokens struct {
	mu   sync.Mutex
	held map[[sha256.Size]byte]*oauth2.Token
}

// bearer signs requests with a token of OAuth2.
type bearer struct {
	client      *Client
	credentials ClientCredentials
	key         [sha256.Size]byte
}

// OAuth2 signs requests with a token that client credentials get. The token is
// kept until it expires or is rejected.
func (c *Client) OAuth2(credentials ClientCredentials) (Signer, error) {
	if missing := credentials.missing(); len(missing) > 0 {
		return nil, fmt.Errorf("oauth2 is not complete; set %s too", strings.Join(missing, " and "))
	}
	if err := CheckURL(credentials.TokenURL); err != nil {
		return nil, fmt.Errorf("oauth2 tokenUrl: %w", err)
	}
	key, err := keyOf(credentials)
	if err != nil {
		return nil, err
	}
	return bearer{client: c, credentials: credentials, key: key}, nil
}

// missing are the names of the fields that have to be set and are not.
func (c ClientCredentials) missing() []string {
	var out []string
	for _, field := range []struct{ name, value string }{
		{"tokenUrl", c.TokenURL}, {"clientId", c.ClientID}, {"clientSecret", c.ClientSecret},
	} {
		if field.value == "" {
			out = append(out, field.name)
		}
	}
	return out
}

// Sign adds the token.
func (b bearer) Sign(request *http.Request) error {
	token := b.client.tokens.get(b.key)
	if !token.Valid() {
		var err error
		if token, err = b.ask(request.Context()); err != nil {
			return err
		}
		b.client.tokens.put(b.key, token)
	}
	token.SetAuthHeader(request)
	return nil
}

// Rejected drops a token that the server does not take any more.
func (b bearer) Rejected() { b.client.tokens.drop(b.key) }

func (b bearer) ask(ctx context.Context) (*oauth2.Token, error) {
	config := clientcredentials.Config{
		ClientID: b.credentials.ClientID, ClientSecret: b.credentials.ClientSecret,
		TokenURL: b.credentials.TokenURL, Scopes: b.credentials.Scopes,
	}
	asking := b.client.HTTP(Options{Insecure: b.credentials.Insecure})
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, asking))
	if err != nil {
		return nil, withheld(err)
	}
	if len(token.AccessToken)+len(token.TokenType) > maxToken {
		return nil, fmt.Errorf("the oauth2 token is longer than %d bytes", maxToken)
	}
	// What the server said besides is not for keeping: it may be large.
	return &oauth2.Token{
		AccessToken: strings.Clone(token.AccessToken), TokenType: strings.Clone(token.TokenType), Expiry: token.Expiry,
	}, nil
}

// withheld says what went wrong without what the server said: it may repeat
// the credentials.
func withheld(err error) error {
	var said *oauth2.RetrieveError
	var request *url.Error
	switch {
	case errors.As(err, &said) && slices.Contains(codes, said.ErrorCode):
		return fmt.Errorf("asking for an oauth2 token: status %d, %s", said.Response.StatusCode, said.ErrorCode)
	case errors.As(err, &said):
		return fmt.Errorf("asking for an oauth2 token: the server answered with status %d", said.Response.StatusCode)
	case errors.As(err, &request):
		return Explain("the oauth2 tokenUrl", err)
	default:
		return errors.New("asking for an oauth2 token: the reply holds none; the tokenUrl may lead to something else")
	}
}

// codes are what a server may say is wrong, of RFC 6749.
var codes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
}

// keyOf tells credentials apart without keeping them.
func keyOf(credentials ClientCredentials) ([sha256.Size]byte, error) {
	text, err := json.Marshal(credentials)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("encoding the credentials: %w", err)
	}
	return sha256.Sum256(text), nil
}

func (t *tokens) get(key [sha256.Size]byte) *oauth2.Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[key]
}

func (t *tokens) put(key [sha256.Size]byte, token *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil || len(t.held) >= maxTokens {
		t.held = map[[sha256.Size]byte]*oauth2.Token{}
	}
	t.held[key] = token
}

func (t *tokens) drop(key [sha256.Size]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, key)
}
