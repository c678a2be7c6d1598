package alb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var (
	ofController = schema.GroupVersionKind{Group: "elbv2.k8s.aws", Version: "v1beta1", Kind: "TargetGroupBinding"}
	ofAutoMode   = schema.GroupVersionKind{Group: "eks.amazonaws.com", Version: "v1", Kind: "TargetGroupBinding"}
)

// bindingOf is a TargetGroupBinding of a Service's port, whose targets are pods.
func bindingOf(kind schema.GroupVersionKind, service string, port any) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"targetGroupARN": "arn:tg", "targetType": "ip", "serviceRef": map[string]any{"name": service, "port": port},
	}}}
	obj.SetGroupVersionKind(kind)
	obj.SetNamespace("shop")
	obj.SetName("binding")
	return obj
}

// endpointSlice is one with the addresses at the port of that name.
func endpointSlice(name string, port int32, addresses ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("stable-%s-%d", name, port), Labels: map[string]string{discoveryv1.LabelServiceName: "stable"}},
		Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return slice
}

// verifierOf is one in a cluster that serves the kinds.
func verifierOf(t *testing.T, aws *cloud, kinds []schema.GroupVersionKind, objects ...client.Object) *Verifier {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind := range s.AllKnownTypes() {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	for _, kind := range kinds {
		mapper.Add(kind, meta.RESTScopeNamespace)
		s.AddKnownTypeWithName(kind, &unstructured.Unstructured{})
		s.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &unstructured.UnstructuredList{})
	}
	objects = append(objects, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "stable"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
			{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}, {Name: "admin", Port: 81, TargetPort: intstr.FromInt32(9090)},
		}},
	})
	c := fake.NewClientBuilder().WithScheme(s).WithRESTMapper(mapper).WithObjects(objects...).Build()
	return NewVerifier(c, aws, clocktesting.NewFakePassiveClock(time.Unix(0, 0)))
}

func TestEveryReadyEndpointHasToBeRegistered(t *testing.T) {
	registered := []Target{{"10.0.0.1", 8080}, {"10.0.0.2", 8080}, {"2001:db8:0:0::1", 8080}}
	notReady := endpointSlice("http", 8080, "10.0.0.9")
	notReady.Endpoints[0].Conditions.Ready = new(bool)
	elsewhere := endpointSlice("http", 8080, "10.9.9.9")
	elsewhere.Labels[discoveryv1.LabelServiceName] = "other"
	instance := bindingOf(ofController, "stable", int64(80))
	if err := unstructured.SetNestedField(instance.Object, "instance", "spec", "targetType"); err != nil {
		t.Fatal(err)
	}
	without := func(text string) string { return "Service stable (TargetGroup arn:tg) not verified: " + text }
	for _, c := range []struct {
		name    string
		objects []client.Object
		want    string
	}{
		{"all are", []client.Object{bindingOf(ofController, "stable", int64(80)), endpointSlice("http", 8080, "10.0.0.1", "10.0.0.2")}, ""},
		{"in more than one slice", []client.Object{
			bindingOf(ofController, "stable", int64(80)), endpointSlice("http", 8080, "10.0.0.1"), endpointSlice("http", 8081, "10.0.0.3"),
		}, without("1/2 endpoints registered, without 10.0.0.3:8081")},
		{"at the port of the binding", []client.Object{
			bindingOf(ofController, "stable", int64(80)), endpointSlice("http", 8080, "10.0.0.1"), endpointSlice("admin", 9090, "10.0.0.1"),
		}, ""},
		{
			"another port is not registered",
			[]client.Object{bindingOf(ofController, "stable", int64(81)), endpointSlice("admin", 9090, "10.0.0.1")},
			without("0/1 endpoints registered, without 10.0.0.1:9090"),
		},
		{
			"many are not",
			[]client.Object{bindingOf(ofController, "stable", int64(80)), endpointSlice("http", 8080, "10.1.0.4", "10.1.0.1", "10.1.0.3", "10.1.0.2", "10.0.0.1")},
			without("1/5 endpoints registered, without 10.1.0.1:8080, 10.1.0.2:8080, 10.1.0.3:8080 and others"),
		},
		{"an address in another spelling", []client.Object{bindingOf(ofController, "stable", int64(80)), endpointSlice("http", 8080, "2001:db8::1")}, ""},
		{"what is not ready need not be", []client.Object{bindingOf(ofController, "stable", int64(80)), notReady}, ""},
		{"what is another Service's need not be", []client.Object{bindingOf(ofController, "stable", int64(80)), elsewhere}, ""},
		{"no binding", []client.Object{endpointSlice("http", 8080, "10.9.9.9")}, ""},
		{"a binding of another Service", []client.Object{bindingOf(ofController, "other", int64(80)), endpointSlice("http", 8080, "10.9.9.9")}, ""},
		{"a binding of nodes", []client.Object{instance, endpointSlice("http", 8080, "10.9.9.9")}, ""},
		{"a binding of a port that the Service has not", []client.Object{bindingOf(ofController, "stable", int64(90)), endpointSlice("http", 8080, "10.9.9.9")}, ""},
		{"a binding without sense", []client.Object{bindingOf(ofController, "stable", map[string]any{}), endpointSlice("http", 8080, "10.9.9.9")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			aws := &cloud{targets: map[string][]Target{"arn:tg": registered}}
			verified, why, err := verifierOf(t, aws, []schema.GroupVersionKind{ofController}, c.objects...).ServiceRegistered(t.Context(), "shop", "stable")
			if err != nil || why != c.want || verified != (c.want == "") {
				t.Errorf("verified %t, %q, error %v, want %q", verified, why, err, c.want)
			}
		})
	}
}

