package ambassador

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// This file has the bug reports of the incumbent, and what the tables do not say.

func splitOf(weight int32) trafficrouting.Split {
	return trafficrouting.Split{
		MaxWeight: 100,
		Stable:    trafficrouting.Backend{Service: "stable", Weight: 100 - weight},
		Canary:    trafficrouting.Backend{Service: "canary", Weight: weight},
	}
}

func apply(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, weight int32) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(weight))
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func observe(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout) trafficrouting.Observed {
	t.Helper()
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// stored is a Mapping as the world has it; nil when it is gone.
func stored(t *testing.T, w *routertest.World, kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	t.Helper()
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(kind)
	err := w.Direct.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The canary Mapping had no scheme and no namespace, so that TLS and other namespaces did not work (3593, 1417).
func TestArgo3593And1417TheCanaryMappingKeepsSchemeNamespaceAndPort(t *testing.T) {
	for address, want := range map[string]string{
		"stable":                            "canary",
		"stable:8080":                       "canary:8080",
		"https://stable":                    "https://canary",
		"stable.shop:80":                    "canary.shop:80",
		"http://stable.shop.svc:80":         "http://canary.shop.svc:80",
		"https://stable.shop/stable/stable": "https://canary.shop/stable/stable",
	} {
		if got, ok := replaced(address, "stable", "canary"); got != want || !ok {
			t.Errorf("%q becomes %q, want %q", address, got, want)
		}
	}
	for _, address := range []string{"", "unstable", "stable-v2", "shop.stable", "https://", "https://shop/stable", "://", "Stable", "stable_2"} {
		if got, ok := replaced(address, "stable", "canary"); ok {
			t.Errorf("%q becomes %q, want it refused", address, got)
		}
	}
}

// The incumbent sets weight 0, sleeps five seconds in its worker, and deletes (1128). Here the second call
// deletes: what was observed says that it is due, and nothing waits.
func TestArgo1128TheEndOfARolloutIsTwoWritesAndNoSleep(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web")), rollout("web")
	apply(t, w, ro, 50)
	w.Writes()
	for _, c := range []struct {
		seen    trafficrouting.Observed // before
		writes  []string
		changes []trafficrouting.Change
	}{
		{
			trafficrouting.Observed{Exists: true, CanaryWeight: 50, InSync: true},
			[]string{"patch web-canary"},
			[]trafficrouting.Change{{Reason: "CanaryMappingWeightUpdate", Message: "Set canary mapping `web-canary` weight to 0"}},
		},
		{
			trafficrouting.Observed{Exists: true},
			[]string{"delete web-canary"},
			[]trafficrouting.Change{{Reason: "CanaryMappingDeleted", Message: "Deleting canary mapping `web-canary`"}},
		},
		{trafficrouting.Observed{Exists: true, InSync: true}, nil, nil},
	} {
		if seen := observe(t, w, ro); !reflect.DeepEqual(seen, c.seen) {
			t.Errorf("observed %+v, want %+v", seen, c.seen)
		}
		if diff := cmp.Diff(c.changes, apply(t, w, ro, 0)); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(c.writes, w.Writes()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
	}
}

// Hosts of Emissary choose Mappings by label, and since 3.8 Mappings that different Hosts choose share no
// traffic (emissary 4170): without its labels a canary Mapping has a weight of something else.
func TestEmissary4170TheCanaryMappingHasTheLabelsByWhichAHostChoosesIt(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web")), rollout("web")
	apply(t, w, ro, 20)
	if got := stored(t, w, v3alpha1, "web-canary").GetLabels(); !reflect.DeepEqual(got, map[string]string{"host": "shop"}) {
		t.Errorf("labels %v", got)
	}
}

// The incumbent leaves no owner, so that a deleted Rollout leaves its canary Mapping with its traffic.
func TestTheCanaryMappingGoesWithItsRollout(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web")), rollout("web")
	apply(t, w, ro, 20)
	if !metav1.IsControlledBy(stored(t, w, v3alpha1, "web-canary"), ro) {
		t.Error("it has no owner")
	}
}

func TestTheNewestKindThatTheClusterServesIsUsed(t *testing.T) {
	v2 := schema.GroupVersionKind{Group: "getambassador.io", Version: "v2", Kind: "Mapping"}
	old := schema.GroupVersionKind{Group: "x.getambassador.io", Version: "v3alpha1", Kind: "AmbassadorMapping"}
	for _, c := range []struct {
		name   string
		served []schema.GroupVersionKind
		want   schema.GroupVersionKind
	}{
		{"Ambassador 1", []schema.GroupVersionKind{v2}, v2},
		{"Emissary", []schema.GroupVersionKind{v2, v3alpha1}, v3alpha1},
		{"the preview of Emissary", []schema.GroupVersionKind{old}, old},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := base("web")
			web.SetGroupVersionKind(c.want)
			only := kinds()
			only.Foreign = c.served
			w, ro := routertest.NewWorld(t, only, web), rollout("web")
			apply(t, w, ro, 20)
			if stored(t, w, c.want, "web-canary") == nil {
				t.Error("there is no canary Mapping")
			}
		})
	}
}

func TestAKindThatIsNotServedIsNamedAsUsersKnowIt(t *testing.T) {
	none := kinds()
	none.Foreign = nil
	w := routertest.NewWorld(t, none)
	_, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: rollout("web")})
	var got *field.Error
	if !errors.As(err, &got) || !strings.Contains(got.Detail, "Mapping (getambassador.io)") {
		t.Errorf("error %v", err)
	}
}

