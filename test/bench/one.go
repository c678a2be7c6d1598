package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// afterglow is how long a controller must be quiet for a rollout to be over.
const afterglow = 2 * time.Second

// one measures the writes of one canary of five steps, and how soon a change of the
// spec has its ReplicaSet.
func (b *bench) one(ctx context.Context, s subject) (rows figures, err error) {
	out := &sheet{scenario: "one"}
	if err := b.oneCanary(ctx, s, out); err != nil {
		return nil, fmt.Errorf("one canary: %w", err)
	}
	if err := b.reactions(ctx, s, out); err != nil {
		return nil, fmt.Errorf("reactions: %w", err)
	}
	return out.rows, nil
}

func (b *bench) oneCanary(ctx context.Context, s subject, out *sheet) (err error) {
	sc, err := b.open(ctx, s, cast{Count: 1, Steps: fiveWeights})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sc.close(ctx)) }()
	var took time.Duration
	p, err := sc.run.during(ctx, afterglow, func() error {
		started := time.Now()
		if err := sc.release(ctx, sc.rollouts[0], "v2"); err != nil {
			return err
		}
		if err := sc.all(ctx, "the canary to be promoted", healthyWith(image("v2"))); err != nil {
			return err
		}
		took = time.Since(started)
		return sc.settled(ctx, 2)
	})
	if err != nil {
		return err
	}
	out.add("seconds until promoted", "s", took.Seconds())
	out.calls(p.counts)
	return nil
}

// reactions changes one Rollout after the other and times its new ReplicaSet: from
// the reply to the change until a watch tells of the ReplicaSet.
func (b *bench) reactions(ctx context.Context, s subject, out *sheet) (err error) {
	sc, err := b.open(ctx, s, cast{Count: b.opts.samples, Steps: pauseFirst})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sc.close(ctx)) }()
	var samples []time.Duration
	for _, ro := range sc.rollouts {
		if err := sc.release(ctx, ro, "v2"); err != nil {
			return err
		}
		changed := time.Now()
		at, err := sc.seenAfter(ctx, revisionKey(ro.Name, image("v2")), time.Time{})
		if err != nil {
			return err
		}
		samples = append(samples, max(at.Sub(changed), 0))
		// The next one is not to compete with the end of this one.
		if err := sc.is(ctx, ro.Name+" to pause", ro, inPhase(v1alpha1.RolloutPhasePaused)); err != nil {
			return err
		}
	}
	out.latencies("spec change to new ReplicaSet", samples)
	return nil
}
