package main

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestCachesHoldOnlyWhatIsOurs(t *testing.T) {
	const none, one = "!argo-rollouts.argoproj.io/controller-instance-id", "argo-rollouts.argoproj.io/controller-instance-id=blue"
	const hashed = "rollouts-pod-template-hash"
	kinds := func(id string) map[string]string {
		return map[string]string{
			"*v1alpha1.Rollout": id, "*v1alpha1.AnalysisRun": id, "*v1alpha1.Experiment": id,
			"*v1alpha1.AnalysisTemplate": id, "*v1alpha1.ClusterAnalysisTemplate": id,
			"*v1.ReplicaSet": hashed, "*v1.Pod": hashed, "*v1.Service": "", "*v1.Ingress": "",
		}
	}
	for _, c := range []struct {
		name, id, namespace string
		want                map[string]string
		namespaces          []string
	}{
		{"without an id, objects that name none", "", "", kinds(none), nil},
		{"with an id, objects that name it", "blue", "", kinds(one), nil},
		{"of one namespace", "", "team-a", kinds(none), []string{"team-a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := defaultOptions()
			o.instanceID = c.id
			opts, err := cacheOptions(o, c.namespace)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for obj, by := range opts.ByObject {
				got[fmt.Sprintf("%T", obj)] = ""
				if by.Label != nil {
					got[fmt.Sprintf("%T", obj)] = by.Label.String()
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			var namespaces []string
			for ns := range opts.DefaultNamespaces {
				namespaces = append(namespaces, ns)
			}
			if diff := cmp.Diff(c.namespaces, namespaces); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecretsAreNeverCached(t *testing.T) {
	for _, namespaced := range []bool{false, true} {
		o := defaultOptions()
		o.namespaced = namespaced
		if !names(uncached(o))["*v1.Secret"] {
			t.Errorf("namespaced %t: Secrets are read from a cache", namespaced)
		}
		if names(warmed(o))["*v1alpha1.ClusterAnalysisTemplate"] == namespaced {
			t.Errorf("namespaced %t: the cache of ClusterAnalysisTemplates is filled: %t", namespaced, !namespaced)
		}
	}
}

func names(objects []client.Object) map[string]bool {
	out := map[string]bool{}
	for _, obj := range objects {
		out[fmt.Sprintf("%T", obj)] = true
	}
	return out
}

func TestCachedObjectsLoseWhatIsNeverRead(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "web", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "somebody"}}}
	kept := metav1.ObjectMeta{Name: "web"}
	spec := corev1.ServiceSpec{Selector: map[string]string{"app": "web"}}
	for _, c := range []struct {
		name      string
		obj, want client.Object
	}{
		{
			"a Service", &corev1.Service{ObjectMeta: meta, Spec: spec, Status: corev1.ServiceStatus{Conditions: []metav1.Condition{{Type: "Ready"}}}},
			&corev1.Service{ObjectMeta: kept, Spec: spec},
		},
		{"an Ingress", &networkingv1.Ingress{ObjectMeta: meta, Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{
			Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}},
		}}}, &networkingv1.Ingress{ObjectMeta: kept}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := stripStatus(c.obj)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of workloads that are not ours nothing is held but what tells whether they changed.
func TestTheCacheOfMetadataHoldsVersionsAlone(t *testing.T) {
	full := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web", UID: "u1", ResourceVersion: "5", Generation: 2,
		Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"big": "text"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}, OwnerReferences: []metav1.OwnerReference{{Name: "chart"}},
	}}
	got, err := sightOptions("shop").DefaultTransform(full)
	if err != nil {
		t.Fatal(err)
	}
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1", ResourceVersion: "5", Generation: 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
