package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/faults/observer"
)

// recordWith is the environment variable that names the binary of another
// controller: then what it leaves is recorded again.
const recordWith = "RECORD_ADOPTION_WITH"

// recorded are the kinds of which objects are recorded, in the order in which they are restored.
var recorded = []schema.GroupVersionKind{
	{Group: "argoproj.io", Version: "v1alpha1", Kind: "RolloutList"},
	{Version: "v1", Kind: "ServiceList"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "IngressList"},
	{Group: "argoproj.io", Version: "v1alpha1", Kind: "AnalysisTemplateList"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSetList"},
	{Group: "argoproj.io", Version: "v1alpha1", Kind: "AnalysisRunList"},
}

// TestRecordWhatAnotherControllerLeaves writes testdata/adoption. It needs a
// build of Argo Rollouts, which is no part of this repository.
func TestRecordWhatAnotherControllerLeaves(t *testing.T) {
	path := os.Getenv(recordWith)
	if path == "" {
		t.Skipf("%s names no binary: nothing is recorded", recordWith)
	}
	for name, c := range adoptions {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.startOther(path)
			w.apply(c.manifests(w.namespace))
			w.until("web", healthy)
			c.bring(w)
			if name != restless {
				w.quiet(observer.Watch(w, w.cluster.Config, w.namespace))
			}
			w.record(name)
		})
	}
}

// startOther runs the other controller for this namespace alone, until the test ends.
func (w *world) startOther(path string) {
	w.Helper()
	var log bytes.Buffer
	other := exec.CommandContext(w.Context(), path, "--kubeconfig", w.cluster.Kubeconfig, "--namespaced", "--namespace", w.namespace,
		"--instance-id", w.namespace, "--leader-elect=false", "--metricsport", "0", "--healthzPort", "0")
	other.Env = append(os.Environ(), "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS="+shared.metric.URL)
	other.Stdout, other.Stderr = &log, &log
	if err := other.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
		if w.Failed() {
			text := log.String()
			w.Logf("log of the other controller:\n%s", text[max(0, len(text)-8000):])
		}
	})
}

// record writes the objects of the namespace, without what a cluster fills in.
func (w *world) record(name string) {
	w.Helper()
	var docs []string
	for _, kind := range recorded {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(kind)
		if err := w.client.List(w.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			w.Fatal(err)
		}
		slices.SortStableFunc(list.Items, func(a, b unstructured.Unstructured) int {
			return a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
		})
		for i := range list.Items {
			data, err := yaml.Marshal(bare(&list.Items[i]))
			if err != nil {
				w.Fatal(err)
			}
			docs = append(docs, string(data))
		}
	}
	head := fmt.Sprintf("# Left by Argo Rollouts 1.8.3.\n# Recorded %s\n---\n", time.Now().UTC().Format(time.RFC3339))
	file := filepath.Join("testdata", "adoption", name+".yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(head+strings.Join(docs, "---\n")), 0o600); err != nil {
		w.Fatal(err)
	}
}

// bare is an object without what the cluster filled in, and without the name of the controller.
func bare(obj *unstructured.Unstructured) map[string]any {
	meta := map[string]any{"name": obj.GetName()}
	labels, annotations := obj.GetLabels(), obj.GetAnnotations()
	delete(labels, v1alpha1.InstanceIDLabel)
	if len(labels) > 0 {
		meta["labels"] = labels
	}
	if len(annotations) > 0 {
		meta["annotations"] = annotations
	}
	var owners []any
	for _, o := range obj.GetOwnerReferences() {
		owners = append(owners, map[string]any{"apiVersion": o.APIVersion, "kind": o.Kind, "name": o.Name, "controller": true, "blockOwnerDeletion": true})
	}
	if len(owners) > 0 {
		meta["ownerReferences"] = owners
	}
	obj.Object["metadata"] = meta
	switch obj.GetKind() {
	case "Service":
		spec := obj.Object["spec"].(map[string]any)
		obj.Object["spec"] = map[string]any{"selector": spec["selector"], "ports": spec["ports"]}
		delete(obj.Object, "status")
	case "ReplicaSet", "Ingress":
		delete(obj.Object, "status")
	}
	return obj.Object
}
