package alb

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

const prefix = DefaultAnnotationPrefix + "/"

var (
	someService = rapid.SampledFrom([]string{"stable", "canary", "root", "old", "images", "vip", "all", "beta", ""})
	someKey     = rapid.OneOf(
		rapid.SampledFrom([]string{
			prefix + "actions.root", prefix + "actions.old", prefix + "actions.vip", prefix + "conditions.vip", prefix + "conditions.beta",
			prefix + "scheme", ManagedAnnotation, v1alpha1.RoutedByAnnotation, legacyAnnotation, "a~b/c",
		}), rapid.StringMatching(`[a-z.]{1,8}(/[a-z.-]{1,8})?`))
	someMark    = rapid.SampledFrom([]string{`{"rollout":"shop/web","stable":"stable","canary":"canary"}`, `{"rollout":"shop/web"}`, `{"rollout":"shop/other"}`})
	someManaged = rapid.SampledFrom([]string{
		`{"web":["` + prefix + `actions.root"]}`, `{"web":["` + prefix + `actions.old"],"other":["x"]}`, `{"web":7}`,
		`{"web":["` + prefix + `actions.root","` + prefix + `actions.vip","` + prefix + `conditions.vip"]}`,
		`{"web":["` + prefix + `actions.beta","` + prefix + `conditions.beta"],"other":["` + prefix + `conditions.all"]}`,
	})
	someText = rapid.OneOf(someMark, someManaged, rapid.Custom(someAction), rapid.Custom(someConditions), rapid.String(),
		rapid.SampledFrom([]string{"", "null", "{}", "[]", `"x"`, `{"Type":"forward"}`}))
)

func someAction(t *rapid.T) string {
	a := action{Type: rapid.SampledFrom([]string{forward, forward, "redirect"}).Draw(t, "type")}
	for range rapid.IntRange(0, 4).Draw(t, "groups") {
		g := targetGroup{ServiceName: someService.Draw(t, "service"), ServicePort: port(rapid.SampledFrom([]string{"80", "http", ""}).Draw(t, "port"))}
		if rapid.IntRange(0, 5).Draw(t, "has weight") > 0 {
			weight := rapid.Int64Range(-1, 1100).Draw(t, "weight")
			g.Weight = &weight
		}
		a.ForwardConfig.TargetGroups = append(a.ForwardConfig.TargetGroups, g)
	}
	return encode(a)
}

func someConditions(t *rapid.T) string {
	var list []condition
	for range rapid.IntRange(0, 3).Draw(t, "conditions") {
		values := rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "values")
		list = append(list, condition{rapid.SampledFrom([]string{httpHeader, "path"}).Draw(t, "field"), httpHeaderConfig{someService.Draw(t, "header"), values}})
	}
	return encode(list)
}

// somePath draws paths that are legal and some that no API server stores.
func somePath(t *rapid.T) map[string]any {
	path := map[string]any{"path": rapid.SampledFrom([]string{"/*", "/", ""}).Draw(t, "path"), "example.com/x": "kept"}
	if rapid.Bool().Draw(t, "typed") {
		path["pathType"] = rapid.SampledFrom([]string{"ImplementationSpecific", "Prefix"}).Draw(t, "type")
	}
	switch rapid.IntRange(0, 5).Draw(t, "backend") {
	case 0:
		path["backend"] = map[string]any{"resource": map[string]any{"kind": "Bucket", "name": "root"}}
	case 1:
		path["backend"] = map[string]any{"service": map[string]any{"name": someService.Draw(t, "service"), "port": map[string]any{"number": 80}}}
	default:
		path["backend"] = map[string]any{"service": map[string]any{
			"name": someService.Draw(t, "service"), "port": map[string]any{"name": useAnnotation}, "unknown": []any{1, nil},
		}}
	}
	if rapid.IntRange(0, 3).Draw(t, "exact") == 0 {
		text := encode(routePath(someService.Draw(t, "route")))
		path = map[string]any{}
		_ = json.Unmarshal([]byte(text), &path)
	}
	return path
}

