package cmd

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

func TestJudge(t *testing.T) {
	pause := func(person bool) view.RolloutView {
		return view.RolloutView{Phase: v1alpha1.RolloutPhasePaused, Revision: 42, Pause: &view.PauseView{Person: person}, Step: &view.StepView{Index: 2, Count: 4}}
	}
	phase := func(p v1alpha1.RolloutPhase) view.RolloutView {
		return view.RolloutView{Phase: p, Revision: 42, Step: &view.StepView{Index: 2, Count: 4}}
	}
	done := view.RolloutView{Phase: v1alpha1.RolloutPhaseHealthy, Revision: 42, Complete: true}
	for name, c := range map[string]struct {
		view   view.RolloutView
		goal   string
		pinned int64
		want   outcome
	}{
		"healthy is met by Healthy":                         {done, "healthy", 0, outcomeMet},
		"healthy waits while it progresses":                 {phase("Progressing"), "healthy", 0, outcomeWaiting},
		"healthy ends at a degraded rollout":                {phase("Degraded"), "healthy", 0, outcomeDegraded},
		"healthy ends at a pause for a person":              {pause(true), "healthy", 0, outcomePerson},
		"healthy waits through a pause for a time":          {pause(false), "healthy", 0, outcomeWaiting},
		"paused is met by any pause":                        {pause(true), "paused", 0, outcomeMet},
		"paused ends at a degraded rollout":                 {phase("Degraded"), "paused", 0, outcomeDegraded},
		"complete is met by a stable revision":              {done, "complete", 0, outcomeMet},
		"complete is not met by a step":                     {phase("Progressing"), "complete", 0, outcomeWaiting},
		"degraded is met by Degraded":                       {phase("Degraded"), "degraded", 0, outcomeMet},
		"degraded waits on a healthy rollout":               {done, "degraded", 0, outcomeWaiting},
		"a step is met when that many are done":             {phase("Progressing"), "step=2", 0, outcomeMet},
		"a step is met by the end":                          {done, "step=9", 0, outcomeMet},
		"a later step ends at a pause for a person":         {pause(true), "step=3", 0, outcomePerson},
		"a reached step is met also while paused":           {pause(true), "step=2", 0, outcomeMet},
		"a step of an aborted rollout is never met":         {phase("Degraded"), "step=0", 0, outcomeDegraded},
		"a pinned revision waits until it is there":         {done, "healthy", 43, outcomeWaiting},
		"a pinned revision is met":                          {done, "healthy", 42, outcomeMet},
		"a pinned revision is superseded by a newer one":    {done, "healthy", 41, outcomeSuperseded},
		"a degraded older revision does not end a newer":    {phase("Degraded"), "healthy", 43, outcomeWaiting},
		"a superseded revision is told before its degraded": {phase("Degraded"), "degraded", 41, outcomeSuperseded},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := parseGoal(c.goal)
			if err != nil {
				t.Fatal(err)
			}
			if got := judge(c.view, g, c.pinned); got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
		})
	}
}

func TestAGoalThatIsNoneIsAUsageError(t *testing.T) {
	for _, text := range []string{"", "done", "step", "step=", "step=-1", "step=x", "healthy=1", "step=99999999999"} {
		if g, err := parseGoal(text); err == nil {
			t.Errorf("%q was read as %s", text, g)
		}
	}
}

func TestStatusExitCodes(t *testing.T) {
	type states = []func(*v1alpha1.Rollout)
	for name, c := range map[string]struct {
		line         string
		state        states
		code, served int
		out          string
	}{
		"healthy":                                {"status cart", states{healthy}, ExitDone, ExitDone, "Healthy\n"},
		"aborted":                                {"status cart", states{aborted}, ExitDegraded, ExitError, "Degraded\n"},
		"a look at a healthy rollout":            {"status cart --watch=false", states{healthy}, ExitDone, ExitDone, "Healthy\n"},
		"a look at a progressing rollout":        {"status cart --watch=false", states{running}, ExitDone, ExitDone, "Progressing - more replicas need to be updated\n"},
		"a look at a pause for a person":         {"status cart --watch=false", nil, ExitPaused, ExitDone, "Paused - CanaryPauseStep\n"},
		"a look at a pause for a time":           {"status cart -w=false", states{timedPause}, ExitDone, ExitDone, "Paused - CanaryPauseStep\n"},
		"a look with a goal that is not met":     {"status cart --watch=false --for=healthy", states{running}, ExitTimeout, ExitError, "Progressing - more replicas need to be updated\n"},
		"a look with a goal that is met":         {"status cart --watch=false --for=paused", nil, ExitDone, ExitDone, "Paused - CanaryPauseStep\n"},
		"a pause that was asked for":             {"status cart --for=paused", nil, ExitDone, ExitDone, "Paused - CanaryPauseStep\n"},
		"a pause for a person on the way":        {"status cart --for=complete", nil, ExitPaused, ExitError, "Paused - CanaryPauseStep\n"},
		"an older revision":                      {"status cart --revision 41", nil, ExitSuperseded, ExitError, "Paused - CanaryPauseStep\n"},
		"a step":                                 {"status cart --for=step=1", nil, ExitDone, ExitDone, "Paused - CanaryPauseStep\n"},
		"a degraded rollout that was asked for":  {"status cart --for=degraded", states{aborted}, ExitDone, ExitDone, "Degraded\n"},
		"a goal that is none":                    {"status cart --for=nothing", nil, ExitUsage, ExitUsage, ""},
		"no name":                                {"status", nil, ExitUsage, ExitUsage, ""},
		"two names":                              {"status cart basket", nil, ExitUsage, ExitUsage, ""},
		"a timeout that is none":                 {"status cart --timeout soon", nil, ExitUsage, ExitUsage, ""},
		"a missing rollout":                      {"status nothere", nil, ExitError, ExitError, ""},
		"a Deployment belongs to kubectl itself": {"status deploy/cart", nil, ExitUsage, ExitUsage, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart(c.state...))
			if code := r.run("kubectl-rollouts " + c.line); code != c.code {
				t.Errorf("the exit code is %d, want %d: %s", code, c.code, r.err)
			}
			r = newRig(t, cart(c.state...))
			if code := r.run("kubectl-argo-rollouts " + c.line); code != c.served {
				t.Errorf("the served exit code is %d, want %d: %s", code, c.served, r.err)
			}
			if diff := cmp.Diff(c.out, r.out.String()); diff != "" {
				t.Errorf("served output:\n%s", diff)
			}
		})
	}
}

