package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

const (
	within       = 30 * time.Second
	systemSpace  = "headway-system"
	restricted   = `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`
	controllerSA = "headway"
)

// world is the shared cluster with the cluster install in it, and a namespace of the test that
// enforces the restricted standard.
type world struct {
	*testing.T
	*kube.Cluster
	client    kubernetes.Interface
	namespace string
}

func newWorld(t *testing.T) world {
	t.Helper()
	c := kube.Shared(t)
	typed, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	w := world{T: t, Cluster: c, client: typed, namespace: c.Namespace(t)}
	w.apply("", documents(t, render(t, "default")))
	_, err = typed.CoreV1().Namespaces().Patch(t.Context(), w.namespace, "application/merge-patch+json", []byte(restricted), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) apply(namespace string, docs []byte) {
	w.Helper()
	if err := w.Apply(w.Context(), namespace, docs); err != nil {
		w.Fatal(err)
	}
}

// available waits for every replica of the controller's Deployment.
func (w world) available(namespace string) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		d, err := w.client.AppsV1().Deployments(namespace).Get(w.Context(), "headway", metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading the Deployment: %w", err)
		}
		if d.Status.AvailableReplicas != *d.Spec.Replicas {
			return fmt.Errorf("want %d available: %+v", *d.Spec.Replicas, d.Status)
		}
		return nil
	})
}

func TestClusterInstallRunsUnderTheRestrictedStandard(t *testing.T) {
	w := newWorld(t)
	w.available(systemSpace)
	ns, err := w.client.CoreV1().Namespaces().Get(t.Context(), systemSpace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
}

func TestNamespacedInstallRunsUnderTheRestrictedStandard(t *testing.T) {
	w := newWorld(t)
	w.apply("", documents(t, overlay(t, "namespace: "+w.namespace+"\nresources: [../config/namespaced]\n")))
	w.available(w.namespace)
}

func TestApplyingTheInstallAgainChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.available(systemSpace)
	before := w.deployment(systemSpace)
	w.apply("", documents(t, render(t, "default")))
	if after := w.deployment(systemSpace); after.Generation != before.Generation {
		t.Errorf("the Deployment changed from generation %d to %d", before.Generation, after.Generation)
	}
}

func (w world) deployment(namespace string) *appsv1.Deployment {
	w.Helper()
	d, err := w.client.AppsV1().Deployments(namespace).Get(w.Context(), "headway", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// The control of the two installs: the standard is enforced, and it is what lets the pods in.
func TestAPodThatBreaksTheStandardIsRefused(t *testing.T) {
	w := newWorld(t)
	template := convert[appsv1.Deployment](t, render(t, "default"), "Deployment")[0].Spec.Template
	for name, spoil := range map[string]func(*corev1.PodSpec){
		"not said to be without root": func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil },
		"without a seccomp profile":   func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
		"with capabilities":           func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil },
		"with escalation":             func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"on the host's network":       func(s *corev1.PodSpec) { s.HostNetwork = true },
	} {
		t.Run(name, func(t *testing.T) {
			spec := template.Spec.DeepCopy()
			spoil(spec)
			if err := w.tryPod(*spec); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
				t.Errorf("want a refusal by PodSecurity, got %v", err)
			}
		})
	}
	if err := w.tryPod(template.Spec); err != nil {
		t.Errorf("the pod as it is installed is refused: %v", err)
	}
}

