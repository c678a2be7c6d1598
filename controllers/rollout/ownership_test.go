package rollout

import (
	"context"
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/outcome"
	"github.com/headway-rollouts/headway/controllers/rollout/plan"
	"github.com/headway-rollouts/headway/controllers/rollout/resources"
)

func clusterOf(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

func webRollout(change func(*v1alpha1.Rollout)) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1", Generation: 2}}
	if change != nil {
		change(ro)
	}
	return ro
}

// What a Rollout that is being deleted leaves behind must not become its own
// again: it would be collected with it.
func TestNothingIsTakenOverByARolloutThatIsBeingDeleted(t *testing.T) {
	orphan := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-abc", UID: "r1"}}
	for name, c := range map[string]struct {
		live  []client.Object
		owned bool
	}{
		"it is there":       {[]client.Object{webRollout(nil)}, true},
		"it is gone":        {nil, false},
		"it is another one": {[]client.Object{webRollout(func(ro *v1alpha1.Rollout) { ro.UID = "u2" })}, false},
		"it is being deleted": {[]client.Object{webRollout(func(ro *v1alpha1.Rollout) {
			ro.DeletionTimestamp, ro.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{"orphan"}
		})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := clusterOf(t, append(c.live, orphan.DeepCopy())...)
			r := New(Options{Client: cluster, Live: cluster, Recorder: record.NewFakeRecorder(9)})
			var seenRS appsv1.ReplicaSet
			if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(orphan), &seenRS); err != nil {
				t.Fatal(err)
			}
			seen := &observed{Snapshot: plan.Snapshot{Rollout: webRollout(nil)}, replicaSets: map[string]*appsv1.ReplicaSet{"abc": &seenRS}}
			if err := r.act(t.Context(), seen, []plan.Action{plan.Adopt{Revision: "abc"}}); err != nil {
				t.Fatal(err)
			}
			if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(orphan), &seenRS); err != nil {
				t.Fatal(err)
			}
			if owned := metav1.IsControlledBy(&seenRS, webRollout(nil)); owned != c.owned {
				t.Errorf("it owns the ReplicaSet: %t, want %t", owned, c.owned)
			}
		})
	}
}

// A Rollout that was deleted without its pods and applied again must not take
// its own ReplicaSet for somebody else's, because the cache is a moment behind.
func TestANameIsTakenWhenTheAPIServerSaysSo(t *testing.T) {
	ownedBy := func(uid types.UID) *appsv1.ReplicaSet {
		rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-abc"}}
		if uid != "" {
			rs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(webRollout(func(ro *v1alpha1.Rollout) { ro.UID = uid }), v1alpha1.RolloutKind)}
		}
		return rs
	}
	later := ownedBy("")
	later.ResourceVersion = "1000"
	for name, c := range map[string]struct {
		cached, live *appsv1.ReplicaSet
		taken        bool
		err          error
	}{
		"nobody has it":                         {nil, nil, false, nil},
		"it is its own":                         {ownedBy("u1"), ownedBy("u1"), false, nil},
		"somebody else has it":                  {ownedBy("u2"), ownedBy("u2"), true, nil},
		"nobody controls it and it stays so":    {ownedBy(""), ownedBy(""), true, nil},
		"it has lost its owner meanwhile":       {ownedBy("u2"), later, false, errBehind},
		"it was deleted meanwhile":              {ownedBy("u2"), nil, false, errBehind},
		"it has become its own in the meantime": {ownedBy("u2"), ownedBy("u1"), false, errBehind},
	} {
		t.Run(name, func(t *testing.T) {
			var cached, live []client.Object
			if c.cached != nil {
				cached = append(cached, c.cached)
			}
			if c.live != nil {
				live = append(live, c.live.DeepCopy())
			}
			r := New(Options{Client: clusterOf(t, cached...), Live: clusterOf(t, live...)})
			taken, err := r.taken(t.Context(), webRollout(nil), "web-abc")
			if taken != c.taken || !errors.Is(err, c.err) {
				t.Errorf("taken %t, error %v; want %t, %v", taken, err, c.taken, c.err)
			}
		})
	}
}

