package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

// TestTheIstioSampleRunsToTheEnd plays config/samples/istio-canary.yaml with nothing changed but the
// address of Prometheus. A step costs one write of the VirtualService, and nothing else in it changes.
func TestTheIstioSampleRunsToTheEnd(t *testing.T) {
	w := newMeshWorld(t)
	metric := newPrometheus(t, value("0.99"))
	text := sample(t, "istio-canary.yaml")
	const address = "http://prometheus.istio-system:9090"
	if !strings.Contains(text, address) {
		t.Fatalf("the sample does not name %s any more", address)
	}
	watch, services := w.watch("web"), w.follow(virtualService.GroupVersion().WithResource("virtualservices"))
	w.apply(strings.ReplaceAll(text, address, metric.URL))
	first := w.until("web", healthy).Status.StableRS
	given := w.object(virtualService, "web")

	w.run("set", "image", "web", "web=quay.io/brancz/prometheus-example-app:v0.5.0")
	paused := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), because("PausedByStep"))
	if w.selects("web-stable") != first || w.selects("web-canary") != paused.Status.CurrentPodHash {
		t.Errorf("in the pause the Services select %s and %s", w.selects("web-stable"), w.selects("web-canary"))
	}
	if got := istioWeights(w.object(virtualService, "web")); !cmp.Equal(got, map[string]int64{"web-stable": 95, "web-canary": 5}) {
		t.Errorf("in the pause the weights are %v", got)
	}
	w.run("promote", "web")
	done := w.until("web", healthy)
	if done.Status.StableRS == first || w.selects("web-stable") != done.Status.StableRS {
		t.Errorf("the stable Service selects %s, stable is %s", w.selects("web-stable"), done.Status.StableRS)
	}
	w.measuredWell(metric)
	w.madeOnce(watch, 2)

	var weights []int64
	versions := services.of("web")
	for _, v := range versions[1:] { // the first is as the sample has it
		weights = append(weights, istioWeights(v)["web-canary"])
	}
	if diff := cmp.Diff([]int64{5, 20, 50, 100, 0}, weights); diff != "" {
		t.Errorf("the weight after each write (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(given.Object["spec"], versions[len(versions)-1].Object["spec"]); diff != "" {
		t.Errorf("the spec at the end (-given +got):\n%s", diff)
	}
}

// TestThreeIngressesAndTwoVirtualServicesAtOnce keeps five objects of two routers equal.
func TestThreeIngressesAndTwoVirtualServicesAtOnce(t *testing.T) {
	w := newMeshWorld(t)
	services := w.follow(virtualService.GroupVersion().WithResource("virtualservices"))
	ingresses := w.follow(schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"})
	w.apply(fixture(t, "three-ingresses-and-two-virtual-services.yaml"))
	w.until("web", healthy)
	given := w.object(virtualService, "api")

	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	for _, name := range []string{"web", "api"} {
		if got := istioWeights(w.object(virtualService, name)); got["web-stable"] != 70 || got["web-canary"] != 30 {
			t.Errorf("VirtualService %s has weights %v", name, got)
		}
	}
	for _, name := range []string{"web", "api", "admin"} {
		if got := w.canaryWeight(name); got != "30" {
			t.Errorf("the canary Ingress of %s has weight %s", name, got)
		}
	}
	w.run("abort", "web")
	w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("Aborted"))
	if diff := cmp.Diff(given.Object["spec"], w.object(virtualService, "api").Object["spec"]); diff != "" {
		t.Errorf("after the abort (-given +got):\n%s", diff)
	}
	w.run("retry", "rollout", "web")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	w.run("promote", "web")
	w.until("web", healthy)
	for name, versions := range map[string][]*unstructured.Unstructured{
		"VirtualService web": services.of("web"), "VirtualService api": services.of("api"),
		"the canary Ingress of admin": ingresses.of("web-admin-canary"),
	} {
		// as it was given or made, then 30, 0 by the abort, 30, and 0 by the promotion
		if len(versions) != 5 {
			t.Errorf("%s had %d versions, want one for each change of the weight and the first", name, len(versions))
		}
	}
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (w *world) canaryWeight(ingress string) string {
	w.Helper()
	obj := w.object(schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}, "web-"+ingress+"-canary")
	return obj.GetAnnotations()["nginx.ingress.kubernetes.io/canary-weight"]
}