// A port may be named in the binding, in the Service and in the pod, and have a number in the slices only.
func TestArgo1485NamedPortsAreVerified(t *testing.T) {
	objects := []client.Object{bindingOf(ofController, "stable", "http"), endpointSlice("http", 8080, "10.0.0.1")}
	aws := &cloud{targets: map[string][]Target{"arn:tg": {{"10.0.0.1", 8081}}}}
	verified, why, err := verifierOf(t, aws, []schema.GroupVersionKind{ofController}, objects...).ServiceRegistered(t.Context(), "shop", "stable")
	if verified || err != nil || why != "Service stable (TargetGroup arn:tg) not verified: 0/1 endpoints registered, without 10.0.0.1:8080" {
		t.Errorf("verified %t, %q, error %v", verified, why, err)
	}
}

// EKS Auto Mode has its own kind of binding, and a cluster may have neither.
func TestArgo4334BindingsOfEveryServedKindAreVerified(t *testing.T) {
	for _, c := range []struct {
		served   []schema.GroupVersionKind
		verified bool
	}{{[]schema.GroupVersionKind{ofAutoMode}, false}, {[]schema.GroupVersionKind{ofController, ofAutoMode}, false}, {nil, true}} {
		objects := []client.Object{endpointSlice("http", 8080, "10.0.0.1")}
		if len(c.served) > 0 {
			objects = append(objects, bindingOf(ofAutoMode, "stable", int64(80)))
		}
		verified, why, err := verifierOf(t, &cloud{}, c.served, objects...).ServiceRegistered(t.Context(), "shop", "stable")
		if verified != c.verified || err != nil {
			t.Errorf("%v are served: verified %t, %q, error %v", c.served, verified, why, err)
		}
	}
}

