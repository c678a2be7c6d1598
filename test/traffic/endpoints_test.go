package traffic

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// endpoints says, for a test that failed, what each pod answers when it is asked
// directly, and which addresses the proxy was told.
func (s *scene) endpoints() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // The test's own context is over.
	defer cancel()
	var b strings.Builder
	var pods corev1.PodList
	var slices discoveryv1.EndpointSliceList
	for _, list := range []client.ObjectList{&pods, &slices} {
		if err := s.world.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
			return fmt.Sprintf("listing what is behind the route: %v", err)
		}
	}
	for _, p := range pods.Items {
		answer := "nothing"
		resp, err := fetch(ctx, "http://"+p.Status.PodIP+":8080/")
		if err == nil {
			_ = resp.Body.Close()
			answer = resp.Status + " of " + resp.Header.Get("X-Pod")
		}
		fmt.Fprintf(&b, "pod %s at %s answers %s %v\n", p.Name, p.Status.PodIP, answer, err)
	}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			fmt.Fprintf(&b, "%s has %v ready=%t serving=%t terminating=%t\n", slice.Name, e.Addresses,
				*e.Conditions.Ready, *e.Conditions.Serving, *e.Conditions.Terminating)
		}
	}
	return b.String()
}
