package kube

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cleanupLimit keeps a cluster that no longer answers from holding up a test that has ended.
const cleanupLimit = 20 * time.Second

// Namespace makes a namespace for the test, ready for pods. It is deleted when the
// test ends; nobody waits for that. A test that failed shows what happened there.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	ns, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: dnsLabel(t.Name()) + "-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit) // The test's own context is over.
		defer cancel()
		if t.Failed() {
			t.Log(c.describe(ctx, ns.Name))
		}
		if err := c.client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Logf("deleting namespace %s: %v", ns.Name, err)
		}
	})
	Eventually(t, 20*time.Second, func() error {
		_, err := c.client.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return ns.Name
}

// dnsLabel makes the start of a namespace's name of a test's name.
func dnsLabel(name string) string {
	const most = 40
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(label[:min(most, len(label))], "-")
}

// describe lists the pods and events of a namespace.
func (c *Cluster) describe(ctx context.Context, namespace string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "namespace %s:\n", namespace)
	pods, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Sprintf("listing pods: %v", err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		fmt.Fprintf(&b, "pod %s: %s on %q", p.Name, p.Status.Phase, p.Spec.NodeName)
		for _, s := range p.Status.ContainerStatuses {
			fmt.Fprintf(&b, " %s ready=%t restarts=%d", s.Name, s.Ready, s.RestartCount)
		}
		b.WriteByte('\n')
	}
	events, err := c.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{Limit: 100})
	if err != nil {
		return b.String() + fmt.Sprintf("listing events: %v", err)
	}
	for i := range events.Items {
		e := &events.Items[i]
		fmt.Fprintf(&b, "event %s %s/%s: %s: %s\n", e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	return b.String()
}
