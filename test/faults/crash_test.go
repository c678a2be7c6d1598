package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/faults/network"
)

// lane is a controller behind a Meddler of its own, so that several cases run at once.
type lane struct {
	*testing.T // lives longer than a case

	api     api
	name    string
	meddler *network.Meddler
	config  string
	process *headway.Process
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

// loss is one case: which write is lost, and how.
type loss struct {
	number int
	how    network.Loss
}

func (l loss) String() string { return fmt.Sprintf("write %d is %s", l.number, l.how) }

// fiveWeights is the canary of the crash tests.
const fiveWeights = "[{setWeight: 20}, {setWeight: 40}, {setWeight: 60}, {setWeight: 80}, {setWeight: 100}]"

// play runs one update with a loss and returns the writes it took.
func (l *lane) play(t *testing.T, c loss, want string) (end string, writes []string) {
	t.Helper()
	manifest := canary(l.name)
	manifest.Steps = fiveWeights
	s := l.api.open(t, manifest.All())
	s.atRest()
	lost := l.meddler.Lose(c.number, c.how)
	s.release("v2")
	if c.number > 0 {
		select {
		case <-lost:
		case <-time.After(within):
			t.Fatalf("%s: it never came to that: %s", c, strings.Join(l.meddler.Writes(), "\n"))
		}
		if c.how.Crashes() {
			l.process.Kill()
			l.meddler.Pass()
			l.start()
		}
	}
	s.atRest()
	return s.check(want), l.meddler.Writes()
}

// sample is how many losses are tried unless all are asked for.
const sample = 9

// cases are all losses of an update of so many writes, or a sample with the first and the last write.
func cases(writes int) []loss {
	kinds := []network.Loss{network.Unsent, network.Unanswered, network.Unclear}
	var all []loss
	if !long() {
		for i := range sample {
			all = append(all, loss{1 + i*(writes-1)/(sample-1), kinds[i%len(kinds)]})
		}
		return all
	}
	for k := 1; k <= writes; k++ {
		for _, how := range kinds {
			all = append(all, loss{k, how})
		}
	}
	return all
}

// mostWrites is what an update of five weights may cost besides Events.
const mostWrites = 24

func TestLosingAnyWriteChangesNothingInTheEnd(t *testing.T) {
	a := newAPI(t)
	first := newLane(t, a, "lane-0")
	want, writes := first.play(t, loss{}, "")
	t.Logf("undisturbed it ends as\n%sby %d writes:\n%s", want, len(writes), strings.Join(writes, "\n"))
	if len(writes) > mostWrites {
		t.Errorf("an update of five weights took %d writes, want at most %d", len(writes), mostWrites)
	}
	const lanes = 3
	todo := cases(len(writes))
	for i := range lanes {
		t.Run(fmt.Sprintf("lane %d", i), func(t *testing.T) {
			t.Parallel()
			l := first
			if i > 0 {
				l = newLane(t, a, fmt.Sprintf("lane-%d", i))
			}
			for n, c := range slices.All(todo) {
				if n%lanes != i {
					continue
				}
				t.Run(c.String(), func(t *testing.T) {
					l.play(t, c, want)
					if err := l.process.Running(); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}
