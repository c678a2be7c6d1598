package v1alpha1_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestValidateSteps(t *testing.T) {
	only := func(step v1alpha1.CanaryStep) func(ro *v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { steps(ro, step) }
	}
	pauseOf := func(duration intstr.IntOrString) func(ro *v1alpha1.Rollout) {
		return only(v1alpha1.CanaryStep{Pause: &v1alpha1.RolloutPause{Duration: &duration}})
	}
	analysisWith := func(args ...v1alpha1.AnalysisRunArgument) func(ro *v1alpha1.Rollout) {
		return only(v1alpha1.CanaryStep{Analysis: &v1alpha1.RolloutAnalysis{
			Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "success"}}, Args: args,
		}})
	}
	const at = canaryAt + "steps[0]"
	checkValidation(t, []validationCase{
		{
			"a step without a verb is refused",
			only(v1alpha1.CanaryStep{}),
			[]string{at + `: Required value: a step does one thing: set one of setWeight, pause, experiment, analysis, setCanaryScale, setHeaderRoute, setMirrorRoute or plugin`},
		},
		{
			"a step with two verbs is refused, whichever they are",
			only(v1alpha1.CanaryStep{SetWeight: ptr[int32](5), SetCanaryScale: &v1alpha1.SetCanaryScale{}, Plugin: &v1alpha1.PluginStep{}}),
			[]string{at + `: Invalid value: "setWeight, setCanaryScale, plugin": a step does one thing: make a step of each`},
		},
		{"the whole weight is allowed", only(v1alpha1.CanaryStep{SetWeight: ptr[int32](100)}), nil},
		{
			"a negative weight is refused",
			only(v1alpha1.CanaryStep{SetWeight: ptr[int32](-1)}),
			[]string{at + `.setWeight: Invalid value: -1: must be between 0 and 100, the total of all weights`},
		},
		{
			"a weight above the total is refused",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = ptr[int32](1000)
				steps(ro, v1alpha1.CanaryStep{SetWeight: ptr[int32](1000)}, v1alpha1.CanaryStep{SetWeight: ptr[int32](1001)})
			},
			[]string{canaryAt + `steps[1].setWeight: Invalid value: 1001: must be between 0 and 1000, the total of all weights`},
		},
		{"a pause may have a length in seconds", pauseOf(intstr.FromInt32(30)), nil},
		{"a pause may have a length as text", pauseOf(intstr.FromString("1h30m")), nil},
		{
			"a pause of a word is refused",
			pauseOf(intstr.FromString("soon")),
			[]string{at + `.pause.duration: Invalid value: "soon": duration "soon" is neither a number of seconds nor a duration such as 90s, 5m or 1h30m`},
		},
		{
			"a negative pause is refused",
			pauseOf(intstr.FromString("-5m")),
			[]string{at + `.pause.duration: Invalid value: "-5m": duration -5m is negative`},
		},
		{
			"too many steps are refused",
			func(ro *v1alpha1.Rollout) {
				steps(ro, make([]v1alpha1.CanaryStep, 1001)...)
			},
			[]string{canaryAt + `steps: Too many: 1001: must have at most 1000 items`},
		},
		{
			"a canary scale needs a router and one of its fields",
			func(ro *v1alpha1.Rollout) {
				withoutRouter(ro)
				steps(ro, v1alpha1.CanaryStep{SetCanaryScale: &v1alpha1.SetCanaryScale{}})
			},
			[]string{
				at + `.setCanaryScale: Forbidden: without trafficRouting the pods are the traffic: use setWeight, or add a router`,
				at + `.setCanaryScale: Required value: set weight, replicas or matchTrafficWeight`,
			},
		},
		{
			"a canary scale is within its limits",
			only(v1alpha1.CanaryStep{SetCanaryScale: &v1alpha1.SetCanaryScale{Weight: ptr[int32](101), Replicas: ptr[int32](-1)}}),
			[]string{
				at + `.setCanaryScale.weight: Invalid value: 101: must be between 0 and 100 percent of the replicas`,
				at + `.setCanaryScale.replicas: Invalid value: -1: must be greater than or equal to 0`,
			},
		},
		{
			"a header route is a managed route",
			only(v1alpha1.CanaryStep{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "alpha"}}),
			[]string{at + `.setHeaderRoute.name: Invalid value: "alpha": is not in trafficRouting.managedRoutes: add it there`},
		},
		{
			"a header matches in one way",
			only(v1alpha1.CanaryStep{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "beta", Match: []v1alpha1.HeaderRoutingMatch{
				{HeaderName: "agent", HeaderValue: &v1alpha1.StringMatch{Exact: "x"}},
				{HeaderValue: &v1alpha1.StringMatch{Exact: "x", Regex: "y"}},
				{HeaderName: "agent"},
				{HeaderName: "agent", HeaderValue: &v1alpha1.StringMatch{}},
			}}}),
			[]string{
				at + `.setHeaderRoute.match[1].headerName: Required value: name the header`,
				at + `.setHeaderRoute.match[1].headerValue: Invalid value: "exact, regex": only one way to match can be used: keep one of them`,
				at + `.setHeaderRoute.match[2].headerValue: Required value: say which values of the header match`,
				at + `.setHeaderRoute.match[3].headerValue: Required value: set exact, prefix or regex`,
			},
		},
		{
			"a mirror route copies a percentage of requests that match",
			only(v1alpha1.CanaryStep{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "beta", Percentage: ptr[int32](101), Match: []v1alpha1.RouteMatch{
				{}, {Method: &v1alpha1.StringMatch{}, Path: &v1alpha1.StringMatch{}, Headers: map[string]v1alpha1.StringMatch{"b": {}, "a": {}}},
			}}}),
			[]string{
				at + `.setMirrorRoute.percentage: Invalid value: 101: must be between 0 and 100`,
				at + `.setMirrorRoute.match[0]: Required value: set method, path or headers`,
				at + `.setMirrorRoute.match[1].method: Required value: set exact, prefix or regex`,
				at + `.setMirrorRoute.match[1].path: Required value: set exact, prefix or regex`,
				at + `.setMirrorRoute.match[1].headers[a]: Required value: set exact, prefix or regex`,
				at + `.setMirrorRoute.match[1].headers[b]: Required value: set exact, prefix or regex`,
			},
		},
		{
			"a route needs a router",
			func(ro *v1alpha1.Rollout) {
				withoutRouter(ro)
				steps(ro, v1alpha1.CanaryStep{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "beta"}})
			},
			[]string{at + `.setMirrorRoute: Forbidden: needs trafficRouting: add a router, or remove the step`},
		},
		{
			"a plugin has a name",
			only(v1alpha1.CanaryStep{Plugin: &v1alpha1.PluginStep{}}),
			[]string{at + `.plugin.name: Required value: name the step plugin`},
		},
		{
			"an argument has one value from a known source",
			analysisWith(
				v1alpha1.AnalysisRunArgument{Name: "a", Value: "1"},
				v1alpha1.AnalysisRunArgument{Name: "a"},
				v1alpha1.AnalysisRunArgument{Value: "1", ValueFrom: &v1alpha1.ArgumentValueFrom{}},
				v1alpha1.AnalysisRunArgument{Name: "b", ValueFrom: &v1alpha1.ArgumentValueFrom{}},
				v1alpha1.AnalysisRunArgument{Name: "c", ValueFrom: &v1alpha1.ArgumentValueFrom{FieldRef: &v1alpha1.FieldRef{}}},
				v1alpha1.AnalysisRunArgument{Name: "d", ValueFrom: &v1alpha1.ArgumentValueFrom{PodTemplateHashValue: ptr[v1alpha1.ValueFromPodTemplateHash]("Newest")}},
				v1alpha1.AnalysisRunArgument{Name: "e", ValueFrom: &v1alpha1.ArgumentValueFrom{PodTemplateHashValue: ptr(v1alpha1.PodTemplateHashLatest)}},
			),
			[]string{
				at + `.analysis.args[1].name: Duplicate value: "a"`,
				at + `.analysis.args[2].name: Required value: name the argument`,
				at + `.analysis.args[2].valueFrom: Invalid value: "value, valueFrom": an argument has one value: remove value or valueFrom`,
				at + `.analysis.args[3].valueFrom: Required value: set exactly one of fieldRef and podTemplateHashValue`,
				at + `.analysis.args[4].valueFrom.fieldRef.fieldPath: Required value: say which field of the Rollout, for example metadata.name`,
				at + `.analysis.args[5].valueFrom.podTemplateHashValue: Unsupported value: "Newest": supported values: "Latest", "Stable"`,
			},
		},
		{
			"an experiment step names its pods and analyses",
			only(v1alpha1.CanaryStep{Experiment: &v1alpha1.RolloutExperimentStep{
				Duration:  "5 minutes",
				Templates: []v1alpha1.RolloutExperimentTemplate{{Name: "a", SpecRef: "new", Weight: ptr[int32](101)}, {Name: "a", SpecRef: v1alpha1.CanarySpecRef}},
				Analyses:  []v1alpha1.RolloutExperimentStepAnalysisTemplateRef{{Name: "x", TemplateName: "x"}, {Name: "x"}},
			}}),
			[]string{
				at + `.experiment.templates[0].specRef: Unsupported value: "new": supported values: "canary", "stable"`,
				at + `.experiment.templates[0].weight: Invalid value: 101: must be between 0 and 100, the total of all weights`,
				at + `.experiment.templates[1].name: Duplicate value: "a"`,
				at + `.experiment.duration: Invalid value: "5 minutes": must be a duration such as 90s, 5m or 1h30m`,
				at + `.experiment.analyses[1].name: Duplicate value: "x"`,
				at + `.experiment.analyses[1].templateName: Required value: name the analysis template to run`,
			},
		},
	})
}
