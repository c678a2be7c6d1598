package v1alpha1_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func ptr[T any](value T) *T { return &value }

// web is a valid canary with an NGINX router and a step of each common kind.
func web() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"},
		Spec: v1alpha1.RolloutSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: v1alpha1.PodTemplate{PodTemplateSpec: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
			}},
			Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
				CanaryService: "web-canary",
				StableService: "web-stable",
				TrafficRouting: &v1alpha1.RolloutTrafficRouting{
					Nginx:         &v1alpha1.NginxTrafficRouting{StableIngress: "web"},
					ManagedRoutes: []v1alpha1.MangedRoutes{{Name: "beta"}},
				},
				Steps: []v1alpha1.CanaryStep{
					{SetWeight: ptr[int32](20)},
					{Pause: &v1alpha1.RolloutPause{}},
					{Analysis: &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{TemplateName: "success"}}}},
				},
			}},
		},
	}
}

// withoutRouter is the same canary by replicas.
func withoutRouter(ro *v1alpha1.Rollout) *v1alpha1.CanaryStrategy {
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	return ro.Spec.Strategy.Canary
}

// asBlueGreen makes the Rollout blue-green.
func asBlueGreen(ro *v1alpha1.Rollout) *v1alpha1.BlueGreenStrategy {
	ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{ActiveService: "web", PreviewService: "web-preview"}}
	return ro.Spec.Strategy.BlueGreen
}

// steps replaces the steps.
func steps(ro *v1alpha1.Rollout, steps ...v1alpha1.CanaryStep) {
	ro.Spec.Strategy.Canary.Steps = steps
}

// validationCase is a change to a valid Rollout and what is then wrong with it.
type validationCase struct {
	name   string
	change func(ro *v1alpha1.Rollout)
	want   []string
}

