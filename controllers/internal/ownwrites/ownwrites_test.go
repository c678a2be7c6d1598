package ownwrites

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

var (
	owner = types.NamespacedName{Namespace: "shop", Name: "web"}
	began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func configMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "c"}}
}

func seen(t *testing.T, log *Log, cache client.Reader, now time.Time) bool {
	t.Helper()
	ok, err := log.Seen(context.Background(), cache, owner, now)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestAWriteIsWaitedForUntilTheCacheShowsIt(t *testing.T) {
	server, cache := fake.NewClientBuilder().Build(), fake.NewClientBuilder().Build()
	var log Log
	if !seen(t, &log, cache, began) {
		t.Error("without a write there is nothing to wait for")
	}
	written := configMap()
	if err := log.Client(server, owner, began).Create(context.Background(), written); err != nil {
		t.Fatal(err)
	}
	if seen(t, &log, cache, began) {
		t.Error("the cache does not have the object yet")
	}
	if err := cache.Create(context.Background(), configMap()); err != nil {
		t.Fatal(err)
	}
	if !seen(t, &log, cache, began) {
		t.Error("the cache has the object")
	}
}

func TestAPatchIsWaitedForByItsVersion(t *testing.T) {
	server, cache := fake.NewClientBuilder().WithObjects(configMap()).Build(), fake.NewClientBuilder().WithObjects(configMap()).Build()
	var log Log
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"a":"1"}}`))
	if err := log.Client(server, owner, began).Patch(context.Background(), configMap(), patch); err != nil {
		t.Fatal(err)
	}
	if seen(t, &log, cache, began) {
		t.Error("the cache has the version before the patch")
	}
	if err := cache.Patch(context.Background(), configMap(), patch); err != nil {
		t.Fatal(err)
	}
	if !seen(t, &log, cache, began) {
		t.Error("the cache has the patched version")
	}
}

func TestAnObjectThatNeverAppearsIsGivenUp(t *testing.T) {
	server, cache := fake.NewClientBuilder().Build(), fake.NewClientBuilder().Build()
	var log Log
	if err := log.Client(server, owner, began).Create(context.Background(), configMap()); err != nil {
		t.Fatal(err)
	}
	if seen(t, &log, cache, began.Add(patience-time.Millisecond)) {
		t.Error("it is too early to give up")
	}
	if !seen(t, &log, cache, began.Add(patience)) {
		t.Error("an object that somebody deleted at once must not hold the owner for ever")
	}
}

func TestAnOlderVersionIsWaitedForHoweverLong(t *testing.T) {
	server, cache := fake.NewClientBuilder().WithObjects(configMap()).Build(), fake.NewClientBuilder().WithObjects(configMap()).Build()
	var log Log
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"a":"1"}}`))
	if err := log.Client(server, owner, began).Patch(context.Background(), configMap(), patch); err != nil {
		t.Fatal(err)
	}
	if seen(t, &log, cache, began.Add(time.Hour)) {
		t.Error("the cache is an hour old: what is planned on it was done already")
	}
	if err := cache.Delete(context.Background(), configMap()); err != nil {
		t.Fatal(err)
	}
	if !seen(t, &log, cache, began.Add(time.Hour)) {
		t.Error("an object that is gone must not hold the owner for ever")
	}
}

func TestAnOwnerDoesNotWaitForAnother(t *testing.T) {
	server, cache := fake.NewClientBuilder().Build(), fake.NewClientBuilder().Build()
	var log Log
	other := types.NamespacedName{Namespace: "shop", Name: "other"}
	if err := log.Client(server, other, began).Create(context.Background(), configMap()); err != nil {
		t.Fatal(err)
	}
	if !seen(t, &log, cache, began) {
		t.Error("the write belongs to another owner")
	}
}

