package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/trafficrouting/alb"
)

// verifyAgain is how soon a load balancer that does not serve yet what it was told is asked again: AWS tells nobody.
const verifyAgain = 5 * time.Second

// balancers asks AWS what became of the routes of Rollouts, where the process has the rights to.
type balancers struct {
	verifier *alb.Verifier

	mu   sync.Mutex
	told map[news]string // the Event that was sent last
}

// news is what an Event about load balancers tells of: their weights, or their targets.
type news struct {
	rollout types.NamespacedName
	targets bool
}

// observeBalancers adds what AWS says: what the load balancers of an ALB serve, and whether the pods of
// the Service that has the traffic are targets already. Until they are nothing shrinks.
func (r *Reconciler) observeBalancers(ctx context.Context, seen *observed) error {
	if r.balancers.verifier == nil {
		return nil
	}
	if report, ok := r.balancers.verifier.Report(seen.Rollout); ok {
		seen.Balancers = &plan.Balancers{ALB: report.ALB, ALBs: report.ALBs}
		r.tellBalancers(seen.Rollout, report.Reason, report.Message, false)
	}
	service := servedByTargets(seen.Rollout)
	if service == "" || !seen.severalHavePods() {
		return nil
	}
	verified, why, err := r.balancers.verifier.ServiceRegistered(ctx, seen.Rollout.Namespace, service)
	if err = behind(err); errors.Is(err, errBehind) {
		return err
	}
	if err != nil { // an abort must not wait for the right to read a binding
		verified, why = false, fmt.Sprintf("the targets of Service %s cannot be verified: %v", service, err)
	}
	if verified {
		return nil
	}
	seen.Traffic.Verified, seen.Traffic.Unverified = &verified, why
	r.tellBalancers(seen.Rollout, alb.ReasonUnverified, why, true)
	return nil
}

// servedByTargets is the Service whose endpoints may be targets of a load balancer: that of the
// active revision, and of the stable one behind an ALB.
func servedByTargets(ro *v1alpha1.Rollout) string {
	switch s := ro.Spec.Strategy; {
	case s.BlueGreen != nil:
		return s.BlueGreen.ActiveService
	case s.Canary != nil && s.Canary.TrafficRouting != nil && s.Canary.TrafficRouting.ALB != nil:
		stable, _ := ro.CanaryServices()
		return stable
	}
	return ""
}

// severalHavePods reports whether there is a revision that could shrink too early.
func (s *observed) severalHavePods() bool {
	n := 0
	for _, r := range s.Revisions {
		if r.Pods > 0 {
			n++
		}
	}
	return n > 1
}

// tellBalancers sends an Event when what AWS says is news: about the weights, or about the targets.
func (r *Reconciler) tellBalancers(ro *v1alpha1.Rollout, reason, message string, targets bool) {
	key := news{client.ObjectKeyFromObject(ro), targets}
	r.balancers.mu.Lock()
	known := r.balancers.told[key] == message
	if r.balancers.told == nil {
		r.balancers.told = map[news]string{}
	}
	r.balancers.told[key] = message
	r.balancers.mu.Unlock()
	if known || reason == "" {
		return
	}
	kind := corev1.EventTypeWarning
	if reason == alb.ReasonVerified {
		kind = corev1.EventTypeNormal
	}
	r.emit(ro, plan.Event{Type: kind, Reason: reason, Message: message})
}

func (b *balancers) forget(key types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.told, news{key, false})
	delete(b.told, news{key, true})
}

// askAgain is when to look again at what AWS says, at the latest.
func (r *Reconciler) askAgain(seen *observed, wake time.Duration) time.Duration {
	if verified := seen.Traffic.Verified; r.balancers.verifier == nil || verified == nil || *verified {
		return wake
	}
	if wake == 0 {
		return verifyAgain
	}
	return min(wake, verifyAgain)
}
