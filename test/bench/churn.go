package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// churnWave is how many runs there are at once while they come and go.
	churnWave = 500
	// mebibyte is the unit of memory.
	mebibyte = 1 << 20
)

// churn measures what a controller keeps of runs that have come and gone. Half as
// many come and go before, so that what a controller sets up once is there: the
// recorder of Events remembers the last 4096 objects.
func (b *bench) churn(ctx context.Context, s subject, out *sheet) (err error) {
	c, err := b.gather(ctx, s, churnWave)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	first := max(b.opts.churn/2, 1)
	if err := c.comeAndGo(ctx, 0, first); err != nil {
		return err
	}
	before, err := c.kept(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.comeAndGo(ctx, first, first+b.opts.churn); err != nil {
		return err
	}
	out.add("seconds until all had come and gone", "s", time.Since(began).Seconds())
	after, err := c.kept(ctx)
	if err != nil {
		return err
	}
	out.kept(before, after)
	return nil
}

// comeAndGo creates runs, waits until they are complete, and deletes them, wave by
// wave. No two have the same name.
func (c *crowd) comeAndGo(ctx context.Context, from, to int) error {
	for _, numbers := range waves(from, to, (to-from+churnWave-1)/churnWave) {
		if err := c.create(ctx, numbers, ""); err != nil {
			return fmt.Errorf("creating AnalysisRuns: %w", err)
		}
		err := c.all(ctx, "every AnalysisRun to be complete", func(run *v1alpha1.AnalysisRun) bool { return run.Status.Phase.Completed() })
		if err != nil {
			return err
		}
		err = each(ctx, c.namespaces, func(ctx context.Context, namespace string) error {
			return c.bench.client.DeleteAllOf(ctx, &v1alpha1.AnalysisRun{}, client.InNamespace(namespace))
		})
		if err != nil {
			return fmt.Errorf("deleting AnalysisRuns: %w", err)
		}
	}
	return nil
}

// memory is what a process holds, in MiB.
type memory struct {
	resident float64
	// heap is what is alive after garbage collection; known only of a controller
	// that serves profiles and its own series.
	heap      float64
	heapKnown bool
}

// kept reads memory once the controller is quiet and its garbage is collected.
func (c *crowd) kept(ctx context.Context) (m memory, err error) {
	if err := c.run.proxy.quiet(ctx, afterglow); err != nil {
		return m, err
	}
	if c.run.served.pprof != "" {
		for range 2 { // what pools hold goes with the second collection
			if err := fetch(ctx, c.run.served.pprof+"/debug/pprof/heap?gc=1", discard); err != nil {
				return m, err
			}
		}
		served, err := scrape(ctx, c.run.served.metrics)
		if err != nil {
			return m, err
		}
		m.heap, m.heapKnown = served[heapSeries]/mebibyte, served[heapSeries] > 0
	}
	used, err := usageOf(c.run.process.PID())
	if err != nil {
		return m, errors.Join(c.run.process.Failure(), err)
	}
	m.resident = used.Resident
	return m, nil
}

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// kept adds memory before and after, and the ratio.
func (s *sheet) kept(before, after memory) {
	s.add("memory before they came", "MiB", before.resident)
	s.add("memory after they went", "MiB", after.resident)
	s.add("memory of those gone, after / before", "", after.resident/before.resident)
	if before.heapKnown && after.heapKnown {
		s.add("live heap before they came", "MiB", before.heap)
		s.add("live heap after they went", "MiB", after.heap)
		s.add("live heap of those gone, after / before", "", after.heap/before.heap)
	}
}