func checkValidation(t *testing.T, cases []validationCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ro := web()
			c.change(ro)
			if diff := cmp.Diff(c.want, sentences(v1alpha1.ValidateRollout(ro))); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func sentences(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

func TestValidateRolloutSpec(t *testing.T) {
	checkValidation(t, []validationCase{
		{"a canary with a router is valid", func(*v1alpha1.Rollout) {}, nil},
		{"a canary by replicas is valid", func(ro *v1alpha1.Rollout) { withoutRouter(ro) }, nil},
		{"a blue-green rollout is valid", func(ro *v1alpha1.Rollout) { asBlueGreen(ro) }, nil},
		{
			"a strategy is required",
			func(ro *v1alpha1.Rollout) { ro.Spec.Strategy = v1alpha1.RolloutStrategy{} },
			[]string{`spec.strategy: Required value: set canary or blueGreen`},
		},
		{
			"two strategies are refused",
			func(ro *v1alpha1.Rollout) {
				canary := ro.Spec.Strategy.Canary
				asBlueGreen(ro)
				ro.Spec.Strategy.Canary = canary
			},
			[]string{`spec.strategy: Invalid value: "canary, blueGreen": only one strategy can be used: remove one of them`},
		},
		{
			"a selector is required",
			func(ro *v1alpha1.Rollout) { ro.Spec.Selector = nil },
			[]string{`spec.selector: Required value: say which pods belong to it, by labels of the template`},
		},
		{
			"an empty selector is refused",
			func(ro *v1alpha1.Rollout) { ro.Spec.Selector = &metav1.LabelSelector{} },
			[]string{`spec.selector: Invalid value: "{}": an empty selector selects every pod of the namespace: add a label of the template`},
		},
		{
			"a selector with an unknown operator is refused",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Is"}}}
			},
			[]string{`spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator`},
		},
		{
			"a selector that does not select the template is refused",
			func(ro *v1alpha1.Rollout) { ro.Spec.Template.Labels = map[string]string{"app": "shop"} },
			[]string{`spec.template.metadata.labels: Invalid value: "app=shop": the selector app=web does not select these labels: make them agree`},
		},
		{
			"a template is not allowed beside workloadRef",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
			},
			[]string{`spec.template: Invalid value: "not empty": the pods come from workloadRef: remove the template or workloadRef`},
		},
		{
			"a malformed template is not empty",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "v1", Kind: "PodTemplate", Name: "web"}
				ro.Spec.Template = v1alpha1.PodTemplate{Malformed: "bad"}
			},
			[]string{`spec.template: Invalid value: "not empty": the pods come from workloadRef: remove the template or workloadRef`},
		},
		{
			"a workloadRef needs no selector and no template",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Selector, ro.Spec.Template = nil, v1alpha1.PodTemplate{}
				ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", ScaleDown: "onsuccess"}
			},
			nil,
		},
		{
			"a workloadRef to anything else is refused",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Template = v1alpha1.PodTemplate{}
				ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "apps/v1", Kind: "StatefulSet", ScaleDown: "later"}
			},
			[]string{
				`spec.workloadRef.name: Required value: name the workload to take the template from`,
				`spec.workloadRef: Invalid value: "apps/v1 StatefulSet": only a Deployment or ReplicaSet of apps/v1 or a PodTemplate of v1 has a template to take`,
				`spec.workloadRef.scaleDown: Unsupported value: "later": supported values: "never", "onsuccess", "progressively"`,
			},
		},
		{
			"counts are not negative",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Replicas, ro.Spec.MinReadySeconds, ro.Spec.RevisionHistoryLimit = ptr[int32](-1), -1, ptr[int32](-1)
				ro.Spec.RollbackWindow = &v1alpha1.RollbackWindowSpec{Revisions: -1}
				ro.Spec.Analysis = &v1alpha1.AnalysisRunStrategy{SuccessfulRunHistoryLimit: ptr[int32](-1), UnsuccessfulRunHistoryLimit: ptr[int32](-1)}
			},
			[]string{
				`spec.replicas: Invalid value: -1: must be greater than or equal to 0`,
				`spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0`,
				`spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0`,
				`spec.rollbackWindow.revisions: Invalid value: -1: must be greater than or equal to 0`,
				`spec.analysis.successfulRunHistoryLimit: Invalid value: -1: must be greater than or equal to 0`,
				`spec.analysis.unsuccessfulRunHistoryLimit: Invalid value: -1: must be greater than or equal to 0`,
			},
		},
		{
			"more pods than a cluster can hold are refused",
			func(ro *v1alpha1.Rollout) { ro.Spec.Replicas = ptr[int32](2147483647) },
			[]string{`spec.replicas: Invalid value: 2147483647: must not be greater than 1000000`},
		},
		{
			"no pods are fine",
			func(ro *v1alpha1.Rollout) { ro.Spec.Replicas = ptr[int32](0) },
			nil,
		},
		{
			"the deadline is after pods count as available",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.MinReadySeconds, ro.Spec.ProgressDeadlineSeconds = 30, ptr[int32](30)
			},
			[]string{`spec.progressDeadlineSeconds: Invalid value: 30: must be greater than minReadySeconds (30), or no pod becomes available in time`},
		},
		{
			"the default deadline is after pods count as available",
			func(ro *v1alpha1.Rollout) { ro.Spec.MinReadySeconds = 600 },
			[]string{`spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds (600), or no pod becomes available in time`},
		},
	})
}

