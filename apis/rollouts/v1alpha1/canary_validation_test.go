package v1alpha1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const canaryAt = "spec.strategy.canary."

func TestValidateCanary(t *testing.T) {
	canary := func(change func(c *v1alpha1.CanaryStrategy)) func(ro *v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary) }
	}
	checkValidation(t, []validationCase{
		{
			"the two Services differ",
			canary(func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "web-stable" }),
			[]string{canaryAt + `stableService: Invalid value: "web-stable": this Service is the canaryService too: each revision needs a Service of its own`},
		},
		{
			"what needs a router is refused without one",
			func(ro *v1alpha1.Rollout) {
				c := withoutRouter(ro)
				c.ScaleDownDelaySeconds, c.DynamicStableScale, c.MinPodsPerReplicaSet = ptr[int32](1), true, ptr[int32](1)
			},
			[]string{
				canaryAt + `scaleDownDelaySeconds: Forbidden: needs trafficRouting: add a router, or remove it`,
				canaryAt + `dynamicStableScale: Forbidden: needs trafficRouting: add a router, or remove it`,
				canaryAt + `minPodsPerReplicaSet: Forbidden: needs trafficRouting: add a router, or remove it`,
				canaryAt + `scaleDownDelaySeconds: Forbidden: dynamicStableScale shrinks the stable revision during the update, so nothing is left to delay: remove one of them`,
			},
		},
		{
			"a rollout that can neither surge nor lose a pod is refused",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.MaxSurge, c.MaxUnavailable = ptr(intstr.FromInt32(0)), ptr(intstr.FromString("0%"))
			}),
			[]string{canaryAt + `maxUnavailable: Invalid value: "0%": maxSurge is 0 too, so no pod can ever be replaced: raise one of them`},
		},
		{
			"a text is a percentage with or without the sign",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.MaxSurge, c.MaxUnavailable = ptr(intstr.FromString("25")), ptr(intstr.FromString("25%"))
			}),
			nil,
		},
		{
			"other texts are refused",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.MaxSurge, c.MaxUnavailable = ptr(intstr.FromString("a quarter")), ptr(intstr.FromString("-5%"))
			}),
			[]string{
				canaryAt + `maxSurge: Invalid value: "a quarter": must be a number of pods such as 1 or a percentage such as 25%`,
				canaryAt + `maxUnavailable: Invalid value: "-5%": must be greater than or equal to 0`,
			},
		},
		{
			"an enormous surge is refused",
			canary(func(c *v1alpha1.CanaryStrategy) { c.MaxSurge = ptr(intstr.FromString("9223372036854775807%")) }),
			[]string{canaryAt + `maxSurge: Invalid value: "9223372036854775807%": must not be greater than 1000000`},
		},
		{
			"a threshold has a known unit",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.ReplicaProgressThreshold = &v1alpha1.ReplicaProgressThreshold{Type: "Pct", Value: 3}
			}),
			[]string{canaryAt + `replicaProgressThreshold.type: Unsupported value: "Pct": supported values: "Percent", "Pods"`},
		},
		{
			"a percentage is at most 100",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.ReplicaProgressThreshold = &v1alpha1.ReplicaProgressThreshold{Type: v1alpha1.ProgressTypePercentage, Value: 101}
			}),
			[]string{canaryAt + `replicaProgressThreshold.value: Invalid value: 101: a percentage must be between 0 and 100`},
		},
		{
			"background analysis starts within the steps",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.Analysis = &v1alpha1.RolloutAnalysisBackground{StartingStep: ptr[int32](3)}
			}),
			[]string{
				canaryAt + `analysis.templates: Required value: name the analysis template to run`,
				canaryAt + `analysis.startingStep: Invalid value: 3: there are 3 steps, counted from 0, so the analysis would never run`,
			},
		},
		{
			"an affinity is either preferred or required",
			canary(func(c *v1alpha1.CanaryStrategy) { c.AntiAffinity = &v1alpha1.AntiAffinity{} }),
			[]string{canaryAt + `antiAffinity: Invalid value: "preferred and required": set exactly one of preferredDuringSchedulingIgnoredDuringExecution and requiredDuringSchedulingIgnoredDuringExecution`},
		},
		{
			"a preference has a weight of 1 to 100",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.AntiAffinity = &v1alpha1.AntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: &v1alpha1.PreferredDuringSchedulingIgnoredDuringExecution{}}
			}),
			[]string{canaryAt + `antiAffinity.preferredDuringSchedulingIgnoredDuringExecution.weight: Invalid value: 0: must be between 1 and 100`},
		},
		{
			"ping-pong is for routers that can swap Services",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.PingPong = &v1alpha1.PingPongSpec{PingService: "ping", PongService: "ping"}
			}),
			[]string{
				canaryAt + `pingPong.pongService: Invalid value: "ping": this Service is the pingService too: name another one`,
				canaryAt + `pingPong: Forbidden: only the alb, istio and plugin routers swap two Services: use canaryService and stableService`,
			},
		},
		{
			"ping-pong with a load balancer needs a root Service",
			canary(func(c *v1alpha1.CanaryStrategy) {
				c.CanaryService, c.StableService = "", ""
				c.PingPong = &v1alpha1.PingPongSpec{PingService: "ping", PongService: "pong"}
				c.TrafficRouting = &v1alpha1.RolloutTrafficRouting{ALB: &v1alpha1.ALBTrafficRouting{Ingress: "web", ServicePort: 80}}
			}),
			[]string{canaryAt + `trafficRouting.alb.rootService: Required value: with pingPong the Ingress needs a Service that does not change`},
		},
	})
}