// TestTheGatewayAPIRoutesAnUpdate has a rule and a backend that are not the Rollout's, which stay, and
// a header route that comes and goes. Nobody accepts the route here, so nobody can tell whether it is served.
func TestTheGatewayAPIRoutesAnUpdate(t *testing.T) {
	for name, routing := range map[string]string{
		"by the field":                      "gatewayAPI: {httpRoute: web}",
		"by the settings of the plugin":     `plugins: {argoproj-labs/gatewayAPI: {httpRoute: web, namespace: NAMESPACE}}`,
		"by the label that the routes have": `gatewayAPI: {httpRoutes: [{name: web, useHeaderRoutes: true}], httpRouteSelector: {matchLabels: {app: web}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newMeshWorld(t)
			w.apply(strings.ReplaceAll(strings.ReplaceAll(fixture(t, "gateway-api.yaml"), "ROUTING", routing), "NAMESPACE", w.namespace))
			w.until("web", healthy)
			given := w.object(httpRoute, "web")

			w.release("web", "v2")
			w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(2))
			rules, _, _ := unstructured.NestedSlice(w.object(httpRoute, "web").Object, "spec", "rules")
			was, _, _ := unstructured.NestedSlice(given.Object, "spec", "rules")
			if len(rules) != len(was)+1 {
				t.Errorf("%d rules, want %d and the one for testers", len(rules), len(was))
			}
			if diff := cmp.Diff(was[1], rules[len(rules)-1]); diff != "" {
				t.Errorf("the rule of somebody else (-given +got):\n%s", diff)
			}
			if got := backendWeights(rules[1]); !cmp.Equal(got, map[string]int64{"web-stable": 80, "web-canary": 20}) {
				t.Errorf("weights %v", got)
			}
			w.run("promote", "web")
			w.until("web", healthy)
			ends := w.object(httpRoute, "web")
			last, _, _ := unstructured.NestedSlice(ends.Object, "spec", "rules")
			if len(last) != len(was) || backendWeights(last[0])["web-canary"] != 0 {
				t.Errorf("rules at the end: %v", last)
			}
			if diff := cmp.Diff(given.GetLabels(), ends.GetLabels()); diff != "" {
				t.Errorf("labels (-given +at the end):\n%s", diff)
			}
		})
	}
}

func backendWeights(rule any) map[string]int64 {
	weights := map[string]int64{}
	refs, _, _ := unstructured.NestedSlice(rule.(map[string]any), "backendRefs")
	for _, ref := range refs {
		name, _, _ := unstructured.NestedString(ref.(map[string]any), "name")
		weights[name], _, _ = unstructured.NestedInt64(ref.(map[string]any), "weight")
	}
	return weights
}

// TestAKindThatIsMissingIsWaitedFor installs the definition of APISIX while the controller runs, and
// takes it away again.
func TestAKindThatIsMissingIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	text := fixture(t, "apisix.yaml")
	rollout, route, _ := strings.Cut(text, "\n---\n# The route.\n")
	w.apply(rollout)
	missing := w.until("web", because("InvalidSpec", "does not serve ApisixRoute", "CustomResourceDefinition"))
	if invalid(missing) == nil || len(w.replicaSets("web")) > 0 {
		t.Errorf("%s, with %d ReplicaSets", brief(missing), len(w.replicaSets("web")))
	}

	w.apply(fixture(t, "apisixroute.yaml"))
	w.until("web", because("InvalidSpec", `"web" not found`))
	w.apply(route)
	w.until("web", healthy)
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))

	definition := &unstructured.Unstructured{}
	definition.SetAPIVersion("apiextensions.k8s.io/v1")
	definition.SetKind("CustomResourceDefinition")
	definition.SetName("apisixroutes.apisix.apache.org")
	if err := w.client.Delete(t.Context(), definition); err != nil {
		t.Fatal(err)
	}
	w.until("web", because("InvalidSpec", "does not serve ApisixRoute"))
	w.apply(fixture(t, "apisixroute.yaml"))
	kube.Eventually(t, within, func() error { return w.tryApply(route) })
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
}

// TestAnotherRouterTakesOver changes the router in the middle of an update.
func TestAnotherRouterTakesOver(t *testing.T) {
	w := newMeshWorld(t)
	w.apply(fixture(t, "traefik.yaml"))
	w.until("web", healthy)
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	if got := traefikWeights(w.object(traefikService, "web")); got["web-canary"] != 20 {
		t.Errorf("weights %v", got)
	}
	w.patch(named("web"), `{"spec":{"strategy":{"canary":{"trafficRouting":{"traefik":null,"nginx":{"stableIngress":"web"}}}}}}`)
	kube.Eventually(t, within, func() error {
		obj := w.object(traefikService, "web")
		if got := traefikWeights(obj); got["web-canary"] != 0 || got["web-stable"] != 100 || obj.GetAnnotations()[v1alpha1.RoutedByAnnotation] != "" {
			return fmt.Errorf("the TraefikService has weights %v and annotations %v", got, obj.GetAnnotations())
		}
		ingress := &unstructured.Unstructured{}
		ingress.SetGroupVersionKind(schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"})
		if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web-web-canary"}, ingress); err != nil {
			return err
		}
		if got := ingress.GetAnnotations()["nginx.ingress.kubernetes.io/canary-weight"]; got != "20" {
			return fmt.Errorf("the canary Ingress has weight %s", got)
		}
		return nil
	})
	w.run("promote", "web")
	w.until("web", healthy)
}

func traefikWeights(obj *unstructured.Unstructured) map[string]int64 {
	weights := map[string]int64{}
	services, _, _ := unstructured.NestedSlice(obj.Object, "spec", "weighted", "services")
	for _, s := range services {
		name, _, _ := unstructured.NestedString(s.(map[string]any), "name")
		weights[name], _, _ = unstructured.NestedInt64(s.(map[string]any), "weight")
	}
	return weights
}

// TestTheRoutesOfADeletedRolloutAreReleased deletes it in the middle of an update, and keeps its pods.
func TestTheRoutesOfADeletedRolloutAreReleased(t *testing.T) {
	w := newMeshWorld(t)
	w.apply(fixture(t, "traefik.yaml"))
	w.until("web", healthy)
	given := w.object(traefikService, "web")
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	ro := named("web")
	ro.Namespace = w.namespace
	if err := w.client.Delete(t.Context(), ro, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, within, func() error {
		obj := w.object(traefikService, "web")
		if diff := cmp.Diff(given.Object["spec"], obj.Object["spec"]); diff != "" {
			return errors.New("the spec (-given +got):\n" + diff)
		}
		if diff := cmp.Diff(given.GetAnnotations(), obj.GetAnnotations()); diff != "" {
			return errors.New("the annotations (-given +got):\n" + diff)
		}
		return nil
	})
}

// TestWhoWroteTheWeightIsTold lets tools that leave to a rollout controller what is its own know it.
func TestWhoWroteTheWeightIsTold(t *testing.T) {
	w := newMeshWorld(t)
	w.apply(fixture(t, "traefik.yaml"))
	w.until("web", healthy)
	w.release("web", "v2")
	w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1))
	obj := w.object(traefikService, "web")
	if !slices.ContainsFunc(obj.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == "rollouts-controller" }) {
		t.Errorf("managers %v", obj.GetManagedFields())
	}
}
