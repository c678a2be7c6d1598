package alb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// cloud is AWS as it is told to be.
type cloud struct {
	balancers map[string]LoadBalancer
	targets   map[string][]Target
	err       error
	asked     []string
	deadlines []time.Duration
}

func (c *cloud) Describe(ctx context.Context, hostname string) (LoadBalancer, error) {
	c.note(ctx, hostname)
	lb, there := c.balancers[hostname]
	if c.err == nil && !there {
		return LoadBalancer{}, fmt.Errorf("%s: %w", hostname, ErrNoLoadBalancer)
	}
	return lb, c.err
}

func (c *cloud) Targets(ctx context.Context, targetGroup string) ([]Target, error) {
	c.note(ctx, targetGroup)
	return c.targets[targetGroup], c.err
}

func (c *cloud) note(ctx context.Context, what string) {
	c.asked = append(c.asked, what)
	if at, ok := ctx.Deadline(); ok {
		c.deadlines = append(c.deadlines, time.Until(at))
	}
}

// balancer shares requests between the canary and the stable Service of an Ingress in two rules, and
// sends some to the canary alone.
func balancer(ingress string, weight int32) LoadBalancer {
	arn := "arn:aws:elasticloadbalancing:eu-west-1:1:"
	canary, stable := arn+"targetgroup/canary-tg/11", arn+"targetgroup/stable-tg/22"
	shares := []Share{{canary, weight}, {stable, 100 - weight}}
	return LoadBalancer{
		Name: ingress + "-lb", ARN: arn + "loadbalancer/app/" + ingress + "-lb/33",
		Groups: []TargetGroup{
			{"canary-tg", canary, "shop/" + ingress + "-canary:80"},
			{"stable-tg", stable, "shop/" + ingress + "-stable:80"},
			{"images-tg", arn + "targetgroup/images-tg/44", ""},
		},
		Forwards: [][]Share{{{canary, 100}}, shares, {{arn + "targetgroup/images-tg/44", 1}}, shares},
	}
}

// lab is a world with one Ingress per load balancer, and a clock.
type lab struct {
	*cloud

	t        *testing.T
	client   client.Client
	clock    *clocktesting.FakePassiveClock
	verifier *Verifier
	router   *Router
	ro       *v1alpha1.Rollout
}

func newLab(t *testing.T, names ...string) *lab {
	t.Helper()
	l := &lab{t: t, cloud: &cloud{balancers: map[string]LoadBalancer{}}, clock: clocktesting.NewFakePassiveClock(time.Unix(0, 0)), ro: rollout(names...)}
	var objects []client.Object
	for _, name := range names {
		i := ingress(name)
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: name + ".aws"}}
		objects = append(objects, i)
		l.balancers[name+".aws"] = balancer(name, 0)
	}
	l.client = world(t, objects...)
	l.verifier = NewVerifier(l.client, l.cloud, l.clock)
	l.router = New(l.client, l.verifier)
	l.ro.Status.StableRS, l.ro.Status.CurrentPodHash = "aaaa", "bbbb"
	return l
}

func (l *lab) at(weight int32) *lab {
	l.t.Helper()
	apply(l.t, l.client, l.ro, splitOf(weight))
	return l
}

func (l *lab) later(d time.Duration) { l.clock.SetTime(l.clock.Now().Add(d)) }

func (l *lab) serves(weight int32) *lab {
	for hostname := range l.balancers {
		l.balancers[hostname] = balancer(strings.TrimSuffix(hostname, ".aws"), weight)
	}
	return l
}

func (l *lab) observe() trafficrouting.Observed {
	l.t.Helper()
	seen, err := l.router.Observe(l.t.Context(), trafficrouting.Ref{Rollout: l.ro})
	if err != nil {
		l.t.Fatal(err)
	}
	return seen
}

// want compares what is verified, and what is said when it is not.
func (l *lab) want(verified *bool, saying string) {
	l.t.Helper()
	seen := l.observe()
	if diff := cmp.Diff(verified, seen.Verified); diff != "" {
		l.t.Errorf("verified (-want +got):\n%s\n%s", diff, seen.Unverified)
	}
	if saying != seen.Unverified {
		l.t.Errorf("it says %q, want %q", seen.Unverified, saying)
	}
}

var yes, no = true, false

const arns = "arn:aws:elasticloadbalancing:eu-west-1:1:"

