package traffic

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/kube"
)

// twoEach are steps at which both releases have two pods or more: a release of one
// pod has none left while that pod is replaced, and nobody can help that.
const twoEach = "[{setCanaryScale: {replicas: 2}}, {setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {}}, {setWeight: 80}, {pause: {}}]"

// A pod of each release is deleted at every weight, as when a node is drained.
func TestAPodThatGoesAtAnyWeightLosesNoRequest(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r, options{strategy: r.canary(twoEach)})
		s.killPod("v1", 4)
		s.release("v2")
		for _, at := range []struct {
			step   int32
			weight int
		}{{2, 20}, {4, 50}, {6, 80}} {
			s.until(pausedAt(at.step))
			s.shows("v2", at.weight)
			s.killPod("v1", 4)
			s.killPod("v2", 2)
			s.shows("v2", at.weight)
			s.promote()
		}
		s.until(alone)
		s.killPod("v2", 4)
		s.only("v2", 300)
		s.failedOnPurpose(s.lostNothing())
	})
}

// killPod deletes a pod of a release and waits until the release has so many again
// that are ready.
func (s *scene) killPod(tag string, want int) {
	s.Helper()
	before := s.pods(tag)
	if len(before) == 0 {
		s.Fatalf("%s has no pods", tag)
	}
	victim := before[0]
	if err := s.world.client.Delete(s.Context(), &victim); err != nil {
		s.Fatal(err)
	}
	kube.Eventually(s, within, func() error {
		ready := 0
		for _, p := range s.pods(tag) {
			if p.UID == victim.UID {
				return errors.New("the pod is still there")
			}
			if len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].Ready {
				ready++
			}
		}
		if ready < want {
			return fmt.Errorf("%d pods of %s are ready, want %d", ready, tag, want)
		}
		return nil
	})
}

// The controller is killed where it hurts most: with pods that are not there yet,
// with traffic half moved, and while a promotion is under way.
func TestAControllerThatIsKilledLosesNoRequest(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		owner := "killed-" + r.name
		c := newKillable(t, owner)
		s := open(t, r, options{strategy: r.canary("[{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {}}]"), owner: owner})
		s.release("v2")
		s.until(released)
		c.restart()
		s.until(pausedAt(1))
		s.shows("v2", 20)
		c.process.Kill()
		s.promote() // Nobody hears it before the next controller comes.
		s.share("v2", 20, 300)
		c.start()
		s.until(pausedAt(3))
		c.restart()
		s.shows("v2", 50)
		s.promote()
		s.until(promoting)
		c.restart()
		s.until(alone)
		s.only("v2", 300)
		s.failedOnPurpose(s.lostNothing())
	})
}

// released asks for a Rollout whose new revision was seen.
func released(ro *v1alpha1.Rollout) error {
	if ro.Status.StableRS == ro.Status.CurrentPodHash {
		return errors.New("there is no new revision")
	}
	return nil
}

// promoting asks for a Rollout that has left its last pause.
func promoting(ro *v1alpha1.Rollout) error {
	if len(ro.Status.PauseConditions) > 0 {
		return errors.New("still paused")
	}
	return nil
}

// killable is a controller of one scene.
type killable struct {
	*testing.T

	options headway.Options
	process *headway.Process
}

// newKillable starts a controller that serves one instance ID.
func newKillable(t *testing.T, owner string) *killable {
	t.Helper()
	c := &killable{T: t, options: headway.Options{Kubeconfig: theWorld(t).cluster.Kubeconfig, Args: []string{"--instance-id", owner}}}
	c.start()
	return c
}

// start starts the next one.
func (c *killable) start() {
	c.Helper()
	c.process = headway.Start(c, c.options)
}

// restart kills the controller when it has begun to work, and starts the next one.
func (c *killable) restart() {
	c.Helper()
	kube.Eventually(c, within, func() error {
		if strings.Count(c.process.Log(), "Starting workers") < 3 {
			return errors.New("the controllers have not started")
		}
		return c.process.Running()
	})
	c.process.Kill()
	c.start()
}