func TestValidateRolloutTemplate(t *testing.T) {
	pod := func(change func(pod *corev1.PodSpec)) func(ro *v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(&ro.Spec.Template.Spec) }
	}
	checkValidation(t, []validationCase{
		{
			"a malformed template is reported with its reason",
			func(ro *v1alpha1.Rollout) {
				if err := json.Unmarshal([]byte(`{"spec":{"containers":"none"}}`), &ro.Spec.Template); err != nil {
					panic(err)
				}
			},
			[]string{`spec.template: Invalid value: "malformed": the pod template is malformed: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container`},
		},
		{
			"a template without containers is refused",
			pod(func(pod *corev1.PodSpec) { pod.Containers = nil }),
			[]string{`spec.template.spec.containers: Required value: a pod needs a container`},
		},
		{
			"containers have unique names and an image",
			pod(func(pod *corev1.PodSpec) {
				pod.InitContainers = []corev1.Container{{Name: "web", Image: "init:1"}, {Image: " init:1"}}
				pod.Containers = append(pod.Containers, corev1.Container{Name: "Side_car"})
			}),
			[]string{
				`spec.template.spec.initContainers[1].name: Required value: give it a name`,
				`spec.template.spec.initContainers[1].image: Invalid value: " init:1": must not have leading or trailing whitespace`,
				`spec.template.spec.containers[0].name: Duplicate value: "web"`,
				`spec.template.spec.containers[1].name: Invalid value: "Side_car": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
				`spec.template.spec.containers[1].image: Required value: name the image to run`,
			},
		},
		{
			"pods that end are refused",
			pod(func(pod *corev1.PodSpec) {
				pod.RestartPolicy, pod.ActiveDeadlineSeconds = corev1.RestartPolicyNever, ptr[int64](5)
				pod.EphemeralContainers = []corev1.EphemeralContainer{{}}
			}),
			[]string{
				`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
				`spec.template.spec.activeDeadlineSeconds: Forbidden: pods of a Rollout run until they are replaced: remove it`,
				`spec.template.spec.ephemeralContainers: Forbidden: they are added to running pods only: remove them`,
			},
		},
		{
			"mounts name volumes, ports and variables are real, requests are within limits",
			pod(func(pod *corev1.PodSpec) {
				pod.RestartPolicy = corev1.RestartPolicyAlways
				pod.Volumes = []corev1.Volume{{Name: "data"}, {Name: "data"}}
				pod.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "cache"}}
				pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80}, {ContainerPort: 70000}}
				pod.Containers[0].Env = []corev1.EnvVar{{Value: "x"}}
				pod.Containers[0].Resources = corev1.ResourceRequirements{
					Limits:   corev1.ResourceList{"cpu": resource.MustParse("1")},
					Requests: corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("-1")},
				}
			}),
			[]string{
				`spec.template.spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535`,
				`spec.template.spec.containers[0].env[0].name: Required value: name the variable`,
				`spec.template.spec.containers[0].volumeMounts[1].name: Not found: "cache"`,
				`spec.template.spec.containers[0].volumeMounts[1].mountPath: Required value: say where the volume appears in the container`,
				`spec.template.spec.containers[0].resources.requests[cpu]: Invalid value: "2": must not be greater than the limit 1`,
				`spec.template.spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0`,
				`spec.template.spec.volumes[1].name: Duplicate value: "data"`,
			},
		},
		{
			"labels and annotations are valid",
			func(ro *v1alpha1.Rollout) {
				ro.Spec.Template.Labels["tier"] = "front end"
				ro.Spec.Template.Annotations = map[string]string{"": "x"}
			},
			[]string{
				`spec.template.metadata.labels: Invalid value: "front end": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
				`spec.template.metadata.annotations: Invalid value: "": name part must be non-empty`,
				`spec.template.metadata.annotations: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			},
		},
	})
}

