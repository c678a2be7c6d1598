package routertest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headway-rollouts/headway/trafficrouting"
)

// World is an API server in memory that keeps a list of the writes it was asked for. Unlike a bare
// fake client it gives every object a UID and refuses a patch that names another one.
type World struct {
	// Client is what the code under test uses; its writes are recorded.
	Client client.Client
	// Direct is what the test uses; its writes are not recorded.
	Direct client.Client
	// Interfere, when set, runs once before the next recorded write, with the stored object that
	// is about to be written: somebody else was faster.
	Interfere func(ctx context.Context, direct client.Client, stored client.Object) error
	// Fail, when set, may refuse a recorded write of an object.
	Fail func(client.Object) error

	writes []string
	born   int
}

// NewWorld makes a world that holds the objects.
func NewWorld(t *testing.T, kinds Kinds, objects ...client.Object) *World {
	t.Helper()
	w := &World{}
	for _, obj := range objects {
		w.name(obj)
	}
	base := kinds.indexed(t).WithObjects(objects...).Build()
	w.Direct = interceptor.NewClient(base, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			w.name(obj)
			return c.Create(ctx, obj, opts...)
		},
	})
	w.Client = interceptor.NewClient(base, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if err := w.record(ctx, "create", obj); err != nil {
				return err
			}
			w.name(obj)
			return c.Create(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if err := w.record(ctx, "update", obj); err != nil {
				return err
			}
			return c.Update(ctx, obj, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if err := w.record(ctx, "patch", obj); err != nil {
				return err
			}
			if err := checkPatch(ctx, c, obj, patch); err != nil {
				return err
			}
			return c.Patch(ctx, obj, patch, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			if err := w.record(ctx, "delete", obj); err != nil {
				return err
			}
			var given client.DeleteOptions
			given.ApplyOptions(opts)
			if given.Preconditions != nil {
				if err := sameUID(ctx, c, obj, given.Preconditions.UID); err != nil {
					return err
				}
			}
			return c.Delete(ctx, obj, opts...)
		},
		DeleteAllOf: func(_ context.Context, _ client.WithWatch, obj client.Object, _ ...client.DeleteAllOfOption) error {
			return fmt.Errorf("a router must delete one object at a time, not all %T", obj)
		},
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return fmt.Errorf("this world does not serve server-side apply: write a patch")
		},
	})
	return w
}

// Writes returns what was written since the last call.
func (w *World) Writes() []string {
	writes := w.writes
	w.writes = nil
	return writes
}

// name gives a new object its UID.
func (w *World) name(obj client.Object) {
	w.born++
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", w.born)))
	}
}

func (w *World) record(ctx context.Context, verb string, obj client.Object) error {
	if interfere := w.Interfere; interfere != nil {
		w.Interfere = nil
		stored, err := storedCopy(ctx, w.Direct, obj)
		if err != nil {
			return err
		}
		if err := interfere(ctx, w.Direct, stored); err != nil {
			return fmt.Errorf("interfering: %w", err)
		}
	}
	w.writes = append(w.writes, verb+" "+obj.GetName())
	if w.Fail != nil {
		return w.Fail(obj)
	}
	return nil
}

// Kinds are the kinds that a world serves.
type Kinds struct {
	// Scheme knows those with Go types.
	Scheme *runtime.Scheme
	// Foreign are those without, which are read as unstructured objects.
	Foreign []schema.GroupVersionKind
}

// indexed is a fake client's builder with the indexes that the cache of a router has, for every kind.
func (k Kinds) indexed(t *testing.T) *fake.ClientBuilder {
	t.Helper()
	mapper := meta.NewDefaultRESTMapper(nil)
	builder := fake.NewClientBuilder().WithScheme(k.Scheme).WithRESTMapper(mapper)
	index := func(obj client.Object) {
		builder.WithIndex(obj, trafficrouting.OwnerIndex, func(o client.Object) []string { return trafficrouting.OwnerKeys(o) })
		builder.WithIndex(obj, trafficrouting.MarkIndex, func(o client.Object) []string { return trafficrouting.MarkKeys(o) })
	}
	for kind := range k.Scheme.AllKnownTypes() {
		made, err := k.Scheme.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		_, foreign := made.(runtime.Unstructured) // The fake client of an earlier world added it.
		if obj, ok := made.(client.Object); ok && !foreign {
			mapper.Add(kind, meta.RESTScopeNamespace)
			index(obj)
		}
	}
	for _, kind := range k.Foreign {
		mapper.Add(kind, meta.RESTScopeNamespace)
		obj := &unstructured.Unstructured{}
		obj.SetGroupVersionKind(kind)
		index(obj)
	}
	return builder
}

// lists are one empty list for each kind that has no Go types.
func (k Kinds) lists() []client.ObjectList {
	var lists []client.ObjectList
	for _, kind := range k.Foreign {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		lists = append(lists, list)
	}
	return lists
}

// checkPatch answers as the API server does when a patch would change the UID.
func checkPatch(ctx context.Context, c client.Client, obj client.Object, patch client.Patch) error {
	data, err := patch.Data(obj)
	if err != nil {
		return fmt.Errorf("reading the patch: %w", err)
	}
	uid, err := uidIn(patch.Type(), data)
	if err != nil {
		return fmt.Errorf("decoding a patch: %w", err)
	}
	return sameUID(ctx, c, obj, uid)
}

// uidIn is the UID that a patch would give its object; nil for one that does not name it.
func uidIn(kind types.PatchType, data []byte) (*types.UID, error) {
	if kind == types.JSONPatchType {
		var operations []struct {
			Path  string          `json:"path"`
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(data, &operations); err != nil {
			return nil, err //nolint:wrapcheck // The caller says what was decoded.
		}
		for _, op := range operations {
			if op.Path == "/metadata/uid" {
				var uid types.UID
				err := json.Unmarshal(op.Value, &uid)
				return &uid, err //nolint:wrapcheck // As above.
			}
		}
		return nil, nil
	}
	var body struct {
		Metadata struct {
			UID *types.UID `json:"uid"`
		} `json:"metadata"`
	}
	err := json.Unmarshal(data, &body)
	return body.Metadata.UID, err //nolint:wrapcheck // As above.
}

// sameUID is a conflict unless the stored object has the UID; nil asks for nothing.
func sameUID(ctx context.Context, c client.Client, obj client.Object, want *types.UID) error {
	if want == nil {
		return nil
	}
	live, err := storedCopy(ctx, c, obj)
	if err != nil {
		return err
	}
	if *want != live.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{}, obj.GetName(),
			fmt.Errorf("precondition failed: UID in precondition: %s, UID in object meta: %s", *want, live.GetUID()))
	}
	return nil
}

// storedCopy reads the object that another one stands for.
func storedCopy(ctx context.Context, c client.Client, obj client.Object) (client.Object, error) {
	stored, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return nil, fmt.Errorf("%T is no object", obj)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(obj), stored); err != nil {
		return nil, fmt.Errorf("reading %s: %w", obj.GetName(), err)
	}
	return stored, nil
}

// Objects returns everything of the listed kinds.
func (w *World) Objects(t *testing.T, lists ...client.ObjectList) []client.Object {
	t.Helper()
	var objects []client.Object
	for _, list := range lists {
		if err := w.Direct.List(t.Context(), list); err != nil {
			t.Fatalf("listing %T: %v", list, err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			t.Fatalf("reading the items of %T: %v", list, err)
		}
		for _, item := range items {
			obj, ok := item.(client.Object)
			if !ok {
				t.Fatalf("%T is no object", item)
			}
			objects = append(objects, obj)
		}
	}
	return objects
}
