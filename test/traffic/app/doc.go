// Command app is the application that the pods of the live tests run: an HTTP
// server and a gRPC server which answer with the release they are of.
//
// It is not a web framework and keeps no state. The process kubelet of
// test/traffic starts it with these variables:
//
//	POD_IP     the address it listens on, ports 8080 (HTTP) and 9090 (gRPC)
//	POD_NAME   answered as x-pod
//	IMAGE_TAG  the release, answered as x-version, and how it behaves
//
// A tag is a name and what is odd about the release, joined by dashes:
//
//	v2           answers well and drains
//	v2-bad30     fails 30 of 100 requests, on purpose and by turns: x-deliberate
//	v2-abrupt    ends at SIGTERM as a program does that knows nothing of it
//	v2-unready   never passes its readiness probe
//
// Its metrics are at /metrics of the HTTP port.
//
// Draining is what a server behind a proxy owes it: at SIGTERM the readiness probe
// fails, but requests are answered until none came for a while, since the proxy
// learns late; then those under way are finished, and only then the process ends.
package main
