package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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

const migrate = "docs/migrate.md"

// The commands of the page, there and back: at every moment the Service selects
// as many ready pods as the Deployment has.
func TestADeploymentIsReplacedAndBroughtBackAsThePageSays(t *testing.T) {
	w := newTypist(t)
	w.apply(w.part("Service", "web-stable"), w.part("Ingress", "web"), w.deployment())
	w.eventually(w.deploymentIsAvailable)
	w.guard(t.Context())

	w.types("## Convert the manifest")
	w.eventually(w.nothingIsLeftOfTheDeployment)
	w.eventually(w.rolloutIsHealthy)

	w.types("## Delete a Rollout and keep its pods")
	w.eventually(w.rolloutIsHealthy)

	w.apply(w.deployment())
	w.types("## Back from a manifest")
	w.eventually(w.onlyTheDeploymentIsLeft)
}

// The same with the Deployment's own template.
func TestADeploymentIsReferredToAndBroughtBackAsThePageSays(t *testing.T) {
	w := newTypist(t)
	w.apply(w.part("Service", "web-stable"), w.deployment())
	w.eventually(w.deploymentIsAvailable)
	ctx, stop := context.WithCancel(t.Context())
	w.guard(ctx)
	w.types("## Keep the Deployment and refer to it")
	stop() // An update without routes may miss a pod of five.

	w.types("## Release by reference")
	w.eventually(func() error {
		var ro v1alpha1.Rollout
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, &ro); err != nil {
			return err
		}
		if st := ro.Status; st.Phase != v1alpha1.RolloutPhasePaused || st.StableRS == st.CurrentPodHash {
			return fmt.Errorf("the new image is no update: %s %s", st.Phase, st.Message)
		}
		return nil
	})

	w.guard(t.Context())
	w.types("## Back from a reference")
	w.eventually(w.onlyTheDeploymentIsLeft)
}

// typist types the commands of a page.
type typist struct {
	walk

	config string // the file with the access to the cluster
}

func newTypist(t *testing.T) typist {
	t.Helper()
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("NOT CHECKED: that the commands of " + migrate + " lose no pod: there is no kubectl on the PATH")
	}
	w := newWalk(t)
	return typist{walk: w, config: w.kubeconfig()}
}

// types runs the commands of a part of the page, one after another.
func (w typist) types(heading string) {
	w.Helper()
	_, part, found := strings.Cut(read(w.T, migrate), "\n"+heading+"\n")
	if !found {
		w.Fatalf("%s has no heading %q", migrate, heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	commands := page{text: part}.commands("kubectl")
	if len(commands) == 0 {
		w.Fatalf("%s has no commands below %q", migrate, heading)
	}
	for _, c := range commands {
		if strings.HasPrefix(c.line, "kubectl rollouts ") {
			w.does(c.line)
			continue
		}
		command := exec.CommandContext(w.Context(), "sh", "-c", c.line)
		command.Dir = kube.Root()
		command.Env = append(command.Environ(), "KUBECONFIG="+w.config)
		if out, err := command.CombinedOutput(); err != nil {
			w.Fatalf("%s: %v\n%s", c.line, err, out)
		}
	}
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