// Both decide over pods, so they hold only for what was seen.
func TestWhatSomebodyElseChangedIsNotTakenOverNorScaled(t *testing.T) {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-abc", UID: "r1"}}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "d1"}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(5))}}
	cluster := clusterOf(t, webRollout(nil), rs, d)
	r := New(Options{Client: cluster, Live: cluster, Recorder: record.NewFakeRecorder(9)})
	for _, object := range []client.Object{rs, d} {
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		changed, _ := object.DeepCopyObject().(client.Object)
		changed.SetLabels(map[string]string{"somebody": "else"})
		if err := cluster.Update(t.Context(), changed); err != nil {
			t.Fatal(err)
		}
	}
	for name, action := range map[string]plan.Action{
		"adopting": plan.Adopt{Revision: "abc"}, "releasing": plan.Release{Name: "web-abc"}, "scaling": plan.ScaleWorkload{From: 5, To: 3},
	} {
		seen := &observed{
			Snapshot: plan.Snapshot{Rollout: webRollout(nil)}, workload: resources.OfDeployment(d),
			replicaSets: map[string]*appsv1.ReplicaSet{"abc": rs}, unselected: map[string]*appsv1.ReplicaSet{"web-abc": rs},
		}
		if err := r.act(t.Context(), seen, []plan.Action{action}); !outcome.ConflictsOnly(err) || err == nil {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
	}
}

func TestTheRecordedRevisionIsBelievedForAnUnchangedWorkload(t *testing.T) {
	made := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name     string
		observed string
		workload *resources.Workload
		same     bool
	}{
		{"no workload", "", nil, true},
		{"a workload that is no longer referred to", "3", nil, false},
		{"the same generation", "3", &resources.Workload{ObjectMeta: metav1.ObjectMeta{Generation: 3, CreationTimestamp: metav1.NewTime(made.Add(-time.Second))}}, true},
		{"another generation", "2", &resources.Workload{ObjectMeta: metav1.ObjectMeta{Generation: 3, CreationTimestamp: metav1.NewTime(made.Add(-time.Second))}}, false},
		{"the same generation of one that was made again", "3", &resources.Workload{ObjectMeta: metav1.ObjectMeta{Generation: 3, CreationTimestamp: metav1.NewTime(made)}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := webRollout(func(ro *v1alpha1.Rollout) {
				ro.Status.CurrentPodHash, ro.Status.WorkloadObservedGeneration = "abc", c.observed
			})
			seen := &observed{workload: c.workload, Snapshot: plan.Snapshot{Rollout: ro, Revisions: map[string]plan.Revision{"abc": {Created: made}}}}
			if got := seen.sameWorkload(); got != c.same {
				t.Errorf("it is believed: %t, want %t", got, c.same)
			}
		})
	}
}

func TestABodyIsReadWhenItsMetadataSaysSo(t *testing.T) {
	read := func(uid types.UID, version string, generation int64) *resources.Workload {
		return &resources.Workload{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version, Generation: generation}}
	}
	meta := func(uid types.UID, version string, generation int64) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version, Generation: generation}}
	}
	for _, c := range []struct {
		name     string
		sight    sight
		known    *resources.Workload
		exactly  bool
		believed bool
	}{
		{"before the cache is filled", sight{}, read("a", "5", 1), false, false},
		{"nothing changed", sight{true, meta("a", "5", 1)}, read("a", "5", 1), true, true},
		{"its status changed, which does not matter", sight{true, meta("a", "6", 1)}, read("a", "5", 1), false, true},
		{"its status changed, which matters", sight{true, meta("a", "6", 1)}, read("a", "5", 1), true, false},
		{"its spec changed", sight{true, meta("a", "6", 2)}, read("a", "5", 1), false, false},
		{"the cache is behind our own write", sight{true, meta("a", "5", 1)}, read("a", "6", 2), true, true},
		{"it was made again", sight{true, meta("b", "6", 1)}, read("a", "5", 1), false, false},
		{"it is gone", sight{true, nil}, read("a", "5", 1), false, false},
		{"it was not there and is not", sight{true, nil}, read("", "", 0), false, true},
		{"it was not there and is", sight{true, meta("a", "5", 1)}, read("", "", 0), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.sight.confirms(c.known, c.exactly); got != c.believed {
				t.Errorf("believed %t, want %t", got, c.believed)
			}
		})
	}
}

func TestAChangeThatIsAnnouncedIsReadBeforeTheCacheShowsIt(t *testing.T) {
	known := &resources.Workload{ObjectMeta: metav1.ObjectMeta{UID: "a", ResourceVersion: "5", Generation: 2}}
	shown := sight{true, &metav1.PartialObjectMetadata{ObjectMeta: known.ObjectMeta}}
	for generation, want := range map[string]bool{"": true, "1": true, "2": true, "3": false, "many": true} {
		ro := webRollout(func(ro *v1alpha1.Rollout) {
			ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{}
			ro.Annotations = map[string]string{v1alpha1.WorkloadGenerationAnnotation: generation}
		})
		if got := believed(ro, known, shown); got != want {
			t.Errorf("with %q announced it is believed: %t, want %t", generation, got, want)
		}
	}
}

// refusing is an API server that must not be asked.
type refusing struct{ client.Reader }

func (refusing) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("it was asked")
}

func TestTheWorkloadIsTakenIntoACopy(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "d1", Generation: 4}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	d.Spec.Template.Labels = map[string]string{"app": "web"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "app:v1"}}
	r := New(Options{Live: clusterOf(t, d)})
	ro := webRollout(func(ro *v1alpha1.Rollout) {
		ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	})
	seen := &observed{Snapshot: plan.Snapshot{Rollout: ro}}
	if err := r.observeWorkload(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	if !ro.Spec.Template.Empty() || ro.Spec.Selector != nil {
		t.Errorf("the Rollout that was read was changed: %+v", ro.Spec)
	}
	for path, want := range map[string]string{"spec.template.spec.containers[0].image": "app:v1", "spec.workloadRef.name": "web"} {
		if got, err := resources.Field(seen.Rollout, path); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
	r.forget(client.ObjectKeyFromObject(ro))
	if len(r.workloads.known) != 0 {
		t.Error("the workload of a Rollout that is gone is remembered")
	}
	r.workloads.live = refusing{}
	if err := r.observeWorkload(t.Context(), &observed{Snapshot: plan.Snapshot{Rollout: ro}}); err == nil {
		t.Error("what was forgotten was not read again")
	}
}
