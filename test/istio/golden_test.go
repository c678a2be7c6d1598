package istio

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/schema/resource"
	"sigs.k8s.io/yaml"
)

// A golden is a pair of files of the Istio router: what it was given, and what it wrote.
type golden struct {
	given
	written
}

// written is what the check needs of an .out.yaml file.
type written struct {
	// After are the whole objects, as they are after the write.
	After []crd.IstioKind `json:"after"`
	// Error says why the router wrote nothing, or not all.
	Error string `json:"error"`
}

// objects are the VirtualServices and DestinationRules of a golden file, in its order.
type objects []config.Config

func (o objects) virtualServices() []config.Config { return o.of(gvk.VirtualService) }

func (o objects) destinationRules() []config.Config { return o.of(gvk.DestinationRule) }

func (o objects) of(kind config.GroupVersionKind) []config.Config {
	var some []config.Config
	for _, object := range o {
		if object.GroupVersionKind == kind {
			some = append(some, object)
		}
	}
	return some
}

// refusals are the errors that istiod's admission webhook would answer the write with.
func (o objects) refusals() []string {
	var all []string
	for _, object := range o {
		schema, _ := collections.PilotGatewayAPI().FindByGroupVersionAliasesKind(object.GroupVersionKind)
		if _, err := schema.ValidateConfig(object); err != nil {
			all = append(all, fmt.Sprintf("istiod refuses %s: %v", title(object), err))
		}
	}
	return all
}

func title(object config.Config) string {
	return fmt.Sprintf("%s %s/%s", object.GroupVersionKind.Kind, object.Namespace, object.Name)
}

// routing and subsets open a config whose kind is known.
func routing(object config.Config) *networking.VirtualService {
	return object.Spec.(*networking.VirtualService)
}

func subsets(object config.Config) *networking.DestinationRule {
	return object.Spec.(*networking.DestinationRule)
}

// readGolden reads the pair of an .out.yaml file.
func readGolden(t *testing.T, out string) golden {
	t.Helper()
	var g golden
	readYAML(t, strings.TrimSuffix(out, ".out.yaml")+".in.yaml", &g.given)
	readYAML(t, out, &g.written)
	if g.Error != "" {
		g.Split = nil // The weights are not those that the router was asked for.
	}
	return g
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// objects parses what was written.
func (w written) objects() (objects, error) {
	var all objects
	for i := range w.After {
		object, err := parse(&w.After[i])
		if err != nil {
			return nil, err
		}
		all = append(all, object)
	}
	return all, nil
}

// parse makes an object what istiod holds in memory. A field that Istio does not know is
// an error: the API server would drop it.
func parse(object *crd.IstioKind) (config.Config, error) {
	kind := object.GroupVersionKind()
	schema, known := collections.PilotGatewayAPI().FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&kind))
	if !known {
		return config.Config{}, fmt.Errorf("istiod does not know %s", kind)
	}
	if object.Namespace == "" {
		return config.Config{}, fmt.Errorf("%s %s has no namespace", kind.Kind, object.Name)
	}
	strictly := func(schema resource.Schema, text string) (config.Spec, error) {
		spec, err := schema.NewInstance()
		if err != nil {
			return nil, err
		}
		return spec, config.ApplyJSONStrict(spec, text)
	}
	parsed, err := crd.ConvertObjectInternal(schema, object, constants.DefaultClusterLocalDomain, strictly)
	if err != nil {
		return config.Config{}, fmt.Errorf("reading %s %s: %w", kind.Kind, object.Name, err)
	}
	return *parsed, nil
}
