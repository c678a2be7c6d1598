package rollout

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

// workloadKinds are the kinds that spec.workloadRef may name.
var workloadKinds = map[string]schema.GroupVersionKind{
	"Deployment":  appsv1.SchemeGroupVersion.WithKind("Deployment"),
	"ReplicaSet":  appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
	"PodTemplate": corev1.SchemeGroupVersion.WithKind("PodTemplate"),
}

// workloads finds what spec.workloadRef names. Of a kind that some Rollout
// refers to, the metadata of all objects is watched, no more; a body is read by
// name when its metadata says that it is not the one that was read last.
type workloads struct {
	// live reads from the API server.
	live client.Reader
	// sights is a cache of metadata; nil reads every time.
	sights cache.Cache
	// watch wakes Rollouts by the metadata of a kind.
	watch func(schema.GroupVersionKind) error

	mu      sync.Mutex
	watched map[string]bool
	known   map[types.NamespacedName]*resources.Workload // by Rollout; one without a UID is not there
}

// of is the workload of a Rollout, or nil when there is no such object.
func (w *workloads) of(ctx context.Context, ro *v1alpha1.Rollout) (*resources.Workload, error) {
	key, ref := client.ObjectKeyFromObject(ro), ro.Spec.WorkloadRef
	seen, err := w.look(ctx, client.ObjectKey{Namespace: ro.Namespace, Name: ref.Name}, workloadKinds[ref.Kind])
	if err != nil {
		return nil, err
	}
	known := w.recall(key, ref)
	if known == nil || !believed(ro, known, seen) {
		if known, err = w.read(ctx, ro.Namespace, ref); err != nil {
			return nil, err
		}
		w.remember(key, known)
	}
	if known.UID == "" {
		return nil, nil
	}
	return known, nil
}

// believed reports whether what was read last is read no more.
func believed(ro *v1alpha1.Rollout, known *resources.Workload, seen sight) bool {
	return announced(ro) <= known.Generation && seen.confirms(known, scales(ro, known))
}

// announced is the generation of the workload that the Rollout's annotation
// tells of: the plugin writes it, and may be ahead of the cache.
func announced(ro *v1alpha1.Rollout) int64 {
	generation, err := strconv.ParseInt(ro.Annotations[v1alpha1.WorkloadGenerationAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return generation
}

// scales reports whether the sizes of a workload matter, and not its template alone.
func scales(ro *v1alpha1.Rollout, w *resources.Workload) bool {
	way := ro.Spec.WorkloadRef.ScaleDown
	return w.Replicas > 0 && way != "" && way != v1alpha1.ScaleDownNever && !w.Fact(ro).Kept
}

// recall is the workload as it was last read for a Rollout; nil for one that refers to another now.
func (w *workloads) recall(rollout types.NamespacedName, ref *v1alpha1.ObjectRef) *resources.Workload {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.known[rollout]; known != nil && known.Kind == ref.Kind && known.Name == ref.Name {
		return known
	}
	return nil
}

func (w *workloads) remember(rollout types.NamespacedName, read *resources.Workload) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		w.known = map[types.NamespacedName]*resources.Workload{}
	}
	w.known[rollout] = read
}

func (w *workloads) forget(rollout types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.known, rollout)
}

// sight is what the cache of metadata shows of a workload.
type sight struct {
	// sure is false before the cache is filled.
	sure bool
	// meta is nil when there is no such object.
	meta *metav1.PartialObjectMetadata
}

// look asks the cache, and starts to watch the kind with the first question. It never waits.
func (w *workloads) look(ctx context.Context, key client.ObjectKey, kind schema.GroupVersionKind) (sight, error) {
	if w.sights == nil {
		return sight{}, nil
	}
	if err := w.begin(kind); err != nil {
		return sight{}, err
	}
	informer, err := w.sights.GetInformer(ctx, metadataOf(kind), cache.BlockUntilSynced(false))
	if err != nil {
		return sight{}, fmt.Errorf("watching the metadata of every %s: %w", kind.Kind, err)
	}
	if !informer.HasSynced() {
		return sight{}, nil
	}
	meta := metadataOf(kind)
	err = w.sights.Get(ctx, key, meta)
	switch {
	case apierrors.IsNotFound(err):
		return sight{sure: true}, nil
	case err != nil:
		return sight{}, fmt.Errorf("looking for %s %s: %w", kind.Kind, key.Name, err)
	}
	return sight{sure: true, meta: meta}, nil
}