// someIngress draws the JSON of an Ingress, with fields that no type has.
func someIngress(t *rapid.T) map[string]any {
	annotations := map[string]any{}
	for key, value := range rapid.MapOfN(someKey, someText, 0, 8).Draw(t, "annotations") {
		annotations[key] = value
	}
	if rapid.Bool().Draw(t, "marked") {
		annotations[v1alpha1.RoutedByAnnotation] = someMark.Draw(t, "mark")
		annotations[ManagedAnnotation] = someManaged.Draw(t, "managed")
		annotations[prefix+"actions.root"] = someAction(t)
	}
	rules := []any{}
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		rule := map[string]any{"host": "a.local", "later": map[string]any{"x": 1.5}}
		if rapid.IntRange(0, 4).Draw(t, "HTTP") > 0 {
			paths := []any{}
			for range rapid.IntRange(1, 4).Draw(t, "paths") {
				paths = append(paths, somePath(t))
			}
			rule["http"] = map[string]any{"paths": paths, "more": "kept"}
		}
		rules = append(rules, rule)
	}
	meta := map[string]any{"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7", "other": true}
	if len(annotations) > 0 {
		meta["annotations"] = annotations
	}
	return map[string]any{"metadata": meta, "spec": map[string]any{"rules": rules, "unknown": "kept"}, "status": map[string]any{"x": 1}}
}

// someIntent draws a spec that can be served.
func someIntent(t *rapid.T) intent {
	ro := rollout("web")
	withRoute(ro, "vip", header("X", "a"), header("Y", "<b>"), header("x", "c"))
	withRoute(ro, "all", header("X", rapid.StringN(1, 20, 128).Draw(t, "value")))
	if rapid.Bool().Draw(t, "sticky") {
		ro.Spec.Strategy.Canary.TrafficRouting.ALB.StickinessConfig = &v1alpha1.StickinessConfig{Enabled: true, DurationSeconds: 60}
	}
	in, err := intentOf(ro)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func someSplit(t *rapid.T, in intent) trafficrouting.Split {
	seen := trafficrouting.Observed{CanaryWeight: rapid.Int32Range(0, total).Draw(t, "canary")}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"exp-b", "exp-a"}), 0, 2, rapid.ID).Draw(t, "additional") {
		weight := rapid.Int32Range(0, (total-seen.CanaryWeight)/2).Draw(t, "weight of "+name)
		seen.Additional = append(seen.Additional, trafficrouting.Backend{Service: name, Weight: weight})
	}
	for _, step := range in.rollout.Spec.Strategy.Canary.Steps {
		if rapid.Bool().Draw(t, "route") {
			seen.Routes = append(seen.Routes, trafficrouting.ManagedRoute{Name: step.SetHeaderRoute.Name, Headers: step.SetHeaderRoute.Match})
		}
	}
	return in.splitAt(seen)
}

// TestTranslateProperties says what holds for every split and whatever somebody did to an Ingress.
func TestTranslateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkTranslate)
}

func FuzzTranslate(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkTranslate))
}

func checkTranslate(t *rapid.T) {
	in, raw := someIntent(t), someIngress(t)
	split := someSplit(t, in)
	h := in.holding(decoded(t, raw), true)
	if seen := in.observed(h); seen.CanaryWeight < 0 || seen.CanaryWeight > total {
		t.Fatalf("observed %+v", seen)
	}
	if _, err := in.together([]held{h}, nil); err != nil && !strings.Contains(err.Error(), "web") {
		t.Fatal(err)
	}
	todo, err := in.translate(in.targets[0], h, split)
	if err != nil {
		return
	}
	after := changed(t, h, todo, raw)
	checkRest(t, h, raw, after)
	again := in.holding(decoded(t, after), true)
	if second, err := in.translate(in.targets[0], again, split); err != nil || !second.Empty() {
		t.Fatalf("a second time: %+v, error %v", second, err)
	}
	seen, err := in.together([]held{again}, nil)
	want := trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: split.Canary.Weight, Additional: sorted(split.Additional), Routes: split.Routes}
	if diff := cmp.Diff(want, seen); diff != "" || err != nil {
		t.Fatalf("observed after writing, error %v (-want +got):\n%s", err, diff)
	}
	a, ok := readAction(again.Annotations[in.key(actions, in.root())])
	sum := int64(0)
	for _, g := range a.ForwardConfig.TargetGroups {
		sum += g.share()
	}
	if !ok || sum != total {
		t.Fatalf("weights of %+v sum to %d", a, sum)
	}
}

