package kubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// unbound selects the pods that ask for this kubelet and have no node.
var unbound = fields.AndSelectors(
	fields.OneTermEqualSelector("spec.schedulerName", NodeName),
	fields.OneTermEqualSelector("spec.nodeName", ""),
).String()

// claims binds the pods that ask for this kubelet until the context ends.
func (k *Kubelet) claims(ctx context.Context) error {
	asking := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = unbound
	}))
	_, err := asking.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			object := obj.(*corev1.Pod)
			go func() {
				for {
					if err := k.claim(ctx, object); err == nil || !pause(ctx, patchWait) {
						return
					}
				}
			}()
		},
	})
	if err != nil {
		return fmt.Errorf("watching pods without a node: %w", err)
	}
	asking.Start(ctx.Done())
	return nil
}

// The annotations that the stages of test/cluster read. No stage plays the behaviour,
// and a delayed end leaves the pod time to end by itself.
const shield = `{"metadata":{"annotations":{"sim/behaviour":"process","sim/delete-delay":"24h"}}}`

// claim binds a pod to this node, after it is made to look like one that kwok has
// nothing to do for: kwok plays the pods of every node until it knows who holds the
// node's lease, and whether it ever learns is decided by the order in which it starts.
func (k *Kubelet) claim(ctx context.Context, object *corev1.Pod) error {
	pods := k.client.CoreV1().Pods(object.Namespace)
	container := object.Spec.Containers[0]
	waits := fmt.Appendf(nil, `{"status":{"containerStatuses":[{"name":%q,"image":%q,"imageID":"","ready":false,"restartCount":0,`+
		`"state":{"waiting":{"reason":"ContainerCreating"}}}]}}`, container.Name, container.Image)
	if _, err := pods.Patch(ctx, object.Name, types.MergePatchType, []byte(shield), metav1.PatchOptions{}); err != nil {
		return unlessGone(err)
	}
	if _, err := pods.Patch(ctx, object.Name, types.MergePatchType, waits, metav1.PatchOptions{}, "status"); err != nil {
		return unlessGone(err)
	}
	return unlessGone(pods.Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: object.Name, UID: object.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: NodeName},
	}, metav1.CreateOptions{}))
}

// unlessGone is nil for a pod that is bound already, or is no longer there.
func unlessGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
