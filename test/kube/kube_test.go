package kube_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) { os.Exit(kube.Main(m)) }

const within = 20 * time.Second

// deployment is a Deployment named web; annotations are a YAML flow map.
func deployment(replicas int, image, annotations string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {%s}
    spec:
      containers:
      - name: web
        image: %s
        resources: {requests: {cpu: 100m}}
`, replicas, annotations, image)
}

// pod is a Pod named web with more lines in its spec.
func pod(image, annotations, spec string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {%s}
spec:
  containers: [{name: web, image: "%s"}]
  %s
`, annotations, image, spec)
}

// world is a namespace of the shared cluster.
type world struct {
	*testing.T
	cluster   *kube.Cluster
	client    kubernetes.Interface
	namespace string
}

func newWorld(t *testing.T) world {
	t.Helper()
	c := kube.Shared(t)
	t.Parallel()
	return world{T: t, cluster: c, client: clientOf(t, c), namespace: c.Namespace(t)}
}

func clientOf(t *testing.T, c *kube.Cluster) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (w world) apply(docs string) {
	w.Helper()
	if err := w.cluster.Apply(w.Context(), w.namespace, []byte(docs)); err != nil {
		w.Fatal(err)
	}
}

// eventually waits until the pod web looks as wanted.
func (w world) eventually(what string, ok func(*corev1.Pod) bool) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		p, err := w.client.CoreV1().Pods(w.namespace).Get(w.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !ok(p) {
			return fmt.Errorf("pod is not %s: %+v", what, p.Status)
		}
		return nil
	})
}

// staysUnready checks for a second that the pod web does not become Ready.
func (w world) staysUnready() {
	w.Helper()
	for range 20 {
		w.eventually("unready", func(p *corev1.Pod) bool { return !ready(p) })
		time.Sleep(50 * time.Millisecond)
	}
}

func ready(p *corev1.Pod) bool { return condition(p, corev1.PodReady) == corev1.ConditionTrue }

func condition(p *corev1.Pod, t corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range p.Status.Conditions {
		if c.Type == t {
			return c.Status
		}
	}
	return ""
}

func waiting(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			return s.State.Waiting.Reason
		}
	}
	return ""
}

func TestDeploymentBecomesAvailable(t *testing.T) {
	w := newWorld(t)
	start := time.Now()
	w.apply(deployment(3, "web:1", ""))
	w.apply(`
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`)
	w.deploymentReady(3)
	t.Logf("3 replicas available after %s", time.Since(start))
	kube.Eventually(t, within, func() error {
		slices, err := w.client.DiscoveryV1().EndpointSlices(w.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(slices.Items) != 1 || len(slices.Items[0].Endpoints) != 3 {
			return fmt.Errorf("endpoint slices: %v", slices.Items)
		}
		return nil
	})
}

func (w world) deploymentReady(replicas int32) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		d, err := w.client.AppsV1().Deployments(w.namespace).Get(w.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if d.Status.AvailableReplicas != replicas || d.Status.ObservedGeneration != d.Generation {
			return fmt.Errorf("want %d available: %+v", replicas, d.Status)
		}
		return nil
	})
}

func TestDeletedDeploymentTakesItsPodsAlong(t *testing.T) {
	w := newWorld(t)
	w.apply(deployment(2, "web:1", ""))
	w.deploymentReady(2)
	background := metav1.DeletePropagationBackground
	err := w.client.AppsV1().Deployments(w.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, within, func() error {
		pods, err := w.client.CoreV1().Pods(w.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			return fmt.Errorf("%d pods left", len(pods.Items))
		}
		return nil
	})
}

func TestMissingImageKeepsThePodWaiting(t *testing.T) {
	w := newWorld(t)
	w.apply(pod("web:badpull", "", ""))
	w.eventually("in ImagePullBackOff", func(p *corev1.Pod) bool {
		return waiting(p) == "ImagePullBackOff" && p.Status.Phase == corev1.PodPending
	})
	w.staysUnready()
}

func TestCrashingPodRestartsAgainAndAgain(t *testing.T) {
	for name, manifest := range map[string]string{
		"by tag":        pod("web:crash", "", ""),
		"by annotation": pod("web:1", "sim/behaviour: crash", ""),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(manifest)
			w.eventually("restarted 3 times", func(p *corev1.Pod) bool {
				return waiting(p) == "CrashLoopBackOff" && p.Status.ContainerStatuses[0].RestartCount >= 3 && !ready(p)
			})
		})
	}
}

func TestNeverReadyPodRuns(t *testing.T) {
	w := newWorld(t)
	w.apply(pod("registry.example:5000/web:neverready@sha256:"+strings.Repeat("0", 64), "", ""))
	w.eventually("running", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning })
	w.staysUnready()
}

func TestReadyDelayIsKept(t *testing.T) {
	w := newWorld(t)
	w.apply(pod("web:1", "sim/ready-delay: 1500ms", ""))
	w.eventually("running and unready", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodRunning && condition(p, corev1.PodReady) == corev1.ConditionFalse
	})
	start := time.Now()
	w.eventually("ready", ready)
	if took := time.Since(start); took < time.Second {
		t.Errorf("ready after %s", took)
	}
}

func TestReadinessGateHoldsThePod(t *testing.T) {
	w := newWorld(t)
	w.apply(pod("web:1", "", "readinessGates: [{conditionType: example.com/in-pool}]"))
	w.eventually("running", func(p *corev1.Pod) bool {
		return condition(p, corev1.ContainersReady) == corev1.ConditionTrue
	})
	w.staysUnready()
	w.setGate("True")
	w.eventually("ready", ready)
	w.setGate("False")
	w.eventually("unready", func(p *corev1.Pod) bool { return !ready(p) })
}

