// Package kube gives tests, the demo and the benchmarks a real Kubernetes cluster
// and a real Prometheus without Docker.
//
// It builds the binaries of test/cluster and test/prometheus once, keeps them in bin
// under a key made of their sources, and runs each cluster as a child process that
// dies with its parent. What pods do there is said in test/cluster/doc.go: they
// start, crash, stay unready or end as their image tags and annotations tell them.
//
// It is not for production code and knows nothing of rollouts.
//
// A package that tests against a cluster shares one among its tests:
//
//	func TestMain(m *testing.M) { os.Exit(kube.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		c := kube.Shared(t) // Skips with -short.
//		ns := c.Namespace(t)
//		…
//	}
package kube
