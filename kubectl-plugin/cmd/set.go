package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

func (a *app) setCommand() *cobra.Command {
	m := &mutation{}
	set := &cobra.Command{Use: "set", Short: "Change a rollout", Args: atLeast(1, "image cart app=cart:2.8.0")}
	image := &cobra.Command{
		Use:   "image NAME CONTAINER=IMAGE...",
		Short: "Start an update by setting images",
		Long: `Sets the images of containers and init containers, by the name of the
container; *=IMAGE sets all. With spec.workloadRef it changes the Deployment.`,
		Example: "  kubectl rollouts set image cart app=cart:2.8.0\n  kubectl rollouts set image cart '*=cart:2.8.0'",
		Args:    atLeast(2, "cart app=cart:2.8.0"),
		RunE:    action(func(ctx context.Context, args []string) error { return a.setImage(ctx, m, args) }),
	}
	m.add(image.Flags())
	set.AddCommand(image)
	return set
}

// imageChange sets the image of one container; the name * is all of them.
type imageChange struct{ container, image string }

func parseImages(args []string) ([]imageChange, error) {
	var out []imageChange
	for _, arg := range args {
		container, image, ok := strings.Cut(arg, "=")
		if !ok || container == "" || image == "" {
			return nil, usage(fmt.Sprintf("%q is not CONTAINER=IMAGE", arg), "for example app=cart:2.8.0, or '*=cart:2.8.0' for all containers")
		}
		out = append(out, imageChange{container: container, image: image})
	}
	return out, nil
}

func (a *app) setImage(ctx context.Context, m *mutation, args []string) error {
	if err := m.check(); err != nil {
		return err
	}
	if len(args) > 2 && slices.Contains(rolloutNoun.types, strings.ToLower(args[0])) {
		args = args[1:]
	}
	name, err := one("set image", args[:1])
	if err != nil {
		return err
	}
	changes, err := parseImages(args[1:])
	if err != nil {
		return err
	}
	s, err := a.connect(a.flags)
	if err != nil {
		return err
	}
	target, err := s.templateOwner(ctx, name)
	if err != nil {
		return err
	}
	was := target.GetGeneration()
	if err := s.changeImages(ctx, target, changes, m); err != nil {
		doing := attempt{
			doing: fmt.Sprintf("setting the image of rollout '%s'", name), verb: "patch",
			resource: strings.ToLower(target.GetKind()) + "s", namespace: s.namespace,
		}
		return doing.failed(err)
	}
	if now := target.GetGeneration(); now > was && target.GetKind() != v1alpha1.RolloutKind.Kind && !m.dry() {
		s.announce(ctx, name, now)
	}
	return a.printf("rollout %q image updated%s\n", name, m.suffix())
}

// announce notes on the Rollout that its workload changed, so that a status
// which is asked for at once is not that of before. The controller notes it
// too, a moment later: who may not do this loses nothing but that moment.
func (s session) announce(ctx context.Context, name string, generation int64) {
	body := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, v1alpha1.WorkloadGenerationAnnotation, generation)
	ro := &v1alpha1.Rollout{}
	ro.Namespace, ro.Name = s.namespace, name
	_ = s.Patch(ctx, ro, client.RawPatch(types.MergePatchType, []byte(body)), client.FieldOwner(fieldManager))
}

// templateOwner reads the object that holds the pod template: the Rollout, or
// the Deployment it refers to. It is read untyped, so that a template with
// mistakes elsewhere can still be changed.
func (s session) templateOwner(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	ro, err := s.rollout(ctx, name)
	if err != nil {
		return nil, err
	}
	kind, objectName := v1alpha1.RolloutKind, name
	if ref := ro.Spec.WorkloadRef; ref != nil {
		if ref.Kind != "Deployment" {
			return nil, &failure{
				code: ExitError, what: fmt.Sprintf("the image of rollout '%s' cannot be set", name),
				why:  fmt.Sprintf("its template is that of %s %s, and only Deployments can be changed in place", ref.Kind, ref.Name),
				next: "point spec.workloadRef to another workload",
			}
		}
		kind, objectName = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, ref.Name
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: objectName}, object); err != nil {
		doing := attempt{
			doing: fmt.Sprintf("reading %s '%s'", kind.Kind, objectName), verb: "get",
			resource: strings.ToLower(kind.Kind) + "s", namespace: s.namespace,
		}
		return nil, doing.failed(err)
	}
	return object, nil
}

// operation is one operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// changeImages patches the images alone. Each change tests the container's
// name first, so that a template that was reordered meanwhile is not harmed.
func (s session) changeImages(ctx context.Context, object *unstructured.Unstructured, changes []imageChange, m *mutation) error {
	var patch []operation
	for _, change := range changes {
		operations := operationsFor(object, change)
		if len(operations) == 0 {
			return &failure{
				code: ExitError, what: fmt.Sprintf("unable to find container named %q", change.container),
				next: "name one of: " + strings.Join(containers(object), ", "),
			}
		}
		patch = append(patch, operations...)
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	opts := []client.PatchOption{client.FieldOwner(fieldManager)}
	if m.dry() {
		opts = append(opts, client.DryRunAll)
	}
	err = s.Patch(ctx, object, client.RawPatch(types.JSONPatchType, body), opts...)
	if apierrors.IsInvalid(err) && strings.Contains(err.Error(), "testing path") {
		return &failure{code: ExitError, what: "the pod template changed while the command ran", next: "run the command again"}
	}
	return err //nolint:wrapcheck // The caller says what was being done.
}

// containerFields are the lists of a pod template that have images.
var containerFields = []string{"containers", "initContainers"}

// eachContainer calls visit with the JSON pointer and name of every container.
func eachContainer(object *unstructured.Unstructured, visit func(pointer, name string)) {
	for _, field := range containerFields {
		list, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", field)
		if err != nil {
			continue
		}
		for i, item := range list {
			container, _ := item.(map[string]any)
			if name, ok := container["name"].(string); ok {
				visit(fmt.Sprintf("/spec/template/spec/%s/%d", field, i), name)
			}
		}
	}
}

func operationsFor(object *unstructured.Unstructured, change imageChange) []operation {
	var out []operation
	eachContainer(object, func(pointer, name string) {
		if change.container == "*" || change.container == name {
			// "add" also replaces; "replace" alone would refuse a container without an image.
			out = append(
				out,
				operation{Op: "test", Path: pointer + "/name", Value: name},
				operation{Op: "add", Path: pointer + "/image", Value: change.image},
			)
		}
	})
	return out
}

func containers(object *unstructured.Unstructured) []string {
	var out []string
	eachContainer(object, func(_, name string) { out = append(out, name) })
	return out
}
