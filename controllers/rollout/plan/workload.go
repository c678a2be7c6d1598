package plan

import (
	"fmt"
	"strconv"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// This file is about the Deployment that a Rollout replaces and takes its
// template from. It goes as the Rollout's pods come, pod by pod:
//
//	needed = the larger of its former size and spec.replicas, less the Rollout's pods that serve
//
// With 5 pods each, and 2 of the Rollout's available, the Deployment keeps 3.

// migrates reports whether the Deployment is this Rollout's to scale: from the
// first revision until it reached zero once, and never after.
func (w world) migrates() bool {
	d := w.Workload
	if d == nil || d.Kept || d.Replicas == 0 {
		return false
	}
	return w.scaleDown() != v1alpha1.ScaleDownNever && (d.Had > 0 || nextNumber(w) == 1)
}

func (w world) scaleDown() string {
	if ref := w.Rollout.Spec.WorkloadRef; ref != nil && ref.ScaleDown != "" {
		return ref.ScaleDown
	}
	return v1alpha1.ScaleDownNever
}

// wishWorkload is how many pods the Deployment should have: with onsuccess all
// of them until the Rollout is whole, with progressively none from the start.
func wishWorkload(w world) int32 {
	switch {
	case !w.migrates():
		return w.workloadSize()
	case w.scaleDown() == v1alpha1.ScaleDownOnSuccess && w.Workload.Had == 0 && !w.settled(w.stable):
		return w.Workload.Replicas
	default:
		return 0
	}
}

func (w world) workloadSize() int32 {
	if w.Workload == nil {
		return 0
	}
	return w.Workload.Replicas
}

// safeWorkload is how many pods the Deployment may have now, beside what else
// is safe. Pods that it lost to the Rollout it gets back when those of the
// Rollout stop serving.
func safeWorkload(w world, want, safe target) int32 {
	if !w.migrates() {
		return want.workload
	}
	d := w.Workload
	had := max(d.Had, d.Replicas)
	needed := max(had, w.replicas) - w.replacing(safe)
	if needed > d.Replicas {
		return min(needed, had)
	}
	switch {
	case want.hold:
		return d.Replicas
	case needed <= 0:
		return want.workload
	}
	// Those that do not answer may be the ones that stay: the Deployment chooses.
	missing := max(0, d.Replicas-d.Available)
	return min(d.Replicas, max(want.workload, needed+missing))
}

// replacing is how many pods of the Rollout stand in for those of the
// Deployment: available ones that stay, and that the stable Service reaches
// where it is and where it goes.
func (w world) replacing(safe target) int32 {
	return min(w.replicas, w.reachable(safe, w.Services.Stable.Hash), w.reachable(safe, safe.stable))
}

// reachable are the pods that a Service with this hash reaches; without one it reaches all.
func (w world) reachable(safe target, served string) (pods int32) {
	for hash, size := range safe.sizes {
		if served == "" || served == hash {
			pods += min(w.capacity(hash), size)
		}
	}
	return pods
}

// moveWorkload scales the Deployment.
func moveWorkload(w world, safe target) []Action {
	from := w.workloadSize()
	if safe.workload == from {
		return nil
	}
	pods := w.replacing(safe)
	why := fmt.Sprintf("%d pods of the Rollout serve instead", pods)
	if safe.workload > from {
		why = fmt.Sprintf("only %d pods of the Rollout serve instead", pods)
	}
	return []Action{ScaleWorkload{From: from, To: safe.workload, Why: why}}
}

// unnotedWorkload is the generation that the Rollout's annotation should have
// and does not; 0 when there is nothing to write.
func (w world) unnotedWorkload() int64 {
	if w.Workload == nil || w.Rollout.Annotations[v1alpha1.WorkloadGenerationAnnotation] == formatted(w.Workload.Generation) {
		return 0
	}
	return w.Workload.Generation
}

// observedWorkload is the generation to record. What is not there was not observed.
func observedWorkload(w world) string {
	switch {
	case w.Rollout.Spec.WorkloadRef == nil:
		return ""
	case w.Workload == nil:
		return w.old.WorkloadObservedGeneration
	default:
		return formatted(w.Workload.Generation)
	}
}

func formatted(generation int64) string { return strconv.FormatInt(generation, 10) }

// keptWorkload tells of pods that the Deployment keeps although the Rollout is
// whole: the Rollout has too few to stand in for them.
func keptWorkload(w world) string {
	if !w.migrates() || w.replicas >= max(w.Workload.Had, w.Workload.Replicas) {
		return ""
	}
	d := w.Workload
	return fmt.Sprintf(" Deployment %s had %d pods and keeps those that the %d of the Rollout do not stand in for.", d.Name, max(d.Had, d.Replicas), w.replicas)
}
