package prometheus

import (
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

// maxBody is how much of a reply is read. Ten thousand samples fit.
const maxBody = 1 << 20

var errTooLarge = errors.New("the reply is larger than 1 MiB; make the query return fewer series")

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

// exchange sends one query: it adds what authenticates it and caps the reply.
type exchange struct {
	next    http.RoundTripper
	headers []v1alpha1.WebMetricHeader
	basic   v1alpha1.BasicAuthConfig
}

// RoundTrip sends a request.
func (e exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
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
	response.Body = &capped{ReadCloser: response.Body, left: maxBody}
	return response, nil
}

// capped ends with an error where a plain limit would end as if all was read.
// It counts what is unpacked, so a small reply cannot grow large.
type capped struct {
	io.ReadCloser
	left int
}

// Read reads up to the cap.
func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		// A reply of exactly the cap ends here.
		n, err := c.ReadCloser.Read(p[:min(1, len(p))])
		if n > 0 {
			return 0, errTooLarge
		}
		return 0, err //nolint:wrapcheck // A reader hands errors through.
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err //nolint:wrapcheck // A reader hands errors through.
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
