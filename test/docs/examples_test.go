package docs

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/test/kube"
)

const sampleFile = "config/samples/nginx-canary.yaml"

// The sample is shown in parts, and each part as it is in the file.
func TestTheReadmeShowsTheSampleAsItIs(t *testing.T) {
	sample, shown := read(t, sampleFile), 0
	for _, b := range (page{"README.md", read(t, "README.md")}).blocks() {
		if b.language != "yaml" {
			continue
		}
		shown++
		if !strings.Contains(sample, b.text) {
			t.Errorf("README.md shows something else than %s:\n%s", sampleFile, b.text)
		}
	}
	if shown == 0 {
		t.Error("README.md shows nothing of the sample")
	}
}

func TestTheSampleIsServed(t *testing.T) {
	for _, text := range documents(read(t, sampleFile)) {
		checkDocument(t, text)
	}
}

// Every example parses. Whole objects of ours, and parts of a spec put into the
// sample, decode without an unknown field, are valid, and are served today.
func TestEveryYAMLExampleIsServed(t *testing.T) {
	seen := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks() {
			if b.language != "yaml" {
				continue
			}
			for _, text := range documents(b.text) {
				seen++
				if !t.Run(p.name, func(t *testing.T) { checkDocument(t, text) }) {
					t.Logf("%s:\n%s", p.name, text)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d examples are found in the pages", seen)
	}
}

func documents(text string) []string {
	return strings.Split(strings.TrimPrefix(text, "---\n"), "\n---\n")
}

// The API server knows more rules than we do, and other kinds.
func TestTheAPIServerTakesEveryYAMLExample(t *testing.T) {
	cluster := kube.Shared(t)
	if err := cluster.InstallCRDs(t.Context(), kube.Root()+"/config/crd"); err != nil {
		t.Fatal(err)
	}
	namespace := cluster.Namespace(t)
	for _, p := range pages(t) {
		for _, b := range p.blocks() {
			if b.language != "yaml" {
				continue
			}
			for _, text := range documents(b.text) {
				object, whole := complete(t, text)
				if object["kind"] == nil || object["kind"] == "Kustomization" {
					continue
				}
				if err := cluster.Apply(t.Context(), namespace, whole); err != nil {
					t.Errorf("%s: %v\n%s", p.name, err, text)
				}
			}
		}
	}
}

func checkDocument(t *testing.T, text string) {
	t.Helper()
	object, whole := complete(t, text)
	if object["apiVersion"] == v1alpha1.GroupVersion.String() {
		checkOurs(t, object["kind"], whole)
	}
}

// complete is a document, put into the object of the sample when it is a part of one.
func complete(t *testing.T, text string) (object map[string]any, whole []byte) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("it does not parse: %v", err)
	}
	if spec, isSpec := object["spec"].(map[string]any); isSpec && len(object) == 1 {
		object = sampleObject(t, kindOf(spec))
		merge(object, map[string]any{"spec": spec})
	}
	whole, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return object, whole
}

// kindOf is the kind that a part of a spec is of.
func kindOf(spec map[string]any) string {
	for _, name := range []string{"metrics", "args"} {
		if _, ok := spec[name]; ok {
			return "AnalysisTemplate"
		}
	}
	return "Rollout"
}

// sampleObject is one object of the sample.
func sampleObject(t *testing.T, kind string) map[string]any {
	t.Helper()
	for _, text := range documents(read(t, sampleFile)) {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] == kind {
			return object
		}
	}
	t.Fatalf("%s has no %s", sampleFile, kind)
	return nil
}

// merge puts values into an object; lists are replaced, and so is the routing
// of traffic, of which one field excludes another.
func merge(into, add map[string]any) {
	for key, value := range add {
		deeper, isObject := value.(map[string]any)
		if has, ok := into[key].(map[string]any); ok && isObject && key != "trafficRouting" {
			merge(has, deeper)
			continue
		}
		into[key] = value
	}
}

func checkOurs(t *testing.T, kind any, text []byte) {
	t.Helper()
	switch kind {
	case "Rollout":
		var ro v1alpha1.Rollout
		strictly(t, text, &ro)
		checkTemplate(t, text)
		if errs := v1alpha1.ValidateRollout(&ro); len(errs) > 0 {
			t.Errorf("it is invalid: %v", errs.ToAggregate())
		}
		if message := refused(&ro); message != "" {
			t.Errorf("it is refused: %s", message)
		}
	case "Experiment":
		var e v1alpha1.Experiment
		strictly(t, text, &e)
		if errs := v1alpha1.ValidateExperiment(&e); len(errs) > 0 {
			t.Errorf("it is invalid: %v", errs.ToAggregate())
		}
	case "AnalysisTemplate", "ClusterAnalysisTemplate":
		var template v1alpha1.AnalysisTemplate
		strictly(t, text, &template)
		checkRun(t, v1alpha1.AnalysisRunSpec{Metrics: template.Spec.Metrics, Args: template.Spec.Args, DryRun: template.Spec.DryRun})
	case "AnalysisRun":
		var run v1alpha1.AnalysisRun
		strictly(t, text, &run)
		checkRun(t, run.Spec)
	default:
		t.Errorf("kind %v is not served: show it when it is", kind)
	}
}

// checkTemplate decodes the pod template as the API server does: the Rollout takes any.
func checkTemplate(t *testing.T, text []byte) {
	t.Helper()
	var object struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	template, err := yaml.Marshal(object.Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	strictly(t, template, &corev1.PodTemplateSpec{})
}

func strictly(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Errorf("it does not decode: %v", err)
	}
}

// checkRun checks a run whose open arguments have a value.
func checkRun(t *testing.T, spec v1alpha1.AnalysisRunSpec) {
	t.Helper()
	if errs := v1alpha1.ValidateMetrics(spec.Metrics, field.NewPath("spec", "metrics")); len(errs) > 0 {
		t.Errorf("it is invalid: %v", errs.ToAggregate())
	}
	value := "1"
	for i := range spec.Args {
		if spec.Args[i].Value == nil && spec.Args[i].ValueFrom == nil {
			spec.Args[i].Value = &value
		}
	}
	run := &v1alpha1.AnalysisRun{Spec: spec}
	if st, _ := analysis.Next(run, nil, time.Unix(1_000_000, 0)); st.Phase.Completed() {
		t.Errorf("its run is %s at once: %s", st.Phase, st.Message)
	}
	for _, metric := range spec.Metrics {
		for _, kind := range metric.Provider.Kinds() {
			if _, ok := providers()[kind]; !ok {
				t.Errorf("provider %s is not served", kind)
			}
		}
	}
}

// refused is why the planner does not follow a Rollout; empty when it does.
func refused(ro *v1alpha1.Rollout) string {
	p := plan.Make(plan.Snapshot{Now: time.Unix(1_000_000, 0), Rollout: ro, Current: "hash"})
	if why := p.Status.Why; why != nil && why.Code == plan.WhyInvalidSpec {
		return why.Message
	}
	return ""
}
