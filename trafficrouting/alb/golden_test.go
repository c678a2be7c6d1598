package alb

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// given is the content of an .in.yaml file: a world, and the split to make true in it. A missing
// split is that of a Rollout that is gone.
type given struct {
	Rollout v1alpha1.Rollout  `json:"rollout"`
	Objects []json.RawMessage `json:"objects"`
	Split   *wanted           `json:"split"`
}

type wanted struct {
	Canary     int32            `json:"canary"`
	Additional map[string]int32 `json:"additional"`
	Routes     []string         `json:"routes"` // in force, as the steps say them
}

// outcome is what one object comes to.
type outcome struct {
	Ingress  string           `json:"ingress"`
	Observed *view            `json:"observed,omitempty"`
	Patch    []map[string]any `json:"patch,omitempty"`
	Nothing  bool             `json:"nothing,omitempty"`
	Error    string           `json:"error,omitempty"`
}

// view is an observation without what is empty.
type view struct {
	Missing      bool             `json:"missing,omitempty"`
	CanaryWeight int32            `json:"canaryWeight"`
	Additional   map[string]int32 `json:"additional,omitempty"`
	Routes       []string         `json:"routes,omitempty"`
}

type result struct {
	Error    string            `json:"error,omitempty"`
	Outcomes []outcome         `json:"outcomes,omitempty"`
	After    []json.RawMessage `json:"after,omitempty"`
}

func TestTranslateGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("found %d inputs, error %v", len(inputs), err)
	}
	for _, path := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			var g given
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict(text, &g); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			got, err := yaml.Marshal(g.result(t))
			if err != nil {
				t.Fatal(err)
			}
			compareFile(t, strings.TrimSuffix(path, ".in.yaml")+".out.yaml", got)
		})
	}
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

func (g given) split(in intent) trafficrouting.Split {
	if g.Split == nil {
		return trafficrouting.Split{}
	}
	seen := trafficrouting.Observed{CanaryWeight: g.Split.Canary}
	for service, weight := range g.Split.Additional {
		seen.Additional = append(seen.Additional, trafficrouting.Backend{Service: service, Weight: weight})
	}
	for _, name := range g.Split.Routes {
		for _, step := range in.rollout.Spec.Strategy.Canary.Steps {
			if step.SetHeaderRoute != nil && step.SetHeaderRoute.Name == name {
				seen.Routes = append(seen.Routes, trafficrouting.ManagedRoute{Name: name, Headers: step.SetHeaderRoute.Match})
			}
		}
	}
	return in.splitAt(seen)
}

func (g given) result(t *testing.T) result {
	t.Helper()
	in, err := intentOf(&g.Rollout)
	var res result
	if err != nil {
		res.Error = err.Error()
	}
	split := g.split(in)
	for _, raw := range g.Objects {
		var read networkingv1.Ingress
		if err := json.Unmarshal(raw, &read); err != nil {
			t.Fatal(err)
		}
		one, todo := in.outcome(&read, split)
		one.Patch, raw = patched(t, &read, todo, raw)
		one.Nothing = one.Error == "" && one.Patch == nil
		res.Outcomes, res.After = append(res.Outcomes, one), append(res.After, raw)
	}
	return res
}

// outcome does what the router does with one Ingress that it read.
func (in intent) outcome(read *networkingv1.Ingress, split trafficrouting.Split) (outcome, patch.Patch) {
	at := slices.IndexFunc(in.targets, func(t target) bool { return t.name == read.Name })
	h := in.holding(read, at >= 0)
	one := outcome{Ingress: read.Name}
	var todo patch.Patch
	var err error
	if at >= 0 {
		seen := in.observed(h)
		one.Observed = &view{Missing: !seen.Exists, CanaryWeight: seen.CanaryWeight}
		for _, side := range seen.Additional {
			if one.Observed.Additional == nil {
				one.Observed.Additional = map[string]int32{}
			}
			one.Observed.Additional[side.Service] = side.Weight
		}
		for _, route := range seen.Routes {
			one.Observed.Routes = append(one.Observed.Routes, route.Name)
		}
		todo, err = in.translate(in.targets[at], h, split)
	} else {
		one.Observed = &view{CanaryWeight: in.awayFrom(h)}
		if fate := in.fateOf(h, split.Canary.Weight); fate != left {
			todo, err = in.giveBack(h, fate)
		}
	}
	if err != nil {
		one.Error = err.Error()
	}
	return one, todo
}

// patched is an object as the API server stores it after the patch, and what the patch says.
func patched(t testing.TB, read *networkingv1.Ingress, todo patch.Patch, raw []byte) ([]map[string]any, []byte) {
	t.Helper()
	if todo.Empty() {
		return nil, raw
	}
	data, err := todo.Data(read)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := jsonpatch.DecodePatch(data)
	if err != nil {
		t.Fatal(err)
	}
	after, err := operations.Apply(raw)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	var said []map[string]any
	if err := json.Unmarshal(data, &said); err != nil {
		t.Fatal(err)
	}
	return said, after
}
