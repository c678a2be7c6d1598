package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Protocol is how requests are sent.
type Protocol int

// The protocols.
const (
	HTTP Protocol = iota
	GRPC
)

// Target is where requests go.
type Target struct {
	// Address is the proxy's, Host the name that it routes by.
	Address, Host string
	Protocol      Protocol
}

const (
	// connections of HTTP/2, each of which carries many requests; HTTP/1.1 opens what it needs.
	connections = 4
	idleHTTP1   = 64

	// requestLimit is far above what any answer takes: a request that hits it is lost.
	requestLimit = 10 * time.Second
)

// asker sends single requests.
type asker struct {
	target  Target
	clients []*http.Client
	turn    atomic.Uint64
}

func newAsker(target Target) *asker {
	a := &asker{target: target}
	n := 1
	if target.Protocol == GRPC {
		n = connections
	}
	for range n {
		a.clients = append(a.clients, &http.Client{Transport: transport(target), Timeout: requestLimit})
	}
	return a
}

func transport(target Target) *http.Transport {
	t := &http.Transport{
		MaxIdleConnsPerHost: idleHTTP1,
		DisableCompression:  true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, target.Address)
		},
	}
	if target.Protocol == GRPC {
		t.Protocols = &http.Protocols{}
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

func (a *asker) close() {
	for _, c := range a.clients {
		c.CloseIdleConnections()
	}
}

// ask sends one request and reads all of the answer.
func (a *asker) ask(ctx context.Context) Answer {
	req, err := a.request(ctx)
	if err != nil {
		return Answer{Lost: err.Error()}
	}
	client := a.clients[a.turn.Add(1)%uint64(len(a.clients))]
	resp, err := client.Do(req)
	if err != nil {
		return Answer{Lost: err.Error()}
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return Answer{Lost: fmt.Sprintf("reading the answer: %v", err)}
	}
	got := Answer{
		Version: resp.Header.Get("X-Version"), Pod: resp.Header.Get("X-Pod"), Deliberate: resp.Header.Get("X-Deliberate") != "",
	}
	if ok := a.succeeded(resp); got.Version == "" || !ok && !got.Deliberate {
		return Answer{Lost: fmt.Sprintf("%s, grpc-status %q, from %q: %.100s",
			resp.Status, resp.Trailer.Get(grpcStatus), got.Pod, bytes.TrimSpace(body))}
	}
	return got
}

const grpcStatus = "Grpc-Status"

// emptyMessage is a gRPC message without fields: not compressed, of length 0.
var emptyMessage = make([]byte, 5)

func (a *asker) request(ctx context.Context) (*http.Request, error) {
	url := "http://" + a.target.Host + "/"
	if a.target.Protocol == HTTP {
		return http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"grpc.health.v1.Health/Check", bytes.NewReader(emptyMessage))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	return req, nil
}

// succeeded reports whether an answer says that all went well. What a gRPC call came
// to is in its trailers, or in its headers when it has no message.
func (a *asker) succeeded(resp *http.Response) bool {
	if resp.StatusCode != http.StatusOK || a.target.Protocol == HTTP {
		return resp.StatusCode == http.StatusOK
	}
	return resp.Trailer.Get(grpcStatus) == "0" || resp.Header.Get(grpcStatus) == "0"
}
