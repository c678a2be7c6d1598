// Package contract holds what Headway promises to users of the Rollout API to
// the manifests and schemas they already have. It tests generated files and
// configuration; it has no code of its own.
package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const (
	// crdFolder holds the generated CustomResourceDefinitions.
	crdFolder = "../../config/crd"
	// compatFolder holds data about the incumbent that is not part of this repository.
	compatFolder = "../../../shared/compat"
)

// kinds are the served kinds and the names of their files.
var kinds = []struct{ kind, crd, fields string }{
	{"Rollout", "argoproj.io_rollouts.yaml", "rollout.tsv"},
	{"AnalysisTemplate", "argoproj.io_analysistemplates.yaml", "analysistemplate.tsv"},
	{"ClusterAnalysisTemplate", "argoproj.io_clusteranalysistemplates.yaml", "clusteranalysistemplate.tsv"},
	{"AnalysisRun", "argoproj.io_analysisruns.yaml", "analysisrun.tsv"},
	{"Experiment", "argoproj.io_experiments.yaml", "experiment.tsv"},
}

// compatPath returns the path of compatibility data and skips the test, saying
// what stays unchecked, where there is none.
func compatPath(t *testing.T, unchecked string, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{compatFolder}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("NOT CHECKED: %s (there is no %s)", unchecked, path)
	}
	return path
}

func readCRD(t *testing.T, path string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, crd); err != nil {
		t.Fatalf("decoding %s: %v", path, err)
	}
	return crd
}

// property is what a schema says about one path.
type property struct {
	Type     string
	Format   string
	Default  string
	Enum     []string
	Required bool
}

// fieldSet is a schema by path. Array items end in [] and map values in {}.
type fieldSet struct {
	fields map[string]property
	// open paths keep fields the schema does not name.
	open map[string]bool
	// rules are CEL rules by path.
	rules map[string][]string
}

// flatten lists the paths of spec and status.
func flatten(root *apiextensionsv1.JSONSchemaProps) fieldSet {
	set := fieldSet{fields: map[string]property{}, open: map[string]bool{}, rules: map[string][]string{}}
	for _, name := range []string{"spec", "status"} {
		if props, ok := root.Properties[name]; ok {
			set.add(name, &props, slices.Contains(root.Required, name))
		}
	}
	return set
}

func (s fieldSet) add(path string, props *apiextensionsv1.JSONSchemaProps, required bool) {
	s.fields[path] = describe(props, required)
	if props.XPreserveUnknownFields != nil && *props.XPreserveUnknownFields {
		s.open[path] = true
	}
	for _, rule := range props.XValidations {
		s.rules[path] = append(s.rules[path], rule.Rule)
	}
	for name := range props.Properties {
		child := props.Properties[name]
		s.add(path+"."+name, &child, slices.Contains(props.Required, name))
	}
	if props.Items != nil && props.Items.Schema != nil {
		s.add(path+"[]", props.Items.Schema, false)
	}
	if props.AdditionalProperties != nil && props.AdditionalProperties.Schema != nil {
		s.add(path+"{}", props.AdditionalProperties.Schema, false)
	}
}

func describe(props *apiextensionsv1.JSONSchemaProps, required bool) property {
	f := property{Type: props.Type, Format: props.Format, Required: required}
	if props.XIntOrString {
		f.Type = "int-or-string"
	}
	if props.Default != nil {
		f.Default = scalar(props.Default.Raw)
	}
	for _, value := range props.Enum {
		f.Enum = append(f.Enum, scalar(value.Raw))
	}
	return f
}

func scalar(raw []byte) string {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return string(raw)
	}
	return fmt.Sprint(value)
}

// keeps reports whether a value at the path survives pruning.
func (s fieldSet) keeps(path string) bool {
	if _, ok := s.fields[path]; ok {
		return true
	}
	for open := range s.open {
		if strings.HasPrefix(path, open+".") || strings.HasPrefix(path, open+"{}") {
			return true
		}
	}
	return false
}

func (s fieldSet) paths() []string { return slices.Sorted(maps.Keys(s.fields)) }
