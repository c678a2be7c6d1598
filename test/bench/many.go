package main

import (
	"context"
	"errors"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// many measures all canaries at once: time, writes, CPU and memory.
func (b *bench) many(ctx context.Context, s subject) (rows figures, err error) {
	sc, err := b.open(ctx, s, cast{Count: b.opts.n, Steps: fiveWeights})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sc.close(ctx)) }()
	var promoted time.Duration
	p, err := sc.run.during(ctx, afterglow, func() error {
		started := time.Now()
		err := sc.each(ctx, func(ctx context.Context, ro *v1alpha1.Rollout) error { return sc.release(ctx, ro, "v2") })
		if err != nil {
			return err
		}
		if err := sc.all(ctx, "all canaries to be promoted", healthyWith(image("v2"))); err != nil {
			return err
		}
		promoted = time.Since(started)
		return sc.settled(ctx, 2)
	})
	if err != nil {
		return nil, err
	}
	out := &sheet{scenario: "many"}
	out.add("seconds until all promoted", "s", promoted.Seconds())
	out.add("CPU seconds", "s", p.cpu().Seconds())
	out.add("memory, idle before", "MiB", p.before.Resident)
	out.add("memory, peak", "MiB", p.after.Peak)
	out.add("memory, idle after", "MiB", p.after.Resident)
	out.calls(p.counts)
	return out.rows, nil
}
