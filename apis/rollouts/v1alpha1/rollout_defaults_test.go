package v1alpha1_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestDefaultsOfARollout(t *testing.T) {
	type defaults struct {
		Replicas, Revisions, Successful, Unsuccessful int32
		Deadline, MinReady                            time.Duration
	}
	of := func(ro *v1alpha1.Rollout) defaults {
		return defaults{
			Replicas: ro.DesiredReplicas(), Revisions: ro.RevisionsKept(),
			Successful: ro.SuccessfulRunsKept(), Unsuccessful: ro.UnsuccessfulRunsKept(),
			Deadline: ro.ProgressDeadline(), MinReady: ro.MinReady(),
		}
	}
	unset := defaults{Replicas: 1, Revisions: 10, Successful: 5, Unsuccessful: 5, Deadline: 10 * time.Minute}
	if diff := cmp.Diff(unset, of(&v1alpha1.Rollout{})); diff != "" {
		t.Errorf("nothing set (-want +got):\n%s", diff)
	}
	ro := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{
		Replicas: ptr[int32](0), RevisionHistoryLimit: ptr[int32](0), ProgressDeadlineSeconds: ptr[int32](20), MinReadySeconds: 3,
		Analysis: &v1alpha1.AnalysisRunStrategy{SuccessfulRunHistoryLimit: ptr[int32](0), UnsuccessfulRunHistoryLimit: ptr[int32](1)},
	}}
	set := defaults{Unsuccessful: 1, Deadline: 20 * time.Second, MinReady: 3 * time.Second}
	if diff := cmp.Diff(set, of(ro)); diff != "" {
		t.Errorf("everything set, zero is a value (-want +got):\n%s", diff)
	}
}

// delays are what a strategy does with pods that lost their traffic.
type delays struct {
	ScaleDown, Abort time.Duration
	Keep             bool
	Revisions        int32
}