func TestAFailedWriteIsNotWaitedFor(t *testing.T) {
	server := fake.NewClientBuilder().WithObjects(configMap()).Build()
	var log Log
	if err := log.Client(server, owner, began).Create(context.Background(), configMap()); err == nil {
		t.Fatal("the object exists already")
	}
	if !seen(t, &log, fake.NewClientBuilder().Build(), began) {
		t.Error("nothing was written")
	}
}

func TestAnOwnerThatIsGoneIsForgotten(t *testing.T) {
	server, cache := fake.NewClientBuilder().Build(), fake.NewClientBuilder().Build()
	var log Log
	if err := log.Client(server, owner, began).Create(context.Background(), configMap()); err != nil {
		t.Fatal(err)
	}
	if seen(t, &log, cache, began) {
		t.Error("the cache does not have the object")
	}
	log.Forget(owner)
	if !seen(t, &log, cache, began) {
		t.Error("nobody waits for the writes of an owner that is gone")
	}
}

// broken is a cache that cannot be read.
type broken struct{ client.Reader }

func (broken) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("broken")
}

func TestACacheThatFailsForgetsNothing(t *testing.T) {
	server := fake.NewClientBuilder().Build()
	var log Log
	if err := log.Client(server, owner, began).Create(context.Background(), configMap()); err != nil {
		t.Fatal(err)
	}
	if fresh, err := log.Seen(context.Background(), broken{}, owner, began); fresh || err == nil {
		t.Errorf("fresh %t, error %v, want an error", fresh, err)
	}
	if seen(t, &log, fake.NewClientBuilder().Build(), began) {
		t.Error("the write is still not in the cache")
	}
}

// The reply of the API server may be the metadata alone. The cache is asked for
// the kind itself: for metadata it would begin another watch.
func TestAWriteThatIsAnsweredByItsMetadataIsFound(t *testing.T) {
	server, cache := fake.NewClientBuilder().WithObjects(configMap()).Build(), fake.NewClientBuilder().WithObjects(configMap()).Build()
	var log Log
	key := client.ObjectKeyFromObject(configMap())
	into := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	into.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"a":"1"}}`))
	if err := log.Client(server, key, began).Patch(t.Context(), into, patch); err != nil {
		t.Fatal(err)
	}
	asked := &kinds{Reader: cache}
	for _, want := range []bool{false, true} {
		seen, err := log.Seen(t.Context(), asked, key, began)
		if err != nil || seen != want {
			t.Errorf("seen %t, %v, want %t", seen, err, want)
		}
		if err := cache.Patch(t.Context(), configMap(), patch); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"*v1.ConfigMap", "*v1.ConfigMap"}, asked.kinds); diff != "" {
		t.Error(diff)
	}
}

// kinds is a cache that remembers what kinds it is asked for.
type kinds struct {
	client.Reader
	kinds []string
}

func (k *kinds) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	k.kinds = append(k.kinds, fmt.Sprintf("%T", obj))
	return k.Reader.Get(ctx, key, obj, opts...)
}

func TestAnObjectIsReadOnceAndHeldAgainstItsOwnWrites(t *testing.T) {
	server, cache := fake.NewClientBuilder().WithObjects(configMap()).Build(), fake.NewClientBuilder().WithObjects(configMap()).Build()
	var log Log
	key := client.ObjectKeyFromObject(configMap())
	patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"a":"1"}}`))
	if err := log.Client(server, key, began).Patch(t.Context(), configMap(), patch); err != nil {
		t.Fatal(err)
	}
	asked := &kinds{Reader: cache}
	for _, want := range []bool{false, true} {
		fresh, err := log.Read(t.Context(), asked, configMap(), began)
		if err != nil || fresh != want {
			t.Errorf("fresh %t, %v, want %t", fresh, err, want)
		}
		if err := cache.Patch(t.Context(), configMap(), patch); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked.kinds) != 2 {
		t.Errorf("the cache was asked %d times for two reads", len(asked.kinds))
	}
}
