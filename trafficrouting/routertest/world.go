package routertest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
func NewWorld(t *testing.T, scheme *runtime.Scheme, objects ...client.Object) *World {
	t.Helper()
	w := &World{}
	for _, obj := range objects {
		w.name(obj)
	}
	base := indexed(t, scheme).WithObjects(objects...).Build()
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

// indexed is a fake client's builder with the index that the cache of a router has, for every kind.
func indexed(t *testing.T, scheme *runtime.Scheme) *fake.ClientBuilder {
	t.Helper()
	builder := fake.NewClientBuilder().WithScheme(scheme)
	for kind := range scheme.AllKnownTypes() {
		made, err := scheme.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		if obj, ok := made.(client.Object); ok {
			builder.WithIndex(obj, trafficrouting.OwnerIndex, func(o client.Object) []string { return trafficrouting.OwnerKeys(o) })
		}
	}
	return builder
}

// checkPatch answers as the API server does when a patch would change the UID.
func checkPatch(ctx context.Context, c client.Client, obj client.Object, patch client.Patch) error {
	data, err := patch.Data(obj)
	if err != nil {
		return fmt.Errorf("reading the patch: %w", err)
	}
	var body struct {
		Metadata struct {
			UID *types.UID `json:"uid"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return fmt.Errorf("decoding a patch: %w", err)
	}
	return sameUID(ctx, c, obj, body.Metadata.UID)
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
