package alb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// patience is how long one pass of a controller waits for AWS.
	patience = 3 * time.Second
	// maxMessage is the length of what AWS says that is passed on to users.
	maxMessage = 200
	// idle is how long it is known since when an Ingress has its version.
	idle = time.Minute
)

var (
	// ErrNoLoadBalancer says that AWS knows no load balancer with a DNS name.
	ErrNoLoadBalancer = errors.New("AWS knows no load balancer with this DNS name")
	// ErrThrottled says that AWS was asked too often.
	ErrThrottled = errors.New("AWS was asked too often")
)

// LoadBalancers is what a Verifier asks of AWS. Every call keeps to the deadline of its context.
type LoadBalancers interface {
	// Describe finds a load balancer by its DNS name. Its error wraps ErrNoLoadBalancer when there is
	// none, and ErrThrottled when it is to be asked later.
	Describe(ctx context.Context, hostname string) (LoadBalancer, error)
	// Targets lists what is registered in a target group, without what is being taken out of it.
	Targets(ctx context.Context, targetGroup string) ([]Target, error)
}

// Target is one target of a target group: an address, or an instance, and a port.
type Target struct {
	ID   string
	Port int32
}

// Verifier asks AWS whether load balancers serve what Ingresses say. It asks within the passes of
// controllers, for at most three seconds in each, and remembers answers and failures for five.
// It is safe for several passes at a time. A nil Verifier verifies nothing.
type Verifier struct {
	client   client.Client
	aws      LoadBalancers
	clock    clock.PassiveClock
	bindings []schema.GroupVersionKind

	balancers *memo[LoadBalancer]
	targets   *memo[[]Target]

	mu       sync.Mutex
	reports  map[string]Report
	versions map[types.NamespacedName]version
	failure  error
	failed   time.Time
}

// version is since when an Ingress is known to have its version.
type version struct {
	name        string
	since, used time.Time
}

// Report is what a load balancer was seen to serve in the last pass of a Rollout.
type Report struct {
	// Reason and Message are those of the event of the served API.
	Reason, Message string
	// ALB and ALBs are the fields of the status; ALB is that of the last Ingress. They are empty when
	// AWS said nothing, so that what the status says is the last that is known.
	ALB  *v1alpha1.ALBStatus
	ALBs []v1alpha1.ALBStatus
}

// NewVerifier makes a Verifier. The client reads Services, EndpointSlices and TargetGroupBindings
// from a cache. The bindings are the kinds of TargetGroupBinding to look for, by default those of the
// AWS Load Balancer Controller and of EKS Auto Mode.
func NewVerifier(c client.Client, aws LoadBalancers, clk clock.PassiveClock, bindings ...schema.GroupVersionKind) *Verifier {
	if len(bindings) == 0 {
		bindings = []schema.GroupVersionKind{
			{Group: "elbv2.k8s.aws", Version: "v1beta1", Kind: "TargetGroupBinding"},
			{Group: "eks.amazonaws.com", Version: "v1", Kind: "TargetGroupBinding"},
		}
	}
	return &Verifier{
		client: c, aws: aws, clock: clk, bindings: bindings,
		balancers: newMemo[LoadBalancer](clk), targets: newMemo[[]Target](clk),
		reports: map[string]Report{}, versions: map[types.NamespacedName]version{},
	}
}

