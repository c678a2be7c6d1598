package kubelet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ask sends an httpGet to the pod; a status below 400 is a success.
func (p *pod) ask(ctx context.Context, get *corev1.HTTPGetAction) error {
	port := get.Port.IntValue()
	if get.Port.Type == intstr.String {
		for _, named := range p.object.Spec.Containers[0].Ports {
			if named.Name == get.Port.StrVal {
				port = int(named.ContainerPort)
			}
		}
	}
	url := fmt.Sprintf("http://%s%s", net.JoinHostPort(p.ip, fmt.Sprint(port)), get.Path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := prober.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}

// prober opens a connection for every probe, as a kubelet does: what is probed is
// also whether the pod accepts connections.
var prober = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// probe runs a probe until the context ends and tells of every change of its result.
// A pod without the probe passes it.
func (p *pod) probe(ctx context.Context, spec *corev1.Probe, tell func(passes bool)) {
	if spec == nil {
		tell(true)
		return
	}
	if spec.HTTPGet == nil {
		return // Never passes: nothing else is served, and a test must not rely on it.
	}
	if !pause(ctx, seconds(spec.InitialDelaySeconds)) {
		return
	}
	passes, successes, failures := false, int32(0), int32(0)
	for {
		limited, cancel := context.WithTimeout(ctx, seconds(max(1, spec.TimeoutSeconds)))
		err := p.ask(limited, spec.HTTPGet)
		cancel()
		if err == nil {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
		}
		switch {
		case ctx.Err() != nil:
			return
		case !passes && successes >= max(1, spec.SuccessThreshold):
			passes = true
			tell(true)
		case failures == max(1, spec.FailureThreshold):
			passes = false
			tell(false)
		}
		wait := seconds(max(1, spec.PeriodSeconds))
		if !passes && successes+failures < quickProbes {
			wait = quickProbe
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// A program needs milliseconds to start, so the first probes come quickly.
const (
	quickProbe  = 50 * time.Millisecond
	quickProbes = 20
)

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
