package ambassador

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

var v3alpha1 = schema.GroupVersionKind{Group: "getambassador.io", Version: "v3alpha1", Kind: "Mapping"}

func kinds() routertest.Kinds {
	return routertest.Kinds{Scheme: runtime.NewScheme(), Foreign: []schema.GroupVersionKind{v3alpha1}}
}

func rollout(mappings ...string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "rollout-uid"},
		Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
			CanaryService: "canary", StableService: "stable",
			TrafficRouting: &v1alpha1.RolloutTrafficRouting{Ambassador: &v1alpha1.AmbassadorTrafficRouting{Mappings: mappings}},
		}}},
	}
}

type object = map[string]any

// base is a Mapping of somebody who uses more of Ambassador than Headway knows.
func base(name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: object{
		"metadata": object{"labels": object{"host": "shop"}, "annotations": object{"example.com/mine": "yes"}},
		"spec":     object{"hostname": "*", "prefix": "/" + name + "/", "service": "http://stable.shop:80", "timeout_ms": int64(4000), "unknown": object{"a": 1.5}},
	}}
	obj.SetGroupVersionKind(v3alpha1)
	obj.SetNamespace("shop")
	obj.SetName(name)
	return obj
}

func specIn(obj client.Object) object {
	return obj.(*unstructured.Unstructured).Object["spec"].(object)
}

func harness(names ...string) routertest.Harness {
	return routertest.Harness{
		Kinds:  kinds(),
		Router: func(c client.Client) trafficrouting.Router { return New(c) },
		Rollout: func(total *int32) *v1alpha1.Rollout {
			ro := rollout(names...)
			ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = total
			return ro
		},
		Totals: []int32{100},
		Given: func() []client.Object {
			var objects []client.Object
			for _, name := range names {
				objects = append(objects, base(name))
			}
			return objects
		},
		Rests:   true,
		Odd:     odd,
		Managed: func(obj client.Object) bool { return strings.HasSuffix(obj.GetName(), "-canary") },
		Strip:   func(obj client.Object) { delete(obj.(*unstructured.Unstructured).Object, "spec") },
		Weights: weights,
		Spoil:   spoils(),
		Unname:  unnames(),
		Steal: func(obj client.Object) {
			owners := obj.GetOwnerReferences()
			owners[0].UID = "somebody-else"
			obj.SetOwnerReferences(owners)
		},
	}
}

// weights reads the canary's weight; the base Mapping has what is left.
func weights(obj client.Object) ([]int32, error) {
	share := int32(specIn(obj)["weight"].(int64))
	return []int32{share, 100 - share}, nil
}

func spoils() map[string]func(client.Object) {
	spec := func(key string, value any) func(client.Object) {
		return func(obj client.Object) {
			if specIn(obj)[key] = value; value == nil {
				delete(specIn(obj), key)
			}
		}
	}
	return map[string]func(client.Object){
		"another weight":             spec("weight", int64(70)),
		"a weight below zero":        spec("weight", int64(-1)),
		"a weight beyond all":        spec("weight", int64(101)),
		"a weight that is no number": spec("weight", "20"),
		"no weight":                  spec("weight", nil),
		"the stable Service":         spec("service", "http://stable.shop:80"),
		"no Service":                 spec("service", nil),
		"another prefix":             spec("prefix", "/other/"),
		"one field more":             spec("rewrite", "/"),
		"no spec":                    func(obj client.Object) { delete(obj.(*unstructured.Unstructured).Object, "spec") },
		"a label gone":               func(obj client.Object) { obj.SetLabels(nil) },
		"another label":              func(obj client.Object) { obj.SetLabels(map[string]string{"host": "other"}) },
	}
}

// unnames change the spec so that it does not name the last of the Mappings any more.
func unnames() map[string]func(*v1alpha1.Rollout) {
	routing := func(change func(*v1alpha1.RolloutTrafficRouting)) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) { change(ro.Spec.Strategy.Canary.TrafficRouting) }
	}
	return map[string]func(*v1alpha1.Rollout){
		"another Mapping takes its place": routing(func(r *v1alpha1.RolloutTrafficRouting) {
			r.Ambassador.Mappings = append(r.Ambassador.Mappings[1:], "other")
		}),
		"no Mapping is named":      routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Ambassador.Mappings = nil }),
		"a Mapping without a name": routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Ambassador.Mappings = []string{""} }),
		"another router is named":  routing(func(r *v1alpha1.RolloutTrafficRouting) { r.Ambassador, r.Nginx = nil, &v1alpha1.NginxTrafficRouting{} }),
		"no router is named":       func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.TrafficRouting = nil },
		"the strategy is another one": func(ro *v1alpha1.Rollout) {
			ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{}}
		},
	}
}

func odd() map[string][]client.Object {
	worlds := map[string][]client.Object{"a canary Mapping without a base": {base("web-canary")}}
	for name, spec := range map[string]any{
		"no spec": nil, "a spec that is text": "x", "an empty spec": object{}, "a Service that is no text": object{"service": object{}},
		"a weight that is text": object{"service": "stable", "weight": "all"}, "a weight that is an object": object{"service": "stable", "weight": object{}},
	} {
		web, canary := base("web"), base("web-canary")
		canary.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(rollout(), v1alpha1.RolloutKind)})
		web.Object["spec"], canary.Object["spec"] = spec, spec
		worlds["a Mapping with "+name] = []client.Object{web}
		worlds["a canary Mapping with "+name] = []client.Object{base("web"), canary}
		worlds["both with "+name] = []client.Object{web.DeepCopy(), canary.DeepCopy()}
	}
	return worlds
}

func TestOneMappingFulfilsTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness("web"))
}

func TestSeveralMappingsFulfilTheDutiesOfARouter(t *testing.T) {
	routertest.Run(t, harness("web", "api", "admin"))
}