// Report is what the last pass over a Rollout saw; false when that pass had nothing to ask, so that
// what the status says is still true.
func (v *Verifier) Report(rollout metav1.Object) (Report, bool) {
	if v == nil {
		return Report{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	report, ok := v.reports[trafficrouting.Key(rollout)]
	return report, ok
}

// observe adds to what the Ingresses ask for whether load balancers serve it. It asks only when the
// Ingresses are as the spec wants them, and while an update may not be over; and once, for the status.
func (v *Verifier) observe(ctx context.Context, in intent, named []held, seen *trafficrouting.Observed) {
	if v == nil {
		return
	}
	key := trafficrouting.Key(in.rollout)
	status := in.rollout.Status
	updating := in.updating(*seen)
	if len(named) == 0 || !seen.InSync || !updating && (status.ALB != nil || len(status.ALBs) > 0) {
		v.note(key, nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var verdicts []verdict
	for _, q := range in.questions(named, *seen) {
		verdicts = append(verdicts, v.ask(ctx, q))
	}
	report, verified := summary(verdicts)
	if verified && updating {
		if why := v.unregistered(ctx, in, *seen); why != "" {
			report.Reason, report.Message, verified = ReasonUnverified, why, false
		}
	}
	v.note(key, &report)
	if !updating {
		return
	}
	seen.Verified = &verified
	if !verified {
		seen.Unverified = report.Message
	}
}

// unregistered says which Service is not served by all of its pods though it gets requests: one of
// those that are new to it, or the stable one when all are to come home. It is empty when none is.
func (v *Verifier) unregistered(ctx context.Context, in intent, seen trafficrouting.Observed) string {
	split := in.splitAt(seen)
	sides := append([]trafficrouting.Backend{split.Canary}, split.Additional...)
	if split.Stable.Weight == total {
		sides = []trafficrouting.Backend{split.Stable}
	}
	for _, b := range sides {
		if b.Weight == 0 {
			continue
		}
		verified, why, err := v.ServiceRegistered(ctx, in.rollout.Namespace, b.Service)
		switch {
		case err != nil:
			return fmt.Sprintf("Failed to verify Service %s (TargetGroup unknown): %s", b.Service, short(err))
		case !verified:
			return why
		}
	}
	return ""
}

// summary is the report of all Ingresses of a Rollout: the first that is not verified has the word.
func summary(verdicts []verdict) (Report, bool) {
	report, verified := Report{Reason: verdicts[0].reason, Message: verdicts[0].message}, true
	for _, one := range verdicts {
		if verified && !one.verified {
			report.Reason, report.Message, verified = one.reason, one.message, false
		}
		if one.status.LoadBalancer.ARN != "" {
			report.ALBs, report.ALB = append(report.ALBs, one.status), &one.status
		}
	}
	return report, verified
}

// note keeps the report of a Rollout, or forgets it.
func (v *Verifier) note(key string, report *Report) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.reports, key)
	if report != nil {
		v.reports[key] = *report
	}
}

// ask answers a question about one Ingress. All of its load balancers have to serve it.
func (v *Verifier) ask(ctx context.Context, q question) verdict {
	if len(q.hostnames) == 0 {
		return verdict{reason: ReasonUnverified, message: fmt.Sprintf("Ingress %s not verified: it has no load balancer yet", q.ingress.Name)}
	}
	since := v.since(q)
	var last verdict
	for _, hostname := range q.hostnames {
		lb, err := v.balancers.get(ctx, hostname, since, func(ctx context.Context) (LoadBalancer, error) {
			return guarded(v, func() (LoadBalancer, error) { return v.aws.Describe(ctx, hostname) })
		})
		switch {
		case errors.Is(err, ErrNoLoadBalancer):
			return verdict{reason: ReasonNoLoadBalancer, message: fmt.Sprintf("Ingress %s not verified: AWS knows no load balancer %s", q.ingress.Name, hostname)}
		case err != nil:
			return verdict{reason: ReasonVerifyError, message: fmt.Sprintf("Failed to verify Service %s (TargetGroup unknown): %s", q.sides[0].service, short(err))}
		}
		if last = q.judge(lb); !last.verified {
			return last
		}
	}
	return last
}

// since is when the Ingress was first seen in its version. An answer from before may be about what
// it asked for then.
func (v *Verifier) since(q question) time.Time {
	now := v.clock.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	known, there := v.versions[q.ingress]
	if !there || known.name != q.version {
		known = version{name: q.version, since: now}
		for other, at := range v.versions {
			if now.Sub(at.used) > idle {
				delete(v.versions, other)
			}
		}
	}
	known.used = now
	v.versions[q.ingress] = known
	return known.since
}

// guarded asks AWS, unless it gave nobody an answer a moment ago: many Rollouts must not each wait
// for what does not come, or add to what is throttled. An answer that says no is one.
func guarded[V any](v *Verifier, ask func() (V, error)) (V, error) {
	v.mu.Lock()
	failure, failed := v.failure, v.failed
	v.mu.Unlock()
	if failure != nil && v.clock.Since(failed) < memory {
		var none V
		return none, failure
	}
	value, err := ask()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failure = nil
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrThrottled) {
		v.failure, v.failed = err, v.clock.Now()
	}
	return value, err
}

// short is an error without the length that others may give it.
func short(err error) string {
	text := []rune(err.Error())
	if len(text) > maxMessage {
		return string(text[:maxMessage]) + "..."
	}
	return string(text)
}