func TestAWSThatDoesNotAnswerIsNoErrorOfTheCluster(t *testing.T) {
	objects := []client.Object{bindingOf(ofController, "stable", int64(80)), endpointSlice("http", 8080, "10.0.0.1")}
	aws := &cloud{err: errors.New("listing its targets: Throttling")}
	v := verifierOf(t, aws, []schema.GroupVersionKind{ofController}, objects...)
	for range 3 {
		verified, why, err := v.ServiceRegistered(t.Context(), "shop", "stable")
		if verified || err != nil || why != "Service stable (TargetGroup arn:tg) not verified: listing its targets: Throttling" {
			t.Errorf("verified %t, %q, error %v", verified, why, err)
		}
	}
	if len(aws.asked) != 1 || aws.deadlines[0] > patience {
		t.Errorf("asked %v, %v, want one question with a deadline", aws.asked, aws.deadlines)
	}
}

func TestAServiceThatIsNotThereHasNothingToRegister(t *testing.T) {
	v := verifierOf(t, &cloud{}, []schema.GroupVersionKind{ofController}, bindingOf(ofController, "gone", int64(80)))
	if verified, why, err := v.ServiceRegistered(t.Context(), "shop", "gone"); !verified || err != nil {
		t.Errorf("verified %t, %q, error %v", verified, why, err)
	}
}

// A weight is not served while the pods behind it are not all in the target group.
func TestAWeightIsNotVerifiedBeforeItsPodsAreRegistered(t *testing.T) {
	canary := endpointSlice("http", 8080, "10.0.0.1")
	for _, c := range []struct {
		name   string
		slice  *discoveryv1.EndpointSlice
		weight int32
		want   string
	}{
		{"the canary gets requests, the stable side had them before", canary, 20, ""},
		{"all requests come home", canary, 0, "Service stable (TargetGroup arn:tg) not verified: 0/1 endpoints registered, without 10.0.0.1:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "web").at(c.weight).serves(c.weight)
			l.verifier = verifierOf(t, l.cloud, []schema.GroupVersionKind{ofController}, bindingOf(ofController, "stable", int64(80)), c.slice.DeepCopy())
			l.router = New(l.client, l.verifier)
			verified := c.want == ""
			l.want(&verified, c.want)
			if report, _ := l.verifier.Report(l.ro); !verified && (report.Message != c.want || report.ALB == nil) {
				t.Errorf("report %+v, want the load balancer and %s", report, c.want)
			}
		})
	}
	l := newLab(t, "web").at(20).serves(20)
	l.verifier = verifierOf(t, l.cloud, []schema.GroupVersionKind{ofController}, bindingOf(ofController, "canary", int64(80)), serviceOf("canary"), sliceOf("canary", canary))
	l.router = New(l.client, l.verifier)
	l.want(&no, "Service canary (TargetGroup arn:tg) not verified: 0/1 endpoints registered, without 10.0.0.1:8080")
}

func serviceOf(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func sliceOf(service string, like *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	slice := like.DeepCopy()
	slice.Labels[discoveryv1.LabelServiceName] = service
	return slice
}

// What cannot be read is said, and waited for.
func TestAClusterThatCannotBeReadIsNotVerified(t *testing.T) {
	refusal := errors.New("forbidden")
	for _, failing := range []client.ObjectList{&unstructured.UnstructuredList{}, &discoveryv1.EndpointSliceList{}} {
		l := newLab(t, "web").at(0)
		l.verifier = verifierOf(t, l.cloud, []schema.GroupVersionKind{ofController}, bindingOf(ofController, "stable", int64(80)))
		l.verifier.client = interceptor.NewClient(l.verifier.client.(client.WithWatch), interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if fmt.Sprintf("%T", list) == fmt.Sprintf("%T", failing) {
					return refusal
				}
				return c.List(ctx, list, opts...)
			},
		})
		l.router = New(l.client, l.verifier)
		seen := l.observe()
		if seen.Verified == nil || *seen.Verified || !strings.Contains(seen.Unverified, "forbidden") {
			t.Errorf("%T: observed %+v", failing, seen)
		}
		if _, _, err := l.verifier.ServiceRegistered(t.Context(), "shop", "stable"); !errors.Is(err, refusal) {
			t.Errorf("%T: error %v, want the refusal", failing, err)
		}
	}
}
