package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// measuredEvery is the interval of the runs.
	measuredEvery = 10 * time.Second
	// perNamespace is how many runs share a namespace: no more than a large team has.
	perNamespace = 200
	// startWaves is how many waves the runs begin in, evenly over their interval.
	startWaves = 10
	// lookInterval is how often runs are listed while their first measurement is awaited.
	lookInterval = 500 * time.Millisecond
)

// analyses measures many AnalysisRuns at once, and what runs leave behind that have
// come and gone.
func (b *bench) analyses(ctx context.Context, s subject) (figures, error) {
	out := &sheet{scenario: "analyses"}
	if err := b.together(ctx, s, out); err != nil {
		return nil, fmt.Errorf("%d at once: %w", b.opts.runs, err)
	}
	if err := b.churn(ctx, s, out); err != nil {
		return nil, fmt.Errorf("%d that come and go: %w", b.opts.churn, err)
	}
	return out.rows, nil
}

// together watches runs without an end. In the second half one more asks a server
// that accepts and hangs.
func (b *bench) together(ctx context.Context, s subject, out *sheet) (err error) {
	c, err := b.gather(ctx, s, b.opts.runs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	hanging, err := startFakePrometheus(never)
	if err != nil {
		return err
	}
	defer hanging.close()
	began := time.Now()
	if err := c.begin(ctx); err != nil {
		return fmt.Errorf("creating AnalysisRuns: %w", err)
	}
	out.add("seconds until all created", "s", time.Since(began).Seconds())
	if err := c.measuredOnce(ctx); err != nil {
		return err
	}
	out.add("seconds until all measured once", "s", time.Since(began).Seconds())
	before, err := c.look(ctx)
	if err != nil {
		return err
	}
	first, err := c.half(ctx)
	if err != nil {
		return err
	}
	if err := c.hang(ctx, hanging); err != nil {
		return err
	}
	second, err := c.half(ctx)
	if err != nil {
		return err
	}
	after, err := c.look(ctx)
	if err != nil {
		return err
	}
	out.pace(before, after)
	out.cost(after.rate(before), first.from, second.to)
	out.lateness("late", first.late())
	out.lateness("late, one source hangs", second.late())
	return nil
}

// crowd is many AnalysisRuns in several namespaces, and a controller that serves them.
type crowd struct {
	bench      *bench
	prometheus *fakePrometheus
	namespaces []string
	run        *running
}

// gather makes the namespaces for a number of runs, and starts Prometheus and the
// controller.
func (b *bench) gather(ctx context.Context, s subject, runs int) (c *crowd, err error) {
	c = &crowd{bench: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close(ctx))
		}
	}()
	if c.prometheus, err = startFakePrometheus(b.opts.answerIn); err != nil {
		return c, err
	}
	for range (runs + perNamespace - 1) / perNamespace {
		name, err := b.newNamespace(ctx)
		if err != nil {
			return c, err
		}
		c.namespaces = append(c.namespaces, name)
	}
	c.run, err = b.start(ctx, s)
	return c, err
}

// close stops the controller, and removes the namespaces with all runs.
func (c *crowd) close(ctx context.Context) error {
	var stopped error
	if c.run != nil {
		stopped = c.run.stop()
	}
	if c.prometheus != nil {
		c.prometheus.close()
	}
	return errors.Join(stopped, c.bench.removeNamespaces(ctx, c.namespaces...))
}

// create makes the runs of some numbers: first the queries take turns, then the
// namespaces, so that every query is asked in every namespace. Without an interval
// a run is measured once.
func (c *crowd) create(ctx context.Context, numbers []int, interval v1alpha1.DurationString) error {
	queries := c.bench.opts.queries
	return each(ctx, numbers, func(ctx context.Context, i int) error {
		metric := asking(c.prometheus.address, i%queries)
		metric.Interval = interval
		return c.bench.client.Create(ctx, analysisRun(c.namespaces[i/queries%len(c.namespaces)], fmt.Sprintf("r%05d", i), metric))
	})
}