func (w world) setGate(status string) {
	w.Helper()
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"example.com/in-pool","status":%q}]}}`, status)
	w.patch("application/strategic-merge-patch+json", patch, "status")
}

func (w world) annotate(key, value string) {
	w.Helper()
	w.patch("application/merge-patch+json", fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value))
}

func (w world) patch(kind types.PatchType, patch string, subresources ...string) {
	w.Helper()
	_, err := w.client.CoreV1().Pods(w.namespace).Patch(w.Context(), "web", kind, []byte(patch), metav1.PatchOptions{}, subresources...)
	if err != nil {
		w.Fatal(err)
	}
}

func TestRunningPodLosesAndRegainsReadiness(t *testing.T) {
	w := newWorld(t)
	w.apply(pod("web:1", "", ""))
	w.eventually("ready", ready)
	w.annotate("sim/ready", "false")
	w.eventually("unready", func(p *corev1.Pod) bool { return !ready(p) && !p.Status.ContainerStatuses[0].Ready })
	w.annotate("sim/ready", "true")
	w.eventually("ready again", ready)
}

func TestJobEndsAsItsPodsAreTold(t *testing.T) {
	for name, c := range map[string]struct{ image, annotations, want string }{
		"succeeds by default":     {"job:1", "", "Complete"},
		"succeeds after its time": {"job:1", "sim/job: succeed, sim/job-after: 1s", "Complete"},
		"fails by annotation":     {"job:1", "sim/job: fail", "Failed"},
		"fails by tag":            {"job:crash", "", "Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {%s}}
    spec:
      restartPolicy: Never
      containers: [{name: job, image: "%s"}]
`, c.annotations, c.image))
			kube.Eventually(t, within, func() error {
				job, err := w.client.BatchV1().Jobs(w.namespace).Get(t.Context(), "job", metav1.GetOptions{})
				if err != nil {
					return err
				}
				for _, cond := range job.Status.Conditions {
					if string(cond.Type) == c.want && cond.Status == corev1.ConditionTrue {
						return nil
					}
				}
				return fmt.Errorf("want %s: %+v", c.want, job.Status)
			})
		})
	}
}

func TestDeleteDelayKeepsThePodTerminating(t *testing.T) {
	w := newWorld(t)
	w.apply(pod("web:1", "sim/delete-delay: 1500ms", ""))
	w.eventually("ready", ready)
	start := time.Now()
	if err := w.client.CoreV1().Pods(w.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("terminating", func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	kube.Eventually(t, within, func() error {
		_, err := w.client.CoreV1().Pods(w.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("pod still there: %w", err)
	})
	if took := time.Since(start); took < time.Second {
		t.Errorf("gone after %s", took)
	}
}

func TestAutoscalerScalesOnReportedUse(t *testing.T) {
	w := newWorld(t)
	w.apply(deployment(2, "web:1", `sim/cpu: "100"`))
	w.deploymentReady(2)
	w.apply(`
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  minReplicas: 2
  maxReplicas: 4
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`)
	w.deploymentReady(4)
}

func TestRestrictedNamespaceRefusesAPrivilegedPod(t *testing.T) {
	w := newWorld(t)
	_, err := w.client.CoreV1().Namespaces().Patch(t.Context(), w.namespace, "application/merge-patch+json",
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.cluster.Apply(t.Context(), w.namespace, []byte(pod("web:1", "", "hostNetwork: true")))
	if !apierrors.IsForbidden(err) {
		t.Errorf("want forbidden, got %v", err)
	}
}

func TestServiceAccountTokenIsAUserWithoutRights(t *testing.T) {
	w := newWorld(t)
	token, err := w.client.CoreV1().ServiceAccounts(w.namespace).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := *w.cluster.Config
	cfg.CertData, cfg.KeyData, cfg.BearerToken = nil, nil, token.Status.Token
	client, err := kubernetes.NewForConfig(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods(w.namespace).List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "system:serviceaccount:"+w.namespace+":default") {
		t.Errorf("want forbidden for the service account, got %v", err)
	}
}

func TestInstalledCRDsTakeObjectsAtOnce(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	crd := `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
	if err := os.WriteFile(filepath.Join(dir, "thing.yaml"), []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.InstallCRDs(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	// A mapper asks once and believes what it is told.
	discovery, err := discovery.NewDiscoveryClientForConfig(w.cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(discovery)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(schema.GroupKind{Group: "example.com", Kind: "Thing"}, "v1"); err != nil {
		t.Errorf("a client that is made right after: %v", err)
	}
	w.apply("# nothing\n---\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: one}\n---\napiVersion: example.com/v1\nkind: Thing\nmetadata: {name: two}\n")
}

func TestTwoClustersAtOnceKnowNothingOfEachOther(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	start := time.Now()
	other, err := kube.Start(ctx, kube.Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("second cluster ready after %s", time.Since(start))
	_, err = clientOf(t, other).CoreV1().Namespaces().Get(ctx, w.namespace, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("want no namespace %s in the other cluster, got %v", w.namespace, err)
	}
	start = time.Now()
	other.Stop()
	t.Logf("second cluster stopped after %s", time.Since(start))
	if _, err := os.Stat(filepath.Dir(other.Kubeconfig)); !os.IsNotExist(err) {
		t.Errorf("want its folder gone, got %v", err)
	}
}
