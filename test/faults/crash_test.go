package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/faults/network"
	"github.com/headway-rollouts/headway/test/kube"
)

// lane is a controller behind a Meddler of its own, so that several cases run at once.
type lane struct {
	*testing.T // lives longer than a case

	api     api
	name    string
	meddler *network.Meddler
	config  string
	process *headway.Process
	// idle is at rest and stays so, through all that happens to the controller.
	idle *scene
}

func newLane(t *testing.T, a api, name string) *lane {
	t.Helper()
	m := network.NewMeddler(t, a.Config)
	l := &lane{T: t, api: a, name: name, meddler: m, config: network.Kubeconfig(t, a.Kubeconfig, m.Address)}
	l.start()
	return l
}

func (l *lane) start() {
	l.Helper()
	l.process = headway.Start(l, headway.Options{Kubeconfig: l.config, Args: []string{"--instance-id", l.name}})
}

// loss is which write is lost, and how.
type loss struct {
	number int
	how    network.Loss
}

// outcome is how a plot ended and the writes it took.
type outcome struct {
	plot
	end    string
	writes []string
}

// play plays a plot with a loss, or undisturbed when its number is 0.
func (l *lane) play(t *testing.T, p plot, c loss, want string) (*scene, outcome) {
	t.Helper()
	s := l.api.open(t, p.objects(t, l.name))
	s.atRest()
	p.before(s)
	lost := l.meddler.Lose(s.namespace, c.number, c.how)
	p.act(s)
	if c.number > 0 {
		l.suffer(s, c, lost)
	}
	s.atRest()
	out := outcome{plot: p, end: s.check(want)}
	for _, w := range l.meddler.Writes() {
		switch {
		case !w.Guarded && !w.Event:
			t.Errorf("S16 %s names neither the object nor the version that it means", w)
		case l.idle != nil && w.In(l.idle.namespace):
			t.Errorf("S17 %s: nothing had changed there", w)
		case w.In(s.namespace) && !w.Event:
			out.writes = append(out.writes, strings.ReplaceAll(w.String(), s.namespace, "NS"))
		}
	}
	return s, out
}

// tries is how often a plot may take too many writes: on a busy machine pods
// come so late that their counts get a write of their own.
const tries = 3

// undisturbed plays a plot without a loss.
func (l *lane) undisturbed(t *testing.T, p plot) (s *scene, out outcome) {
	t.Helper()
	for range tries {
		s, out = l.play(t, p, loss{}, "")
		t.Logf("%s, undisturbed, ends as\n%sby %d writes:\n%s", p.name, out.end, len(out.writes), strings.Join(out.writes, "\n"))
		if p.most == 0 || len(out.writes) <= p.most {
			return s, out
		}
	}
	t.Errorf("%s took %d writes, want at most %d", p.name, len(out.writes), p.most)
	return s, out
}

// suffer waits for the loss and kills the controller if that is part of it.
func (l *lane) suffer(s *scene, c loss, lost <-chan struct{}) {
	s.Helper()
	var rests time.Time
	kube.Eventually(s, within, func() error {
		select {
		case <-lost:
			return nil
		default:
		}
		if ro, err := s.rollout(); err != nil || s.resting(ro) != nil {
			rests = time.Now()
		}
		if time.Since(rests) < lateWrites {
			return fmt.Errorf("write %d has not come yet", c.number)
		}
		return nil
	})
	select {
	case <-lost:
		if c.how.Crashes() {
			l.process.Kill()
			l.meddler.Pass()
			l.start()
		}
	default:
		s.Logf("it took fewer than %d writes this time", c.number)
	}
}

// lateWrites is how long a write may come after all seems over: counts of pods wait for a second.
const lateWrites = 3 * time.Second

// job is one case: a plot and what is lost in it.
type job struct {
	outcome
	loss
}

func (j job) String() string { return fmt.Sprintf("%s, write %d is %s", j.name, j.number, j.how) }

// jobs are all ways to lose any write. Unless all are asked for, they are one way
// for every second write; the next run draws others.
func jobs(outcomes []outcome, rng *rand.Rand) []job {
	ways := []network.Loss{network.Unsent, network.Unanswered, network.Unclear, network.Refused}
	var all []job
	for _, o := range outcomes {
		way, half := rng.IntN(len(ways)), rng.IntN(2)
		for n := range o.writes {
			for i, how := range ways {
				if long() || n%2 == half && (way+n/2)%len(ways) == i {
					all = append(all, job{o, loss{n + 1, how}})
				}
			}
		}
	}
	return all
}

func TestLosingAnyWriteChangesNothingInTheEnd(t *testing.T) {
	t.Parallel()
	a, rng := newAPI(t), newRand(t)
	lanes, outcomes := make([]*lane, len(plots)), make([]outcome, len(plots))
	for i := range lanes {
		lanes[i] = newLane(t, a, fmt.Sprintf("lane-%d", i))
	}
	for i, p := range plots {
		lanes[i].idle, outcomes[i] = lanes[i].undisturbed(t, p)
	}
	todo := make(chan job, 1000)
	for _, j := range jobs(outcomes, rng) {
		todo <- j
	}
	close(todo)
	for i, l := range lanes {
		t.Run(fmt.Sprintf("lane %d", i), func(t *testing.T) {
			t.Parallel()
			for j := range todo {
				t.Run(j.String(), func(t *testing.T) {
					l.play(t, j.plot, j.loss, j.end)
					if err := l.process.Running(); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}