func TestAWeightIsVerifiedWhenEveryRuleServesIt(t *testing.T) {
	l := newLab(t, "web").at(20)
	l.want(&no, "Service canary (TargetGroup "+arns+"targetgroup/canary-tg/11) not verified: canary weight 20 not yet set (current: 0)")
	l.serves(20).later(memory)
	l.want(&yes, "")
	report, ok := l.verifier.Report(l.ro)
	status := v1alpha1.ALBStatus{
		Ingress:           "web",
		LoadBalancer:      v1alpha1.AwsResourceRef{Name: "web-lb", ARN: arns + "loadbalancer/app/web-lb/33", FullName: "web-lb/33"},
		CanaryTargetGroup: v1alpha1.AwsResourceRef{Name: "canary-tg", ARN: arns + "targetgroup/canary-tg/11", FullName: "canary-tg/11"},
		StableTargetGroup: v1alpha1.AwsResourceRef{Name: "stable-tg", ARN: arns + "targetgroup/stable-tg/22", FullName: "stable-tg/22"},
	}
	want := Report{
		Reason: "TargetGroupVerified", Message: "Service canary (TargetGroup " + arns + "targetgroup/canary-tg/11) verified: canary weight 20 set",
		ALB: &status, ALBs: []v1alpha1.ALBStatus{status},
	}
	if diff := cmp.Diff(want, report); diff != "" || !ok {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestWhatALoadBalancerServesIsJudged(t *testing.T) {
	canary, stable, extra := arns+"targetgroup/canary-tg/11", arns+"targetgroup/stable-tg/22", arns+"targetgroup/exp-tg/55"
	q := question{sides: []side{{"canary", "shop/web-canary:80", 20}, {"exp", "shop/web-exp:80", 5}, {"stable", "shop/web-stable:80", 75}}}
	q.ingress.Name = "web"
	good := func() LoadBalancer {
		lb := balancer("web", 20)
		lb.Groups = append(lb.Groups, TargetGroup{"exp-tg", extra, "shop/web-exp:80"})
		shares := []Share{{canary, 20}, {extra, 5}, {stable, 75}}
		lb.Forwards[1], lb.Forwards[3] = shares, slices.Clone(shares)
		return lb
	}
	for _, c := range []struct {
		name  string
		spoil func(*LoadBalancer)
		want  string
	}{
		{"all weights in all rules", func(*LoadBalancer) {}, "Service canary (TargetGroup " + canary + ") verified: canary weight 20 set"},
		{
			"one rule with the weight of before", func(lb *LoadBalancer) { lb.Forwards[3][0].Weight = 10 },
			"Service canary (TargetGroup " + canary + ") not verified: canary weight 20 not yet set (current: 10)",
		},
		{
			"another weight of an experiment", func(lb *LoadBalancer) { lb.Forwards[1][1].Weight = 0 },
			"Service exp (TargetGroup " + extra + ") not verified: canary weight 5 not yet set (current: 0)",
		},
		{
			"a rule without the experiment", func(lb *LoadBalancer) { lb.Forwards[1] = []Share{{canary, 20}, {stable, 75}} },
			"Service exp (TargetGroup " + extra + ") not verified: canary weight 5 not yet set (current: 0)",
		},
		{
			"another weight of the stable side", func(lb *LoadBalancer) { lb.Forwards[1][2].Weight = 80 },
			"Service stable (TargetGroup " + stable + ") not verified: canary weight 75 not yet set (current: 80)",
		},
		{
			"a side of an experiment that is over", func(lb *LoadBalancer) { lb.Forwards[1] = append(lb.Forwards[1], Share{"arn:old", 5}) },
			"TargetGroup arn:old still has weight 5, and is no side of the Rollout",
		},
		{
			"no target group of the experiment", func(lb *LoadBalancer) { lb.Groups = lb.Groups[:3] },
			"Service exp not verified: load balancer web-lb has no target group with the tag shop/web-exp:80 yet",
		},
		{
			"no tags at all", func(lb *LoadBalancer) { lb.Groups = []TargetGroup{{"canary-tg", canary, ""}} },
			"Service canary not verified: load balancer web-lb has no target group with the tag shop/web-canary:80 yet",
		},
		{
			"no rule", func(lb *LoadBalancer) { lb.Forwards = lb.Forwards[:1] },
			"Service canary not verified: no rule of load balancer web-lb forwards to it and to Service stable yet",
		},
		{"a target group that takes the place of another", func(lb *LoadBalancer) {
			lb.Groups = append([]TargetGroup{{"old", "arn:old", "shop/web-canary:80"}}, lb.Groups...)
		}, "Service canary (TargetGroup arn:old) verified: canary weight 20 set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lb := good()
			c.spoil(&lb)
			got := q.judge(lb)
			if got.message != c.want || got.verified != strings.Contains(c.want, ") verified") {
				t.Errorf("verified %t: %s\nwant %s", got.verified, got.message, c.want)
			}
		})
	}
}

func TestAWSIsAskedOnlyWhileAnUpdateMayNotBeOver(t *testing.T) {
	verified := v1alpha1.ALBStatus{Ingress: "web"}
	for _, c := range []struct {
		name   string
		weight int32
		change func(*v1alpha1.RolloutStatus)
		asked  int
		want   *bool
	}{
		{"while the canary has weight", 20, func(*v1alpha1.RolloutStatus) {}, 1, &yes},
		{"after an abort, until the load balancer has followed", 0, func(*v1alpha1.RolloutStatus) {}, 1, &yes},
		{"not at rest", 0, func(s *v1alpha1.RolloutStatus) { s.CurrentPodHash, s.ALB = "aaaa", &verified }, 0, nil},
		{"nor with several Ingresses", 0, func(s *v1alpha1.RolloutStatus) {
			s.CurrentPodHash, s.ALBs = "aaaa", []v1alpha1.ALBStatus{verified}
		}, 0, nil},
		{"at rest once, for the status alone", 0, func(s *v1alpha1.RolloutStatus) { s.CurrentPodHash = "aaaa" }, 1, nil},
		{"not for the first revision", 0, func(s *v1alpha1.RolloutStatus) { s.StableRS, s.ALB = "", &verified }, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "web").at(c.weight).serves(c.weight)
			c.change(&l.ro.Status)
			l.want(c.want, "")
			if len(l.asked) != c.asked {
				t.Errorf("asked %v, want %d questions", l.asked, c.asked)
			}
			if _, reported := l.verifier.Report(l.ro); reported != (c.asked > 0) {
				t.Errorf("there is a report: %t", reported)
			}
		})
	}
}

