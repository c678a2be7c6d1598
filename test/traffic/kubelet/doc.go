// Package kubelet runs pods as processes: a small node agent that registers a Node
// and does for the pods bound to it what a kubelet does, with programs of this
// machine in place of containers.
//
// It runs one container a pod, looks its program up by the image's repository,
// gives each pod an address of its own from Range (which must be local on this
// machine), the environment with the downward API, readiness and liveness probes,
// the preStop hook, SIGTERM, the grace period, SIGKILL, and restarts with back-off.
// An image that it does not know waits in ErrImagePull. It has no volumes, no init
// containers, no limits and no isolation: pods are trusted programs of tests.
//
// Pods ask for it by schedulerName: it binds them itself. The nodes of test/cluster are
// simulated by kwok, which also takes every other node of the cluster for its own; it
// leaves the node alone because somebody else holds the lease, which is therefore made
// before the node, and the pods because of how they look when they are bound (claim.go).
//
// Package test/traffic is the only one that uses it.
package kubelet
