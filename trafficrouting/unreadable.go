package trafficrouting

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Served is the kind in the first of the versions that the cluster serves. Its error says which
// definition is missing: meta.IsNoMatchError reports true for it.
func Served(mapper meta.RESTMapper, kind schema.GroupKind, versions ...string) (schema.GroupVersionKind, error) {
	var missing error
	for _, version := range versions {
		_, err := mapper.RESTMapping(kind, version)
		switch {
		case err == nil:
			return kind.WithVersion(version), nil
		case !meta.IsNoMatchError(err):
			return schema.GroupVersionKind{}, fmt.Errorf("finding out whether the cluster serves %s in version %s: %w", kind, version, err)
		}
		missing = err
	}
	return schema.GroupVersionKind{}, fmt.Errorf("the cluster serves no %s in version %s: %w", kind, strings.Join(versions, " or "), missing)
}

// Unreadable is the error of reading an object that the spec names at a path: one about the spec
// where the user can mend it, and otherwise the error as it is.
func Unreadable(path *field.Path, kind schema.GroupKind, name string, err error) error {
	resource := strings.ToLower(kind.Kind) + "." + kind.Group
	switch {
	case apierrors.IsNotFound(err):
		return field.Invalid(path, name, fmt.Sprintf("%s %q not found: create it, or name another one", resource, name))
	case meta.IsNoMatchError(err):
		return field.Invalid(path, name, fmt.Sprintf(
			"the cluster does not serve %s (%s): install its CustomResourceDefinition, which is noticed without a restart, or use another router", kind.Kind, kind.Group))
	case apierrors.IsForbidden(err):
		return field.Invalid(path, name, fmt.Sprintf("Headway may not read %s: grant its ServiceAccount get, list, watch and patch for it: %v", resource, err))
	}
	return fmt.Errorf("reading %s %s: %w", kind.Kind, name, err)
}
