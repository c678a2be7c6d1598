package view

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// TestWhatTheControllerReportsComesFirst looks at a run and an Experiment whose
// status says why, and at the same ones when it cannot be about them any more.
func TestWhatTheControllerReportsComesFirst(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := metav1.NewTime(now.Add(time.Minute))
	why := &v1alpha1.Why{Code: "Own", Message: "It says so.", Next: &v1alpha1.WhyNext{At: &at, Event: "it goes on"}}
	then := at.Time
	want := &WhyView{Code: "Own", Message: "It says so.", NextAt: &then, NextEvent: "it goes on", Source: sourceController}

	run := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "run"}}
	run.Status.Phase, run.Status.Why = v1alpha1.AnalysisPhaseRunning, why
	got := ExplainRun(run, now).Why
	got.Unblock = ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if run.Spec.Terminate = true; ExplainRun(run, now).Why.Source != sourcePlugin {
		t.Error("a run that is told to end goes by what was reported before")
	}

	e := &v1alpha1.Experiment{}
	e.Status.Phase, e.Status.Why = v1alpha1.AnalysisPhaseRunning, why
	if diff := cmp.Diff(want, whyOfExperiment(e, ExperimentView{Phase: v1alpha1.AnalysisPhaseRunning})); diff != "" {
		t.Error(diff)
	}
	for name, v := range map[string]ExperimentView{
		"one that is told to end": {Phase: v1alpha1.AnalysisPhaseRunning, Terminating: true},
		"another phase":           {Phase: v1alpha1.AnalysisPhaseFailed},
	} {
		if whyOfExperiment(e, v).Source != sourcePlugin {
			t.Errorf("%s goes by what was reported before", name)
		}
	}
}
