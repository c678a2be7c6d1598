package resources

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
)

// The hashes were recorded with Argo Rollouts 1.8.3: a Rollout that was taken
// over from it keeps its step whatever else of its spec changes.
func TestTheHashOfStepsIsThatOfOtherControllers(t *testing.T) {
	for steps, want := range map[string]string{
		`null`:                           "5ffbfbbd64",
		`[]`:                             "5f8cb5778f",
		`[{setWeight: 50}, {pause: {}}]`: "757f5f97b",
		`[{setWeight: 0}]`:               "86c5dc4fc",
		`[{pause: {duration: 30}}, {pause: {duration: 1h}}]`:                                                              "9ffdd6977",
		`[{setCanaryScale: {weight: 25}}, {setCanaryScale: {replicas: 3}}, {setCanaryScale: {matchTrafficWeight: true}}]`: "86d9c54dbd",
		`[{analysis: {templates: [{templateName: a}, {templateName: b, clusterScope: true}], args: [{name: x, value: "1"}, {name: y, valueFrom: {podTemplateHashValue: Latest}}, {name: z, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}}]`:                                                "6bd574cb8",
		`[{analysis: {templates: [{templateName: a}], dryRun: [{metricName: m}], measurementRetention: [{metricName: m, limit: 3}], analysisRunMetadata: {labels: {a: b}, annotations: {c: d}}}}]`:                                                                                                "fbd7cfc5",
		`[{experiment: {duration: 5m, templates: [{name: base, specRef: stable, replicas: 1, weight: 5, metadata: {labels: {a: b}}, selector: {matchLabels: {a: b}}}], analyses: [{name: a, templateName: t, clusterScope: true, requiredForCompletion: true, args: [{name: x, value: "1"}]}]}}]`: "865b989569",
		`[{setHeaderRoute: {name: h, match: [{headerName: x, headerValue: {exact: "1"}}, {headerName: y, headerValue: {prefix: a}}, {headerName: z, headerValue: {regex: b}}]}}]`:                                                                                                                 "56d6ff9657",
		`[{setMirrorRoute: {name: m, percentage: 20, match: [{method: {exact: GET}, path: {prefix: /}, headers: {a: {regex: b}}}]}}]`:                                                                                                                                                             "6fdbd99dbb",
		`[{plugin: {name: org/step, config: {a: b, c: [1, 2]}}}]`: "7bc7456687",
	} {
		canary := &v1alpha1.CanaryStrategy{}
		if err := yaml.UnmarshalStrict([]byte(steps), &canary.Steps); err != nil {
			t.Fatal(err)
		}
		if got, err := StepHash(canary); err != nil || got != want {
			t.Errorf("%s has the hash %s, %v, want %s", steps, got, err, want)
		}
	}
	if got, err := StepHash(nil); err != nil || got != "" {
		t.Errorf("a blue-green Rollout has the step hash %q, %v", got, err)
	}
}

func TestTheEarlierNumbersOfARevisionAreListed(t *testing.T) {
	rs := ReplicaSet(rollout(), plan.CreateRevision{Hash: "abc", Number: 1})
	for _, c := range []struct {
		number int64
		want   string
	}{{0, ""}, {1, "1"}, {3, "1,3"}, {0, "1,3"}} {
		got := History(rs, c.number)
		if got != c.want {
			t.Errorf("after number %d it lists %q, want %q", c.number, got, c.want)
		}
		rs.Annotations[v1alpha1.RevisionHistoryAnnotation] = got
	}
}

func TestAnAnalysisRunCarriesWhatTheContractSays(t *testing.T) {
	ro := rollout()
	ro.Labels[v1alpha1.InstanceIDLabel] = "blue"
	s := plan.Snapshot{Rollout: ro, Current: "abc", StepHash: "steps", Revisions: map[string]plan.Revision{"abc": {Number: 3}}}
	meta := v1alpha1.AnalysisRunMetadata{Labels: map[string]string{"team": "a", "app": "mine"}, Annotations: map[string]string{"note": "b"}}
	yes := true
	for _, c := range []struct {
		start plan.StartAnalysis
		more  map[string]string
	}{
		{plan.StartAnalysis{Name: "web-abc-3-1", Kind: v1alpha1.RolloutTypeStep, Step: 1}, map[string]string{"step-index": "1"}},
		{plan.StartAnalysis{Name: "web-abc-3", Kind: v1alpha1.RolloutTypeBackground}, nil},
		{plan.StartAnalysis{Name: "web-abc-3-pre", Kind: v1alpha1.RolloutTypePrePromotion}, nil},
		{plan.StartAnalysis{Name: "web-abc-3-post", Kind: v1alpha1.RolloutTypePostPromotion}, nil},
	} {
		want := metav1.ObjectMeta{
			Name: c.start.Name, Namespace: "shop",
			Labels: map[string]string{
				"team": "a", "app": "web", "rollouts-pod-template-hash": "abc", "rollout-type": c.start.Kind,
				"argo-rollouts.argoproj.io/controller-instance-id": "blue",
			},
			Annotations: map[string]string{"note": "b", "rollout.argoproj.io/revision": "3", "rollout.argoproj.io/step-hash": "steps"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: "web", UID: "u1", Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		}
		for key, value := range c.more {
			want.Labels[key] = value
		}
		run := AnalysisRun(s, c.start, v1alpha1.AnalysisRunSpec{}, meta)
		if diff := cmp.Diff(want, run.ObjectMeta); diff != "" {
			t.Errorf("%s: metadata (-want +got):\n%s", c.start.Kind, diff)
		}
		read := Analysis(run)
		if read.Kind != c.start.Kind || read.Step != c.start.Step || read.Hash != "abc" || read.Revision != 3 || read.StepHash != "steps" {
			t.Errorf("%s reads back as %+v", c.start.Kind, read)
		}
	}
}