// tryPod asks the API server whether it would take the pod in the namespace of the test.
func (w world) tryPod(spec corev1.PodSpec) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}, Spec: spec}
	pod.Spec.ServiceAccountName = "default"
	_, err := w.client.CoreV1().Pods(w.namespace).Create(w.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

func TestSamplesAreAccepted(t *testing.T) {
	w := newWorld(t)
	istio, err := kube.ModuleDir(t.Context(), ".", "istio.io/api")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.InstallCRDs(t.Context(), filepath.Join(istio, "kubernetes")); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(kube.Root(), "config", "samples", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, path := range paths {
		docs, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(w.namespace, docs)
		rollouts := convert[v1alpha1.Rollout](t, objectsIn(t, docs), "Rollout")
		if len(rollouts) == 0 {
			t.Errorf("%s has no Rollout", path)
		}
		for _, ro := range rollouts {
			if ro.Spec.WorkloadRef != nil {
				continue // its pods are those of a Deployment, which the API server has checked
			}
			if ro.Spec.Template.Malformed != "" {
				t.Errorf("Rollout %s: %s", ro.Name, ro.Spec.Template.Malformed)
			}
			if err := w.tryPod(ro.Spec.Template.Spec); err != nil {
				t.Errorf("a pod of Rollout %s: %v", ro.Name, err)
			}
		}
	}
}

// objectsIn reads a file of several documents.
func objectsIn(t *testing.T, docs []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for doc := range strings.SplitSeq(string(docs), "\n---\n") {
		obj := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(doc), &obj.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, obj)
	}
	return objects
}

func TestWhatTheControllerMayDo(t *testing.T) {
	w := newWorld(t)
	for _, component := range []string{withSecrets, withJobs} {
		w.apply("", documents(t, overlay(t, strings.ReplaceAll(component, "team-a", w.namespace))))
	}
	for _, c := range []struct {
		name string
		attr authorizationv1.ResourceAttributes
		may  bool
	}{
		{"watch Rollouts everywhere", may("watch", "argoproj.io", "rollouts", ""), true},
		{"patch their status", subresource("patch", "argoproj.io", "rollouts", "status"), true},
		{"patch an Experiment", may("patch", "argoproj.io", "experiments", "default"), true},
		{"replace an Experiment", may("update", "argoproj.io", "experiments", "default"), false},
		{"delete the Service of an Experiment", may("delete", "", "services", "default"), true},
		{"create ReplicaSets", may("create", "apps", "replicasets", "default"), true},
		{"take its Lease", may("create", "coordination.k8s.io", "leases", systemSpace), true},
		{"take a Lease elsewhere", may("create", "coordination.k8s.io", "leases", "kube-system"), false},
		{"read a Secret of a namespace that allows it", may("get", "", "secrets", w.namespace), true},
		{"list the Secrets there", may("list", "", "secrets", w.namespace), false},
		{"read a Secret elsewhere", may("get", "", "secrets", "kube-system"), false},
		{"read a Secret of its own namespace", may("get", "", "secrets", systemSpace), false},
		{"list Secrets everywhere", may("list", "", "secrets", ""), false},
		{"run a Job in a namespace that allows it", may("create", "batch", "jobs", w.namespace), true},
		{"look at its pods", may("list", "", "pods", w.namespace), true},
		{"run a Job elsewhere", may("create", "batch", "jobs", "default"), false},
		{"watch pods", may("watch", "", "pods", systemSpace), false},
		{"delete a pod", may("delete", "", "pods", systemSpace), false},
		{"replace a Rollout", may("update", "argoproj.io", "rollouts", "default"), false},
		{"delete a Rollout", may("delete", "argoproj.io", "rollouts", "default"), false},
		{"replace a Service", may("update", "", "services", "default"), false},
		{"create a pod", may("create", "", "pods", "default"), false},
		{"change roles", may("create", "rbac.authorization.k8s.io", "clusterroles", ""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			kube.Eventually(t, within, func() error { // A new role is known a moment later.
				allowed, err := w.allowed(c.attr)
				if err == nil && allowed != c.may {
					err = fmt.Errorf("allowed: %t, want %t", allowed, c.may)
				}
				return err
			})
		})
	}
}

// allowed asks the API server what the installed controller may do.
func (w world) allowed(attr authorizationv1.ResourceAttributes) (bool, error) {
	review, err := w.client.AuthorizationV1().SubjectAccessReviews().Create(w.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + systemSpace + ":" + controllerSA, ResourceAttributes: &attr,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking for %s %s: %w", attr.Verb, attr.Resource, err)
	}
	return review.Status.Allowed, nil
}

func may(verb, group, resource, namespace string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: namespace}
}

func subresource(verb, group, resource, sub string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub}
}

func TestPeopleMayUseTheAPIWithTheBuiltInRoles(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ role, has, lacks string }{
		{"view", "get", "patch"},
		{"edit", "patch", "escalate"},
		{"admin", "delete", "escalate"},
	} {
		t.Run(c.role, func(t *testing.T) {
			kube.Eventually(t, within, func() error { // The roles are put together by a controller.
				role, err := w.client.RbacV1().ClusterRoles().Get(t.Context(), c.role, metav1.GetOptions{})
				if err != nil {
					return fmt.Errorf("reading the role: %w", err)
				}
				for _, r := range role.Rules {
					if strings.Contains(fmt.Sprint(r.Resources), "rollouts/status") {
						return expectVerbs(r.Verbs, c.has, c.lacks)
					}
				}
				return fmt.Errorf("it does not reach rollouts/status")
			})
		})
	}
}

func expectVerbs(verbs []string, has, lacks string) error {
	words := " " + strings.Join(verbs, " ") + " "
	if !strings.Contains(words, " "+has+" ") || strings.Contains(words, " "+lacks+" ") {
		return fmt.Errorf("want %s and not %s, got%s", has, lacks, words)
	}
	return nil
}
