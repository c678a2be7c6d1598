package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// restartQuiet is how long a restarted controller must be quiet before its writes
// are counted: late ones are to be seen.
const restartQuiet = 5 * time.Second

// idle measures a controller with nothing to do, and its restart.
func (b *bench) idle(ctx context.Context, s subject) (rows figures, err error) {
	sc, err := b.open(ctx, s, cast{Count: b.opts.idle, Steps: fiveWeights})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sc.close(ctx)) }()
	out := &sheet{scenario: "idle"}
	p, err := sc.run.during(ctx, 0, func() error { return pass(ctx, b.opts.idleFor) })
	if err != nil {
		return nil, err
	}
	out.add("writes while idle", "", float64(p.counts.total(isWrite).Requests))
	out.add("Events while idle", "", float64(p.counts.total(isEvent).Requests))
	out.add("reads while idle", "", float64(p.counts.total(isRead).Requests))
	out.add("CPU while idle", "ms", milliseconds(p.cpu()))
	out.add("memory while idle", "MiB", p.after.Resident)
	if err := b.restart(ctx, s, sc, out); err != nil {
		return nil, fmt.Errorf("restarting the controller: %w", err)
	}
	return out.rows, nil
}

func (b *bench) restart(ctx context.Context, s subject, sc *scene, out *sheet) error {
	before, _ := sc.run.proxy.read()
	if err := sc.run.process.Stop(); err != nil {
		return err
	}
	if err := b.launch(ctx, sc.run, s); err != nil {
		return err
	}
	if err := sc.run.proxy.quiet(ctx, restartQuiet); err != nil {
		return err
	}
	now, _ := sc.run.proxy.read()
	added := now.since(before)
	out.add("writes after a restart", "", float64(added.total(isWrite).Requests))
	out.add("Events after a restart", "", float64(added.total(isEvent).Requests))
	out.add("reads after a restart", "", float64(added.total(isRead).Requests))
	out.add("bytes received after a restart", "KiB", kib(added.total(isAny).Received))
	return nil
}

// pass lets time pass: what happens by itself can only be watched for a while.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("watching the controller: %w", context.Cause(ctx))
	}
}
