// Package statuspatch stores a status by a patch of what differs.
package statuspatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Diff is the merge patch from one status to another; nil when they are equal.
// Only the fields that differ are taken apart: most of a large status stays.
func Diff(from, to any) (json.RawMessage, error) {
	was, wasText, err := fieldsOf(from)
	if err != nil {
		return nil, fmt.Errorf("encoding the old status: %w", err)
	}
	is, isText, err := fieldsOf(to)
	if err != nil {
		return nil, fmt.Errorf("encoding the new status: %w", err)
	}
	if bytes.Equal(wasText, isText) {
		return nil, nil
	}
	diff := map[string]json.RawMessage{}
	for name, value := range is {
		if err := compare(diff, name, was[name], value); err != nil {
			return nil, fmt.Errorf("comparing statuses: %w", err)
		}
	}
	for name := range was {
		if _, stays := is[name]; !stays {
			diff[name] = json.RawMessage("null")
		}
	}
	if len(diff) == 0 {
		return nil, nil
	}
	return json.Marshal(diff) //nolint:wrapcheck // Texts that were decoded encode again.
}

// fieldsOf encodes a status, and gives its fields and all of it.
func fieldsOf(status any) (map[string]json.RawMessage, []byte, error) {
	text, err := json.Marshal(status)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // The caller says which status it is.
	}
	var fields map[string]json.RawMessage
	err = json.Unmarshal(text, &fields)
	return fields, text, err //nolint:wrapcheck // The same.
}

// compare adds what differs in a field.
func compare(diff map[string]json.RawMessage, name string, was, is json.RawMessage) error {
	switch {
	case bytes.Equal(was, is):
		return nil
	case len(was) == 0 || was[0] != '{' || is[0] != '{':
		diff[name] = is
		return nil
	}
	inner, err := jsonpatch.CreateMergePatch(was, is)
	if err == nil && string(inner) != "{}" {
		diff[name] = inner
	}
	return err //nolint:wrapcheck // Diff says what it was doing.
}

// patchOf is the patch that applies a diff to obj. A merge patch replaces lists
// whole, so it must not meet another version of obj than the diff was made of,
// or another object of the same name.
func patchOf(obj metav1.Object, diff json.RawMessage) (client.Patch, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": obj.GetUID(), "resourceVersion": obj.GetResourceVersion()},
		"status":   diff,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the status: %w", err)
	}
	return client.RawPatch(types.MergePatchType, body), nil
}

// Store applies a diff to obj itself, for kinds without a status subresource, and
// returns the version of obj since then. Nobody reads the rest of the reply, so
// it is asked to be the metadata alone. The error is that of the API server.
func Store(ctx context.Context, c client.Client, obj client.Object, diff json.RawMessage) (version string, err error) {
	into, patch, err := prepare(c, obj, diff)
	if err != nil {
		return "", err
	}
	err = c.Patch(ctx, into, patch)
	return into.GetResourceVersion(), err
}

// StoreSubresource is Store for kinds with a status subresource.
func StoreSubresource(ctx context.Context, c client.Client, obj client.Object, diff json.RawMessage) (version string, err error) {
	into, patch, err := prepare(c, obj, diff)
	if err != nil {
		return "", err
	}
	err = c.Status().Patch(ctx, into, patch)
	return into.GetResourceVersion(), err
}

func prepare(c client.Client, obj client.Object, diff json.RawMessage) (client.Object, client.Patch, error) {
	kind, err := c.GroupVersionKindFor(obj)
	if err != nil {
		return nil, nil, fmt.Errorf("naming the kind of the object: %w", err)
	}
	patch, err := patchOf(obj, diff)
	if err != nil {
		return nil, nil, err
	}
	into := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName()}}
	into.SetGroupVersionKind(kind)
	return into, patch, nil
}
