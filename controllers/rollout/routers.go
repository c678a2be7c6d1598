package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/ondemand"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/alb"
	"github.com/headway-rollouts/headway/trafficrouting/ambassador"
	"github.com/headway-rollouts/headway/trafficrouting/apisix"
	"github.com/headway-rollouts/headway/trafficrouting/gatewayapi"
	"github.com/headway-rollouts/headway/trafficrouting/istio"
	"github.com/headway-rollouts/headway/trafficrouting/nginx"
	"github.com/headway-rollouts/headway/trafficrouting/smi"
	"github.com/headway-rollouts/headway/trafficrouting/traefik"
)

// fieldManager is who the routes say changed them. Tools that leave to a rollout controller what is its
// own know it by this name.
const fieldManager = "rollouts-controller"

// router is all routers together. Each of them is asked about every Rollout: one that its spec does not
// name takes back what was made for an earlier spec, and otherwise says that it has nothing.
func (r *Reconciler) router(objects, mesh client.Client) trafficrouting.Router {
	c := client.WithFieldOwner(objects, fieldManager)
	return trafficrouting.All(
		istio.New(client.WithFieldOwner(mesh, fieldManager)),
		nginx.New(c), alb.New(c, r.balancers.verifier), smi.New(c), ambassador.New(c), traefik.New(c), apisix.New(c), gatewayapi.New(c),
	)
}

// routerNames are the names of the routers in metrics, by their fields.
var routerNames = map[string]string{
	"istio": "Istio", "nginx": "Nginx", "alb": "ALB", "smi": "SMI", "ambassador": "Ambassador", "traefik": "Traefik",
	"apisix": "Apisix", "gatewayAPI": "GatewayAPI", "plugins": "GatewayAPI", "appMesh": "AppMesh",
}

// routerNamesOf joins the names of the routers that a Rollout names.
func routerNamesOf(ro *v1alpha1.Rollout) string {
	canary := ro.Spec.Strategy.Canary
	if canary == nil || canary.TrafficRouting == nil {
		return ""
	}
	var names []string
	for _, field := range canary.TrafficRouting.Routers() {
		names = append(names, routerNames[field])
	}
	return strings.Join(names, ",")
}

// steered are the objects that one router reads besides Ingresses.
type steered struct {
	// kinds are in the versions that the router may ask for, the one that it prefers first.
	kinds []schema.GroupVersionKind
	// names are those that the spec of a Rollout names.
	names func(*v1alpha1.Rollout) []string
	// keys are the names under which a Rollout may name an object.
	keys func(kind string, obj metav1.Object) []string
}

// istioNames does not tell a VirtualService from a DestinationRule of its name.
func istioNames(ro *v1alpha1.Rollout) []string {
	services, rules := istio.Names(ro)
	return append(services, rules...)
}

func byName(_ string, obj metav1.Object) []string { return []string{trafficrouting.Key(obj)} }

// steeredKinds are the kinds that clusters serve only where the mesh or ingress is installed.
var steeredKinds = []steered{
	{istio.Kinds(), istioNames, byName},
	{smi.Kinds(), smi.Names, byName},
	{ambassador.Kinds(), ambassador.Names, byName},
	{traefik.Kinds(), traefik.Names, byName},
	{apisix.Kinds(), apisix.Names, byName},
	{gatewayapi.Kinds(), gatewayapi.Names, gatewayapi.Keys},
}

// namedRoutes are the objects that a Rollout names, each below the groups of its router, and those groups.
func namedRoutes(ro *v1alpha1.Rollout) []string {
	var keys []string
	for _, s := range steeredKinds {
		names := s.names(ro)
		for group := range s.groups() {
			for _, name := range names {
				keys = append(keys, group+"/"+name)
			}
			if len(names) > 0 {
				keys = append(keys, group)
			}
		}
	}
	return keys
}

func (s steered) groups() map[string]bool {
	groups := map[string]bool{}
	for _, kind := range s.kinds {
		groups[kind.Group] = true
	}
	return groups
}

// routesOf names the Rollouts that name an object of a kind, the one whose mark it carries, and the one that it was made for.
func (r *Reconciler) routesOf(kind schema.GroupVersionKind) handler.MapFunc {
	return func(ctx context.Context, obj client.Object) []reconcile.Request {
		var requests []reconcile.Request
		for _, s := range steeredKinds {
			if !s.groups()[kind.Group] {
				continue
			}
			for _, key := range s.keys(kind.Kind, obj) {
				requests = append(requests, r.anywhere(ctx, routeIndex, kind.Group+"/"+key)...)
			}
		}
		return append(requests, holders(obj)...)
	}
}

