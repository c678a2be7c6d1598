package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func TestShares(t *testing.T) {
	old, fresh := replicaSet("a", "2.7.4", 4), replicaSet("b", "2.8.0", 1)
	for _, c := range []struct {
		name string
		in   objects
		want []share
		err  string
	}{
		{
			"without a canary Ingress stable gets everything",
			objects{ingresses("cart-stable", ""), services("a", "a"), []appsv1.ReplicaSet{old}},
			[]share{{revision{"a", "2.7.4"}, 100, true}},
			"",
		},
		{
			"a canary Ingress takes its weight",
			objects{ingresses("cart-stable", "10"), services("a", "b"), []appsv1.ReplicaSet{old, fresh}},
			[]share{{revision{"b", "2.8.0"}, 10, true}, {revision{"a", "2.7.4"}, 90, true}},
			"",
		},
		{
			"a revision without ready pods answers nothing",
			objects{ingresses("cart-stable", "10"), services("a", "b"), []appsv1.ReplicaSet{old, replicaSet("b", "2.8.0", 0)}},
			[]share{{revision{"b", "2.8.0"}, 10, false}, {revision{"a", "2.7.4"}, 90, true}},
			"",
		},
		{
			"a Service without a hash leads nowhere yet",
			objects{ingresses("cart-stable", ""), services("", ""), []appsv1.ReplicaSet{old}},
			[]share{{revision{"", ""}, 100, false}},
			"",
		},
		{
			"a weight above 100 is an error",
			objects{ingresses("cart-stable", "101"), services("a", "b"), nil},
			nil, `weight "101"`,
		},
		{
			"a Service that does not exist is an error",
			objects{ingresses("other", ""), services("a", "b"), nil},
			nil, "leads to Service other",
		},
		{
			"an Ingress without a rule is an error",
			objects{[]networkingv1.Ingress{{}}, nil, nil},
			nil, "one rule with one path",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.in.shares()
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v, -want +got\n%s", err, diff)
			}
		})
	}
}

