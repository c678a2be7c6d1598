// Package e2e plays whole rollouts on a real control plane with the controller
// as a process of its own and the plugin's own code.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/cmd"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/faults/observer"
	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) {
	besideEachOther(4)
	log.SetLogger(logr.Discard()) // Otherwise the clients complain after 30 s that there is none.
	code := kube.Main(m)
	if shared.process != nil {
		if code != 0 {
			fmt.Fprintf(os.Stderr, "log of the shared controller:\n%s\n", shared.process.Log())
		}
		shared.process.Stop()
	}
	headway.Clean()
	os.Exit(code)
}

// besideEachOther sets how many tests run at once, unless the command line does.
// They wait most of the time, so there may be more of them than processors.
func besideEachOther(tests int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(tests)) // It exists and takes a number.
	}
}

// within is how long anything may take on a busy machine.
const within = 60 * time.Second

// shared is what the tests of the package have in common.
var shared struct {
	once    sync.Once
	client  client.Client
	process *headway.Process
	metric  *prometheus
	err     error
}

// prepare installs the CRDs and starts the controller that most tests use. Its
// Prometheus, for metrics that name none, always says 0.99.
func prepare(cluster *kube.Cluster) error {
	if err := cluster.InstallCRDs(context.Background(), kube.Root()+"/config/crd"); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(clientgoscheme.Scheme); err != nil {
		return err
	}
	var err error
	if shared.client, err = client.New(cluster.Config, client.Options{Scheme: clientgoscheme.Scheme}); err != nil {
		return err
	}
	shared.metric = startPrometheus(value("0.99"))
	shared.process, err = headway.Run(headway.Options{
		Kubeconfig: cluster.Kubeconfig,
		Env:        []string{"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS=" + shared.metric.URL},
	})
	return err
}

// world is a namespace of the shared cluster, and who acts in it.
type world struct {
	*testing.T

	cluster   *kube.Cluster
	client    client.Client
	namespace string
	binary    string // the name by which the plugin is called
}

// newWorld makes a namespace that the shared controller serves. The test runs beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	cluster := kube.Shared(t)
	shared.once.Do(func() { shared.err = prepare(cluster) })
	if shared.err != nil {
		t.Fatalf("preparing the cluster: %v", shared.err)
	}
	t.Parallel()
	w := &world{T: t, cluster: cluster, client: shared.client, namespace: cluster.Namespace(t), binary: "kubectl-rollouts"}
	t.Cleanup(func() {
		if err := shared.process.Running(); err != nil {
			t.Errorf("the shared controller does not run: %v", err)
		}
		if strings.Contains(shared.process.Log(), "panic") {
			t.Error("the shared controller panicked: its log says where")
		}
	})
	return w
}

// ownController runs a controller for this test alone, until it ends. It serves
// what carries its instance id, which is returned.
func (w *world) ownController(args ...string) (id string) {
	w.Helper()
	headway.Start(w.T, headway.Options{
		Kubeconfig: w.cluster.Kubeconfig, Args: append([]string{"--instance-id", w.namespace}, args...),
	})
	return w.namespace
}

// as is the same world for a plugin of another name.
func (w *world) as(binary string) *world {
	other := *w
	other.binary = binary
	return &other
}

// apply applies manifests; they must be accepted.
func (w *world) apply(docs ...string) {
	w.Helper()
	if err := w.tryApply(docs...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) tryApply(docs ...string) error {
	return w.cluster.Apply(w.Context(), w.namespace, []byte(strings.Join(docs, "\n---\n")))
}

func (w *world) rollout(name string) (*v1alpha1.Rollout, error) {
	ro := &v1alpha1.Rollout{}
	err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, ro)
	return ro, err
}

// until waits until the controller has seen the spec and the Rollout is as wanted.
func (w *world) until(name string, want ...func(*v1alpha1.Rollout) error) *v1alpha1.Rollout {
	w.Helper()
	var last *v1alpha1.Rollout
	kube.Eventually(w, within, func() error {
		ro, err := w.rollout(name)
		if err != nil {
			return err
		}
		last = ro
		errs := []error{observed(ro)}
		for _, f := range want {
			errs = append(errs, f(ro))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("%w\n%s", err, brief(ro))
		}
		return nil
	})
	return last
}

func observed(ro *v1alpha1.Rollout) error {
	if ro.Status.ObservedGeneration != strconv.FormatInt(ro.Generation, 10) {
		return fmt.Errorf("generation %d was not observed", ro.Generation)
	}
	return nil
}

func brief(ro *v1alpha1.Rollout) string {
	st := ro.Status
	text := fmt.Sprintf("Rollout %s: phase %s %q, step %d, abort %t, stable %s of %s, pods %d", ro.Name, st.Phase, st.Message,
		ptr.Deref(st.CurrentStepIndex, -1), st.Abort, st.StableRS, st.CurrentPodHash, st.Replicas)
	if st.Why != nil {
		text += fmt.Sprintf(", why %s: %s", st.Why.Code, st.Why.Message)
	}
	return text
}