func TestValidateTrafficRouting(t *testing.T) {
	routing := func(change func(t *v1alpha1.RolloutTrafficRouting)) func(ro *v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	const at = canaryAt + "trafficRouting"
	checkValidation(t, []validationCase{
		{
			"traffic routing without a router is refused",
			routing(func(t *v1alpha1.RolloutTrafficRouting) { *t = v1alpha1.RolloutTrafficRouting{} }),
			[]string{at + `: Required value: name a router, such as nginx or istio, or remove trafficRouting`},
		},
		{
			"a router between Services needs both",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Strategy.Canary.CanaryService, ro.Spec.Strategy.Canary.StableService = "", ""
			},
			[]string{
				canaryAt + `canaryService: Required value: trafficRouting.nginx splits traffic between two Services: name this one`,
				canaryAt + `stableService: Required value: trafficRouting.nginx splits traffic between two Services: name this one`,
			},
		},
		{
			"a router between subsets needs no Services",
			func(ro *v1alpha1.Rollout) {
				c := ro.Spec.Strategy.Canary
				c.CanaryService, c.StableService = "", ""
				c.TrafficRouting = &v1alpha1.RolloutTrafficRouting{Istio: &v1alpha1.IstioTrafficRouting{
					VirtualService:  &v1alpha1.IstioVirtualService{Name: "web"},
					DestinationRule: &v1alpha1.IstioDestinationRule{Name: "web", CanarySubsetName: "canary", StableSubsetName: "stable"},
				}}
			},
			nil,
		},
		{
			"one stable Ingress is required",
			routing(func(t *v1alpha1.RolloutTrafficRouting) { t.Nginx.StableIngress = "" }),
			[]string{at + `.nginx.stableIngress: Required value: name the Ingress of the stable Service`},
		},
		{
			"the singular and the plural field exclude each other",
			routing(func(t *v1alpha1.RolloutTrafficRouting) { t.Nginx.StableIngresses = []string{"a", "b"} }),
			[]string{at + `.nginx.stableIngresses: Invalid value: "a, b": only one of the singular and the plural field can be used: remove one of them`},
		},
		{
			"several Ingresses are named once each",
			routing(func(t *v1alpha1.RolloutTrafficRouting) {
				t.Nginx.StableIngress, t.Nginx.StableIngresses = "", []string{"a", "", "a"}
			}),
			[]string{
				at + `.nginx.stableIngresses[1]: Required value: name an Ingress`,
				at + `.nginx.stableIngresses[2]: Duplicate value: "a"`,
			},
		},
		{
			"the total weight has a cap",
			routing(func(t *v1alpha1.RolloutTrafficRouting) { t.MaxTrafficWeight = ptr[int32](100_000_000) }),
			[]string{at + `.maxTrafficWeight: Invalid value: 100000000: must be between 1 and 1000000`},
		},
		{
			"the total weight is positive",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = ptr[int32](0)
				steps(ro)
			},
			[]string{at + `.maxTrafficWeight: Invalid value: 0: must be between 1 and 1000000`},
		},
		{
			"other routers count in percent",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Strategy.Canary.TrafficRouting = &v1alpha1.RolloutTrafficRouting{
					SMI: &v1alpha1.SMITrafficRouting{}, MaxTrafficWeight: ptr[int32](1000),
				}
			},
			[]string{at + `.maxTrafficWeight: Forbidden: only nginx, gatewayAPI and plugins count in other totals than 100, not smi: remove it`},
		},
		{
			"a load balancer needs a port and a sane stickiness",
			routing(func(t *v1alpha1.RolloutTrafficRouting) {
				t.Nginx = nil
				t.ALB = &v1alpha1.ALBTrafficRouting{Ingress: "web", StickinessConfig: &v1alpha1.StickinessConfig{Enabled: true, DurationSeconds: 604801}}
			}),
			[]string{
				at + `.alb.servicePort: Invalid value: 0: must be between 1 and 65535`,
				at + `.alb.stickinessConfig.durationSeconds: Invalid value: 604801: must be between 1 and 604800 (a week)`,
			},
		},
		{
			"a mesh needs a VirtualService",
			routing(func(t *v1alpha1.RolloutTrafficRouting) { t.Nginx, t.Istio = nil, &v1alpha1.IstioTrafficRouting{} }),
			[]string{at + `.istio.virtualService: Required value: name the VirtualService whose weights are set`},
		},
		{
			"managed routes have unique names",
			routing(func(t *v1alpha1.RolloutTrafficRouting) {
				t.ManagedRoutes = []v1alpha1.MangedRoutes{{Name: "a"}, {Name: "a"}, {}}
			}),
			[]string{
				at + `.managedRoutes[1].name: Duplicate value: "a"`,
				at + `.managedRoutes[2].name: Required value: name the route`,
			},
		},
	})
}
