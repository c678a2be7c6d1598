package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/kube"
)

const (
	// kills is how often the controller is killed, each time in fresh rollouts.
	kills = 20
	// atOnce is how many rollouts are under way at each kill, at different places.
	atOnce = 2
)

// seed of the moments. HEADWAY_SEED plays a run again.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("HEADWAY_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("reading HEADWAY_SEED: %v", err)
		}
	}
	t.Logf("HEADWAY_SEED=%d plays this again", n)
	return n
}

func TestKilledAtARandomMomentItEndsTheSame(t *testing.T) {
	a := newAPI(t)
	rng := rand.New(rand.NewPCG(seed(t), 1))
	process := headway.Start(t, headway.Options{Kubeconfig: a.Kubeconfig})
	restart := func() {
		process.Kill()
		process = headway.Start(t, headway.Options{Kubeconfig: a.Kubeconfig})
	}

	calm := a.open(t, canary("").All())
	calm.atRest()
	began := time.Now()
	calm.release("v2")
	calm.eventually(promoted)
	took := time.Since(began)
	calm.atRest()
	want := calm.check("")
	t.Logf("undisturbed it is promoted after %s and ends as\n%s", took, want)

	scenes := make([]*scene, kills*atOnce)
	for i := range scenes {
		scenes[i] = a.open(t, canary("").All())
	}
	for _, s := range scenes {
		s.atRest()
	}
	for kill := range kills {
		group := scenes[kill*atOnce : (kill+1)*atOnce]
		for _, s := range group {
			s.release("v2")
			pause(rng, took/2/atOnce) // One is ahead of the next.
		}
		pause(rng, took*3/4)
		at := where(group)
		restart()
		t.Logf("kill %d: %s", kill, at)
	}
	for _, s := range scenes {
		s.atRest()
		s.check(want)
	}
}

func promoted(ro *v1alpha1.Rollout) error {
	if st := ro.Status; st.ObservedGeneration != strconv.FormatInt(ro.Generation, 10) || st.StableRS != st.CurrentPodHash {
		return fmt.Errorf("not promoted: %s", brief(ro))
	}
	return nil
}

// pause waits for a random part of a time: it is the random moment that is tested.
func pause(rng *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(rng.Int64N(int64(most) + 1)))
}

// where tells how far rollouts are.
func where(scenes []*scene) string {
	text := ""
	for _, s := range scenes {
		if ro, err := s.rollout(); err == nil {
			text += fmt.Sprintf("[%s] ", brief(ro))
		}
	}
	return text
}

// TestKilledWhileAbortingItEndsTheSame kills right after a person aborted.
func TestKilledWhileAbortingItEndsTheSame(t *testing.T) {
	a := newAPI(t)
	rng := rand.New(rand.NewPCG(seed(t), 2))
	process := headway.Start(t, headway.Options{Kubeconfig: a.Kubeconfig})
	paused := canary("")
	paused.Steps = "[{setWeight: 50}, {pause: {}}]"
	paused.Strategy = append(paused.Strategy, "abortScaleDownDelaySeconds: 1")
	const runs = 6
	scenes := make([]*scene, runs)
	for i := range scenes {
		scenes[i] = a.open(t, paused.All())
	}
	for _, s := range scenes {
		s.atRest()
		s.release("v2")
	}
	want := ""
	for i, s := range scenes {
		s.eventually(func(ro *v1alpha1.Rollout) error {
			if ro.Status.Phase != v1alpha1.RolloutPhasePaused {
				return fmt.Errorf("not paused: %s", brief(ro))
			}
			return nil
		})
		s.abort()
		if i > 0 { // The first is the undisturbed one.
			pause(rng, 60*time.Millisecond)
			process.Kill()
			process = headway.Start(t, headway.Options{Kubeconfig: a.Kubeconfig})
		}
		s.eventually(s.resting)
		got := s.check(want)
		if i == 0 {
			want = got
		}
	}
	kube.Eventually(t, within, process.Running)
}
