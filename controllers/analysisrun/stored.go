package analysisrun

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// stored is a status that was stored, and the version of the run since then. The
// cache may show it later.
type stored struct {
	status v1alpha1.AnalysisRunStatus
	// from is the version that it was made of, and version the one it made.
	from, version string
	// awaited says that something follows from it: measuring begins when the first
	// status of a run is stored, and a verdict is the end.
	awaited bool
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

// behind reports whether the cache does not show yet what was stored last. Where
// versions cannot be compared, that is known of the one it was made of alone.
func (s *seat) behind(cached *v1alpha1.AnalysisRun) bool {
	if s.stored == nil {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, s.stored.version)
	if err != nil {
		return cached.ResourceVersion == s.stored.from
	}
	return order < 0
}

// store is told that the status of a view is stored, in a version of the run; one
// that nothing was written for is that of the view. A run that was forgotten
// meanwhile stays forgotten: the cache showed it already.
func (d *desk) store(v view, status v1alpha1.AnalysisRunStatus, version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(v.run)]
	if s == nil || s.uid != v.run.UID {
		return
	}
	if from := v.run.ResourceVersion; version != from {
		s.stored = &stored{
			status: status, from: from, version: version,
			awaited: v.run.Status.StartedAt == nil || status.Phase.Completed(),
		}
	}
	s.unstored = slices.DeleteFunc(s.unstored, func(result analysis.Result) bool {
		return slices.ContainsFunc(v.results, func(one analysis.Result) bool {
			return one.Task.Metric == result.Task.Metric && one.Task.Number == result.Task.Number && one.Finished.Equal(result.Finished)
		})
	})
	if status.Phase.Completed() {
		s.cancel()
	}
	if s.held && d.ctx.Err() == nil {
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
	return s != nil && s.stored != nil && s.stored.version == run.GetResourceVersion() && !s.stored.awaited
}

// refusal is the version of a run of which a write was refused, and when to try it
// again all the same.
type refusal struct {
	version string
	until   time.Time
}

// refusalTime is longer than a cache takes to show who wrote.
const refusalTime = time.Second

// refuse is told that a write to a version of a run was refused: somebody wrote
// before.
func (d *desk) refuse(run *v1alpha1.AnalysisRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.runs[client.ObjectKeyFromObject(run)]; s != nil && s.uid == run.UID {
		s.refused = refusal{run.ResourceVersion, d.clock.Now().Add(refusalTime)}
	}
}

// refused reports whether a write to this version of a run would be refused again.
func (d *desk) refused(run *v1alpha1.AnalysisRun) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(run)]
	return s != nil && s.uid == run.UID && s.refused.version == run.ResourceVersion && d.clock.Now().Before(s.refused.until)
}

// doubt is told that a write to a run failed. It may have been made all the same: its
// Events are sent when it shows.
func (d *desk) doubt(run *v1alpha1.AnalysisRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.runs[client.ObjectKeyFromObject(run)]; s != nil && s.uid == run.UID && s.doubted == nil {
		s.doubted = &run.Status
	}
}

// untold is the status that was told last, where that is not the one before; nil
// otherwise. It is given once.
func (d *desk) untold(run *v1alpha1.AnalysisRun) *v1alpha1.AnalysisRunStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.runs[client.ObjectKeyFromObject(run)]
	if s == nil || s.uid != run.UID {
		return nil
	}
	untold := s.doubted
	s.doubted = nil
	return untold
}
