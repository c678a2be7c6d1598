package kubelet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// metricsPort is where a pod serves metrics, if it does.
	metricsPort  = "8080"
	metricsLimit = 500 * time.Millisecond
)

// ServeHTTP serves the metrics of all pods, each with the labels namespace and pod:
// a Prometheus with one target then knows every pod, however short its life.
func (k *Kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	pods := make([]*pod, 0, len(k.pods))
	for _, p := range k.pods {
		pods = append(pods, p)
	}
	k.mu.Unlock()
	lines := make([][]string, len(pods))
	var read sync.WaitGroup
	for i, p := range pods {
		read.Go(func() { lines[i] = p.metrics(r.Context()) })
	}
	read.Wait()
	all := slices.Concat(lines...)
	slices.Sort(all) // The series of one name must be together.
	_, _ = io.WriteString(w, strings.Join(all, ""))
}

// metrics are the lines of a pod's metrics; none of one that does not answer.
func (p *pod) metrics(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, metricsLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(p.ip, metricsPort)+"/metrics", nil)
	if err != nil {
		return nil
	}
	resp, err := prober.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var out []string
	for lines := bufio.NewScanner(resp.Body); resp.StatusCode == http.StatusOK && lines.Scan(); {
		name, rest, labelled := strings.Cut(lines.Text(), "{")
		if labelled {
			out = append(out, fmt.Sprintf("%s{namespace=%q,pod=%q,%s\n", name, p.object.Namespace, p.object.Name, rest))
		}
	}
	return out
}