func TestDelaysOfACanary(t *testing.T) {
	routing := &v1alpha1.RolloutTrafficRouting{Nginx: &v1alpha1.NginxTrafficRouting{}}
	const every, s = math.MaxInt32, time.Second
	cases := []struct {
		name   string
		canary v1alpha1.CanaryStrategy
		want   delays
	}{
		{"by replicas nothing waits", v1alpha1.CanaryStrategy{}, delays{Revisions: every}},
		{"by replicas a delay has no meaning", v1alpha1.CanaryStrategy{AbortScaleDownDelaySeconds: ptr[int32](9)}, delays{Revisions: every}},
		{"with a router both wait 30 seconds", v1alpha1.CanaryStrategy{TrafficRouting: routing}, delays{30 * s, 30 * s, false, every}},
		{
			"with a router delays can be set",
			v1alpha1.CanaryStrategy{TrafficRouting: routing, ScaleDownDelaySeconds: ptr[int32](5), AbortScaleDownDelaySeconds: ptr[int32](6), ScaleDownDelayRevisionLimit: ptr[int32](1)},
			delays{5 * s, 6 * s, false, 1},
		},
		{
			"no delay after an abort means for ever",
			v1alpha1.CanaryStrategy{TrafficRouting: routing, AbortScaleDownDelaySeconds: ptr[int32](0)},
			delays{30 * s, 0, true, every},
		},
		{
			"a canary that shrinks with its traffic does not wait after an abort",
			v1alpha1.CanaryStrategy{TrafficRouting: routing, DynamicStableScale: true},
			delays{30 * s, 0, false, every},
		},
		{
			"a canary that shrinks with its traffic waits when told to",
			v1alpha1.CanaryStrategy{TrafficRouting: routing, DynamicStableScale: true, AbortScaleDownDelaySeconds: ptr[int32](7)},
			delays{30 * s, 7 * s, false, every},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			abort, keep := c.canary.AbortScaleDownDelay()
			got := delays{c.canary.ScaleDownDelay(), abort, keep, c.canary.DelayedRevisions()}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("delays (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsOfBlueGreen(t *testing.T) {
	type defaults struct {
		Delays    delays
		Automatic bool
		After     time.Duration
	}
	cases := []struct {
		name      string
		blueGreen v1alpha1.BlueGreenStrategy
		want      defaults
	}{
		{
			"nothing set",
			v1alpha1.BlueGreenStrategy{},
			defaults{delays{30 * time.Second, 30 * time.Second, false, math.MaxInt32}, true, 0},
		},
		{
			"everything set",
			v1alpha1.BlueGreenStrategy{
				AutoPromotionEnabled: ptr(false), AutoPromotionSeconds: 4, ScaleDownDelaySeconds: ptr[int32](0),
				AbortScaleDownDelaySeconds: ptr[int32](0), ScaleDownDelayRevisionLimit: ptr[int32](2),
			},
			defaults{delays{0, 0, true, 2}, false, 4 * time.Second},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			abort, keep := c.blueGreen.AbortScaleDownDelay()
			got := defaults{
				delays{c.blueGreen.ScaleDownDelay(), abort, keep, c.blueGreen.DelayedRevisions()},
				c.blueGreen.AutoPromotes(), c.blueGreen.AutoPromotionDelay(),
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("defaults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLengthOfAPause(t *testing.T) {
	type length struct {
		Length time.Duration
		Timed  bool
		Err    string
	}
	cases := []struct {
		name     string
		duration *intstr.IntOrString
		want     length
	}{
		{"without a duration a person ends it", nil, length{}},
		{"a number is seconds", ptr(intstr.FromInt32(90)), length{Length: 90 * time.Second, Timed: true}},
		{"zero is a length", ptr(intstr.FromInt32(0)), length{Timed: true}},
		{"a number as text is seconds", ptr(intstr.FromString("90")), length{Length: 90 * time.Second, Timed: true}},
		{"a duration is itself", ptr(intstr.FromString("1h0m1.5s")), length{Length: time.Hour + 1500*time.Millisecond, Timed: true}},
		{"the longest number of seconds fits", ptr(intstr.FromString("2147483647")), length{Length: math.MaxInt32 * time.Second, Timed: true}},
		{"a longer one is refused", ptr(intstr.FromString("2147483648")), length{Timed: true, Err: `duration "2147483648" is above the limit of 2147483647 seconds`}},
		{"a number beyond 64 bits is refused", ptr(intstr.FromString("99999999999999999999")), length{Timed: true, Err: `duration "99999999999999999999" is neither a number of seconds nor a duration such as 90s, 5m or 1h30m`}},
		{"an empty text is refused", ptr(intstr.FromString("")), length{Timed: true, Err: `duration "" is neither a number of seconds nor a duration such as 90s, 5m or 1h30m`}},
		{"a negative number is refused", ptr(intstr.FromInt32(-1)), length{Timed: true, Err: "duration -1 is negative"}},
		{"a negative duration is refused", ptr(intstr.FromString("-1s")), length{Timed: true, Err: "duration -1s is negative"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, timed, err := (&v1alpha1.RolloutPause{Duration: c.duration}).Length()
			text := ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(c.want, length{got, timed, text}); diff != "" {
				t.Errorf("length (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsOfRouters(t *testing.T) {
	canary := v1alpha1.CanaryStrategy{}
	if got := canary.MaxTrafficWeight(); got != 100 {
		t.Errorf("weights should be percentages, got a total of %d", got)
	}
	canary.TrafficRouting = &v1alpha1.RolloutTrafficRouting{MaxTrafficWeight: ptr[int32](1000)}
	if got := canary.MaxTrafficWeight(); got != 1000 {
		t.Errorf("the total should be as set, got %d", got)
	}
	nginx := v1alpha1.NginxTrafficRouting{StableIngress: "web"}
	if got := nginx.Prefix(); got != "nginx.ingress.kubernetes.io" {
		t.Errorf("the prefix should be that of the controller, got %q", got)
	}
	if diff := cmp.Diff([]string{"web"}, nginx.Ingresses()); diff != "" {
		t.Errorf("one Ingress (-want +got):\n%s", diff)
	}
	nginx = v1alpha1.NginxTrafficRouting{StableIngresses: []string{"a", "b"}, AnnotationPrefix: "custom.example"}
	if got := nginx.Prefix(); got != "custom.example" {
		t.Errorf("the prefix should be as set, got %q", got)
	}
	if diff := cmp.Diff([]string{"a", "b"}, nginx.Ingresses()); diff != "" {
		t.Errorf("several Ingresses (-want +got):\n%s", diff)
	}
	if got := (&v1alpha1.SetMirrorRoute{}).Percent(); got != 100 {
		t.Errorf("a mirror should copy everything, got %d", got)
	}
	if got := (&v1alpha1.RolloutAnalysisBackground{}).FirstStep(); got != 0 {
		t.Errorf("background analysis should run from the first step, got %d", got)
	}
}
