package rollout

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting/nginx"
)

func TestAnIngressWakesTheRolloutsThatNameItAndTheOneItWasMadeFor(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}}
	ro.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{TrafficRouting: &v1alpha1.RolloutTrafficRouting{
		Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "b"},
	}}
	r := New(Options{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(ro).
		WithIndex(&v1alpha1.Rollout{}, ingressIndex, ofRollout(nginx.IngressNames)).Build()})
	mine := []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.RolloutKind)}
	others := []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "2", Controller: new(true)}}
	for _, c := range []struct {
		name, ingress string
		owners        []metav1.OwnerReference
		wakes         bool
	}{
		{"a stable Ingress that is named", "b", nil, true},
		{"the canary Ingress made for it", "web-b-canary", mine, true},
		{"a canary Ingress made for a stable one that is no longer named", "web-a-canary", mine, true},
		{"an Ingress of nobody", "web-a-canary", nil, false},
		{"an Ingress of something else of that name", "web-a-canary", others, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			obj := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: c.ingress, OwnerReferences: c.owners}}
			var woken []string
			for _, request := range r.routed(t.Context(), obj) {
				woken = append(woken, request.String())
			}
			if slices.Contains(woken, "shop/web") != c.wakes {
				t.Errorf("it wakes %v, want the Rollout among them: %v", woken, c.wakes)
			}
		})
	}
}
