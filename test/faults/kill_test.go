package faults

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

// kills is how often the controller is killed, each time with rollouts under way.
func kills() int {
	if long() {
		return 60
	}
	return 20
}

// newRand draws the moments of a test. HEADWAY_SEED plays a run again.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("HEADWAY_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("reading HEADWAY_SEED: %v", err)
		}
	}
	t.Logf("HEADWAY_SEED=%d plays this again", n)
	return rand.New(rand.NewPCG(n, 1))
}

// pause waits for a random part of a time: it is the random moment that is tested.
func pause(rng *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(rng.Int64N(int64(most) + 1)))
}

// victim is a controller that is killed again and again.
type victim struct {
	*testing.T

	options headway.Options
	process *headway.Process
}

func newVictim(t *testing.T, o headway.Options) *victim {
	t.Helper()
	v := &victim{T: t, options: o}
	v.start()
	return v
}

// start starts the next one and waits until it works: killing one that has done
// nothing yet would show nothing.
func (v *victim) start() {
	v.Helper()
	v.process = headway.Start(v, v.options)
	kube.Eventually(v, within, func() error {
		if err := v.process.Running(); err != nil {
			return err
		}
		if strings.Count(v.process.Log(), "Starting workers") < 3 {
			return errors.New("the controllers have not started")
		}
		return nil
	})
}

func (v *victim) restart() {
	v.Helper()
	v.process.Kill()
	v.start()
}

// under are the options of a controller of an instance ID.
func (a api) under(instance string) headway.Options {
	return headway.Options{Kubeconfig: a.Kubeconfig, Args: []string{"--instance-id", instance}}
}

func TestKilledAtARandomMomentItEndsTheSame(t *testing.T) {
	t.Parallel()
	a, rng := newAPI(t), newRand(t)
	v := newVictim(t, a.under("killed"))
	objects := canary("killed").All()

	calm := a.open(t, objects)
	calm.atRest()
	began := time.Now()
	calm.release("v2")
	calm.eventually(promoted)
	took := time.Since(began)
	calm.atRest()
	want := calm.check("")
	t.Logf("undisturbed it is promoted after %s and ends as\n%s", took, want)

	const together = 2 // One is ahead of the other.
	scenes := make([]*scene, kills()*together)
	for i := range scenes {
		scenes[i] = a.open(t, objects)
	}
	for _, s := range scenes {
		s.atRest()
	}
	struck, moments := 0, map[string]bool{}
	for kill := range kills() {
		group := scenes[kill*together : (kill+1)*together]
		for _, s := range group {
			s.release("v2")
			pause(rng, took/together)
		}
		group[0].eventually(reached(rng.Int32N(5))) // However busy the machine is, kills come late as well as early.
		pause(rng, took/5)                          // The length of one of four steps and a promotion.
		v.process.Kill()
		hit := false
		for _, s := range group {
			moment, under := s.moment()
			t.Logf("kill %d: %s", kill, moment)
			if under {
				hit, moments[moment] = true, true
			}
		}
		if hit {
			struck++
		}
		v.start()
	}
	for _, s := range scenes {
		s.atRest()
		s.check(want)
	}
	// What it shows hangs on where the kills struck.
	t.Logf("%d of %d kills struck an update under way, at %d different moments", struck, kills(), len(moments))
	if struck < kills()/2 || len(moments) < 5 {
		t.Errorf("%d kills struck at %d moments: too few to show anything", struck, len(moments))
	}
}

func promoted(ro *v1alpha1.Rollout) error {
	if st := ro.Status; st.ObservedGeneration != strconv.FormatInt(ro.Generation, 10) || st.StableRS != st.CurrentPodHash {
		return fmt.Errorf("not promoted: %s", brief(ro))
	}
	return nil
}

// reached asks for an update that stands at a step, or is over.
func reached(step int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if ro.Status.ObservedGeneration != strconv.FormatInt(ro.Generation, 10) || *ro.Status.CurrentStepIndex < step {
			return fmt.Errorf("not at step %d: %s", step, brief(ro))
		}
		return nil
	}
}

// moment tells how far an update is, and whether it is under way.
func (s *scene) moment() (text string, under bool) {
	s.Helper()
	history := s.watch.History(s)
	ro, err := s.rollout()
	if err != nil {
		s.Fatal(err)
	}
	st, made := ro.Status, len(created(history))
	text = fmt.Sprintf("%d ReplicaSets, step %d", made, *st.CurrentStepIndex)
	for _, what := range []struct {
		kind  observer.Kind
		field []string
	}{
		{observer.ReplicaSet, []string{"spec", "replicas"}},
		{observer.Service, []string{"spec", "selector", v1alpha1.PodTemplateHashLabel}},
		{observer.Ingress, []string{"metadata", "annotations", "nginx.ingress.kubernetes.io/canary-weight"}},
	} {
		objects := s.watch.Present(what.kind)
		for _, name := range slices.Sorted(maps.Keys(objects)) {
			if value, _, _ := unstructured.NestedFieldNoCopy(objects[name].Object, what.field...); strings.HasPrefix(name, "web-") {
				text += fmt.Sprintf(", %s %v", strings.TrimPrefix(name, "web-"), value)
			}
		}
	}
	return text, made == 2 && promoted(ro) != nil
}

// TestKilledWhileAbortingItEndsTheSame kills right after a person aborted.
func TestKilledWhileAbortingItEndsTheSame(t *testing.T) {
	t.Parallel()
	a, rng := newAPI(t), newRand(t)
	v := newVictim(t, a.under("aborting"))
	const runs = 7
	scenes := make([]*scene, runs)
	for i := range scenes {
		scenes[i] = a.open(t, abort.objects(t, "aborting"))
	}
	for _, s := range scenes {
		s.atRest()
		abort.before(s)
	}
	want := ""
	for i, s := range scenes {
		s.abort()
		switch {
		case i == 0: // the undisturbed one
			s.atRest()
			want = s.check("")
			continue
		case i%2 == 0: // while the traffic goes back
			pause(rng, 60*time.Millisecond)
		default: // while the pods wait for their end
			pause(rng, 1500*time.Millisecond)
		}
		v.restart()
	}
	for _, s := range scenes[1:] {
		s.atRest()
		s.check(want)
	}
}