func TestValidateBlueGreen(t *testing.T) {
	change := func(change func(b *v1alpha1.BlueGreenStrategy)) func(ro *v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(asBlueGreen(ro)) }
	}
	const at = "spec.strategy.blueGreen."
	checkValidation(t, []validationCase{
		{
			"an active Service is required",
			change(func(b *v1alpha1.BlueGreenStrategy) { b.ActiveService, b.PreviewService = "", "" }),
			[]string{at + `activeService: Required value: name the Service that receives production traffic`},
		},
		{
			"the two Services differ",
			change(func(b *v1alpha1.BlueGreenStrategy) { b.PreviewService = "web" }),
			[]string{at + `previewService: Invalid value: "web": this Service is the activeService too: use another one, or none`},
		},
		{
			"a preview Service is not required",
			change(func(b *v1alpha1.BlueGreenStrategy) { b.PreviewService = "" }),
			nil,
		},
		{
			"revisions that wait are revisions that are kept",
			change(func(b *v1alpha1.BlueGreenStrategy) { b.ScaleDownDelayRevisionLimit = ptr[int32](11) }),
			[]string{at + `scaleDownDelayRevisionLimit: Invalid value: 11: must not be greater than revisionHistoryLimit (10): older revisions are deleted`},
		},
		{
			"counts and delays are not negative",
			change(func(b *v1alpha1.BlueGreenStrategy) {
				minus := ptr[int32](-1)
				b.PreviewReplicaCount, b.AutoPromotionSeconds, b.MaxUnavailable = minus, -1, ptr(intstr.FromInt32(-1))
				b.ScaleDownDelaySeconds, b.ScaleDownDelayRevisionLimit, b.AbortScaleDownDelaySeconds = minus, minus, minus
			}),
			[]string{
				at + `previewReplicaCount: Invalid value: -1: must be greater than or equal to 0`,
				at + `autoPromotionSeconds: Invalid value: -1: must be greater than or equal to 0`,
				at + `maxUnavailable: Invalid value: "-1": must be greater than or equal to 0`,
				at + `scaleDownDelaySeconds: Invalid value: -1: must be greater than or equal to 0`,
				at + `scaleDownDelayRevisionLimit: Invalid value: -1: must be greater than or equal to 0`,
				at + `abortScaleDownDelaySeconds: Invalid value: -1: must be greater than or equal to 0`,
			},
		},
		{
			"analyses name their templates",
			change(func(b *v1alpha1.BlueGreenStrategy) {
				b.PrePromotionAnalysis = &v1alpha1.RolloutAnalysis{}
				b.PostPromotionAnalysis = &v1alpha1.RolloutAnalysis{Templates: []v1alpha1.AnalysisTemplateRef{{}}}
			}),
			[]string{
				at + `prePromotionAnalysis.templates: Required value: name the analysis template to run`,
				at + `postPromotionAnalysis.templates[0].templateName: Required value: name the analysis template to run`,
			},
		},
		{
			"labels of a role leave the selector alone",
			change(func(b *v1alpha1.BlueGreenStrategy) {
				b.PreviewMetadata = &v1alpha1.PodTemplateMetadata{Labels: map[string]string{"app": "preview", "role": "preview"}}
				b.ActiveMetadata = &v1alpha1.PodTemplateMetadata{Labels: map[string]string{v1alpha1.PodTemplateHashLabel: "x"}}
			}),
			[]string{
				at + `previewMetadata.labels[app]: Invalid value: "preview": the selector asks for "web": use another label`,
				at + `activeMetadata.labels[rollouts-pod-template-hash]: Forbidden: the controller sets this label`,
			},
		},
		{
			"also where the selector is an expression",
			func(ro *v1alpha1.Rollout) {
				change(func(b *v1alpha1.BlueGreenStrategy) {
					b.PreviewMetadata = &v1alpha1.PodTemplateMetadata{Labels: map[string]string{"tier": "preview"}}
				})(ro)
				ro.Spec.Template.Labels["tier"] = "front"
				ro.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpExists}}
			},
			[]string{at + `previewMetadata.labels[tier]: Forbidden: the selector asks for it: use another label`},
		},
	})
}

func TestOneMalformedTemplateDoesNotHideOtherRollouts(t *testing.T) {
	good, err := json.Marshal(web())
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(good), `"containers":[`, `"containers":["oops",`, 1)
	var list v1alpha1.RolloutList
	if err := json.Unmarshal([]byte(`{"items":[`+bad+`,`+string(good)+`]}`), &list); err != nil {
		t.Fatalf("the list should decode: %v", err)
	}
	if errs := v1alpha1.ValidateRollout(&list.Items[0]); len(errs) != 1 || !strings.Contains(errs[0].Error(), "the pod template is malformed") {
		t.Errorf("the malformed one should be invalid for that reason alone: %v", errs)
	}
	if diff := cmp.Diff(web(), &list.Items[1]); diff != "" {
		t.Errorf("the other one should be whole (-want +got):\n%s", diff)
	}
	again, err := json.Marshal(&list.Items[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(again), `"containers":["oops",`) {
		t.Errorf("writing it back should lose nothing: %s", again)
	}
}

func FuzzAnyRolloutIsValidatedWithoutPanic(f *testing.F) {
	seed, err := json.Marshal(web())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"spec":{"template":[],"strategy":{"canary":{"trafficRouting":{"plugins":{"a/b":null}},"steps":[{"pause":{"duration":"-1s"}},{}]}}}}`))
	f.Add([]byte(`{"spec":{"selector":{"matchExpressions":[{}]},"strategy":{"canary":{"pingPong":{},"maxSurge":"x","steps":[{"setHeaderRoute":{"match":[{}]}}]}}}}`))
	f.Add([]byte(`{"spec":{"strategy":{"blueGreen":{"antiAffinity":{}},"canary":{"analysis":{"startingStep":-1,"args":[{"valueFrom":{}}]}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var ro v1alpha1.Rollout
		if json.Unmarshal(data, &ro) != nil {
			return
		}
		first := sentences(v1alpha1.ValidateRollout(&ro))
		if diff := cmp.Diff(first, sentences(v1alpha1.ValidateRollout(&ro))); diff != "" {
			t.Errorf("the order of errors should be stable:\n%s", diff)
		}
	})
}
