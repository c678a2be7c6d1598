// Package statuspatch stores a status by a patch of what differs.
package statuspatch

import (
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Diff is the merge patch from one status to another; nil when they are equal.
func Diff(from, to any) (json.RawMessage, error) {
	was, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("encoding the old status: %w", err)
	}
	is, err := json.Marshal(to)
	if err != nil {
		return nil, fmt.Errorf("encoding the new status: %w", err)
	}
	diff, err := jsonpatch.CreateMergePatch(was, is)
	if err != nil {
		return nil, fmt.Errorf("comparing statuses: %w", err)
	}
	if string(diff) == "{}" {
		return nil, nil
	}
	return diff, nil
}

// Of is the patch that applies a diff to obj. A merge patch replaces lists
// whole, so it must not meet another version of obj than the diff was made of,
// or another object of the same name.
func Of(obj metav1.Object, diff json.RawMessage) (client.Patch, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": obj.GetUID(), "resourceVersion": obj.GetResourceVersion()},
		"status":   diff,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the status: %w", err)
	}
	return client.RawPatch(types.MergePatchType, body), nil
}
