// Package load sends live requests and counts every answer.
//
// A Load sends a steady stream, which does not wait for answers: an application that
// hangs is asked as often as one that does not. Burst sends a number of requests as
// fast as they are answered, with the stream held back, so that a share can be
// counted exactly. Requests are HTTP/1.1 over several connections, or gRPC over
// several HTTP/2 connections; the gRPC call is written by hand, in twenty lines, so
// that gRPC does not become a dependency of Headway.
//
// It knows nothing of rollouts. Package test/traffic is the only one that uses it.
package load