// healthy asks for a Rollout whose current revision is stable and whole.
func healthy(ro *v1alpha1.Rollout) error {
	if st := ro.Status; st.Phase != v1alpha1.RolloutPhaseHealthy || st.StableRS != st.CurrentPodHash {
		return errors.New("not healthy")
	}
	return nil
}

func phase(want v1alpha1.RolloutPhase) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if ro.Status.Phase != want {
			return fmt.Errorf("not %s", want)
		}
		return nil
	}
}

func atStep(index int32) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		if ptr.Deref(ro.Status.CurrentStepIndex, -1) != index {
			return fmt.Errorf("not at step %d", index)
		}
		return nil
	}
}

// because asks for a code of status.why and for parts of its message.
func because(code string, parts ...string) func(*v1alpha1.Rollout) error {
	return func(ro *v1alpha1.Rollout) error {
		why := ro.Status.Why
		if why == nil || string(why.Code) != code {
			return fmt.Errorf("why is not %s", code)
		}
		return holds(why.Message, parts...)
	}
}

// holds reports the parts that a text does not have.
func holds(text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("%q does not say %q", text, part)
		}
	}
	return nil
}

// plugin runs a command line of the plugin in the namespace.
func (w *world) plugin(args ...string) (code int, stdout, stderr string) {
	w.Helper()
	var out, errOut bytes.Buffer
	line := append([]string{w.binary, "--kubeconfig", w.cluster.Kubeconfig, "-n", w.namespace}, args...)
	code = cmd.Execute(line, genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	return code, out.String(), errOut.String()
}

// run runs a command line of the plugin, which must succeed.
func (w *world) run(args ...string) string {
	w.Helper()
	code, out, errOut := w.plugin(args...)
	if code != 0 {
		w.Fatalf("kubectl rollouts %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errOut)
	}
	return out
}

// release sets the image of the Rollout's only container, which has its name.
func (w *world) release(name, tag string) {
	w.Helper()
	w.run("set", "image", name, fmt.Sprintf("%s=example.com/%s:%s", name, name, tag))
}

// replicaSets are the ReplicaSets of a Rollout, or of all with an empty name.
func (w *world) replicaSets(rollout string) []appsv1.ReplicaSet {
	w.Helper()
	var list appsv1.ReplicaSetList
	if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	var out []appsv1.ReplicaSet
	for _, rs := range list.Items {
		if owner := metav1.GetControllerOf(&rs); rollout == "" || owner != nil && owner.Name == rollout {
			out = append(out, rs)
		}
	}
	return out
}

// selects is the hash that a Service selects.
func (w *world) selects(service string) string {
	w.Helper()
	var svc corev1.Service
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: service}, &svc); err != nil {
		w.Fatal(err)
	}
	return svc.Spec.Selector[v1alpha1.PodTemplateHashLabel]
}

// patch merges JSON into the spec of an object.
func (w *world) patch(obj client.Object, body string) {
	w.Helper()
	obj.SetNamespace(w.namespace)
	if err := w.client.Patch(w.Context(), obj, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		w.Fatal(err)
	}
}

// patchStatus merges JSON into the status of a Rollout.
func (w *world) patchStatus(rollout, body string) {
	w.Helper()
	ro := named(rollout)
	ro.Namespace = w.namespace
	if err := w.client.Status().Patch(w.Context(), ro, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		w.Fatal(err)
	}
}

func named(name string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// watch observes the namespace and holds its history against the invariants
// of the named Rollouts when the test ends.
func (w *world) watch(rollouts ...string) *observer.Observer {
	w.Helper()
	o := observer.Watch(w, w.cluster.Config, w.namespace)
	w.Cleanup(func() {
		history := o.History(keepContext{w})
		for _, name := range rollouts {
			for _, broken := range observer.Check(history, name) {
				w.Error(broken)
			}
		}
	})
	return o
}

// keepContext is a test whose context does not end before its cleanup.
type keepContext struct{ *world }

func (keepContext) Context() context.Context { return context.Background() }

// weights are the weights that a canary Ingress had, in order, without repetition.
func weights(history observer.History, ingress string) []string {
	var out []string
	for _, c := range history.Of(observer.Ingress) {
		if c.Name != ingress || c.Deleted {
			continue
		}
		weight := c.Object.GetAnnotations()["nginx.ingress.kubernetes.io/canary-weight"]
		if len(out) == 0 || out[len(out)-1] != weight {
			out = append(out, weight)
		}
	}
	return out
}

// runs are the AnalysisRuns of a namespace, oldest first.
func (w *world) runs() []v1alpha1.AnalysisRun {
	w.Helper()
	var list v1alpha1.AnalysisRunList
	if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}
