package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuralpruning "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	openapi "k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// incumbentCRDs are the definitions of the incumbent, by kind.
var incumbentCRDs = map[string]string{
	"Rollout":                 "rollout-crd.yaml",
	"AnalysisTemplate":        "analysis-template-crd.yaml",
	"ClusterAnalysisTemplate": "cluster-analysis-template-crd.yaml",
	"AnalysisRun":             "analysis-run-crd.yaml",
	"Experiment":              "experiment-crd.yaml",
}

func TestManifestsUsersStartFromAreAcceptedWhole(t *testing.T) {
	examples := compatPath(t, "the manifests users start from", "examples")
	gates := map[string]gate{}
	for _, k := range kinds {
		gates[k.kind] = newGate(t, readCRD(t, filepath.Join(crdFolder, k.crd)))
	}
	seen := 0
	for _, m := range readManifests(t, examples) {
		g, ours := gates[m.object.GetKind()]
		if !ours || m.object.GetAPIVersion() != "argoproj.io/v1alpha1" {
			continue
		}
		seen++
		if err := g.accept(m.object); err != nil {
			t.Errorf("%s: %s %s: %v", m.file, m.object.GetKind(), m.object.GetName(), err)
		}
	}
	if seen < 20 {
		t.Errorf("%s holds only %d objects of our kinds", examples, seen)
	}
}

func TestManifestsUsersStartFromAreValid(t *testing.T) {
	examples := compatPath(t, "that the manifests users start from pass validation", "examples")
	for _, m := range readManifests(t, examples) {
		if m.object.GetAPIVersion() != "argoproj.io/v1alpha1" {
			continue
		}
		errs, err := validateObject(m.object)
		if err != nil || len(errs) > 0 {
			t.Errorf("%s: %s %s: %v %v", m.file, m.object.GetKind(), m.object.GetName(), err, errs.ToAggregate())
		}
	}
}

// validateObject decodes an object and validates it as its controller does.
func validateObject(object *unstructured.Unstructured) (field.ErrorList, error) {
	convert := func(into any) error {
		return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true)
	}
	switch object.GetKind() {
	case "Rollout":
		rollout := &v1alpha1.Rollout{}
		err := convert(rollout)
		return v1alpha1.ValidateRollout(rollout), err
	case "Experiment":
		experiment := &v1alpha1.Experiment{}
		err := convert(experiment)
		return v1alpha1.ValidateExperiment(experiment), err
	case "AnalysisTemplate", "ClusterAnalysisTemplate":
		template := &v1alpha1.AnalysisTemplate{}
		err := convert(template)
		return v1alpha1.ValidateMetrics(template.Spec.Metrics, field.NewPath("spec", "metrics")), err
	}
	return nil, fmt.Errorf("there is no validation of %s", object.GetKind())
}

func TestWhatTheIncumbentAcceptsIsAccepted(t *testing.T) {
	examples := compatPath(t, "that manifests the incumbent accepts are accepted", "examples")
	crds := compatPath(t, "that manifests the incumbent accepts are accepted", "crds")
	manifests := readManifests(t, examples)
	for _, k := range kinds {
		theirs := newGate(t, readCRD(t, filepath.Join(crds, incumbentCRDs[k.kind])))
		ours := newGate(t, readCRD(t, filepath.Join(crdFolder, k.crd)))
		for _, m := range manifests {
			if m.object.GetKind() != k.kind || theirs.accept(m.object) != nil {
				continue
			}
			if err := ours.accept(m.object); err != nil {
				t.Errorf("%s: %s %s: the incumbent accepts it, we do not: %v", m.file, k.kind, m.object.GetName(), err)
			}
		}
	}
}

func TestNoFieldHasALimitTheIncumbentDoesNotHave(t *testing.T) {
	crds := compatPath(t, "that no field is limited more than the incumbent's", "crds")
	for _, k := range kinds {
		theirs := limits(readCRD(t, filepath.Join(crds, incumbentCRDs[k.kind])))
		for path, limit := range limits(readCRD(t, filepath.Join(crdFolder, k.crd))) {
			if their, ok := theirs[path]; ok && their != limit {
				t.Errorf("%s %s is limited to %q, the incumbent's to %q", k.kind, path, limit, their)
			}
		}
	}
}

