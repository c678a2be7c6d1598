package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/manifest"
)

// two is a file with a comment, an empty document and two objects.
const two = `# the shop
---
---
apiVersion: v1
kind: Service
metadata: {name: cart}
--- # the gate
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: errors
  namespace: shop
spec:
  metrics:
    - name: "a"
      provider: {prometheus: {query: up}}
    - name: b
      successCondition: |
        result ==
        "---"
`

func read(t *testing.T, text string) []manifest.Object {
	t.Helper()
	objects, problems := manifest.Read([]byte(text))
	if len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	return objects
}

func TestAFileIsDividedIntoItsObjects(t *testing.T) {
	type place struct {
		Document, Line        int
		Kind, Name, Namespace string
	}
	for name, c := range map[string]struct {
		text string
		want []place
	}{
		"documents":            {two, []place{{1, 4, "Service", "cart", ""}, {2, 8, "AnalysisTemplate", "errors", "shop"}}},
		"nothing":              {"", nil},
		"comments":             {"# a\n---\n# b\n...\n", nil},
		"null":                 {"null\n---\n~\n", nil},
		"JSON":                 {"\n{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"cart\"}}", []place{{1, 2, "Service", "cart", ""}}},
		"behind the dashes":    {"--- {apiVersion: v1, kind: Service, metadata: {name: cart}}\n", []place{{1, 1, "Service", "cart", ""}}},
		"lines of Windows":     {"---\r\napiVersion: v1\r\nkind: Service\r\n---\r\napiVersion: v1\r\nkind: Pod\r\n", []place{{1, 2, "Service", "", ""}, {2, 5, "Pod", "", ""}}},
		"a list":               {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- kind: Service\n  apiVersion: v1\n", []place{{1, 4, "Pod", "", ""}, {1, 6, "Service", "", ""}}},
		"a kind named List":    {"apiVersion: x/v1\nkind: ToDoList\n", []place{{1, 1, "ToDoList", "", ""}}},
		"dashes in a text":     {"apiVersion: v1\nkind: Pod\nx: |\n  ---\n", []place{{1, 1, "Pod", "", ""}}},
		"aliases":              {"apiVersion: v1\nkind: Pod\nmetadata: &m {name: cart}\nother: *m\n", []place{{1, 1, "Pod", "cart", ""}}},
		"a merge of a mapping": {"apiVersion: v1\nkind: Pod\nmetadata: {<<: {name: cart}}\n", []place{{1, 1, "Pod", "cart", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []place
			for _, o := range read(t, c.text) {
				got = append(got, place{o.Document, o.Line, o.Kind.Kind, o.Name, o.Namespace})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALineIsFoundByAPath(t *testing.T) {
	template := read(t, two)[1]
	for path, want := range map[string]int{
		"spec.metrics[0].name":                      15,
		"spec.metrics[1].successCondition":          18,
		"spec.metrics[0].provider.prometheus.query": 16,
		"spec.metrics[1].provider":                  17, // is not there: the metric is
		"spec.metrics[7]":                           14,
		"spec.nothing.at[0].all":                    13,
		"metadata.labels[app.kubernetes.io/name]":   10,
		"":  8,
		"[": 8,
	} {
		if got := template.LineOf(path); got != want {
			t.Errorf("%s is on line %d, want %d", path, got, want)
		}
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\n"
	for name, c := range map[string]struct {
		text string
		want manifest.Problem
	}{
		"broken YAML":            {"---\n" + pod + "---\na: [\nb: c\n", manifest.Problem{Document: 2, Line: 5, Message: "the YAML cannot be read: did not find expected ',' or ']'"}},
		"a tab":                  {pod + "spec:\n\tx: 1\n", manifest.Problem{Document: 1, Line: 4, Message: "the YAML cannot be read: found character that cannot start any token"}},
		"an unknown anchor":      {pod + "spec: *nope\n", manifest.Problem{Document: 1, Line: 1, Message: "the YAML cannot be read: unknown anchor 'nope' referenced"}},
		"an anchor in itself":    {pod + "spec: &a [*a]\n", manifest.Problem{Document: 1, Line: 3, Message: "the YAML cannot be read: the anchor \"a\" contains itself"}},
		"a word":                 {"Rollout\n", manifest.Problem{Document: 1, Line: 1, Message: "this is no object: an object has apiVersion, kind and metadata"}},
		"a list":                 {"- a\n", manifest.Problem{Document: 1, Line: 1, Message: "this is no object: an object has apiVersion, kind and metadata"}},
		"no kind":                {"apiVersion: v1\n", manifest.Problem{Document: 1, Line: 1, Message: "this object has no apiVersion and kind that can be read, for example argoproj.io/v1alpha1 and Rollout"}},
		"a version of two parts": {"apiVersion: a/b/c\nkind: Pod\n", manifest.Problem{Document: 1, Line: 1, Message: "this object has no apiVersion and kind that can be read, for example argoproj.io/v1alpha1 and Rollout"}},
		"a name of numbers":      {pod + "metadata:\n  name: 5\n", manifest.Problem{Document: 1, Line: 4, Message: "metadata.name: a text is needed, not a number"}},
		"a key given twice":      {pod + "kind: Service\n", manifest.Problem{Document: 1, Line: 3, Message: `the key "kind" is given twice: only one of them counts; remove the other`}},
		"a file that is large":   {strings.Repeat("#", manifest.MaxBytes+1), manifest.Problem{Message: "the file has 4194305 bytes, above the limit of 4194304: split it"}},
		"many objects":           {strings.Repeat("---\n"+pod, manifest.MaxObjects+1), manifest.Problem{Document: 1001, Line: 3001, Message: "the file has more than 1000 objects: split it"}},
		"a list of many objects": {"apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat("- {apiVersion: v1, kind: Pod}\n", manifest.MaxObjects+1), manifest.Problem{Document: 1, Line: 1, Message: "the file has more than 1000 objects: split it"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := manifest.Read([]byte(c.text))
			if diff := cmp.Diff([]manifest.Problem{c.want}, problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsWrongWithOneDocumentDoesNotHideTheOthers(t *testing.T) {
	objects, problems := manifest.Read([]byte("a: [\n---\n" + two))
	if len(objects) != 2 || len(problems) != 1 {
		t.Errorf("%d objects and %+v", len(objects), problems)
	}
}

// A few bytes of aliases may stand for more than there is memory.
func TestAliasesThatGrowAreRefused(t *testing.T) {
	doubling := "apiVersion: v1\nkind: Pod\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		doubling += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	long := "apiVersion: v1\nkind: Pod\na: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a, ", 100), ", ") + "]\n"
	for name, text := range map[string]string{"lists of lists": doubling, "a long text": long} {
		_, problems := manifest.Read([]byte(text))
		if len(problems) != 1 || !strings.Contains(problems[0].Message, "with its aliases filled in, this is larger than") {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

func TestFieldsThatATypeDoesNotHaveAreListed(t *testing.T) {
	var template v1alpha1.AnalysisTemplate
	text := `{"kind":"AnalysisTemplate","spec":{"metrics":[{"name":"a","failurLimit":1,"Interval":"1m"}],"x":1}}`
	unknown, err := manifest.Decode([]byte(text), &template)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, u := range unknown {
		paths = append(paths, u.Path)
	}
	want := []string{"spec.metrics[0].failurLimit", "spec.metrics[0].Interval", "spec.x"}
	if diff := cmp.Diff(want, paths); diff != "" || template.Spec.Metrics[0].Name != "a" {
		t.Errorf("%+v\n%s", template.Spec, diff)
	}
}

func TestATypeThatDoesNotFitIsSaidInPlainEnglish(t *testing.T) {
	for text, want := range map[string]string{
		`{"spec":{"metrics":"a"}}`:                          "spec.metrics: a list is needed, not a text",
		`{"spec":{"metrics":[5]}}`:                          "spec.metrics: a mapping is needed, not a number",
		`{"spec":{"metrics":[{"name":true}]}}`:              "spec.metrics.name: a text is needed, not true or false",
		`{"spec":{"measurementRetention":[{"limit":1.5}]}}`: "spec.measurementRetention.limit: a whole number is needed, not the number 1.5",
		`{"spec":{"templates":[{"clusterScope":"yes"}]}}`:   "spec.templates.clusterScope: true or false is needed, not a text",
		`{"spec":[]}`:                                          "spec: a mapping is needed, not a list",
		`{"spec":{"metrics":[{"count":{}}]}}`:                  "",
		`{"spec":{"metrics":[{"provider":{"job":"nothing"}}]}`: "",
	} {
		_, err := manifest.Decode([]byte(text), &v1alpha1.AnalysisTemplate{})
		if err == nil {
			t.Errorf("%s is decoded", text)
			continue
		}
		if got := manifest.Plain(err); want != "" && got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{two, "a: &a [*a]", "{", "? x\n: y", "!!binary x", "<<: [*a]", "--- |\n a\n", "%YAML 1.2\n---\na: b", "\xff\xfe", "- - - -", "a: !!float .inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		objects, _ := manifest.Read([]byte(text))
		for _, o := range objects {
			o.LineOf("spec.metrics[0].name")
			_, _ = manifest.Decode(o.JSON, &v1alpha1.AnalysisTemplate{})
			_, _ = manifest.Decode(o.JSON, &v1alpha1.Rollout{})
		}
	})
}
