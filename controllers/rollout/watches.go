package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/internal/ondemand"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/alb"
	"github.com/headway-rollouts/headway/trafficrouting/nginx"
)

// Indexes of the cache. Each answers one question without reading a namespace.
const (
	ownerIndex           = trafficrouting.OwnerIndex  // which objects does this Rollout own
	serviceIndex         = "headway/service"          // which Rollouts name this Service
	ingressIndex         = "headway/ingress"          // which Rollouts name this Ingress
	markIndex            = trafficrouting.MarkIndex   // which objects carry the mark of this Rollout
	routeIndex           = "headway/route"            // which Rollouts name this object of a mesh or ingress, or any of its group
	templateIndex        = "headway/template"         // which Rollouts name this AnalysisTemplate
	clusterTemplateIndex = "headway/cluster-template" // which Rollouts name this ClusterAnalysisTemplate
	workloadIndex        = "headway/workload"         // which Rollouts refer to this workload, by kind and name
	orphanIndex          = "headway/orphan"           // which ReplicaSets nobody controls
)

// orphaned is the one key of orphanIndex.
const orphaned = "true"

// SetupWithManager indexes the cache and watches everything a plan depends on.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := r.index(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	watch := r.onDemand(mgr)
	if err := r.metrics.register(mgr.GetCache()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("Rollouts").
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency, RecoverPanic: ptrTrue(), EnableWarmup: ptrTrue()}).
		For(&v1alpha1.Rollout{}).
		Owns(&appsv1.ReplicaSet{}).
		Watches(&appsv1.ReplicaSet{}, handler.EnqueueRequestsFromMapFunc(r.claimants)).
		Owns(&v1alpha1.AnalysisRun{}, builder.WithPredicates(phaseChanged{})).
		Owns(&v1alpha1.Experiment{}, builder.WithPredicates(experimentMoved{})).
		Watches(&corev1.Service{}, r.naming(serviceIndex)).
		Watches(&networkingv1.Ingress{}, handler.EnqueueRequestsFromMapFunc(r.routed)).
		Watches(&v1alpha1.AnalysisTemplate{}, r.naming(templateIndex))
	if r.ClusterTemplates {
		b = b.Watches(&v1alpha1.ClusterAnalysisTemplate{}, r.naming(clusterTemplateIndex))
	}
	started, err := b.Build(r)
	if err != nil {
		return fmt.Errorf("starting the Rollout controller: %w", err)
	}
	*watch = started.Watch
	r.workloads.watch = func(kind schema.GroupVersionKind) error {
		return started.Watch(source.Kind[client.Object](r.Sights, metadataOf(kind), handler.EnqueueRequestsFromMapFunc(r.referrers(kind.Kind))))
	}
	if err := mgr.Add(manager.RunnableFunc(r.scan)); err != nil {
		return fmt.Errorf("adding the scan for routes of earlier specs: %w", err)
	}
	return nil
}

// mayReadDefinitions asks for one: a watch that is refused would retry for ever, and tell nobody.
func (r *Reconciler) mayReadDefinitions() error {
	ctx, cancel := context.WithTimeout(context.Background(), definitionsWait)
	defer cancel()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(definitionKind)
	if err := r.Live.List(ctx, list, client.Limit(1)); err != nil {
		return fmt.Errorf("reading CustomResourceDefinitions: %w", err)
	}
	return nil
}