func TestTheGateRefusesWhatAServerWouldRefuse(t *testing.T) {
	g := newGate(t, readCRD(t, filepath.Join(crdFolder, kinds[0].crd)))
	cases := []struct {
		name string
		spec map[string]any
		want string
	}{
		{"a pod template may hold anything", map[string]any{"template": map[string]any{"spec": map[string]any{"invented": true}}}, ""},
		{"a number is a duration", map[string]any{"strategy": pause(int64(30))}, ""},
		{"a text is a duration", map[string]any{"strategy": pause("30s")}, ""},
		{"an unknown field would be dropped", map[string]any{"replica": int64(1)}, "dropped fields: spec.replica"},
		{"a text is not a number", map[string]any{"replicas": "three"}, "spec.replicas in body must be of type integer"},
		{"a number beyond 32 bits is refused", map[string]any{"replicas": int64(1) << 40}, "spec.replicas"},
		{"a list is not a duration", map[string]any{"strategy": pause([]any{})}, "pause.duration"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := g.accept(&unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"name": "a"}, "spec": c.spec,
			}})
			switch {
			case c.want == "" && err != nil:
				t.Errorf("should be accepted: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("should be refused with %q, got %v", c.want, err)
			}
		})
	}
}

func pause(duration any) map[string]any {
	step := map[string]any{"pause": map[string]any{"duration": duration}}
	return map[string]any{"canary": map[string]any{"steps": []any{step}}}
}

// gate accepts or refuses an object as an API server with the definition would.
type gate struct {
	structural *structuralschema.Structural
	validator  *validate.SchemaValidator
}

func newGate(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) gate {
	t.Helper()
	var props apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil)
	if err != nil {
		t.Fatalf("converting the schema of %s: %v", crd.Name, err)
	}
	structural, err := structuralschema.NewStructural(&props)
	if err != nil {
		t.Fatalf("the schema of %s is not structural: %v", crd.Name, err)
	}
	if errs := structuralschema.ValidateStructural(nil, structural); len(errs) > 0 {
		t.Fatalf("the schema of %s is not structural: %v", crd.Name, errs.ToAggregate())
	}
	return gate{structural: structural, validator: newValidator(t, crd)}
}

// accept reports the fields that would be dropped, or else what is invalid.
func (g gate) accept(object *unstructured.Unstructured) error {
	content := object.DeepCopy().Object
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	if dropped := structuralpruning.PruneWithOptions(content, g.structural, true, options); len(dropped) > 0 {
		return fmt.Errorf("dropped fields: %s", strings.Join(dropped, ", "))
	}
	if err := g.validator.Validate(content).AsError(); err != nil {
		return fmt.Errorf("validating: %w", err)
	}
	return nil
}

// newValidator builds the validator an API server would, out of the same parts.
func newValidator(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) *validate.SchemaValidator {
	t.Helper()
	data, err := json.Marshal(crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	schema := &openapi.Schema{}
	if err := json.Unmarshal(data, schema); err != nil {
		t.Fatalf("reading the schema of %s: %v", crd.Name, err)
	}
	return validate.NewSchemaValidator(schema, nil, "", strfmt.Default)
}

// limits lists what restricts the value of each path beyond its type.
func limits(crd *apiextensionsv1.CustomResourceDefinition) map[string]string {
	out := map[string]string{}
	root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	var walk func(path string, p *apiextensionsv1.JSONSchemaProps)
	walk = func(path string, p *apiextensionsv1.JSONSchemaProps) {
		out[path] = limit(p)
		for name := range p.Properties {
			child := p.Properties[name]
			walk(path+"."+name, &child)
		}
		if p.Items != nil && p.Items.Schema != nil {
			walk(path+"[]", p.Items.Schema)
		}
		if p.AdditionalProperties != nil && p.AdditionalProperties.Schema != nil {
			walk(path+"{}", p.AdditionalProperties.Schema)
		}
	}
	walk("", root)
	return out
}

func limit(p *apiextensionsv1.JSONSchemaProps) string {
	bare := p.DeepCopy()
	bare.Description, bare.Type, bare.Format, bare.Default, bare.Required = "", "", "", nil, nil
	bare.Properties, bare.Items, bare.AdditionalProperties = nil, nil, nil
	bare.XPreserveUnknownFields, bare.XValidations = nil, nil
	return gocmp.Diff(apiextensionsv1.JSONSchemaProps{}, *bare)
}

// manifest is one object of a file.
type manifest struct {
	file   string
	object *unstructured.Unstructured
}

func readManifests(t *testing.T, folder string) []manifest {
	t.Helper()
	var manifests []manifest
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		objects, err := decodeManifest(path)
		for _, object := range objects {
			manifests = append(manifests, manifest{file: path, object: object})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func decodeManifest(path string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", path, err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
}
