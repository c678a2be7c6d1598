package contract

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// maxCRDBytes keeps a definition well below what an annotation may hold, so
// that client-side apply still works.
const maxCRDBytes = 200_000

// additive are the paths that no other controller of this API has. What is below
// them is not named.
var additive = map[string][]string{
	"Rollout": {
		"spec.initialAnalysis", "spec.onFailure", "spec.scaleAccounting", "spec.strategy.canary.trafficRouting.gatewayAPI",
		"status.initialAnalysisRunStatus", "status.why",
	},
	"AnalysisTemplate":        {"spec.metrics[].minSamples", "spec.metrics[].noData"},
	"ClusterAnalysisTemplate": {"spec.metrics[].minSamples", "spec.metrics[].noData"},
	"AnalysisRun": {
		"spec.metrics[].minSamples", "spec.metrics[].noData",
		"status.metricResults[].ignored", "status.why",
	},
	"Experiment": {"status.why"},
}

// topmost are the paths that are not below another one of them, which comes first.
func topmost(paths []string) []string {
	var top []string
	for _, path := range paths {
		if last := len(top) - 1; last < 0 || !strings.HasPrefix(path, top[last]+".") {
			top = append(top, path)
		}
	}
	return top
}

func TestEveryFieldOfTheServedAPIIsServed(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.kind, func(t *testing.T) {
			table := readTable(t, compatPath(t, "the fields of "+k.kind, "fields", k.fields))
			crd := readCRD(t, filepath.Join(crdFolder, k.crd))
			schema := flatten(crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
			for _, difference := range table.compare(schema) {
				t.Error(difference)
			}
			if diff := gocmp.Diff(table.summary, summarize(crd)); diff != "" {
				t.Errorf("names, scope, subresources or printer columns differ (-theirs +ours):\n%s", diff)
			}
			if diff := gocmp.Diff(additive[k.kind], topmost(table.missing(schema))); diff != "" {
				t.Errorf("fields that only we have (-documented +served):\n%s", diff)
			}
		})
	}
}

