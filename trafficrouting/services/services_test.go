package services

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

const (
	hashKey  = "rollouts-pod-template-hash"
	ownerKey = "argo-rollouts.argoproj.io/managed-by-rollouts"
)

// service selects app=web, and the hash if it is not empty, and is marked by the owner if that is not.
func service(hash, owner string) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: "shop", UID: "service-uid", ResourceVersion: "41",
			Annotations: map[string]string{"example.com/note": "kept"},
		},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}},
	}
	if hash != "" {
		svc.Spec.Selector[hashKey] = hash
	}
	if owner != "" {
		svc.Annotations[ownerKey] = owner
	}
	return svc
}

func TestPatchHoldsOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	const conditions = `,"resourceVersion":"41","uid":"service-uid"}`
	for _, c := range []struct {
		name          string
		svc           *corev1.Service
		rollout, hash string
		want          string
	}{
		{
			"a new Service is pointed and marked", service("", ""), "shop", "abc",
			`{"metadata":{"annotations":{"` + ownerKey + `":"shop"}` + conditions + `,"spec":{"selector":{"` + hashKey + `":"abc"}}}`,
		},
		{
			"another hash changes only the hash", service("old", "shop"), "shop", "abc",
			`{"metadata":{` + conditions[1:] + `,"spec":{"selector":{"` + hashKey + `":"abc"}}}`,
		},
		{
			"a missing mark adds only the mark", service("abc", ""), "shop", "abc",
			`{"metadata":{"annotations":{"` + ownerKey + `":"shop"}` + conditions + `}`,
		},
		{"a Service that is as wanted needs nothing", service("abc", "shop"), "shop", "abc", ""},
		{"an empty hash asks for nothing", service("old", "shop"), "shop", "", ""},
		{"an empty Rollout asks for nothing", service("old", "shop"), "", "abc", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, needed := Patch(c.svc, c.rollout, c.hash)
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
			if needed != (c.want != "") {
				t.Errorf("needed %v, want %v", needed, !needed)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	path := field.NewPath("spec", "strategy", "canary", "canaryService")
	labels := map[string]string{"app": "web", "tier": "front"}
	selecting := func(selector map[string]string) *corev1.Service {
		svc := service("", "")
		svc.Spec.Selector = selector
		return svc
	}
	for _, c := range []struct {
		name string
		svc  *corev1.Service
		want string
	}{
		{"a selector among the template's labels is usable", selecting(map[string]string{"app": "web"}), ""},
		{"the hash is not compared", service("abc", "shop"), ""},
		{"no selector is usable", selecting(nil), ""},
		{
			"a label that the template lacks", selecting(map[string]string{"app": "web", "zone": "a"}),
			`Service "web" selects pods by label "zone", which the pod template does not have: the Service would select no pod`,
		},
		{
			"a label with another value", selecting(map[string]string{"app": "api"}),
			`Service "web" selects pods with label "app" = "api", but the pod template has "web": the Service would select no pod`,
		},
		{
			"the first of several wrong labels by name", selecting(map[string]string{"z": "1", "b": "1", "app": "web"}),
			`Service "web" selects pods by label "b", which the pod template does not have: the Service would select no pod`,
		},
		{
			"a Service of another Rollout", service("abc", "other"),
			`Service "web" is managed by another Rollout, "other": use another Service, or remove its annotation ` + ownerKey + ` if that Rollout is gone`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var want *field.Error
			if c.want != "" {
				want = field.Invalid(path, "web", c.want)
			}
			if diff := cmp.Diff(want, Validate(c.svc, "shop", labels, path)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotFoundNamesTheField(t *testing.T) {
	t.Parallel()
	got := NotFound(field.NewPath("spec", "strategy", "canary", "stableService"), "web").Error()
	if want := `spec.strategy.canary.stableService: Invalid value: "web": service "web" not found`; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func world(t *testing.T, services ...client.Object) *routertest.World {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return routertest.NewWorld(t, routertest.Kinds{Scheme: scheme}, services...)
}

var ref = Ref{Service: types.NamespacedName{Namespace: "shop", Name: "web"}, Rollout: "shop"}

func read(t *testing.T, w *routertest.World) *corev1.Service {
	t.Helper()
	var svc corev1.Service
	if err := w.Direct.Get(t.Context(), ref.Service, &svc); err != nil {
		t.Fatal(err)
	}
	return &svc
}

func TestPointSwitchesTheSelectorOnceAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	w := world(t, service("old", ""))
	changes, err := Point(t.Context(), w.Client, ref, "abc")
	if err != nil {
		t.Fatal(err)
	}
	want := []trafficrouting.Change{{Reason: "SwitchService", Message: "Switched selector for service 'web' from 'old' to 'abc'"}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	wanted, got := service("abc", "shop"), read(t, w)
	wanted.ResourceVersion = got.ResourceVersion
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("Service (-want +got):\n%s", diff)
	}
	w.Writes()
	changes, err = Point(t.Context(), w.Client, ref, "abc")
	if writes := w.Writes(); err != nil || len(changes) > 0 || len(writes) > 0 {
		t.Errorf("a second time: changes %v, error %v, writes %v, want none", changes, err, writes)
	}
}

func TestPointReportsNoSwitchWhenOnlyTheMarkWasMissing(t *testing.T) {
	t.Parallel()
	w := world(t, service("abc", ""))
	changes, err := Point(t.Context(), w.Client, ref, "abc")
	if err != nil || len(changes) > 0 {
		t.Errorf("changes %v, error %v, want none", changes, err)
	}
	if got := ManagedBy(read(t, w)); got != "shop" {
		t.Errorf("managed by %q, want shop", got)
	}
}

func TestPointRefusesAndWritesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		svc  []client.Object
		ref  Ref
		hash string
	}{
		{"an empty hash", []client.Object{service("old", "shop")}, ref, ""},
		{"an empty Rollout", []client.Object{service("old", "")}, Ref{Service: ref.Service}, "abc"},
		{"a Service that does not exist", nil, ref, "abc"},
		{"a Service of another Rollout", []client.Object{service("old", "other")}, ref, "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := world(t, c.svc...)
			if _, err := Point(t.Context(), w.Client, c.ref, c.hash); err == nil {
				t.Error("no error, want one")
			}
			if writes := w.Writes(); len(writes) > 0 {
				t.Errorf("wrote %v, want nothing", writes)
			}
		})
	}
}

func TestAServiceThatSomebodyChangedMeanwhileIsAConflict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		interfere func(context.Context, client.Client, client.Object) error
	}{
		{"edited", func(ctx context.Context, direct client.Client, stored client.Object) error {
			stored.(*corev1.Service).Spec.Selector["app"] = "api"
			return direct.Update(ctx, stored)
		}},
		{"deleted and made again", func(ctx context.Context, direct client.Client, stored client.Object) error {
			if err := direct.Delete(ctx, stored); err != nil {
				return err
			}
			stored.SetUID("another-uid")
			stored.SetResourceVersion("")
			return direct.Create(ctx, stored)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := world(t, service("old", ""))
			w.Interfere = c.interfere
			if _, err := Point(t.Context(), w.Client, ref, "abc"); !apierrors.IsConflict(err) {
				t.Errorf("error %v, want a conflict", err)
			}
			if got := Hash(read(t, w)); got != "old" {
				t.Errorf("hash %q, want the old one", got)
			}
		})
	}
}

func TestARefusedWriteIsAnError(t *testing.T) {
	t.Parallel()
	w := world(t, service("old", "shop"))
	refusal := errors.New("admission webhook says no")
	w.Fail = func(client.Object) error { return refusal }
	if changes, err := Point(t.Context(), w.Client, ref, "abc"); !errors.Is(err, refusal) || len(changes) > 0 {
		t.Errorf("changes %v, error %v, want only the refusal", changes, err)
	}
}

func TestAnyServiceIsPointedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: rapid.MapOf(text, text).Draw(t, "annotations")}}
		svc.Spec.Selector = rapid.MapOf(text, text).Draw(t, "selector")
		rollout, hash := rapid.StringN(1, 9, -1).Draw(t, "rollout"), rapid.StringN(1, 9, -1).Draw(t, "hash")
		if _, needed := Patch(svc, rollout, hash); !needed {
			t.Fatal("a Service without a hash needs no patch, want one")
		}
		svc.Annotations[ownerKey], svc.Spec.Selector[hashKey] = rollout, hash
		if patch, needed := Patch(svc, rollout, hash); needed {
			t.Fatalf("patch %s a second time, want none", patch)
		}
		if Hash(svc) != hash || ManagedBy(svc) != rollout {
			t.Fatalf("hash %q of %q, want %q of %q", Hash(svc), ManagedBy(svc), hash, rollout)
		}
		if err := Validate(svc, rollout, svc.Spec.Selector, nil); err != nil {
			t.Fatalf("a selector equal to the labels is refused: %v", err)
		}
	})
}
