package kubelet

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	leaseSeconds = 40
	heartbeat    = 5 * time.Second
)

// register makes the lease and then the node, and keeps the lease until the context ends.
func (k *Kubelet) register(ctx context.Context) error {
	leases := k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: NodeName},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To("kubelet of " + NodeName),
			LeaseDurationSeconds: ptr.To[int32](leaseSeconds),
			RenewTime:            ptr.To(metav1.NowMicro()),
		},
	}
	if _, err := leases.Create(ctx, lease, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating its lease: %w", err)
	}
	if _, err := k.client.CoreV1().Nodes().Create(ctx, node(), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating it: %w", err)
	}
	go func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				// One heartbeat that is lost is followed by others before the lease ends.
				patch := fmt.Appendf(nil, `{"spec":{"renewTime":%q}}`, now.UTC().Format(metav1.RFC3339Micro))
				_, _ = leases.Patch(ctx, NodeName, types.MergePatchType, patch, metav1.PatchOptions{})
			}
		}
	}()
	return nil
}

// node is Ready as it registers and has room for any test.
func node() *corev1.Node {
	now := metav1.Now()
	room := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1000"),
		corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourcePods:   resource.MustParse("1000"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   NodeName,
			Labels: map[string]string{corev1.LabelHostname: NodeName, corev1.LabelOSStable: "linux"},
		},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: taint, Effect: corev1.TaintEffectNoSchedule}}},
		Status: corev1.NodeStatus{
			Capacity:    room,
			Allocatable: room,
			Addresses:   []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: hostIP}},
			NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "process://1"},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Registered", LastHeartbeatTime: now, LastTransitionTime: now,
			}},
		},
	}
}
