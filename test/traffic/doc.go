// Package traffic sends live requests through rollouts and counts what is lost.
//
// Everything is real but the machines: a Kubernetes control plane (test/cluster),
// pods that are processes serving HTTP and gRPC (kubelet, app), Traefik as the proxy
// (traefik), a Prometheus that scrapes it, and the controller as a process. Traefik
// serves all four kinds of routes: canary Ingresses with NGINX's annotations, Gateway
// API HTTPRoutes and GRPCRoutes, and its own TraefikService. Each scenario runs for
// each kind; routes_test.go is the table.
//
// All of it lives in one network namespace, which the test binary makes by running
// itself again (netns), and dies with it. So pods have addresses of their own, ports
// are fixed, and nothing reaches the machine's network.
//
//	make test-traffic
//
// builds the parts (which needs the network, the first time) and runs it. Without
// HEADWAY_TRAFFIC=1, or where no namespace can be made, every test says NOT CHECKED.
//
// What a green run shows: with an application that drains, no request was lost while
// a release came, was aborted, was replaced half-way, lost pods or lost its
// controller; shares were what the weights say; a bad release was aborted for an
// error rate that was measured. What makes that worth something are the controls, in
// controls_test.go: an application that does not drain, and the same writes in the
// wrong order, lose requests here.
//
// What it does not show: how NGINX, Envoy or a cloud's balancer behave, or what a
// network does between nodes.
package traffic