// TestGivingBackProperties says what holds when an Ingress is released, whatever it carries.
func TestGivingBackProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, checkGivingBack)
}

func FuzzGiveBack(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkGivingBack))
}

func checkGivingBack(t *rapid.T) {
	in, err := intentOf(&v1alpha1.Rollout{ObjectMeta: rollout().ObjectMeta})
	if err != nil {
		t.Fatal(err)
	}
	raw := someIngress(t)
	h := in.holding(decoded(t, raw), false)
	for _, fate := range []fate{emptied, released} {
		todo, err := in.giveBack(h, fate)
		if err != nil {
			if in.awayFrom(h) != total {
				t.Fatalf("an Ingress that is away by %d cannot be brought home: %v", in.awayFrom(h), err)
			}
			return
		}
		after := changed(t, h, todo, raw)
		checkRest(t, h, raw, after)
		again := in.holding(decoded(t, after), false)
		if in.shares(again) {
			t.Fatalf("fate %d: still shares requests: %+v", fate, again.Annotations)
		}
		if second, err := in.giveBack(again, fate); err != nil || !second.Empty() {
			t.Fatalf("fate %d a second time: %+v, error %v", fate, second, err)
		}
		if keys := Keys(again); fate == released && slices.Contains(keys, "shop/web") {
			t.Fatalf("it still answers to %q", keys)
		}
	}
}

func decoded(t *rapid.T, raw map[string]any) *networkingv1.Ingress {
	var ingress networkingv1.Ingress
	if err := json.Unmarshal([]byte(encode(raw)), &ingress); err != nil {
		t.Fatal(err)
	}
	return &ingress
}

// changed is the JSON as the API server stores it after a patch.
func changed(t *rapid.T, h held, todo patch.Patch, raw map[string]any) map[string]any {
	if todo.Empty() {
		return raw
	}
	data, err := todo.Data(h.Ingress)
	if err != nil {
		t.Fatal(err)
	}
	operations, err := jsonpatch.DecodePatch(data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := operations.Apply([]byte(encode(raw)))
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	var after map[string]any
	if err := json.Unmarshal(text, &after); err != nil {
		t.Fatal(err)
	}
	return after
}

// checkRest compares everything that is not the router's.
func checkRest(t *rapid.T, h held, before, after map[string]any) {
	if diff := cmp.Diff(rest(t, h, before), rest(t, h, after)); diff != "" {
		t.Fatalf("what is not ours changed (-before +after):\n%s", diff)
	}
}

func rest(t *rapid.T, h held, raw map[string]any) map[string]any {
	var copied map[string]any
	if err := json.Unmarshal([]byte(encode(raw)), &copied); err != nil {
		t.Fatal(err)
	}
	meta := copied["metadata"].(map[string]any)
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		maps.DeleteFunc(annotations, func(key string, _ any) bool {
			_, name := parts(key)
			return key == ManagedAnnotation || key == v1alpha1.RoutedByAnnotation || key == legacyAnnotation ||
				slices.Contains(h.actions, key) || slices.Contains(h.routes, name)
		})
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	for _, rule := range copied["spec"].(map[string]any)["rules"].([]any) {
		http, ok := rule.(map[string]any)["http"].(map[string]any)
		if !ok {
			continue
		}
		paths := slices.DeleteFunc(http["paths"].([]any), func(path any) bool {
			var typed networkingv1.HTTPIngressPath
			_ = json.Unmarshal([]byte(encode(path)), &typed)
			return slices.Contains(h.routes, actionIn(typed)) && actionIn(typed) != ""
		})
		if http["paths"] = paths; len(paths) == 0 {
			delete(rule.(map[string]any), "http")
		}
	}
	return copied
}
