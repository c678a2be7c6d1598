package traefik

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

// Reports of users of argo-rollouts, by number.

// An apply from Git leaves entries without weights, which Traefik serves evenly. It is seen for what it is.
func TestArgo2185AnApplyThatTakesTheWeightsIsSeenAsTheEvenSplitItIs(t *testing.T) {
	w := shifted(t)
	apply(t, w, rollout(), 0)
	edit(t, w, listed("stable", nil), listed("canary", nil))
	w.Writes()
	wantSeen(t, w, rollout(), trafficrouting.Observed{Exists: true, CanaryWeight: 50})
	apply(t, w, rollout(), 0)
	wantShown(t, w, "web", "stable=100 canary=0 shop/web")
	wantWrites(t, w, "patch web")
}

// The manifests of the report have no weights at all.
func TestArgo2051AListWithoutWeightsIsGivenThem(t *testing.T) {
	w := world(t, traefikService("web", listed("stable", nil), listed("canary", nil)))
	apply(t, w, rollout(), 20)
	wantShown(t, w, "web", "stable=80 canary=20 shop/web")
}

// No flag says which group to use.
func TestArgo3615TheGroupThatHasTheTraefikServiceIsUsed(t *testing.T) {
	current, old := Kinds()[0], Kinds()[1]
	for _, c := range []struct {
		name           string
		served, having []schema.GroupVersionKind
		used           schema.GroupVersionKind
	}{
		{"Traefik 3 serves one", Kinds()[:1], Kinds()[:1], current},
		{"Traefik 2 serves the other", Kinds()[1:], Kinds()[1:], old},
		{"both are served, and it is still in the old one", Kinds(), Kinds()[1:], old},
		{"both have it, and the current one is meant", Kinds(), Kinds(), current},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := routertest.NewWorld(t, routertest.Kinds{Scheme: kinds().Scheme, Foreign: c.served})
			for _, kind := range c.having {
				if err := w.Direct.Create(t.Context(), of(kind, "web", listed("stable", nil), listed("canary", nil))); err != nil {
					t.Fatal(err)
				}
			}
			apply(t, w, rollout(), 20)
			if got := shown(t, w, c.used, "web"); got != "stable=80 canary=20 shop/web" {
				t.Errorf("it is %q", got)
			}
			wantWrites(t, w, "patch web")
		})
	}
}

// A TraefikService that mirrors has no weights to set; the error says so.
func TestArgo2890ATraefikServiceThatMirrorsIsRefusedWithTheReason(t *testing.T) {
	mirroring := traefikService("web")
	unstructured.RemoveNestedField(mirroring.Object, "spec", "weighted")
	mirroring.Object["spec"].(map[string]any)["mirroring"] = map[string]any{"name": "stable", "mirrors": []any{map[string]any{"name": "canary"}}}
	w := world(t, mirroring)
	_, err := observe(t, w, rollout())
	wantField(t, err, "spec.strategy.canary.trafficRouting.traefik.weightedTraefikServiceName: Invalid value: \"web\": "+
		"the TraefikService \"web\" cannot share traffic: spec.weighted.services has no entry for Service \"stable\": add one")
}

// The search for an entry ended at the first one without a name, and reported the Service as missing.
func TestAnEntryWithoutANameHidesNoneAfterIt(t *testing.T) {
	w := world(t, traefikService("web", map[string]any{"port": int64(80)}, listed("stable", nil), listed("canary", nil)))
	apply(t, w, rollout(), 20)
	wantShown(t, w, "web", "<nil>=<nil> stable=80 canary=20 shop/web")
}
