package istio

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	clientv1 "istio.io/client-go/pkg/apis/networking/v1"
	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	clientv1beta1 "istio.io/client-go/pkg/apis/networking/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// tester is what tests and properties have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var update = flag.Bool("update", false, "rewrite the golden files")

// given is the content of an .in.yaml file: a world, and the split to make of it.
type given struct {
	Rollout v1alpha1.Rollout `json:"rollout"`
	Objects []map[string]any `json:"objects"`
	Split   givenSplit       `json:"split"`
}

type givenSplit struct {
	Stable     int32            `json:"stable"`
	Canary     int32            `json:"canary"`
	Additional map[string]int32 `json:"additional,omitempty"`
	// Hashes are by side: stable, canary, and the Services of the additional ones.
	Hashes map[string]string             `json:"hashes,omitempty"`
	Routes []trafficrouting.ManagedRoute `json:"routes,omitempty"`
}

// outcome is what comes of it, in an .out.yaml file.
type outcome struct {
	Observed string         `json:"observed,omitempty"`
	Writes   []outcomeWrite `json:"writes,omitempty"`
	// Waits is set when something is left for the next time, because it is not safe yet.
	Waits  bool             `json:"waits,omitempty"`
	Errors []string         `json:"errors,omitempty"`
	After  []map[string]any `json:"after,omitempty"`
}

type outcomeWrite struct {
	Object string   `json:"object"`
	Event  string   `json:"event"`
	Patch  []string `json:"patch"`
}

func TestTranslateGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("found %d inputs, error %v", len(inputs), err)
	}
	for _, path := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			g := readGiven(t, path)
			out := g.outcome(t)
			for _, obj := range out.After {
				decodeStrictly(t, obj)
			}
			got, err := yaml.Marshal(out)
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

// outcome plans the split twice: the second time nothing may be left but what had to wait.
func (g given) outcome(t *testing.T) outcome {
	t.Helper()
	in, err := intentOf(&g.Rollout)
	if err != nil {
		return outcome{Errors: []string{err.Error()}}
	}
	objects := g.objects(t)
	w := worldOf(in, objects)
	out := outcome{Observed: say(in.observed(w))}
	for _, failure := range w.failures {
		out.Errors = append(out.Errors, failure.Error())
	}
	split := g.split(in)
	if err := in.checkSplit(split); err != nil {
		out.Errors = append(out.Errors, err.Error())
		return out
	}
	stages, err := in.plan(w, split)
	if err != nil {
		out.Errors = append(out.Errors, err.Error())
	}
	out.Writes = run(t, stages, objects)
	if len(out.Errors) == 0 {
		stages, err := in.plan(worldOf(in, objects), split)
		left := run(t, stages, objects)
		out.Waits = len(left) > 0
		if stages, _ := in.plan(worldOf(in, objects), split); err != nil || len(run(t, stages, objects)) > 0 {
			t.Errorf("a third time it would write again: %+v, error %v", stages, err)
		}
	}
	for _, obj := range objects {
		if len(out.Errors) == 0 {
			out.After = append(out.After, stripped(obj))
		}
	}
	return out
}

// say is what was observed before the write, as a sentence.
func say(seen trafficrouting.Observed) string {
	text := fmt.Sprintf("canary=%d", seen.CanaryWeight)
	for _, side := range seen.Additional {
		text += fmt.Sprintf(" %s=%d", side.Service, side.Weight)
		if side.Hash != "" {
			text += " of " + side.Hash
		}
	}
	for _, route := range seen.Routes {
		switch {
		case matchless(route):
			text += fmt.Sprintf(", route %s as nobody wrote it", route.Name)
		case route.Mirrors():
			text += fmt.Sprintf(", route %s mirrors %d%%", route.Name, route.Percentage)
		default:
			text += fmt.Sprintf(", route %s by headers", route.Name)
		}
	}
	if s := seen.Selects; s != nil {
		text += fmt.Sprintf(", selects %q and %q", s.Stable, s.Canary)
	}
	if !seen.InSync {
		text += ", not in sync"
	}
	return text
}

func (g given) objects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, content := range g.Objects {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		obj := parseObject(t, text)
		if obj.GetNamespace() == "" {
			t.Fatalf("%s has no namespace", obj.GetName())
		}
		all = append(all, obj)
	}
	return all
}

