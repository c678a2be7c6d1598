package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// proxy stands between a controller and the API server and counts. It listens on
// loopback without TLS and adds the administrator's certificate itself, so that
// every controller pays the same for it.
type proxy struct {
	server   *http.Server
	address  string
	upstream *httputil.ReverseProxy

	mu     sync.Mutex
	counts counts
	last   time.Time
}

// startProxy starts a proxy of the API server.
func startProxy(cfg *rest.Config) (*proxy, error) {
	target, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, fmt.Errorf("parsing the API server's address: %w", err)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a transport to the API server: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p := &proxy{address: "http://" + ln.Addr().String(), counts: counts{}, last: time.Now()}
	p.upstream = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // a watch event is passed on at once
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := p.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "bench: the proxy stopped:", err)
		}
	}()
	return p, nil
}

// close ends the proxy and every watch that runs through it.
func (p *proxy) close() { _ = p.server.Close() }

// kubeconfig writes one that leads to the proxy.
func (p *proxy) kubeconfig(dir string) (string, error) {
	path := filepath.Join(dir, "proxy.kubeconfig")
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["bench"] = &clientcmdapi.Cluster{Server: p.address}
	cfg.AuthInfos["bench"] = &clientcmdapi.AuthInfo{}
	cfg.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	cfg.CurrentContext = "bench"
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		return "", fmt.Errorf("writing the proxy's kubeconfig: %w", err)
	}
	return path, nil
}

// ServeHTTP passes a request on and counts it. The request is counted when it
// arrives: a watch has no end to wait for.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := callOf(r)
	p.add(c, tally{Requests: 1})
	r.Body = &countedBody{ReadCloser: r.Body, add: func(n int64) { p.add(c, tally{Sent: n}) }}
	p.upstream.ServeHTTP(&countedResponse{ResponseWriter: w, add: func(t tally) { p.add(c, t) }}, r)
}

func (p *proxy) add(c call, t tally) {
	if c.Resource == leasesResource {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[c] = p.counts[c].plus(t)
	p.last = time.Now()
}

// read is a copy of the counts, and when the last of them changed.
func (p *proxy) read() (counts, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := make(counts, len(p.counts))
	for k, t := range p.counts {
		copied[k] = t
	}
	return copied, p.last
}

// quiet waits until nothing but leases passed for a while, in either direction.
func (p *proxy) quiet(ctx context.Context, window time.Duration) error {
	return until(ctx, "the controller to be quiet", func() bool {
		_, last := p.read()
		return time.Since(last) >= window
	})
}

// countedBody counts what is read from a request.
type countedBody struct {
	io.ReadCloser
	add func(int64)
}

func (b *countedBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	if n > 0 {
		b.add(int64(n))
	}
	return n, err
}

// countedResponse counts what is written in reply.
type countedResponse struct {
	http.ResponseWriter
	add func(tally)
}

func (w *countedResponse) WriteHeader(code int) {
	if code >= http.StatusBadRequest {
		w.add(tally{Refused: 1})
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *countedResponse) Write(data []byte) (int, error) {
	n, err := w.ResponseWriter.Write(data)
	if n > 0 {
		w.add(tally{Received: int64(n)})
	}
	return n, err
}

// Unwrap lets the reverse proxy flush.
func (w *countedResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