func TestIngressesThatAreNotAsTheSpecAsksAreNotVerified(t *testing.T) {
	l := newLab(t, "web").at(20).serves(20)
	l.want(&yes, "")
	edited := stored(t, l.client, "web")
	edited.Annotations[rootAction] = shared50
	delete(edited.Annotations, ManagedAnnotation)
	if err := l.client.Update(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	l.want(nil, "")
	if _, reported := l.verifier.Report(l.ro); reported {
		t.Error("there is a report, want none of a pass that did not ask")
	}
}

func TestEveryIngressHasToBeServed(t *testing.T) {
	l := newLab(t, "web", "api").at(20).serves(20)
	l.want(&yes, "")
	report, _ := l.verifier.Report(l.ro)
	if len(report.ALBs) != 2 || report.ALBs[0].Ingress != "web" || report.ALB.Ingress != "api" {
		t.Errorf("report %+v", report)
	}
	l.balancers["api.aws"] = balancer("api", 10)
	l.later(memory)
	l.want(&no, "Service canary (TargetGroup "+arns+"targetgroup/canary-tg/11) not verified: canary weight 20 not yet set (current: 10)")
}

func TestEveryLoadBalancerOfAnIngressHasToServe(t *testing.T) {
	l := newLab(t, "web").at(20).serves(20)
	i := stored(t, l.client, "web")
	i.Status.LoadBalancer.Ingress = append([]networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}, {Hostname: "late.aws"}}, i.Status.LoadBalancer.Ingress...)
	if err := l.client.Status().Update(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	l.balancers["late.aws"] = balancer("web", 10)
	l.want(&no, "Service canary (TargetGroup "+arns+"targetgroup/canary-tg/11) not verified: canary weight 20 not yet set (current: 10)")
}