// parseObject reads JSON as the API machinery does: whole numbers are int64.
func parseObject(t tester, text []byte) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(text, &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

func (g given) split(in intent) trafficrouting.Split {
	split := trafficrouting.Split{
		MaxWeight: total,
		Stable:    trafficrouting.Backend{Service: in.sides.stable, Hash: g.Split.Hashes["stable"], Weight: g.Split.Stable},
		Canary:    trafficrouting.Backend{Service: in.sides.canary, Hash: g.Split.Hashes["canary"], Weight: g.Split.Canary},
		Routes:    g.Split.Routes,
	}
	for _, service := range sortedKeys(g.Split.Additional) {
		split.Additional = append(split.Additional, trafficrouting.Backend{
			Service: service, Hash: g.Split.Hashes[service], Weight: g.Split.Additional[service],
		})
	}
	return split
}

// worldOf is what a router would see of the objects.
func worldOf(in intent, objects []*unstructured.Unstructured) world {
	var w world
	find := func(kind, namespace, name string) *unstructured.Unstructured {
		for _, obj := range objects {
			if obj.GetKind() == kind && obj.GetNamespace() == namespace && obj.GetName() == name {
				return obj
			}
		}
		return nil
	}
	fail := func(err error) {
		if err != nil {
			w.failures = append(w.failures, err)
		}
	}
	for _, t := range in.targets {
		obj := find("VirtualService", t.key.Namespace, t.key.Name)
		if obj == nil {
			w.named = append(w.named, named{target: t, state: missing})
			continue
		}
		n, err := in.judge(t, obj)
		fail(err)
		w.named = append(w.named, n)
	}
	if in.rule != nil {
		w.rule = &namedRule{}
		if obj := find("DestinationRule", in.rollout.Namespace, in.rule.Name); obj != nil {
			rule, err := in.judgeRule(obj)
			fail(err)
			w.rule = &rule
		}
	}
	fail(in.checkHTTP(w))
	for _, obj := range objects {
		switch {
		case !recordOf(obj, in.rollout).marked:
		case obj.GetKind() == "VirtualService":
			w.addStray(in, obj)
		default:
			w.addStrayRule(in, obj)
		}
	}
	return w
}

// run carries the stages out, and returns what it wrote.
func run(t tester, stages []stage, objects []*unstructured.Unstructured) []outcomeWrite {
	t.Helper()
	var all []outcomeWrite
	for _, s := range stages {
		for _, w := range s.writes {
			done := outcomeWrite{
				Object: fmt.Sprintf("%s %s/%s", w.obj.GetKind(), w.obj.GetNamespace(), w.obj.GetName()),
				Event:  w.change.Reason + ": " + w.change.Message,
			}
			data, err := w.patch.Data(w.obj)
			if err != nil {
				t.Fatal(err)
			}
			done.Patch = lines(t, data)
			after := patched(t, w.obj, data)
			for i := range objects {
				if objects[i] == w.obj {
					objects[i] = after
				}
			}
			all = append(all, done)
		}
		if s.blocked {
			break
		}
	}
	return all
}

// patched is an object after a patch, as the API server would store it.
func patched(t tester, obj *unstructured.Unstructured, data []byte) *unstructured.Unstructured {
	t.Helper()
	before, err := json.Marshal(obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := jsonpatch.DecodePatch(data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := operations.Apply(before)
	if err != nil {
		t.Fatalf("applying %s to %s: %v", data, before, err)
	}
	return parseObject(t, text)
}

// lines are the operations of a patch without its preconditions.
func lines(t tester, data []byte) []string {
	t.Helper()
	var operations []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(data, &operations); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, op := range operations {
		if op.Path != "/metadata/uid" && op.Path != "/metadata/resourceVersion" {
			all = append(all, strings.TrimSpace(op.Op+" "+op.Path+" "+string(op.Value)))
		}
	}
	return all
}

func stripped(obj *unstructured.Unstructured) map[string]any {
	metadata, _ := obj.Object["metadata"].(map[string]any)
	delete(metadata, "uid")
	delete(metadata, "resourceVersion")
	if annotations, ok := metadata["annotations"].(map[string]any); ok && len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	return obj.Object
}

// decodeStrictly reads an object with Istio's own client types: a member that they do not know is an
// error, as is one of another type. Objects with members of a later Istio are named so.
func decodeStrictly(t *testing.T, obj map[string]any) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientv1.AddToScheme, clientv1beta1.AddToScheme, clientv1alpha3.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	typed, _, err := strict.Decode(text, nil, nil)
	if err != nil {
		t.Fatalf("Istio's types do not read %s: %v", text, err)
	}
	again, err := json.Marshal(typed)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(again, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(normal(t, obj["spec"]), normal(t, back["spec"])); diff != "" {
		t.Errorf("Istio's types read something else (-as written +as read):\n%s", diff)
	}
}

// normal is a value as JSON has it, without weights of 0, which Istio's types leave out.
func normal(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	return withoutZeros(plain)
}

func withoutZeros(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			if key == "weight" && member == 0.0 || key == "value" && member == 0.0 {
				delete(value, key)
				continue
			}
			value[key] = withoutZeros(member)
		}
	case []any:
		for i := range value {
			value[i] = withoutZeros(value[i])
		}
	}
	return value
}