// begin creates the runs without an end in waves.
func (c *crowd) begin(ctx context.Context) error {
	began := time.Now()
	for i, numbers := range waves(0, c.bench.opts.runs, startWaves) {
		if err := pass(ctx, time.Until(began.Add(measuredEvery*time.Duration(i)/startWaves))); err != nil {
			return err
		}
		if err := c.create(ctx, numbers, v1alpha1.DurationString(measuredEvery.String())); err != nil {
			return err
		}
	}
	return nil
}

// waves are the numbers from one to before another, in a number of parts.
func waves(from, to, parts int) [][]int {
	out := make([][]int, parts)
	for i := range to - from {
		part := i * parts / (to - from)
		out[part] = append(out[part], from+i)
	}
	return out
}

// measuredOnce waits until every run has a measurement.
func (c *crowd) measuredOnce(ctx context.Context) error {
	return c.all(ctx, "every AnalysisRun to be measured", func(run *v1alpha1.AnalysisRun) bool { return readingOf(run).taken > 0 })
}

// all waits until every run of every namespace is as wanted.
func (c *crowd) all(ctx context.Context, what string, want func(*v1alpha1.AnalysisRun) bool) error {
	for _, namespace := range c.namespaces {
		var listErr error
		err := untilEvery(ctx, lookInterval, what, func() bool {
			var list v1alpha1.AnalysisRunList
			if listErr = c.bench.client.List(ctx, &list, client.InNamespace(namespace)); listErr != nil {
				return true
			}
			for i := range list.Items {
				if !want(&list.Items[i]) {
					return false
				}
			}
			return true
		})
		if err := errors.Join(listErr, err, c.run.process.Failure()); err != nil {
			return fmt.Errorf("looking at the AnalysisRuns: %w", err)
		}
	}
	return nil
}

// look reads what every run without an end has measured.
func (c *crowd) look(ctx context.Context) (readings, error) {
	out := readings{}
	for _, namespace := range c.namespaces {
		var list v1alpha1.AnalysisRunList
		if err := c.bench.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("reading what was measured: %w", err)
		}
		at := time.Now()
		for i := range list.Items {
			if run := &list.Items[i]; run.Name != hangs {
				r := readingOf(run)
				r.at = at
				out[run.Name] = r
			}
		}
	}
	return out, nil
}

// mark is what was counted up to a moment.
type mark struct {
	at      time.Time
	queries int
	counts  counts
	used    usage
	served  series
}

// mark counts.
func (c *crowd) mark(ctx context.Context) (m mark, err error) {
	m.at, m.queries = time.Now(), c.prometheus.queries()
	m.counts, _ = c.run.proxy.read()
	if m.used, err = usageOf(c.run.process.PID()); err != nil {
		return m, errors.Join(c.run.process.Failure(), err)
	}
	m.served, err = scrape(ctx, c.run.served.metrics)
	return m, err
}

// half lets half of the time pass, and counts before and after.
func (c *crowd) half(ctx context.Context) (h half, err error) {
	if h.from, err = c.mark(ctx); err != nil {
		return h, err
	}
	if err := pass(ctx, c.bench.opts.runsFor/2); err != nil {
		return h, err
	}
	h.to, err = c.mark(ctx)
	return h, err
}

// half is a half of the watch.
type half struct{ from, to mark }

// late is the lateness of its measurements.
func (h half) late() []bucket { return h.to.served.since(h.from.served).buckets(lateSeries) }

// hang has a run ask a server that hangs, and returns once it waits for all answers.
func (c *crowd) hang(ctx context.Context, server *fakePrometheus) error {
	run := hangingRun(c.namespaces[0], server.address)
	if err := c.bench.client.Create(ctx, run); err != nil {
		return fmt.Errorf("creating an AnalysisRun: %w", err)
	}
	return until(ctx, "the server that hangs to be asked", func() bool { return server.queries() >= len(run.Spec.Metrics) })
}
