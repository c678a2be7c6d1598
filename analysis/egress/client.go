package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// maxRedirects is how often one question may be sent on.
const maxRedirects = 5

// Client keeps the connections to all servers, so there is one for all
// providers. It is safe for use by several at once.
type Client struct {
	strict, trusting *http.Transport
	tokens           tokens
}

// New makes a client that dials what the policy allows.
func New(policy Policy) *Client {
	d := dialer{policy: policy, proxies: proxiesOfEnvironment()}
	return &Client{strict: d.transport(false), trusting: d.transport(true)}
}

// Options are what one question needs besides its address.
type Options struct {
	// Insecure skips the verification of the server's certificate.
	Insecure bool
	// Signer authenticates the requests; nil adds nothing.
	Signer Signer
}

// Signer adds what authenticates to a request. It is asked for every request,
// also after a redirect on the same host.
type Signer interface {
	// Sign changes the request, which is a copy.
	Sign(*http.Request) error
	// Rejected is told that the server did not accept what was added.
	Rejected()
}

// SignerFunc is a Signer that learns nothing from a rejection.
type SignerFunc func(*http.Request) error

// Sign calls the function.
func (f SignerFunc) Sign(r *http.Request) error { return f(r) }

// Rejected does nothing.
func (SignerFunc) Rejected() {}

// HTTP is a client for one question, also for the client library of a vendor.
// Replies are read whole, within the limits of this package, before they are
// returned.
func (c *Client) HTTP(opts Options) *http.Client {
	next := c.strict
	if opts.Insecure {
		next = c.trusting
	}
	return &http.Client{Transport: exchange{next: next, signer: opts.Signer}, CheckRedirect: sameHost}
}

// dialer dials what the policy allows, and the proxies of the environment.
type dialer struct {
	policy Policy
	// proxies are the host:port of proxies that the operator named.
	proxies map[string]bool
}

func (d dialer) transport(insecure bool) *http.Transport {
	return &http.Transport{
		Proxy:                  d.proxy,
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: insecure}, //nolint:gosec // The user asks for it.
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// proxiesOfEnvironment are the proxies that requests may be sent to.
func proxiesOfEnvironment() map[string]bool {
	out := map[string]bool{}
	for _, scheme := range []string{"http", "https"} {
		through, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: "headway.invalid"}})
		if err == nil && through != nil {
			out[hostPort(through)] = true
		}
	}
	return out
}

// proxy is the proxy of the environment for a request. What it dials cannot be
// seen from here, so an address that is written as a number is checked before;
// which names it resolves is for its operator to say. It serves metrics, but
// is none, so nobody asks it for itself.
func (d dialer) proxy(request *http.Request) (*url.URL, error) {
	through, err := http.ProxyFromEnvironment(request)
	switch {
	case err != nil:
		return nil, errors.New("the proxy in the environment of the controller is not a URL")
	case through == nil && d.proxies[hostPort(request.URL)]:
		return nil, refusedError("the address is that of the controller's own proxy")
	case through == nil:
		return nil, nil
	}
	return through, d.proxied(request.URL.Hostname())
}

// proxied checks a host that a proxy will dial. Some read 2130706433 and 0x7f.1
// as addresses too, and letters beyond ASCII as digits.
func (d dialer) proxied(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return d.policy.Check(ip)
	}
	last := host[strings.LastIndexByte(strings.TrimSuffix(host, "."), '.')+1:]
	number := strings.Trim(last, "0123456789.") == "" || strings.HasPrefix(strings.ToLower(last), "0x")
	if number || strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		return refusedError("write the host of the address as a name in ASCII, or as an address such as 192.0.2.1")
	}
	return nil
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dial connects to a server. The policy sees the address that is dialled, so
// names, redirects and answers of DNS that change cannot hide it.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialing := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if !d.proxies[address] {
		dialing.ControlContext = func(_ context.Context, _, target string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(target)
			if err != nil {
				return fmt.Errorf("reading the address: %w", err)
			}
			return d.policy.Check(at.Addr())
		}
	}
	return dialing.DialContext(ctx, network, address) //nolint:wrapcheck // The client adds the method and the address.
}

// exchange sends one request: it adds what authenticates it, reads the whole
// reply, and waits for its turn to be decoded.
type exchange struct {
	next   http.RoundTripper
	signer Signer
}

// RoundTrip sends a request. Whoever asks again, after a redirect for example,
// waits for a server once more, and must not keep its turn meanwhile.
func (e exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	turn := turnOf(ctx)
	turn.leave()
	if e.signer != nil {
		request = request.Clone(ctx)
		if err := e.signer.Sign(request); err != nil {
			return nil, err
		}
		turn.leave() // signing may have asked a server, too
	}
	response, err := e.next.RoundTrip(request)
	if err != nil {
		return nil, told(err)
	}
	if e.signer != nil && response.StatusCode == http.StatusUnauthorized {
		e.signer.Rejected()
	}
	body, err := readReply(response)
	if err != nil {
		return nil, err
	}
	if err := turn.take(ctx); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	return response, nil
}

// readReply reads the body of a reply that makes sense here.
func readReply(response *http.Response) ([]byte, error) {
	// A connection that was switched to another protocol heeds no deadline.
	if response.StatusCode == http.StatusSwitchingProtocols {
		_ = response.Body.Close()
		return nil, errors.New("the server switches to another protocol than HTTP")
	}
	body, err := readAll(response.Body)
	if err != nil {
		return nil, err
	}
	// The client would quote such a URL.
	if _, err := response.Location(); response.StatusCode/100 == 3 && err != nil && !errors.Is(err, http.ErrNoLocation) {
		return nil, errors.New("the server redirects to what is not a URL")
	}
	return body, nil
}

// sameHost follows redirects only on the host that was named, so that headers
// and passwords stay there.
func sameHost(request *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	if first := via[0].URL; request.URL.Host != first.Host || request.URL.Scheme != first.Scheme {
		return errors.New("the server redirects to another host; set the address to where it leads")
	}
	return nil
}