func TestACanaryMappingThatAFinalizerHoldsIsDeletedOnce(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web")), rollout("web")
	apply(t, w, ro, 20)
	held := stored(t, w, v3alpha1, "web-canary")
	held.SetFinalizers([]string{"example.com/hold"})
	if err := w.Direct.Update(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	w.Writes()
	for range 3 {
		apply(t, w, ro, 0)
	}
	if diff := cmp.Diff([]string{"patch web-canary", "delete web-canary"}, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if seen := observe(t, w, ro); !seen.InSync {
		t.Errorf("observed %+v, want it in sync: there is nothing left to do", seen)
	}
}

// lagging shows a Mapping as it was when the cache last saw it.
type lagging struct {
	client.Client

	seen *unstructured.Unstructured
}

func (l lagging) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if key.Name == l.seen.GetName() {
		l.seen.DeepCopyInto(obj.(*unstructured.Unstructured))
		return nil
	}
	return l.Client.Get(ctx, key, obj, opts...)
}

// What an instance does that lost its lease without noticing: its cache still shows no traffic.
func TestADeletionDecidedBeforeAnotherInstanceGaveItTrafficIsRefused(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web")), rollout("web")
	apply(t, w, ro, 20)
	apply(t, w, ro, 0)
	stale := New(lagging{w.Client, stored(t, w, v3alpha1, "web-canary")})
	apply(t, w, ro, 40)
	if _, err := stale.Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(0)); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	if seen := observe(t, w, ro); seen.CanaryWeight != 40 {
		t.Errorf("observed %+v, want weight 40", seen)
	}
}

func TestWhatWasMadeWaitsForThePlannerWhereThereIsNoRouterAnyMore(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web")), rollout("web")
	apply(t, w, ro, 50)
	w.Writes()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	for _, weight := range []int32{20, 0, 0, 0} {
		apply(t, w, ro, weight)
		if weight > 0 && len(w.Writes()) > 0 {
			t.Error("it was taken while pods share the traffic that it has")
		}
	}
	if diff := cmp.Diff([]string{"patch web-canary", "delete web-canary"}, w.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if seen := observe(t, w, ro); !reflect.DeepEqual(seen, trafficrouting.Observed{InSync: true}) {
		t.Errorf("observed %+v", seen)
	}
}

func TestAWeightReachesTheOthersWhenOneMappingFails(t *testing.T) {
	w, ro := routertest.NewWorld(t, kinds(), base("web"), base("api"), base("admin")), rollout("web", "api", "admin")
	apply(t, w, ro, 50)
	refusal := errors.New("quota exceeded")
	w.Fail = func(obj client.Object) error {
		if obj.GetName() == "api-canary" {
			return refusal
		}
		return nil
	}
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(0))
	if !errors.Is(err, refusal) || len(changes) != 2 {
		t.Errorf("error %v, changes %v, want the refusal and a change for each of the others", err, changes)
	}
	if seen := observe(t, w, ro); seen.CanaryWeight != 50 || seen.InSync {
		t.Errorf("observed %+v, want the largest weight, out of sync", seen)
	}
}

func TestASplitThatIsNotForThisRolloutIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*trafficrouting.Split){
		"another stable Service": func(s *trafficrouting.Split) { s.Stable.Service = "other" },
		"sides exchanged":        func(s *trafficrouting.Split) { s.Stable, s.Canary = s.Canary, s.Stable },
		"another total":          func(s *trafficrouting.Split) { s.MaxWeight, s.Stable.Weight = 1000, 980 },
		"a managed route":        func(s *trafficrouting.Split) { s.Routes = []trafficrouting.ManagedRoute{{Name: "beta"}} },
		"a side of an Experiment": func(s *trafficrouting.Split) {
			s.Additional = []trafficrouting.Backend{{Service: "a", Weight: 5}}
			s.Stable.Weight -= 5
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t, kinds(), base("web"))
			split := splitOf(20)
			spoil(&split)
			if _, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: rollout("web")}, split); err == nil {
				t.Error("no error, want one")
			}
			if writes := w.Writes(); len(writes) > 0 {
				t.Errorf("wrote %v, want nothing", writes)
			}
		})
	}
}

func TestAnUnusableSpecIsAnErrorOfItsField(t *testing.T) {
	ten := int32(10)
	for _, c := range []struct {
		name  string
		spoil func(*v1alpha1.CanaryStrategy)
		field string
	}{
		{"no stable Service", func(c *v1alpha1.CanaryStrategy) { c.StableService = "" }, "stableService"},
		{"no canary Service", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "" }, "canaryService"},
		{"one Service for both", func(c *v1alpha1.CanaryStrategy) { c.CanaryService = "stable" }, "canaryService"},
		{"another total", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.MaxTrafficWeight = &ten }, "trafficRouting.maxTrafficWeight"},
		{"a Mapping without a name", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.Ambassador.Mappings = []string{"web", ""} }, "trafficRouting.ambassador.mappings[1]"},
		{"a Mapping named twice", func(c *v1alpha1.CanaryStrategy) { c.TrafficRouting.Ambassador.Mappings = []string{"web", "web"} }, "trafficRouting.ambassador.mappings[1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := rollout("web")
			c.spoil(ro.Spec.Strategy.Canary)
			_, err := New(routertest.NewWorld(t, kinds(), base("web")).Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
			var got *field.Error
			if !errors.As(err, &got) {
				t.Fatalf("error %v, want a *field.Error", err)
			}
			if want := "spec.strategy.canary." + c.field; got.Field != want {
				t.Errorf("field %s, want %s", got.Field, want)
			}
		})
	}
}

func TestStepsThatRemoveAskForNothing(t *testing.T) {
	ro := rollout("web")
	ro.Spec.Strategy.Canary.Steps = []v1alpha1.CanaryStep{
		{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Name: "a"}}, {SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "a"}},
	}
	if _, err := intentOf(ro); err != nil {
		t.Error(err)
	}
}

func TestCanaryMappingNameIsAlwaysAValidName(t *testing.T) {
	for _, c := range []struct{ name, mapping, want string }{
		{"a short name gets the suffix", "web", "web-canary"},
		{"a long name is cut", strings.Repeat("a", 253), strings.Repeat("a", 246) + "-canary"},
		{"a cut after a dot drops the dot", strings.Repeat("a", 245) + ".example", strings.Repeat("a", 245) + "-canary"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := CanaryMappingName(c.mapping)
			if got != c.want {
				t.Errorf("name %q, want %q", got, c.want)
			}
			if problems := validation.IsDNS1123Subdomain(got); len(problems) > 0 {
				t.Errorf("name %q: %v", got, problems)
			}
		})
	}
}

func TestNamesListsTheMappingsAndTheirCanaries(t *testing.T) {
	want := []string{"shop/web", "shop/web-canary", "shop/api", "shop/api-canary"}
	if got := Names(rollout("web", "api")); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if got := Names(&v1alpha1.Rollout{}); got != nil {
		t.Errorf("names %q of a Rollout without Ambassador, want none", got)
	}
}
