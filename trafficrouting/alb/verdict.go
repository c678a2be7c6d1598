package alb

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// The reasons of reports, as the events of the served API name them.
const (
	// ReasonVerified is the reason of a load balancer that serves the weights.
	ReasonVerified = "TargetGroupVerified"
	// ReasonUnverified is the reason of a load balancer that does not serve the weights yet.
	ReasonUnverified = "TargetGroupUnverified"
	// ReasonVerifyError is the reason when AWS gave no answer.
	ReasonVerifyError = "TargetGroupVerifyError"
	// ReasonNoLoadBalancer is the reason when AWS knows no load balancer of the Ingress's name.
	ReasonNoLoadBalancer = "LoadBalancerNotFound"
)

// LoadBalancer is what AWS says of a load balancer.
type LoadBalancer struct {
	Name, ARN string
	// Groups are its target groups.
	Groups []TargetGroup
	// Forwards are the forward actions of all rules of all listeners.
	Forwards [][]Share
}

// TargetGroup is what AWS says of a target group.
type TargetGroup struct {
	Name, ARN string
	// Resource is the value of the tag that the AWS Load Balancer Controller gives it:
	// namespace/ingress-service:port.
	Resource string
}

// Share is the weight that a forward action gives a target group.
type Share struct {
	TargetGroup string // its ARN
	Weight      int32
}

// side is a Service with the weight that it should have.
type side struct {
	service, resource string
	weight            int32
}

// question is what one Ingress asks of its load balancers.
type question struct {
	ingress types.NamespacedName
	// version is the one of the Ingress: what AWS said before somebody changed it is no answer.
	version   string
	hostnames []string
	// sides begin with the canary and end with the stable one.
	sides []side
}

// questions are those of the Ingresses that the spec names, when they are as it asks.
func (in intent) questions(named []held, seen trafficrouting.Observed) []question {
	split := in.splitAt(seen)
	backends := append([]trafficrouting.Backend{split.Canary}, split.Additional...)
	backends = append(backends, split.Stable)
	var questions []question
	for _, h := range named {
		q := question{ingress: types.NamespacedName{Namespace: h.Namespace, Name: h.Name}, version: h.ResourceVersion}
		for _, point := range h.Status.LoadBalancer.Ingress {
			if point.Hostname != "" {
				q.hostnames = append(q.hostnames, point.Hostname)
			}
		}
		for _, b := range backends {
			resource := fmt.Sprintf("%s/%s-%s:%s", h.Namespace, h.Name, b.Service, in.port())
			q.sides = append(q.sides, side{b.Service, resource, b.Weight})
		}
		questions = append(questions, q)
	}
	return questions
}

// updating reports whether load balancers may have to follow: the canary has something, or the
// update is not over, also when it was aborted. The first revision takes nothing from anybody.
func (in intent) updating(seen trafficrouting.Observed) bool {
	status := in.rollout.Status
	return seen.CanaryWeight > 0 || status.StableRS != "" && status.CurrentPodHash != status.StableRS
}

// verdict is the answer to a question.
type verdict struct {
	verified        bool
	reason, message string
	status          v1alpha1.ALBStatus
}

// judge compares a load balancer with what an Ingress asks for.
func (q question) judge(lb LoadBalancer) verdict {
	canary, stable := q.sides[0], q.sides[len(q.sides)-1]
	answer := verdict{reason: ReasonUnverified, status: v1alpha1.ALBStatus{
		Ingress:           q.ingress.Name,
		LoadBalancer:      v1alpha1.AwsResourceRef{Name: lb.Name, ARN: lb.ARN, FullName: after(lb.ARN, 2)},
		CanaryTargetGroup: reference(lb, canary),
		StableTargetGroup: reference(lb, stable),
	}}
	for _, s := range q.sides {
		if reference(lb, s).ARN == "" {
			answer.message = fmt.Sprintf("Service %s not verified: load balancer %s has no target group with the tag %s yet", s.service, lb.Name, s.resource)
			return answer
		}
	}
	found := false
	for _, shares := range lb.Forwards {
		got := q.sharesOf(lb, shares)
		if !got[0].there || !got[len(got)-1].there {
			continue // A rule of its own, such as that of a header route, or of another Ingress.
		}
		found = true
		if answer.message = q.mismatch(lb, got, shares); answer.message != "" {
			return answer
		}
	}
	if !found {
		answer.message = fmt.Sprintf("Service %s not verified: no rule of load balancer %s forwards to it and to Service %s yet",
			canary.service, lb.Name, stable.service)
		return answer
	}
	answer.verified, answer.reason = true, ReasonVerified
	answer.message = fmt.Sprintf("Service %s (TargetGroup %s) verified: canary weight %d set", canary.service, reference(lb, canary).ARN, canary.weight)
	return answer
}

// served is what a forward action gives a side.
type served struct {
	there  bool
	weight int32
}

// sharesOf is what a forward action gives the sides. A side may have two target groups for a moment,
// when one takes the place of the other.
func (q question) sharesOf(lb LoadBalancer, shares []Share) []served {
	got := make([]served, len(q.sides))
	for _, s := range shares {
		if i := q.sideOf(lb, s); i >= 0 {
			got[i].there = true
			got[i].weight += s.Weight
		}
	}
	return got
}

// sideOf is the position of the side that a target group belongs to; below zero for one of nobody.
func (q question) sideOf(lb LoadBalancer, share Share) int {
	for _, g := range lb.Groups {
		if g.ARN == share.TargetGroup {
			return slices.IndexFunc(q.sides, func(s side) bool { return s.resource == g.Resource })
		}
	}
	return -1
}

// mismatch is the first side that a forward action does not give its weight; empty when it gives
// every side its own, and nothing to anybody else.
func (q question) mismatch(lb LoadBalancer, got []served, shares []Share) string {
	for i, s := range q.sides {
		if !got[i].there || got[i].weight != s.weight {
			return fmt.Sprintf("Service %s (TargetGroup %s) not verified: canary weight %d not yet set (current: %d)",
				s.service, reference(lb, s).ARN, s.weight, got[i].weight)
		}
	}
	for _, s := range shares {
		if s.Weight > 0 && q.sideOf(lb, s) < 0 {
			return fmt.Sprintf("TargetGroup %s still has weight %d, and is no side of the Rollout", s.TargetGroup, s.Weight)
		}
	}
	return ""
}

// reference names the first target group of a side; it is empty without one.
func reference(lb LoadBalancer, s side) v1alpha1.AwsResourceRef {
	for _, g := range lb.Groups {
		if g.Resource == s.resource {
			return v1alpha1.AwsResourceRef{Name: g.Name, ARN: g.ARN, FullName: after(g.ARN, 1)}
		}
	}
	return v1alpha1.AwsResourceRef{}
}

// after is what follows the given number of slashes in an ARN; empty when it has fewer.
func after(arn string, slashes int) string {
	for range slashes {
		_, rest, found := strings.Cut(arn, "/")
		if !found {
			return ""
		}
		arn = rest
	}
	return arn
}