// onDemand makes the clients that watch kinds once a Rollout names them. They watch by what is
// returned, which is to be filled once the controller is built.
func (r *Reconciler) onDemand(mgr ctrl.Manager) *func(source.Source) error {
	watch := new(func(source.Source) error)
	wake := func(held cache.Cache) func(schema.GroupVersionKind) error {
		return func(kind schema.GroupVersionKind) error {
			return (*watch)(source.Kind[client.Object](held, unstructuredOf(kind), handler.EnqueueRequestsFromMapFunc(r.routesOf(kind))))
		}
	}
	options := ondemand.Options{
		Client: r.Client, Cache: mgr.GetCache(), Live: r.Live, Namespace: r.Namespace,
		Indexes: map[string]func(metav1.Object) []string{ownerIndex: trafficrouting.OwnerKeys, markIndex: trafficrouting.MarkKeys},
		Watch:   wake(mgr.GetCache()),
		Now:     r.Clock.Now,
	}
	if r.ClusterTemplates && r.Sights != nil {
		options.WatchDefinitions = func() error {
			if err := r.mayReadDefinitions(); err != nil {
				return err
			}
			return (*watch)(source.Kind[client.Object](r.Sights, metadataOf(definitionKind), definitions{r}))
		}
	}
	r.objects = []*ondemand.Objects{ondemand.New(options)}
	r.Client = r.objects[0]
	if r.LoadBalancers != nil {
		r.balancers.verifier = alb.NewVerifier(r.Client, r.LoadBalancers, r.Clock)
	}
	if r.Mesh != nil { // its definitions are not watched: a kind that is missing there is asked for every 20 s
		options.Client, options.Cache, options.Live = r.Mesh.GetClient(), r.Mesh.GetCache(), r.Mesh.GetAPIReader()
		options.Watch, options.WatchDefinitions = wake(r.Mesh.GetCache()), nil
		r.objects = append(r.objects, ondemand.New(options))
	}
	return watch
}

func ptrTrue() *bool {
	yes := true
	return &yes
}

// phaseChanged lets an AnalysisRun through when its verdict moved: a Rollout
// never sees a metric, so measurements do not wake it.
type phaseChanged struct{ predicate.Funcs }

// Update reports whether the phase or message changed.
func (phaseChanged) Update(e event.UpdateEvent) bool {
	was, isRun := e.ObjectOld.(*v1alpha1.AnalysisRun)
	is, stillRun := e.ObjectNew.(*v1alpha1.AnalysisRun)
	return !isRun || !stillRun || was.Status.Phase != is.Status.Phase || was.Status.Message != is.Status.Message
}

// experimentMoved lets an Experiment through when its verdict moved, or where
// its templates can be sent traffic.
type experimentMoved struct{ predicate.Funcs }

// Update reports whether the phase, the message or a Service changed.
func (experimentMoved) Update(e event.UpdateEvent) bool {
	was, isExperiment := e.ObjectOld.(*v1alpha1.Experiment)
	is, stillExperiment := e.ObjectNew.(*v1alpha1.Experiment)
	if !isExperiment || !stillExperiment || was.Status.Phase != is.Status.Phase || was.Status.Message != is.Status.Message {
		return true
	}
	return !slices.EqualFunc(was.Status.TemplateStatuses, is.Status.TemplateStatuses, func(a, b v1alpha1.TemplateStatus) bool {
		return a.ServiceName == b.ServiceName && a.PodTemplateHash == b.PodTemplateHash
	})
}

func (r *Reconciler) index(ctx context.Context, indexer client.FieldIndexer) error {
	for _, index := range []struct {
		object client.Object
		name   string
		keys   client.IndexerFunc
	}{
		{&appsv1.ReplicaSet{}, ownerIndex, owner},
		{&appsv1.ReplicaSet{}, orphanIndex, orphanKeys},
		{&v1alpha1.Rollout{}, workloadIndex, ofRollout(namedWorkload)},
		{&v1alpha1.AnalysisRun{}, ownerIndex, owner},
		{&v1alpha1.Experiment{}, ownerIndex, owner},
		{&networkingv1.Ingress{}, ownerIndex, owner},
		{&networkingv1.Ingress{}, markIndex, func(o client.Object) []string { return alb.Keys(o) }},
		{&v1alpha1.Rollout{}, routeIndex, ofRollout(namedRoutes)},
		{&v1alpha1.Rollout{}, serviceIndex, ofRollout(namedServices)},
		{&v1alpha1.Rollout{}, ingressIndex, ofRollout(namedIngresses)},
		{&v1alpha1.Rollout{}, templateIndex, ofRollout(namedTemplates(false))},
		{&v1alpha1.Rollout{}, clusterTemplateIndex, ofRollout(namedTemplates(true))},
	} {
		if err := indexer.IndexField(ctx, index.object, index.name, index.keys); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", index.object, index.name, err)
		}
	}
	return nil
}

