package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // what the library says of the plugin's clients is for nobody here
	code := kube.Main(m)
	headway.Clean()
	os.Exit(code)
}

// within is how long a part of the story may take on a busy machine.
const within = 90 * time.Second

// The procedure of docs/canary.md, there and back: at every moment the Service
// of the Ingress selects as many available pods as the Deployment has.
func TestADeploymentIsReplacedAndBroughtBackAsThePageSays(t *testing.T) {
	m := newMigration(t)
	m.apply(m.part("Service", "web-stable"), m.part("Ingress", "web"), m.deployment())
	m.eventually(m.deploymentIsAvailable)
	m.guard(t.Context())

	m.apply(read(t, sampleFile))
	m.eventually(m.rolloutIsHealthy)
	m.delete(&appsv1.Deployment{ObjectMeta: m.named("web")}, metav1.DeletePropagationForeground)
	m.eventually(m.nothingIsLeftOfTheDeployment)
	m.eventually(m.rolloutIsHealthy)

	m.apply(m.deployment())
	m.eventually(m.deploymentIsAvailable)
	m.delete(&v1alpha1.Rollout{ObjectMeta: m.named("web")}, metav1.DeletePropagationOrphan)
	for _, service := range []string{"web-stable", "web-canary"} {
		patch := fmt.Sprintf(`{"spec":{"selector":{%q:null}}}`, v1alpha1.PodTemplateHashLabel)
		m.must(m.Patch(t.Context(), &corev1.Service{ObjectMeta: m.named(service)}, client.RawPatch(types.MergePatchType, []byte(patch))))
	}
	m.must(m.DeleteAllOf(t.Context(), &appsv1.ReplicaSet{}, client.InNamespace(m.namespace), client.MatchingLabels{"app": "web"},
		client.HasLabels{v1alpha1.PodTemplateHashLabel}, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	m.delete(&networkingv1.Ingress{ObjectMeta: m.named("web-web-canary")}, metav1.DeletePropagationBackground)
	m.eventually(m.onlyTheDeploymentIsLeft)
}

// migration is a namespace in which a Deployment and a Rollout follow each other.
type migration struct {
	client.Client
	*testing.T

	cluster    *kube.Cluster
	namespace  string
	controller *headway.Process
}

func newMigration(t *testing.T) migration {
	t.Helper()
	cluster := kube.Shared(t)
	if err := cluster.InstallCRDs(t.Context(), kube.Root()+"/config/crd"); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	controller := headway.Start(t, headway.Options{Kubeconfig: cluster.Kubeconfig})
	return migration{Client: c, T: t, cluster: cluster, namespace: cluster.Namespace(t), controller: controller}
}

func (m migration) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.namespace, Name: name}
}

func (m migration) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m migration) eventually(condition func() error) {
	m.Helper()
	kube.Eventually(m, within, condition)
}

func (m migration) apply(objects ...string) {
	m.Helper()
	m.must(m.cluster.Apply(m.Context(), m.namespace, []byte(strings.Join(objects, "\n---\n"))))
}

func (m migration) delete(obj client.Object, propagation metav1.DeletionPropagation) {
	m.Helper()
	m.must(m.Delete(m.Context(), obj, client.PropagationPolicy(propagation)))
}

// part is one object of the sample.
func (m migration) part(kind, name string) string {
	m.Helper()
	for _, text := range documents(read(m.T, sampleFile)) {
		var object metav1.PartialObjectMetadata
		m.must(yaml.Unmarshal([]byte(text), &object))
		if object.Kind == kind && object.Name == name {
			return text
		}
	}
	m.Fatalf("%s has no %s %s", sampleFile, kind, name)
	return ""
}

// deployment is the Deployment that the Rollout of the sample replaces.
func (m migration) deployment() string {
	m.Helper()
	object := sampleObject(m.T, "Rollout")
	spec, _ := object["spec"].(map[string]any)
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"replicas": spec["replicas"], "selector": spec["selector"], "template": spec["template"]},
	})
	m.must(err)
	return string(text)
}

