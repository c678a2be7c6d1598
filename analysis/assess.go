package analysis

import (
	"fmt"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Verdict is what measurements mean.
type Verdict struct {
	Phase v1alpha1.AnalysisPhase
	// Reason is the rule that decided, for example "failed (2) > failureLimit (1)".
	Reason string
	// Message is the whole sentence for the user; empty when there is nothing to tell.
	Message string
}

// facts is what the rules look at.
type facts struct {
	judgement
	result      v1alpha1.MetricResult
	terminating bool
}

// rule decides a metric, or says nothing by an empty phase.
type rule func(facts) Verdict

// rules judge a metric; the first that decides wins. A metric that could not be
// measured says nothing about the canary, so errors come before failures.
var rules = []rule{
	alreadyDecided,
	notMeasured,
	underWay,
	tooManyErrors,
	tooManyInconclusive,
	tooManyFailures,
	enoughSuccesses,
	countReached,
	stopped,
}

// assess judges one metric.
func assess(f facts) Verdict {
	for _, decide := range rules {
		v := decide(f)
		if v.Phase == "" {
			continue
		}
		if v.Reason != "" {
			v.Message = sentence(f, v)
		}
		return v
	}
	return Verdict{Phase: v1alpha1.AnalysisPhaseRunning}
}

// sentence is the message of the served API, and after it what was seen.
func sentence(f facts, v Verdict) string {
	text := fmt.Sprintf("Metric %q assessed %s due to %s", f.name, v.Phase, v.Reason)
	if last := latest(f.result); last != nil && last.Message != "" {
		text += fmt.Sprintf(": \"Error Message: %s\"", last.Message)
	}
	return text + grounds(f, v.Phase)
}

func alreadyDecided(f facts) Verdict {
	if f.result.Phase.Completed() {
		return Verdict{Phase: f.result.Phase}
	}
	return Verdict{}
}

// notMeasured passes a metric that was told to stop before it was measured:
// whoever stopped the run did not ask for its opinion.
func notMeasured(f facts) Verdict {
	switch {
	case len(f.result.Measurements) > 0:
		return Verdict{}
	case f.terminating:
		return Verdict{Phase: v1alpha1.AnalysisPhaseSuccessful}
	default:
		return Verdict{Phase: v1alpha1.AnalysisPhasePending}
	}
}

func underWay(f facts) Verdict {
	if last := latest(f.result); !last.Phase.Completed() {
		return Verdict{Phase: v1alpha1.AnalysisPhaseRunning}
	}
	return Verdict{}
}

func tooManyErrors(f facts) Verdict {
	if f.result.ConsecutiveError <= f.errors {
		return Verdict{}
	}
	return Verdict{
		Phase:  v1alpha1.AnalysisPhaseError,
		Reason: fmt.Sprintf("consecutiveErrors (%d) > consecutiveErrorLimit (%d)", f.result.ConsecutiveError, f.errors),
	}
}

func tooManyInconclusive(f facts) Verdict {
	if f.result.Inconclusive <= f.inconclusives {
		return Verdict{}
	}
	return Verdict{
		Phase:  v1alpha1.AnalysisPhaseInconclusive,
		Reason: fmt.Sprintf("inconclusive (%d) > inconclusiveLimit (%d)", f.result.Inconclusive, f.inconclusives),
	}
}

// tooManyFailures is off when the limit is -1.
func tooManyFailures(f facts) Verdict {
	if f.failures < 0 || f.result.Failed <= f.failures {
		return Verdict{}
	}
	return Verdict{
		Phase:  v1alpha1.AnalysisPhaseFailed,
		Reason: fmt.Sprintf("failed (%d) > failureLimit (%d)", f.result.Failed, f.failures),
	}
}

func enoughSuccesses(f facts) Verdict {
	if f.passes > 0 && f.result.ConsecutiveSuccess >= f.passes {
		return Verdict{Phase: v1alpha1.AnalysisPhaseSuccessful}
	}
	return Verdict{}
}

// countReached ends a metric after its last measurement. It passes only with
// at least one good measurement: within a limit is not the same as good.
func countReached(f facts) Verdict {
	if f.count == 0 || f.result.Count < f.count {
		return Verdict{}
	}
	switch {
	case f.passes > 0:
		return unproven(f)
	case f.result.Successful > 0:
		return Verdict{Phase: v1alpha1.AnalysisPhaseSuccessful}
	}
	phase := v1alpha1.AnalysisPhaseInconclusive
	if f.result.Failed > 0 {
		phase = v1alpha1.AnalysisPhaseFailed
	}
	return Verdict{
		Phase:  phase,
		Reason: fmt.Sprintf("no successful measurement in count (%d)", f.result.Count),
	}
}

// unproven is the end of a metric that asked for successes in a row and did
// not get them.
func unproven(f facts) Verdict {
	phase := v1alpha1.AnalysisPhaseInconclusive
	if f.failures < 0 {
		phase = v1alpha1.AnalysisPhaseFailed
	}
	return Verdict{
		Phase:  phase,
		Reason: fmt.Sprintf("consecutiveSuccess (%d) < consecutiveSuccessLimit (%d)", f.result.ConsecutiveSuccess, f.passes),
	}
}

func stopped(f facts) Verdict {
	if f.terminating {
		return Verdict{Phase: v1alpha1.AnalysisPhaseSuccessful}
	}
	return Verdict{}
}

// latest is the last measurement; nil when there is none.
func latest(result v1alpha1.MetricResult) *v1alpha1.Measurement {
	if len(result.Measurements) == 0 {
		return nil
	}
	return &result.Measurements[len(result.Measurements)-1]
}

// severity orders phases: a run is in the worst phase of its metrics.
func severity(phase v1alpha1.AnalysisPhase) int {
	switch phase {
	case v1alpha1.AnalysisPhaseSuccessful:
		return 1
	case v1alpha1.AnalysisPhaseRunning:
		return 2
	case v1alpha1.AnalysisPhasePending:
		return 3
	case v1alpha1.AnalysisPhaseInconclusive:
		return 4
	case v1alpha1.AnalysisPhaseError:
		return 5
	case v1alpha1.AnalysisPhaseFailed:
		return 6
	}
	return 0
}