func owner(obj client.Object) []string { return trafficrouting.OwnerKeys(obj) }

func ofRollout(names func(*v1alpha1.Rollout) []string) client.IndexerFunc {
	return func(obj client.Object) []string {
		ro, ok := obj.(*v1alpha1.Rollout)
		if !ok {
			return nil
		}
		return names(ro)
	}
}

func namedServices(ro *v1alpha1.Rollout) []string {
	var names []string
	for _, service := range servicesOf(ro) {
		if service.name != "" {
			names = append(names, service.name)
		}
	}
	return names
}

// namedTemplates are the templates a Rollout names itself; what those name is found when they change.
func namedTemplates(cluster bool) func(*v1alpha1.Rollout) []string {
	return func(ro *v1alpha1.Rollout) []string {
		var names []string
		for _, named := range analysesOf(ro) {
			for _, ref := range named.analysis.Templates {
				if ref.ClusterScope == cluster {
					names = append(names, ref.TemplateName)
				}
			}
		}
		return names
	}
}

// namedWorkload is the workload that a Rollout takes its template from.
func namedWorkload(ro *v1alpha1.Rollout) []string {
	if ref := ro.Spec.WorkloadRef; ref != nil {
		return []string{workloadKey(ref.Kind, ref.Name)}
	}
	return nil
}

func workloadKey(kind, name string) string { return kind + "/" + name }

// referrers names the Rollouts that refer to a workload of a kind.
func (r *Reconciler) referrers(kind string) handler.MapFunc {
	return func(ctx context.Context, obj client.Object) []reconcile.Request {
		return r.having(ctx, obj, workloadIndex, workloadKey(kind, obj.GetName()))
	}
}

// naming wakes the Rollouts that name an object.
func (r *Reconciler) naming(index string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(r.namers(index))
}

// routed names the Rollouts that name an Ingress, and the ones that it was made for, or whose mark it
// carries: their specs may name another one by now.
func (r *Reconciler) routed(ctx context.Context, obj client.Object) []reconcile.Request {
	requests := append(r.namers(ingressIndex)(ctx, obj), holders(obj)...) // One that is there twice is queued once.
	for _, key := range alb.Keys(obj) {
		requests = append(requests, requestOf(key))
	}
	return requests
}

// namedIngresses are the Ingresses that a Rollout names, and those that are made for it.
func namedIngresses(ro *v1alpha1.Rollout) []string {
	names := nginx.IngressNames(ro)
	for _, name := range alb.Names(ro) {
		_, name, _ = strings.Cut(name, "/")
		names = append(names, name)
	}
	return names
}

func (r *Reconciler) namers(index string) handler.MapFunc {
	return func(ctx context.Context, obj client.Object) []reconcile.Request {
		return r.having(ctx, obj, index, obj.GetName())
	}
}

// having are the Rollouts that an index has under a key, in the namespace of an object.
func (r *Reconciler) having(ctx context.Context, obj client.Object, index, key string) []reconcile.Request {
	var list v1alpha1.RolloutList
	opts := []client.ListOption{client.MatchingFields{index: key}, client.UnsafeDisableDeepCopy}
	if obj.GetNamespace() != "" {
		opts = append(opts, client.InNamespace(obj.GetNamespace()))
	}
	if err := r.Client.List(ctx, &list, opts...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Cannot list the Rollouts that name an object", "index", index, "object", obj.GetName())
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}