// start runs a command beside the test and returns its exit code.
func (r *rig) start(ctx context.Context, line string) <-chan int {
	code := make(chan int, 1)
	go func() { code <- r.runContext(ctx, line) }()
	return code
}

func TestStatusFollowsARolloutToItsEnd(t *testing.T) {
	r := newRig(t, cart(running))
	code := r.start(t.Context(), "kubectl-rollouts status cart")
	r.eventually("the first line", func() bool { return strings.Contains(r.out.String(), "step 1/4") })
	r.change(func(ro *v1alpha1.Rollout) { ro.Status.CurrentStepIndex = ptr[int32](2) })
	r.eventually("the second line", func() bool { return strings.Contains(r.out.String(), "step 2/4") })
	r.clock.advance(61 * time.Second)
	r.eventually("the heartbeat", func() bool { return strings.Contains(r.err.String(), "still waiting") })
	r.change(func(ro *v1alpha1.Rollout) { healthy(ro) })
	if got := <-code; got != ExitDone {
		t.Errorf("the exit code is %d: %s", got, r.err)
	}
	want := "2026-11-21T12:00:00Z cart Progressing, revision 42, step 1/4, weight 0 of 100, 1/2 updated pods - more replicas need to be updated\n" +
		"2026-11-21T12:00:00Z cart Progressing, revision 42, step 2/4, weight 0 of 100, 1/2 updated pods - more replicas need to be updated\n" +
		"2026-11-21T12:01:01Z cart Healthy, revision 42, step 4/4, weight 100 of 100, 2/2 updated pods\n"
	if diff := cmp.Diff(want, r.out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTheServedStatusWaitsThroughAPause(t *testing.T) {
	r := newRig(t, cart())
	code := r.start(t.Context(), "kubectl-argo-rollouts status cart")
	r.eventually("the first line", func() bool { return r.out.String() == "Paused - CanaryPauseStep\n" })
	r.change(func(ro *v1alpha1.Rollout) { healthy(ro) })
	if got := <-code; got != ExitDone || r.out.String() != "Paused - CanaryPauseStep\nHealthy\n" {
		t.Errorf("the exit code is %d, the output %q", got, r.out)
	}
}

func TestStatusEnds(t *testing.T) {
	for name, c := range map[string]struct {
		line   string
		end    func(*rig, context.CancelFunc)
		code   int
		says   string
		served bool
	}{
		"when the time is up": {
			"kubectl-rollouts status cart --timeout 5m", func(r *rig, _ context.CancelFunc) { r.clock.advance(5 * time.Minute) },
			ExitTimeout, "error: Rollout status watch exceeded timeout\n  why:  rollout 'cart' is Progressing", false,
		},
		"when the time is up, given as seconds": {
			"kubectl-argo-rollouts status cart -t 60", func(r *rig, _ context.CancelFunc) { r.clock.advance(time.Minute) },
			ExitError, "warning: a timeout without a unit is taken as seconds; write 1m0s\nerror: Rollout status watch exceeded timeout", true,
		},
		"when it is interrupted": {
			"kubectl-rollouts status cart", func(_ *rig, stop context.CancelFunc) { stop() },
			ExitInterrupted, "error: waiting for rollout 'cart' was interrupted\n  why:  a signal was received; the rollout goes on by itself\n", false,
		},
		"when the rollout is deleted": {
			"kubectl-rollouts status cart", func(r *rig, _ context.CancelFunc) {
				if err := r.client.Delete(context.Background(), r.stored()); err != nil {
					r.t.Error(err)
				}
			},
			ExitError, "error: reading rollout 'cart' failed\n  why:  rollouts.argoproj.io \"cart\" not found\n  next: kubectl rollouts list rollouts -n shop", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart(running))
			ctx, stop := context.WithCancel(t.Context())
			code := r.start(ctx, c.line)
			r.eventually("the first line", func() bool { return r.out.String() != "" })
			c.end(r, stop)
			if got := <-code; got != c.code || !strings.HasPrefix(r.err.String(), c.says) {
				t.Errorf("the exit code is %d, want %d; it says %q", got, c.code, r.err)
			}
			stop()
		})
	}
}
