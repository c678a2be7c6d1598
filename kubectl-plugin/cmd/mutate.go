package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// fieldManager is the owner of the fields the plugin writes.
const fieldManager = "kubectl-rollouts"

// mutation is what all verbs that change something have in common.
type mutation struct {
	dryRun string
	yes    bool
}

func (m *mutation) add(flags *pflag.FlagSet) {
	flags.StringVar(&m.dryRun, "dry-run", "none", "none, or server: let the API server check the change and throw it away")
}

func (m *mutation) addYes(flags *pflag.FlagSet) {
	flags.BoolVarP(&m.yes, "yes", "y", false, "do not ask")
}

func (m *mutation) check() error {
	switch m.dryRun {
	case "none", "server":
		return nil
	}
	return usage(fmt.Sprintf("--dry-run is %q, which is neither none nor server", m.dryRun), "")
}

func (m *mutation) dry() bool { return m.dryRun == "server" }

// suffix marks the message of a change that was thrown away.
func (m *mutation) suffix() string {
	if m.dry() {
		return " (server dry run)"
	}
	return ""
}

// document is a merge patch.
type document map[string]any

// patchSpec patches the main resource and returns the rollout as it is then.
func (s session) patchSpec(ctx context.Context, name string, patch document, m *mutation) (*v1alpha1.Rollout, error) {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	if err := s.patch(ctx, ro, patch, m); err != nil {
		return nil, err
	}
	return ro, nil
}

// patch patches the main resource of any object, which is then as the API server has it.
func (s session) patch(ctx context.Context, object client.Object, patch document, m *mutation) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	opts := []client.PatchOption{client.FieldOwner(fieldManager)}
	if m.dry() {
		opts = append(opts, client.DryRunAll)
	}
	return s.Patch(ctx, object, client.RawPatch(types.MergePatchType, body), opts...) //nolint:wrapcheck // The verb says what was being done.
}

// patchStatus patches the status subresource; on clusters whose definition of
// Rollout has no such subresource, the object itself.
func (s session) patchStatus(ctx context.Context, name string, patch document, m *mutation) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	opts := []client.SubResourcePatchOption{client.FieldOwner(fieldManager)}
	if m.dry() {
		opts = append(opts, client.DryRunAll)
	}
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	err = s.Status().Patch(ctx, ro, client.RawPatch(types.MergePatchType, body), opts...)
	if apierrors.IsNotFound(err) {
		_, err = s.patchSpec(ctx, name, patch, m)
		return err
	}
	return err
}

// each runs a change for several objects. One that fails does not keep the
// others from it; the first failure is the result, the rest is printed.
func (a *app) each(names []string, change func(name string) error) error {
	var first error
	for _, name := range names {
		err := change(name)
		if err != nil && first != nil {
			a.say("%s\n", asFailure(err))
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (s session) changing(verb, name string) attempt {
	return attempt{
		doing: fmt.Sprintf("%s rollout '%s'", verb, name), verb: "patch",
		resource: "rollouts.argoproj.io/status", namespace: s.namespace,
	}
}
