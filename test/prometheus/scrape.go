package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
)

// job is the label of every scraped series.
const job = "test"

func openDatabase(dir string) (*tsdb.DB, error) {
	opts := tsdb.DefaultOptions()
	opts.NoLockfile = true
	opts.StripeSize = 1024 // The default suits millions of series and takes 16 MiB.
	return tsdb.Open(dir, promslog.NewNopLogger(), nil, opts, nil)
}

// scrapeTargets starts scraping and returns what stops it.
func scrapeTargets(db *tsdb.DB, targets []string, interval time.Duration) (stop func(), err error) {
	cfg, err := config.Load(fmt.Sprintf(`
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}
scrape_configs:
- job_name: %[2]s
`, model.Duration(interval), job), promslog.NewNopLogger())
	if err != nil {
		return nil, fmt.Errorf("making the configuration: %w", err)
	}
	group, err := targetGroup(targets)
	if err != nil {
		return nil, err
	}
	manager, err := scrape.NewManager(&scrape.Options{
		// The first scrape shall not wait for the default of 5 s.
		DiscoveryReloadInterval:  model.Duration(50 * time.Millisecond),
		DiscoveryReloadOnStartup: true,
	}, promslog.NewNopLogger(), nil, db, nil, prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("making the scrape manager: %w", err)
	}
	if err := manager.ApplyConfig(cfg); err != nil {
		return nil, fmt.Errorf("applying the configuration: %w", err)
	}
	sets := make(chan map[string][]*targetgroup.Group, 1)
	sets <- map[string][]*targetgroup.Group{job: {group}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = manager.Run(sets)
	}()
	return func() {
		close(sets)
		<-done
		manager.Stop()
	}, nil
}

func targetGroup(targets []string) (*targetgroup.Group, error) {
	group := &targetgroup.Group{Source: "flags"}
	for _, t := range targets {
		u, err := url.Parse(t)
		if err != nil {
			return nil, fmt.Errorf("reading target %q: %w", t, err)
		}
		if u.Scheme == "" || u.Host == "" {
			return nil, fmt.Errorf("reading target %q: want http://HOST:PORT/PATH", t)
		}
		if u.Path == "" {
			u.Path = "/metrics"
		}
		group.Targets = append(group.Targets, model.LabelSet{
			model.AddressLabel:     model.LabelValue(u.Host),
			model.SchemeLabel:      model.LabelValue(u.Scheme),
			model.MetricsPathLabel: model.LabelValue(u.Path),
		})
	}
	return group, nil
}