func TestAFieldThatIsNotServedIsNamed(t *testing.T) {
	table := fieldTable{rows: map[string]property{
		"spec":                 {Type: "object", Required: true},
		"spec.replicas":        {Type: "integer", Format: "int32"},
		"spec.template.spec.*": {Type: "(core/v1 PodSpec)"},
		"spec.template.a.b":    {Type: "string"},
		"spec.selector.*":      {Type: "(meta/v1 LabelSelector)"},
	}}
	crd := readCRD(t, filepath.Join(crdFolder, kinds[0].crd))
	root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if differences := table.compare(flatten(root)); len(differences) != 0 {
		t.Fatalf("the whole schema should have no differences: %q", differences)
	}
	cases := []struct {
		name string
		cut  func(spec map[string]apiextensionsv1.JSONSchemaProps)
		want []string
	}{
		{
			"a removed field is named",
			func(spec map[string]apiextensionsv1.JSONSchemaProps) { delete(spec, "replicas") },
			[]string{"spec.replicas is not served"},
		},
		{
			"a field of another type is named",
			func(spec map[string]apiextensionsv1.JSONSchemaProps) {
				spec["replicas"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
			},
			[]string{`spec.replicas is {Type:string Format: Default: Enum:[] Required:false}, should be {Type:integer Format:int32 Default: Enum:[] Required:false}`},
		},
		{
			"a template that is not open is named",
			func(spec map[string]apiextensionsv1.JSONSchemaProps) {
				spec["template"] = apiextensionsv1.JSONSchemaProps{Type: "object"}
			},
			[]string{"spec.template.a.b is not served", "spec.template.spec.* is not served"},
		},
		{
			"a selector without its fields is named",
			func(spec map[string]apiextensionsv1.JSONSchemaProps) {
				spec["selector"] = apiextensionsv1.JSONSchemaProps{Type: "object"}
			},
			[]string{"spec.selector.* is not served"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			damaged := root.DeepCopy()
			c.cut(damaged.Properties["spec"].Properties)
			if diff := gocmp.Diff(c.want, table.compare(flatten(damaged))); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEachDefinitionIsSmall(t *testing.T) {
	for _, k := range kinds {
		info, err := os.Stat(filepath.Join(crdFolder, k.crd))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= maxCRDBytes {
			t.Errorf("%s has %d bytes; it must have fewer than %d", k.crd, info.Size(), maxCRDBytes)
		}
	}
}

func TestTheScaleSubresourceIsWhatAnAutoscalerReads(t *testing.T) {
	crd := readCRD(t, filepath.Join(crdFolder, kinds[0].crd))
	selector := ".status.selector"
	want := &apiextensionsv1.CustomResourceSubresourceScale{
		SpecReplicasPath: ".spec.replicas", StatusReplicasPath: ".status.HPAReplicas", LabelSelectorPath: &selector,
	}
	if diff := gocmp.Diff(want, crd.Spec.Versions[0].Subresources.Scale); diff != "" {
		t.Errorf("scale subresource (-want +got):\n%s", diff)
	}
}

func TestOnlyTheSelectorIsImmutable(t *testing.T) {
	for _, k := range kinds {
		want := map[string][]string{}
		if k.kind == "Rollout" {
			want["spec.selector"] = []string{"self == oldSelf"}
		}
		crd := readCRD(t, filepath.Join(crdFolder, k.crd))
		if diff := gocmp.Diff(want, flatten(crd.Spec.Versions[0].Schema.OpenAPIV3Schema).rules); diff != "" {
			t.Errorf("rules of %s (-want +got):\n%s", k.kind, diff)
		}
	}
}

// fieldTable is a file of fields: what another controller of the same API serves.
type fieldTable struct {
	summary summary
	rows    map[string]property
}

// summary is what kubectl shows of a kind.
type summary struct {
	Kind, GroupVersion, Scope, Plural, ShortNames, Subresources, Columns string
}

var (
	kindLine    = regexp.MustCompile(`^# (\w+) \(([^)]+)\), scope (\w+), plural (\w+), short names ([^;]+); subresources: (.*)$`)
	columnsLine = regexp.MustCompile(`^# printer columns: (.*)$`)
)

func summarize(crd *apiextensionsv1.CustomResourceDefinition) summary {
	version := crd.Spec.Versions[0]
	columns := make([]string, 0, len(version.AdditionalPrinterColumns))
	for _, column := range version.AdditionalPrinterColumns {
		columns = append(columns, column.Name+" "+column.JSONPath)
	}
	var subresources []string
	if version.Subresources != nil && version.Subresources.Scale != nil {
		subresources = append(subresources, "scale")
	}
	if version.Subresources != nil && version.Subresources.Status != nil {
		subresources = append(subresources, "status")
	}
	return summary{
		Kind:         crd.Spec.Names.Kind,
		GroupVersion: crd.Spec.Group + "/" + version.Name,
		Scope:        string(crd.Spec.Scope),
		Plural:       crd.Spec.Names.Plural,
		ShortNames:   strings.Join(crd.Spec.Names.ShortNames, ","),
		Subresources: cmp.Or(strings.Join(subresources, ","), "none"),
		Columns:      strings.Join(columns, ", "),
	}
}

func readTable(t *testing.T, path string) fieldTable {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	table := fieldTable{rows: map[string]property{}}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if err := table.read(lines.Text()); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(table.rows) < 20 || table.summary.Kind == "" || table.summary.Columns == "" {
		t.Fatalf("%s is not a table of fields: %d rows, summary %+v", path, len(table.rows), table.summary)
	}
	return table
}

func (f *fieldTable) read(line string) error {
	if m := kindLine.FindStringSubmatch(line); m != nil {
		f.summary = summary{Kind: m[1], GroupVersion: m[2], Scope: m[3], Plural: m[4], ShortNames: m[5], Subresources: m[6]}
		return nil
	}
	if m := columnsLine.FindStringSubmatch(line); m != nil {
		f.summary.Columns = m[1]
		return nil
	}
	path, rest, found := strings.Cut(line, "\t")
	if !found {
		return fmt.Errorf("line %q has no tab", line)
	}
	row, err := parseRow(rest)
	f.rows[path] = row
	return err
}

func parseRow(text string) (property, error) {
	if strings.HasPrefix(text, "(") {
		return property{Type: text}, nil
	}
	words := strings.Fields(text)
	row := property{Type: words[0]}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "required":
			row.Required = true
		case "format":
			row.Format = value
		case "default":
			row.Default = value
		case "enum":
			row.Enum = strings.Split(value, "|")
		case "preserve-unknown":
		default:
			return property{}, fmt.Errorf("unknown word %q", word)
		}
	}
	return row, nil
}

// compare lists what the schema does not serve, or serves differently, by path.
func (f fieldTable) compare(schema fieldSet) []string {
	var differences []string
	for path, want := range f.rows {
		got, named := schema.fields[path]
		switch {
		case named && gocmp.Equal(want, got):
		case named:
			differences = append(differences, fmt.Sprintf("%s is %+v, should be %+v", path, got, want))
		case !schema.serves(path, want):
			differences = append(differences, path+" is not served")
		}
	}
	slices.Sort(differences)
	return differences
}

// serves reports whether a path that the schema does not name is served all the same.
func (s fieldSet) serves(path string, row property) bool {
	parent := strings.TrimSuffix(path, ".*")
	if row.Type == "(meta/v1 LabelSelector)" && s.keeps(parent+".matchLabels") && s.keeps(parent+".matchExpressions") {
		return true
	}
	return s.keeps(path)
}

// missing lists the paths of the schema that the table does not have.
func (f fieldTable) missing(schema fieldSet) []string {
	var paths []string
	for _, path := range schema.paths() {
		if _, ok := f.rows[path]; !ok && !f.covers(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// covers reports whether a path lies below a row that stands for all fields of a type.
func (f fieldTable) covers(path string) bool {
	for row := range f.rows {
		if prefix, ok := strings.CutSuffix(row, "*"); ok && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
