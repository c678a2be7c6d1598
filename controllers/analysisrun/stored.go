package analysisrun

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// stored is a status that was stored, and the version of the run since then. The
// cache may show it later.
type stored struct {
	status  v1alpha1.AnalysisRunStatus
	version string
	// first is the first status of a run: measuring begins when it is stored.
	first bool
}

// view is what is known of a run at one moment: a result is in the status or among
// the results, and is never in neither.
type view struct {
	// run has the latest status that is known.
	run *v1alpha1.AnalysisRun
	// results were taken and are not stored, in the order of the metrics.
	results []analysis.Result
	// came is how often something came of the measurements of a metric. Where more
	// has come, what was decided on the view is decided again.
	came map[string]int
}

// latest is what is known of a run of the cache.
func (d *desk) latest(cached *v1alpha1.AnalysisRun) view {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(cached)]
	if s == nil || s.uid != cached.UID {
		return view{run: cached}
	}
	v := view{run: cached, results: slices.Clone(s.unstored), came: maps.Clone(s.came)}
	inOrder(v.results)
	if !s.behind(cached) {
		return v
	}
	newer := *cached // its spec is shared, and nobody changes it
	newer.Status, newer.ResourceVersion = s.stored.status, s.stored.version
	v.run = &newer
	return v
}

// shown forgets what was stored last when the cache shows it. Only the controller
// that measures may say so: it never sees an older cache afterwards.
func (d *desk) shown(cached *v1alpha1.AnalysisRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.runs[client.ObjectKeyFromObject(cached)]; s != nil && s.uid == cached.UID && !s.behind(cached) {
		s.stored = nil
	}
}

// behind reports whether the cache does not show yet what was stored last. Versions
// that cannot be compared are left to the precondition of the next write.
func (s *seat) behind(cached *v1alpha1.AnalysisRun) bool {
	if s.stored == nil {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, s.stored.version)
	return err == nil && order < 0
}

// store is told that the status of a view is stored, in a version of the run. A run
// that was forgotten meanwhile stays forgotten: the cache showed it already.
func (d *desk) store(v view, status v1alpha1.AnalysisRunStatus, version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(v.run)]
	if s == nil || s.uid != v.run.UID {
		return
	}
	s.stored = &stored{status: status, version: version, first: v.run.Status.StartedAt == nil}
	s.unstored = slices.DeleteFunc(s.unstored, func(result analysis.Result) bool {
		return slices.ContainsFunc(v.results, func(one analysis.Result) bool {
			return one.Task.Metric == result.Task.Metric && one.Task.Number == result.Task.Number && one.Finished.Equal(result.Finished)
		})
	})
	if status.Phase.Completed() {
		s.cancel()
	}
	if s.held {
		s.held = false
		d.done.Go(func() { d.wakeRun(s, v.run) })
	}
}

// echo reports whether a run is as it was stored last, and nothing follows from
// that: whoever stored it knows it already.
func (d *desk) echo(run client.Object) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(run)]
	return s != nil && s.stored != nil && s.stored.version == run.GetResourceVersion() &&
		!s.stored.first && !s.stored.status.Phase.Completed()
}
