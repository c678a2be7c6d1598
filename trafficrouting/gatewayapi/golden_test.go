package gatewayapi

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// given is the content of an .in.yaml file: a world, and the split to apply to it.
type given struct {
	Rollout v1alpha1.Rollout `json:"rollout"`
	Objects []map[string]any `json:"objects"`
	Split   struct {
		Canary     int32                         `json:"canary"`
		Additional map[string]int32              `json:"additional"`
		Routes     []trafficrouting.ManagedRoute `json:"routes"`
	} `json:"split"`
}

// outcome is what becomes of one object in an .out.yaml file.
type outcome struct {
	Object     string           `json:"object,omitempty"`
	Stray      bool             `json:"stray,omitempty"`
	Canary     int32            `json:"observedCanary"`
	Additional map[string]int32 `json:"observedAdditional,omitempty"`
	Routes     []string         `json:"observedRoutes,omitempty"`
	Waiting    string           `json:"waiting,omitempty"`
	Patch      []string         `json:"patch,omitempty"`
	Nothing    bool             `json:"nothing,omitempty"`
	Error      string           `json:"error,omitempty"`
}

type result struct {
	Error    string           `json:"error,omitempty"`
	Outcomes []outcome        `json:"objects,omitempty"`
	After    []map[string]any `json:"after,omitempty"`
}

func TestTranslateGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("found %d inputs, error %v", len(inputs), err)
	}
	for _, path := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			got, err := yaml.Marshal(resultOf(t, readGiven(t, path)))
			if err != nil {
				t.Fatal(err)
			}
			compareFile(t, strings.TrimSuffix(path, ".in.yaml")+".out.yaml", got)
		})
	}
}

func readGiven(t *testing.T, path string) given {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g given
	if err := yaml.UnmarshalStrict(text, &g); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return g
}

func compareFile(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update and read what it wrote", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func resultOf(t *testing.T, g given) result {
	t.Helper()
	in, err := intentOf(&g.Rollout)
	var res result
	if err != nil {
		res.Error = err.Error()
	}
	split := in.homeSplit()
	split.Canary.Weight, split.Routes = g.Split.Canary, g.Split.Routes
	split.Stable.Weight -= g.Split.Canary
	for service, weight := range g.Split.Additional {
		split.Additional = append(split.Additional, trafficrouting.Backend{Service: service, Weight: weight})
		split.Stable.Weight -= weight
	}
	for _, raw := range g.Objects {
		obj := normal(t, raw)
		r, named := in.named(obj)
		v := in.view(r)
		out := outcomeOf(in, v)
		var todo patch.Patch
		var err error
		switch {
		case named:
			todo, err = in.todo(v, split)
		case v.mine && in.releases(split.Canary.Weight):
			todo, err = in.translate(v, in.homeSplit())
		}
		if out.Nothing, out.Stray = err == nil && todo.Empty(), !named && v.mine; err != nil {
			out.Error = err.Error()
		}
		after, operations := applied(t, obj, todo)
		out.Patch = operations
		res.Outcomes, res.After = append(res.Outcomes, out), append(res.After, after.Object)
	}
	return res
}

// named finds the target that a route is of.
func (in intent) named(obj *unstructured.Unstructured) (route, bool) {
	r := route{obj: obj}
	for _, k := range kinds {
		if k.name == obj.GetKind() {
			r.kind = k
		}
	}
	for _, t := range in.targets {
		selected := t.selector != nil && t.selector.Matches(labels.Set(obj.GetLabels()))
		if t.kind.name == r.kind.name && obj.GetNamespace() == in.namespace && (t.name == obj.GetName() || selected) {
			r.path, r.managed = t.path, t.managed
			return r, true
		}
	}
	return r, false
}

func outcomeOf(in intent, v view) outcome {
	s := in.see(v)
	out := outcome{Object: v.kind.name + " " + v.obj.GetName(), Canary: s.weight, Additional: s.additional}
	for _, r := range s.routes {
		out.Routes = append(out.Routes, encodedLine(r))
	}
	_, out.Waiting = Accepted(v.obj)
	return out
}

func encodedLine(value any) string { return strings.TrimSpace(encoded(value)) }

// normal is an object as it is read from JSON.
func normal(t fatal, raw map[string]any) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON([]byte(encoded(raw))); err != nil {
		t.Fatal(err)
	}
	return obj
}

// applied is an object after a patch, and the operations of the patch without its preconditions.
func applied(t fatal, obj *unstructured.Unstructured, todo patch.Patch) (*unstructured.Unstructured, []string) {
	t.Helper()
	if todo.Empty() {
		return obj, nil
	}
	data, err := todo.Data(obj)
	if err != nil {
		t.Fatal(err)
	}
	var operations []json.RawMessage
	if err := json.Unmarshal(data, &operations); err != nil {
		t.Fatal(err)
	}
	changes := encoded(operations[2:])
	decoded, err := jsonpatch.DecodePatch([]byte(changes))
	if err != nil {
		t.Fatal(err)
	}
	before, err := obj.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	text, err := decoded.Apply(before)
	if err != nil {
		t.Fatalf("applying %s to %s: %v", changes, before, err)
	}
	after := &unstructured.Unstructured{}
	if err := after.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, op := range operations[2:] {
		lines = append(lines, string(op))
	}
	return after, lines
}

// fatal is what a test and a property test have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