func TestWhatAWSCannotTellIsNotVerifiedAndSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(*lab)
		reason string
		want   string
	}{
		{"no load balancer yet", func(l *lab) {
			i := stored(t, l.client, "web")
			i.Status = networkingv1.IngressStatus{}
			if err := l.client.Status().Update(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}, "TargetGroupUnverified", "Ingress web not verified: it has no load balancer yet"},
		{"one that AWS does not know", func(l *lab) { clear(l.balancers) }, "LoadBalancerNotFound", "Ingress web not verified: AWS knows no load balancer web.aws"},
		{
			"an error", func(l *lab) { l.err = errors.New("AccessDenied: no") }, "TargetGroupVerifyError",
			"Failed to verify Service canary (TargetGroup unknown): AccessDenied: no",
		},
		{
			"an error without end", func(l *lab) { l.err = errors.New(strings.Repeat("ü", 1000)) }, "TargetGroupVerifyError",
			"Failed to verify Service canary (TargetGroup unknown): " + strings.Repeat("ü", 200) + "...",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "web").at(20).serves(20)
			c.spoil(l)
			l.want(&no, c.want)
			report, _ := l.verifier.Report(l.ro)
			if diff := cmp.Diff(Report{Reason: c.reason, Message: c.want}, report); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAnswerIsRememberedForAMomentAndNoLonger(t *testing.T) {
	l := newLab(t, "web").at(20).serves(20)
	for range 5 {
		l.want(&yes, "")
	}
	l.serves(30)
	l.later(memory - 1)
	l.want(&yes, "")
	if len(l.asked) != 1 {
		t.Errorf("asked %v, want one question", l.asked)
	}
	l.later(1)
	l.want(&no, "Service canary (TargetGroup "+arns+"targetgroup/canary-tg/11) not verified: canary weight 20 not yet set (current: 30)")
	if len(l.asked) != 2 || l.deadlines[0] > patience {
		t.Errorf("asked %v with deadlines %v, want two questions of at most %v", l.asked, l.deadlines, patience)
	}
}

// What AWS said before the Ingress changed may be about what it asked for then: an abort must not be
// verified by the weight from before the canary got any.
func TestAnAnswerFromBeforeTheIngressChangedIsNone(t *testing.T) {
	l := newLab(t, "web").at(0)
	l.want(&yes, "")
	l.at(20).serves(20)
	l.at(0)
	l.later(time.Millisecond)
	l.want(&no, "Service canary (TargetGroup "+arns+"targetgroup/canary-tg/11) not verified: canary weight 0 not yet set (current: 20)")
}

func TestAWSThatIsTooBusyIsLeftAloneForAMoment(t *testing.T) {
	for _, busy := range []error{context.DeadlineExceeded, ErrThrottled} {
		l := newLab(t, "web").at(20).serves(20)
		l.err = fmt.Errorf("asking: %w", busy)
		text := "Failed to verify Service canary (TargetGroup unknown): asking: " + busy.Error()
		l.want(&no, text)
		second := question{hostnames: []string{"other.aws"}, sides: []side{{service: "canary"}}}
		if got := l.verifier.ask(t.Context(), second); got.message != text || len(l.asked) != 1 {
			t.Errorf("another Rollout hears %q after %d questions, want the same after one", got.message, len(l.asked))
		}
		l.err = nil
		l.later(memory)
		l.want(&yes, "")
	}
}

func TestWhatIsRememberedDoesNotGrow(t *testing.T) {
	l := newLab(t)
	for i := range 1000 {
		name := fmt.Sprint(i)
		q := question{hostnames: []string{name}, version: "1", sides: []side{{service: "canary"}}}
		q.ingress.Name = name
		l.verifier.ask(t.Context(), q)
		l.later(time.Second)
	}
	if n, m := len(l.verifier.balancers.entries), len(l.verifier.versions); n > 20 || m > 100 {
		t.Errorf("%d answers and %d versions are remembered", n, m)
	}
}

func TestWhatIsTooOldIsAskedAgainAlsoBeforeItIsForgotten(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	m, asked := newMemo[int](clk), 0
	ask := func(context.Context) (int, error) { asked++; return asked, nil }
	for _, step := range []struct {
		at   time.Duration
		key  string
		want int
	}{{3 * time.Second, "a", 1}, {6 * time.Second, "b", 2}, {9 * time.Second, "a", 3}} {
		clk.SetTime(time.Unix(0, 0).Add(step.at))
		if got, _ := m.get(t.Context(), step.key, time.Time{}, ask); got != step.want {
			t.Errorf("at %v: answer %d, want %d", step.at, got, step.want)
		}
	}
}

func TestOnlyOneAsksForTheSameAtATime(t *testing.T) {
	m := newMemo[int](clocktesting.NewFakePassiveClock(time.Unix(0, 0)))
	entered, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		_, err := m.get(context.Background(), "a", time.Time{}, func(context.Context) (int, error) {
			close(entered)
			<-leave
			return 7, nil
		})
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.get(ctx, "a", time.Time{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one of the deadline", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got, err := m.get(t.Context(), "a", time.Time{}, nil); got != 7 || err != nil {
		t.Errorf("got %d, %v, want what the first heard", got, err)
	}
}

func TestWithoutAVerifierNothingIsVerified(t *testing.T) {
	var v *Verifier
	if _, ok := v.Report(rollout("web")); ok {
		t.Error("there is a report, want none")
	}
	if verified, why, err := v.ServiceRegistered(t.Context(), "shop", "stable"); !verified || why != "" || err != nil {
		t.Errorf("verified %t, %q, %v, want nothing to verify", verified, why, err)
	}
}

// The root Service may be left out: the stable one is the root then, and is verified all the same.
func TestArgo1640WeightsAreVerifiedWithoutARootService(t *testing.T) {
	l := newLab(t, "web")
	i := stored(t, l.client, "web")
	i.Spec.Rules = append(i.Spec.Rules, ruleFor("b", routePath("stable")))
	if err := l.client.Update(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	l.ro.Spec.Strategy.Canary.TrafficRouting.ALB.RootService = ""
	l.at(20).serves(20).want(&yes, "")
}
