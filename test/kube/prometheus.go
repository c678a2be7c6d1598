package kube

import (
	"context"
	"fmt"
	"time"
)

// PrometheusOptions say what to scrape.
type PrometheusOptions struct {
	// Targets are URLs such as http://127.0.0.1:8080/metrics. Their series carry the
	// labels job="test" and instance="127.0.0.1:8080".
	Targets []string
	// ScrapeInterval is 1 s by default. rate() needs two scrapes in its window.
	ScrapeInterval time.Duration
	// Dir keeps the data; empty is a temporary folder.
	Dir string
}

// Prometheus is a running Prometheus.
type Prometheus struct {
	// Address is its URL, such as http://127.0.0.1:9090.
	Address string

	process *process
}

// StartPrometheus builds the Prometheus binary if it must and starts one.
func StartPrometheus(ctx context.Context, opts PrometheusOptions) (*Prometheus, error) {
	path, err := prometheusProgram.build(ctx)
	if err != nil {
		return nil, fmt.Errorf("building Prometheus: %w", err)
	}
	var args []string
	for _, t := range opts.Targets {
		args = append(args, "--target", t)
	}
	if opts.ScrapeInterval > 0 {
		args = append(args, "--scrape-interval", opts.ScrapeInterval.String())
	}
	if opts.Dir != "" {
		args = append(args, "--dir", opts.Dir)
	}
	p, err := startProcess(ctx, path, "address", args...)
	if err != nil {
		return nil, fmt.Errorf("starting Prometheus: %w", err)
	}
	return &Prometheus{Address: p.ready, process: p}, nil
}

// Stop ends Prometheus and removes its temporary folder.
func (p *Prometheus) Stop() { p.process.stop() }
