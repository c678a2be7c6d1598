package kubelet

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// NodeName is the name of the node, and the schedulerName by which pods ask for it.
	NodeName = "processes"
	// taint keeps other pods away.
	taint = "headway.test/processes"
	// Range are the addresses of pods.
	Range = "10.244.0.0/16"
	// hostIP is the address of the node itself.
	hostIP = "10.244.0.1"
)

// Images name the program of an image's repository, such as example.com/web.
type Images map[string]string

// Kubelet is a running node agent.
type Kubelet struct {
	client kubernetes.Interface
	images Images

	mu   sync.Mutex
	pods map[types.UID]*pod
	next netip.Addr
	busy sync.WaitGroup
}

// Start registers the node and runs its pods until the context ends, which kills them.
func Start(ctx context.Context, client kubernetes.Interface, images Images) (*Kubelet, error) {
	k := &Kubelet{client: client, images: images, pods: map[types.UID]*pod{}, next: netip.MustParseAddr(hostIP)}
	if err := k.register(ctx); err != nil {
		return nil, fmt.Errorf("registering the node: %w", err)
	}
	mine := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", NodeName).String()
	}))
	_, err := mine.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { k.see(ctx, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { k.see(ctx, obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) { k.gone(obj) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching pods: %w", err)
	}
	mine.Start(ctx.Done())
	return k, k.claims(ctx)
}

// Wait returns when every pod's process has ended, after the context has.
func (k *Kubelet) Wait() { k.busy.Wait() }

// see starts a pod that is new, and tells a running one that it was deleted.
func (k *Kubelet) see(ctx context.Context, object *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.pods[object.UID]
	if p == nil {
		k.next = k.next.Next()
		p = newPod(k.client, object.DeepCopy(), k.next.String())
		k.pods[object.UID] = p
		k.busy.Add(1)
		go func() {
			defer k.busy.Done()
			p.run(ctx, k.images)
		}()
	}
	if object.DeletionTimestamp != nil {
		p.terminate(object)
	}
}

// gone ends a pod that is no longer in the API: one that was deleted by force.
func (k *Kubelet) gone(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	object, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.pods[object.UID]; p != nil {
		p.vanish()
		delete(k.pods, object.UID)
	}
}
