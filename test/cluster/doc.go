// Command cluster is one real Kubernetes cluster in one process: etcd, the API
// server, the controller manager and the scheduler, with kwok as the kubelet of
// every node.
//
// It is not a product and it keeps nothing: its data is unsynced, its nodes are
// simulated, and pod addresses lead nowhere. Package test/kube builds and starts
// it for tests, the demo and the benchmarks.
//
// A pod behaves as its image tag or its annotations say:
//
//	image tag badpull      waits in ImagePullBackOff, never Ready
//	image tag crash        CrashLoopBackOff with a growing restart count
//	image tag neverready   runs and is never Ready
//	sim/behaviour          badpull, crash, neverready or run; wins over the tag
//	sim/ready-delay        time from Running to Ready, e.g. 400ms
//	sim/ready              "false" makes a running pod fail its readiness probe
//	sim/delete-delay       time a deleted pod takes to go, default none
//	sim/job                succeed or fail; a Job's pod succeeds by default
//	sim/job-after          when it does, default 300ms
//	sim/cpu                millicores reported by metrics.k8s.io, e.g. 250
//
// Readiness gates are honoured: a pod is Ready when all their conditions are True.
// A delay counts from the last change of the pod.
package main
