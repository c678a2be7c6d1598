package prometheus

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
	"syscall"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// maxBody is how much of a reply is read. Ten thousand samples fit.
	maxBody = 1 << 20
	// maxParts is how many commas a reply may have: a sample with seven labels
	// has nine. What is small as text, such as {}, is large once it is decoded.
	maxParts = 10 * maxSamples
	// maxDecoding is how many replies are decoded and judged at once.
	maxDecoding = 4
)

var (
	errTooLarge = errors.New("the reply is larger than 1 MiB; make the query return fewer series")
	errTooMany  = fmt.Errorf("the reply has more parts than %d samples need; make the query return fewer series", maxSamples)
)

// metadataV6 is the address of the metadata service of a cloud in IPv6; in
// IPv4 it is link-local.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")

// newTransport keeps connections for all servers of one kind of trust.
func newTransport(insecure bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: refuseMetadata}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: insecure}, //nolint:gosec // The user asks for it.
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// refuseMetadata keeps a query from reaching the metadata service of a cloud,
// which hands out the credentials of the node. It sees the address that is
// dialled, so names and redirects cannot hide it.
func refuseMetadata(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("reading the address: %w", err)
	}
	ip := target.Addr().Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || ip == metadataV6 {
		return errors.New("link-local addresses are refused: they lead to the metadata service of the node")
	}
	return nil
}

// exchange sends one query: it adds what authenticates it, reads the whole
// reply, and waits for its turn.
type exchange struct {
	next    http.RoundTripper
	headers []v1alpha1.WebMetricHeader
	basic   v1alpha1.BasicAuthConfig
	turn    *turn
}

// RoundTrip sends a request. Whoever asks again, after a redirect for example,
// waits for a server once more, and must not keep its turn meanwhile.
func (e exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	e.turn.leave()
	ctx := request.Context()
	request = request.Clone(ctx)
	for _, header := range e.headers {
		request.Header.Set(header.Key, header.Value)
	}
	if e.basic.Username != "" || e.basic.Password != "" {
		request.SetBasicAuth(e.basic.Username, e.basic.Password)
	}
	response, err := e.next.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // The client of the API adds the method and the address.
	}
	body, err := readAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := e.turn.take(ctx); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// readAll reads and closes a reply. It counts what is unpacked, so a small
// reply cannot grow large, and an error ends it where a plain limit would end
// as if all was read.
func readAll(body io.ReadCloser) ([]byte, error) {
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the reply: %w", err)
	case len(text) > maxBody:
		return nil, errTooLarge
	case bytes.Count(text, []byte(",")) > maxParts:
		return nil, errTooMany
	}
	return text, nil
}

// turn is the right to decode a reply. A reply takes up to thirty times its
// size once it is decoded, so few are at once. It is asked for when all of the
// reply is there, so that no slow server holds one.
type turn struct {
	places chan struct{}
	taken  bool
}

func (t *turn) take(ctx context.Context) error {
	select {
	case t.places <- struct{}{}:
		t.taken = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to decode the reply: %w", ctx.Err())
	}
}

func (t *turn) leave() {
	if t.taken {
		t.taken = false
		<-t.places
	}
}

// sameHost follows redirects only on the host that was named, so that headers
// and passwords stay there.
func sameHost(request *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("stopped after 5 redirects")
	}
	if first := via[0].URL; request.URL.Host != first.Host || request.URL.Scheme != first.Scheme {
		return errors.New("the server redirects to another host; set address to where it leads")
	}
	return nil
}
