package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// restore measures how soon traffic is back on stable after a bad measurement: from
// Prometheus' first bad answer until a watch tells of weight 0.
func (b *bench) restore(ctx context.Context, s subject) (rows figures, err error) {
	prometheus, err := startFakePrometheus(0)
	if err != nil {
		return nil, err
	}
	defer prometheus.close()
	sc, err := b.open(ctx, s, cast{Count: 1, Steps: halfAndWait, Analysis: measured, Extra: measuredTemplate(prometheus.address)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sc.close(ctx)) }()
	var samples []time.Duration
	for i := range b.opts.restores {
		took, err := sc.spoilOnce(ctx, prometheus, fmt.Sprintf("v%d", i+2))
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", i+1, err)
		}
		samples = append(samples, took)
	}
	out := &sheet{scenario: "restore"}
	out.latencies("bad measurement to route on stable", samples)
	return out.rows, nil
}

// spoilOnce releases a revision, lets it have half of the traffic and a good
// measurement, and then measures badly.
func (sc *scene) spoilOnce(ctx context.Context, prometheus *fakePrometheus, tag string) (time.Duration, error) {
	ro := sc.rollouts[0]
	ingress := ro.Name + "-" + ro.Name + "-canary"
	prometheus.reset()
	started := time.Now()
	if err := sc.release(ctx, ro, tag); err != nil {
		return 0, err
	}
	if _, err := sc.seenAfter(ctx, weightKey(ingress, "50"), started); err != nil {
		return 0, err
	}
	err := until(ctx, "a good measurement", func() bool { good, _ := prometheus.answered(); return good > 0 })
	if err != nil {
		return 0, err
	}
	prometheus.spoil()
	err = until(ctx, "a bad measurement", func() bool { _, bad := prometheus.answered(); return !bad.IsZero() })
	if err != nil {
		return 0, err
	}
	_, bad := prometheus.answered()
	back, err := sc.seenAfter(ctx, weightKey(ingress, "0"), bad)
	if err != nil {
		return 0, err
	}
	return back.Sub(bad), sc.is(ctx, "the rollout to be aborted", ro, inPhase(v1alpha1.RolloutPhaseDegraded))
}