func TestServe(t *testing.T) {
	oldRev, newRev := revision{"a", "2.8.0"}, revision{"b", "2.9.0"}
	for _, c := range []struct {
		name   string
		shares []share
		want   traffic
	}{
		{"each release fails as often as it does", []share{{oldRev, 90, true}, {newRev, 10, true}}, traffic{oldRev: {891, 9}, newRev: {70, 30}}},
		{"nothing goes to a weight of 0", []share{{oldRev, 100, true}, {newRev, 0, true}}, traffic{oldRev: {990, 10}}},
		{"without a ready pod all fail", []share{{oldRev, 100, false}}, traffic{oldRev: {0, 1000}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := traffic{}
			if err := got.serve(1000, c.shares); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	t.Run("a release that is not simulated is an error", func(t *testing.T) {
		if err := (traffic{}).serve(1, []share{{revision{"a", "3.0.0"}, 100, true}}); err == nil {
			t.Error("no error")
		}
	})
}

func TestTrafficIsWrittenForPrometheus(t *testing.T) {
	var out bytes.Buffer
	counted := traffic{{"b", "2.9.0"}: {70.9, 30.2}, {"a", "2.8.0"}: {900, 0}}
	if err := counted.write(&out); err != nil {
		t.Fatal(err)
	}
	want := `# TYPE http_requests_total counter
http_requests_total{app="cart",revision="a",code="200"} 900
http_requests_total{app="cart",revision="a",code="500"} 0
http_requests_total{app="cart",revision="b",code="200"} 70
http_requests_total{app="cart",revision="b",code="500"} 30
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestNews(t *testing.T) {
	good := measurement{"success-rate", "[0.99812]", "result[0] >= 0.95", v1alpha1.AnalysisPhaseSuccessful}
	bad := measurement{"success-rate", "[0.7]", "result[0] >= 0.95", v1alpha1.AnalysisPhaseFailed}
	for _, c := range []struct {
		name        string
		before, now facts
		want        []string
	}{
		{"nothing new is no news", facts{Tag: "a", Percent: 10}, facts{Tag: "a", Percent: 10}, nil},
		{"a weight is drawn", facts{Tag: "a"}, facts{Tag: "a", Percent: 10}, []string{"weight      10 % ▕█░░░░░░░░░▏"}},
		{
			"a measurement comes before the weight it leads to",
			facts{Tag: "a", Percent: 10, Measurements: []measurement{good}},
			facts{Tag: "a", Percent: 0, Measurements: []measurement{good, bad}},
			[]string{"measured   success-rate 0.700, wants result[0] >= 0.95 ✖", "weight       0 % ▕░░░░░░░░░░▏"},
		},
		{
			"another release is measured anew",
			facts{Tag: "a", Measurements: []measurement{good, good}},
			facts{Tag: "b", Measurements: []measurement{good}},
			[]string{"measured   success-rate 0.998, wants result[0] >= 0.95 ✔"},
		},
		{
			"a value that is no number is shown as it is",
			facts{Tag: "a"},
			facts{Tag: "a", Measurements: []measurement{{"m", "many", "x", v1alpha1.AnalysisPhaseError}}},
			[]string{"measured   m many, wants x ✖"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, news(c.before, c.now)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestChronicle(t *testing.T) {
	start := time.Unix(1000, 0)
	tell := func(seconds ...facts) (c chronicle) {
		for i, f := range seconds {
			c.add(f, start.Add(time.Duration(i)*time.Second))
		}
		return c
	}
	good := measurement{Phase: v1alpha1.AnalysisPhaseSuccessful}
	bad := measurement{Phase: v1alpha1.AnalysisPhaseFailed}
	at := func(percent int, m ...measurement) facts {
		return facts{Percent: percent, Measurements: m, Answered: true}
	}
	unanswered := func(percent int, m ...measurement) facts { return facts{Percent: percent, Measurements: m} }
	for _, c := range []struct {
		name      string
		c         chronicle
		good, bad string
	}{
		{"step by step with good measurements is a good story", tell(at(0), at(10), at(10, good), at(50, good), at(100, good, good)), "", "weights"},
		{"there and back with a bad measurement is a bad story", tell(at(0), at(10), at(0, bad)), "weights", ""},
		{"a promotion that nothing measured is none", tell(at(0), at(10), at(50), at(100)), "without good measurements", "weights"},
		{"a promotion in spite of a bad measurement is none", tell(at(0), at(10, bad), at(50, bad), at(100, bad, good)), "without good measurements", "weights"},
		{"a jump is not step by step", tell(at(0), at(50, good), at(100, good)), "weights", "weights"},
		{"a rollback that nothing measured is none", tell(at(0), at(10, good), at(0, good)), "weights", "without a bad measurement"},
		{"a moment without pods is the watches' lag", tell(at(0), unanswered(10), at(10, good), at(50, good), at(100, good)), "", "weights"},
		{
			"requests must not go to a revision without pods",
			tell(at(0), unanswered(10), unanswered(10), unanswered(10), unanswered(10), at(0, bad)), "weights", "without a pod",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			matches(t, "checkGood", c.c.checkGood(), c.good)
			matches(t, "checkBad", c.c.checkBad(), c.bad)
		})
	}
	t.Run("exposure is from the first request to the last", func(t *testing.T) {
		c := tell(at(0), at(10), at(10), at(10), at(0))
		if got := c.exposed(); got != 3*time.Second {
			t.Errorf("exposed = %s", got)
		}
	})
}

func matches(t *testing.T, what string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s = %v, want %q", what, err, want)
	}
}

func TestScreen(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{stamp(0), " 0:00"},
		{stamp(75 * time.Second), " 1:15"},
		{bar(0), "▕░░░░░░░░░░▏"},
		{bar(1), "▕█░░░░░░░░░▏"},
		{bar(50), "▕█████░░░░░▏"},
		{bar(100), "▕██████████▏"},
		{count(7), "7"},
		{count(71200), "71 200"},
		{count(1002003), "1 002 003"},
		{percentOf(0.002), "0.2"},
		{percentOf(0.3), "30"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestVisibleYAMLIsShortAndWhole(t *testing.T) {
	got := visibleYAML()
	if n := strings.Count(got, "\n"); n < 20 || n > 32 {
		t.Errorf("%d lines, want about 25:\n%s", n, got)
	}
	for _, word := range []string{"setWeight: 10", "setWeight: 50", "stableIngress", "successCondition", "http_requests_total"} {
		if !strings.Contains(got, word) {
			t.Errorf("no %q in\n%s", word, got)
		}
	}
}

func TestPlanTakesTheControllersReplicas(t *testing.T) {
	object := func(kind string) map[string]any {
		return map[string]any{"kind": kind, "metadata": map[string]any{"name": "x", "namespace": "system"}}
	}
	deployment := object("Deployment")
	deployment["spec"] = map[string]any{
		"replicas": 2,
		"template": map[string]any{"spec": map[string]any{"serviceAccountName": "headway"}},
	}
	in, manifests, err := plan([]map[string]any{object("Namespace"), object("CustomResourceDefinition"), deployment})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(installation{Namespace: "system", ServiceAccount: "headway", CRDs: 1, Others: 2}, in); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if text := string(manifests); !strings.Contains(text, "replicas: 0") || strings.Contains(text, "CustomResourceDefinition") {
		t.Errorf("manifests:\n%s", text)
	}
	if _, _, err := plan([]map[string]any{object("Namespace")}); err == nil {
		t.Error("an installation without a Deployment is accepted")
	}
}

func TestConfigDefaultCanBeInstalled(t *testing.T) {
	objects, err := render("../../config/default")
	if err != nil {
		t.Fatal(err)
	}
	in, _, err := plan(objects)
	if err != nil {
		t.Fatal(err)
	}
	if in.Namespace == "" || in.CRDs != 5 {
		t.Errorf("installation %+v", in)
	}
}

// ingresses is the stable Ingress, and a canary one when it has a weight.
func ingresses(service, weight string) []networkingv1.Ingress {
	out := []networkingv1.Ingress{ingress("cart", service)}
	if weight != "" {
		canary := ingress("cart-cart-canary", "cart-canary")
		canary.Annotations = map[string]string{canaryAnnotation: "true", weightAnnotation: weight}
		out = append(out, canary)
	}
	return out
}

func ingress(name, service string) networkingv1.Ingress {
	var ing networkingv1.Ingress
	ing.Namespace, ing.Name = namespace, name
	ing.Spec.Rules = []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service}}}},
	}}}}
	return ing
}

// services are the two Services with the hashes they select.
func services(stable, canary string) []corev1.Service {
	out := make([]corev1.Service, 2)
	for i, hash := range []string{stable, canary} {
		out[i].Namespace, out[i].Name = namespace, []string{"cart-stable", "cart-canary"}[i]
		out[i].Spec.Selector = map[string]string{"app": name}
		if hash != "" {
			out[i].Spec.Selector[v1alpha1.PodTemplateHashLabel] = hash
		}
	}
	return out
}

func replicaSet(hash, tag string, ready int32) appsv1.ReplicaSet {
	var rs appsv1.ReplicaSet
	rs.Namespace, rs.Name = namespace, name+"-"+hash
	rs.Labels = map[string]string{v1alpha1.PodTemplateHashLabel: hash}
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: container, Image: "shop/cart:" + tag}}
	rs.Status.ReadyReplicas = ready
	return rs
}