func (m migration) deploymentIsAvailable() error {
	var d appsv1.Deployment
	if err := m.Get(m.Context(), client.ObjectKey{Namespace: m.namespace, Name: "web"}, &d); err != nil {
		return err
	}
	if d.Status.AvailableReplicas != *d.Spec.Replicas {
		return fmt.Errorf("the Deployment has %d of %d pods", d.Status.AvailableReplicas, *d.Spec.Replicas)
	}
	return nil
}

func (m migration) rolloutIsHealthy() error {
	var ro v1alpha1.Rollout
	if err := m.Get(m.Context(), client.ObjectKey{Namespace: m.namespace, Name: "web"}, &ro); err != nil {
		return err
	}
	hash, err := m.selected("web-stable")
	if err != nil {
		return err
	}
	if ro.Status.Phase != v1alpha1.RolloutPhaseHealthy || hash == "" || hash != ro.Status.StableRS {
		return fmt.Errorf("the Rollout is %s: %s; the Service selects %q of %q", ro.Status.Phase, ro.Status.Message, hash, ro.Status.StableRS)
	}
	return nil
}

// nothingIsLeftOfTheDeployment looks at the Deployment as well as at its pods:
// one that is still being deleted would take the next one with it.
func (m migration) nothingIsLeftOfTheDeployment() error {
	switch err := m.Get(m.Context(), client.ObjectKey{Namespace: m.namespace, Name: "web"}, &appsv1.Deployment{}); {
	case err == nil:
		return errors.New("the Deployment is still there")
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("looking for the Deployment: %w", err)
	}
	var list corev1.PodList
	if err := m.List(m.Context(), &list, client.InNamespace(m.namespace), client.HasLabels{appsv1.DefaultDeploymentUniqueLabelKey}); err != nil {
		return err
	}
	if len(list.Items) > 0 {
		return fmt.Errorf("%d pods are left of the Deployment", len(list.Items))
	}
	return nil
}

func (m migration) onlyTheDeploymentIsLeft() error {
	var list corev1.PodList
	if err := m.List(m.Context(), &list, client.InNamespace(m.namespace), client.HasLabels{v1alpha1.PodTemplateHashLabel}); err != nil {
		return err
	}
	hash, err := m.selected("web-stable")
	if err != nil {
		return err
	}
	if len(list.Items) > 0 || hash != "" {
		return fmt.Errorf("%d pods are left of the Rollout, the Service selects %q", len(list.Items), hash)
	}
	return m.deploymentIsAvailable()
}

// selected is the hash that a Service selects.
func (m migration) selected(name string) (string, error) {
	var service corev1.Service
	err := m.Get(m.Context(), client.ObjectKey{Namespace: m.namespace, Name: name}, &service)
	return service.Spec.Selector[v1alpha1.PodTemplateHashLabel], err
}

// guard watches until the test ends that the Service never selects fewer pods
// that are ready than the Deployment had.
func (m migration) guard(ctx context.Context) {
	m.Helper()
	ctx, stop := context.WithCancel(ctx)
	fewest, ended := 1<<30, make(chan struct{})
	look := time.NewTicker(20 * time.Millisecond)
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if n, err := m.ready(ctx); err == nil {
				fewest = min(fewest, n)
			}
			<-look.C
		}
	}()
	m.Cleanup(func() {
		stop()
		<-ended
		if want := 5; fewest < want {
			m.Errorf("the Service selected only %d ready pods at some moment, want %d", fewest, want)
		}
	})
}

// ready counts the ready pods that the Service of the Ingress selects.
func (m migration) ready(ctx context.Context) (int, error) {
	var service corev1.Service
	if err := m.Get(ctx, client.ObjectKey{Namespace: m.namespace, Name: "web-stable"}, &service); err != nil {
		return 0, err
	}
	var list corev1.PodList
	if err := m.List(ctx, &list, client.InNamespace(m.namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return 0, err
	}
	n := 0
	for i := range list.Items {
		for _, condition := range list.Items[i].Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				n++
			}
		}
	}
	return n, nil
}