// begin starts to watch a kind, once.
func (w *workloads) begin(kind schema.GroupVersionKind) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched[kind.Kind] {
		return nil
	}
	if err := w.watch(kind); err != nil {
		return fmt.Errorf("watching the metadata of every %s: %w", kind.Kind, err)
	}
	if w.watched == nil {
		w.watched = map[string]bool{}
	}
	w.watched[kind.Kind] = true
	return nil
}

func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(kind)
	return meta
}

// confirms reports whether what was read is what there is, as far as it
// matters: the template by the generation, the rest by the version.
func (s sight) confirms(known *resources.Workload, exactly bool) bool {
	switch {
	case !s.sure:
		return false
	case s.meta == nil || known.UID == "":
		return s.meta == nil && known.UID == ""
	case s.meta.UID != known.UID:
		return false
	case s.meta.ResourceVersion == known.ResourceVersion || newer(known.ResourceVersion, s.meta.ResourceVersion):
		return true // the cache may be a moment behind our own writes
	default:
		return !exactly && s.meta.Generation == known.Generation
	}
}

// newer reports whether a version is known to come after another.
func newer(version, other string) bool {
	order, err := resourceversion.CompareResourceVersion(version, other)
	return err == nil && order > 0
}

// read reads a workload from the API server; one without a UID is not there.
func (w *workloads) read(ctx context.Context, namespace string, ref *v1alpha1.ObjectRef) (*resources.Workload, error) {
	var object client.Object
	var read func() *resources.Workload
	switch ref.Kind {
	case "Deployment":
		d := &appsv1.Deployment{}
		object, read = d, func() *resources.Workload { return resources.OfDeployment(d) }
	case "ReplicaSet":
		rs := &appsv1.ReplicaSet{}
		object, read = rs, func() *resources.Workload { return resources.OfReplicaSet(rs) }
	default: // the other kinds were refused
		t := &corev1.PodTemplate{}
		object, read = t, func() *resources.Workload { return resources.OfPodTemplate(t) }
	}
	err := w.live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, object)
	if apierrors.IsNotFound(err) {
		return &resources.Workload{Kind: ref.Kind, ObjectMeta: metav1.ObjectMeta{Name: ref.Name}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", ref.Kind, ref.Name, err)
	}
	found := read()
	found.ManagedFields = nil
	return found, nil
}

// observeWorkload takes the template and the selector from the workload. The
// Rollout of the snapshot is another one from then on, which nobody stores.
func (r *Reconciler) observeWorkload(ctx context.Context, seen *observed) error {
	ref, path := seen.Rollout.Spec.WorkloadRef, field.NewPath("spec", "workloadRef")
	if ref == nil {
		return nil
	}
	if _, known := workloadKinds[ref.Kind]; !known || ref.Name == "" || !seen.Rollout.Spec.Template.Empty() {
		seen.unresolved = true
		return nil // validation says so
	}
	found, err := r.workloads.of(ctx, seen.Rollout)
	if err != nil {
		return err
	}
	if found == nil {
		seen.unresolved = true
		return field.Invalid(path.Child("name"), ref.Name, fmt.Sprintf(
			"there is no %s %q in this namespace: create it, or name another one", ref.Kind, ref.Name))
	}
	seen.workload, seen.Workload = found, found.Fact(seen.Rollout)
	seen.Rollout = resources.Resolved(seen.Rollout, found)
	if invalid := v1alpha1.ValidateResolved(seen.Rollout); invalid != nil {
		return invalid
	}
	return nil
}
