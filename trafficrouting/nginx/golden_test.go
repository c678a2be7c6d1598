package nginx

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// given is the content of an .in.yaml file: a world, and what to give the canary in it.
type given struct {
	CanaryWeight int32 `json:"canaryWeight"`
	// Routes are the header routes in force, as the steps that set them.
	Routes    []v1alpha1.SetHeaderRoute `json:"routes,omitempty"`
	Rollout   v1alpha1.Rollout          `json:"rollout"`
	Ingresses []networkingv1.Ingress    `json:"ingresses"`
}

// outcome is what one target comes to in an .out.yaml file.
type outcome struct {
	Ingress  string `json:"ingress,omitempty"`
	Observed *int32 `json:"observedWeight,omitempty"`
	// Routes are the observed ones, as the steps that set them.
	Routes  []v1alpha1.SetHeaderRoute `json:"observedRoutes,omitempty"`
	Create  map[string]any            `json:"create,omitempty"`
	Patch   map[string]any            `json:"patch,omitempty"`
	Nothing bool                      `json:"nothing,omitempty"`
	Error   string                    `json:"error,omitempty"`
}

func TestTranslateGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("found %d inputs, error %v", len(inputs), err)
	}
	for _, path := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			got, err := yaml.Marshal(outcomes(t, readGiven(t, path)))
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

func outcomes(t *testing.T, g given) []outcome {
	t.Helper()
	in, err := intentOf(&g.Rollout)
	if err != nil {
		return []outcome{{Error: err.Error()}}
	}
	all := make([]outcome, 0, len(in.targets))
	for _, target := range in.targets {
		p := g.pair(target)
		todo, err := in.translate(p, in.splitAt(g.CanaryWeight, routesOf(g.Routes)...))
		out := outcome{Ingress: target.name, Nothing: err == nil && todo.empty()}
		if p.canary != nil {
			weight := in.observedWeight(p.canary)
			out.Observed = &weight
			routes, _ := in.observedRoutes(p.canary)
			out.Routes = stepsOf(routes)
		}
		switch {
		case err != nil:
			out.Error = err.Error()
		case todo.create != nil:
			out.Create = asMap(t, todo.create)
		case todo.patch != nil:
			if err := json.Unmarshal(todo.patch, &out.Patch); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, out)
	}
	return all
}

func (g given) pair(target target) pair {
	p := pair{target: target}
	for i := range g.Ingresses {
		switch g.Ingresses[i].Name {
		case target.name:
			p.stable = &g.Ingresses[i]
		case CanaryIngressName(g.Rollout.Name, target.name):
			p.canary = &g.Ingresses[i]
		}
	}
	return p
}

func routesOf(steps []v1alpha1.SetHeaderRoute) []trafficrouting.ManagedRoute {
	var routes []trafficrouting.ManagedRoute
	for _, step := range steps {
		routes = append(routes, trafficrouting.ManagedRoute{Name: step.Name, Headers: step.Match})
	}
	return routes
}

func stepsOf(routes []trafficrouting.ManagedRoute) []v1alpha1.SetHeaderRoute {
	var steps []v1alpha1.SetHeaderRoute
	for _, route := range routes {
		steps = append(steps, v1alpha1.SetHeaderRoute{Name: route.Name, Match: route.Headers})
	}
	return steps
}

func asMap(t *testing.T, ingress *networkingv1.Ingress) map[string]any {
	t.Helper()
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ingress)
	if err != nil {
		t.Fatal(err)
	}
	delete(m, "status")
	return m
}