// requestOf is about the Rollout that a mark names.
func requestOf(key string) reconcile.Request {
	namespace, name, _ := strings.Cut(key, "/")
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// holders are the Rollouts that an object itself tells of: by marks, and by its owner.
func holders(obj client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, key := range trafficrouting.MarkKeys(obj) {
		requests = append(requests, requestOf(key))
	}
	if len(owner(obj)) > 0 {
		key := client.ObjectKey{Namespace: obj.GetNamespace(), Name: metav1.GetControllerOf(obj).Name}
		requests = append(requests, reconcile.Request{NamespacedName: key})
	}
	return requests
}

// anywhere are the Rollouts that an index has under a key, in all namespaces.
func (r *Reconciler) anywhere(ctx context.Context, index, key string) []reconcile.Request {
	return r.having(ctx, &metav1.PartialObjectMetadata{}, index, key)
}

// definitions wakes the Rollouts that name a kind when its definition comes or goes. It comes a
// moment before the API server tells of it, so they are woken once more.
type definitions struct{ *Reconciler }

// established is how long the API server may take to tell of a kind whose definition has come.
const established = 2 * time.Second

type requests = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Create is a definition that came, or was there when the watch began.
func (d definitions) Create(ctx context.Context, e event.CreateEvent, q requests) {
	d.came(ctx, e.Object, q)
}

// Update is a definition that changed, for example became established.
func (d definitions) Update(ctx context.Context, e event.UpdateEvent, q requests) {
	d.came(ctx, e.ObjectNew, q)
}

// Delete is a definition that went, and with it all objects of its kind.
func (d definitions) Delete(ctx context.Context, e event.DeleteEvent, q requests) {
	resource, ok := defined(e.Object)
	if !ok {
		return
	}
	d.objects[0].Drop(ctx, resource) // a mesh in another cluster has definitions of its own
	for _, request := range d.anywhere(ctx, routeIndex, resource.Group) {
		q.Add(request)
	}
}

// Generic does not happen.
func (definitions) Generic(context.Context, event.GenericEvent, requests) {}

func (d definitions) came(ctx context.Context, obj client.Object, q requests) {
	resource, ok := defined(obj)
	if !ok {
		return
	}
	d.objects[0].Welcome(resource)
	for _, request := range d.anywhere(ctx, routeIndex, resource.Group) {
		q.Add(request)
		q.AddAfter(request, established)
	}
}

// boundGroups are the groups of TargetGroupBindings.
var boundGroups = []string{"elbv2.k8s.aws", "eks.amazonaws.com"}

// defined is the resource that a definition defines, which its name says, if a router may ask for it.
func defined(obj client.Object) (schema.GroupResource, bool) {
	plural, group, _ := strings.Cut(obj.GetName(), ".")
	if slices.Contains(boundGroups, group) {
		return schema.GroupResource{Group: group, Resource: plural}, true
	}
	for _, s := range steeredKinds {
		if s.groups()[group] {
			return schema.GroupResource{Group: group, Resource: plural}, true
		}
	}
	return schema.GroupResource{}, false
}

// definitionKind is the kind of the definitions of kinds.
var definitionKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// definitionsWait is how long the question may take whether definitions may be read.
const definitionsWait = 10 * time.Second

// scanPage is how many objects are asked for at once by a scan.
const scanPage = 500

// scan begins to watch the kinds of which some object still belongs to a Rollout, since the Rollout may
// name another router by now. It runs once, with the first lease, and reads metadata alone.
func (r *Reconciler) scan(ctx context.Context) error {
	log := ctrl.LoggerFrom(ctx)
	served := map[schema.GroupKind]bool{}
	for _, s := range steeredKinds {
		for _, kind := range s.kinds {
			if _, err := r.Client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version); err != nil || served[kind.GroupKind()] {
				continue // most clusters serve one or two of these kinds, and all versions have the same objects
			}
			served[kind.GroupKind()] = true
			held, err := r.holdsAny(ctx, kind)
			if err == nil && held {
				err = r.objects[0].Begin(ctx, kind)
			}
			if err != nil {
				log.Info("Cannot see whether routes of earlier specs are left", "kind", kind.Kind, "group", kind.Group, "reason", err.Error())
			}
		}
	}
	return nil
}

// holdsAny reports whether an object of a kind carries the mark of a Rollout, or was made for one.
func (r *Reconciler) holdsAny(ctx context.Context, kind schema.GroupVersionKind) (bool, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	for {
		opts := []client.ListOption{client.Limit(scanPage), client.Continue(list.Continue)}
		if r.Namespace != "" {
			opts = append(opts, client.InNamespace(r.Namespace))
		}
		if err := r.Live.List(ctx, list, opts...); err != nil {
			return false, fmt.Errorf("listing every %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			if len(holders(&list.Items[i])) > 0 {
				return true, nil
			}
		}
		if list.Continue == "" {
			return false, nil
		}
	}
}

// release gives back what carries the mark of a Rollout that is gone. One that the cache does not have
// may be another controller's, by its instance id or its namespace: the API server has the word.
func (r *Reconciler) release(ctx context.Context, key client.ObjectKey) error {
	if r.Namespace != "" && key.Namespace != r.Namespace {
		return nil
	}
	gone := trafficrouting.Ref{Rollout: &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}}
	// A mesh in another cluster may have the marks of Rollouts in a third one, of the same name.
	router := r.router(r.Client, r.Client)
	if seen, err := router.Observe(ctx, gone); err == nil && !seen.Exists && seen.InSync {
		return nil // nothing carries its mark
	}
	live := metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(v1alpha1.RolloutKind)
	switch err := r.Live.Get(ctx, key, &live); {
	case err == nil:
		return nil
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("asking whether the Rollout is gone: %w", err)
	}
	changes, err := router.Apply(ctx, gone, trafficrouting.Split{})
	for _, c := range changes {
		ctrl.LoggerFrom(ctx).Info("Released the routes of a Rollout that is gone", "change", c.Message)
	}
	if err != nil {
		return fmt.Errorf("releasing the routes of a Rollout that is gone: %w", err)
	}
	return nil
}

// behind turns the error of a cache that is being filled into that of one that is behind.
func behind(err error) error {
	if errors.Is(err, ondemand.ErrBehind) {
		return errBehind
	}
	return err
}

func unstructuredOf(kind schema.GroupVersionKind) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	return obj
}
