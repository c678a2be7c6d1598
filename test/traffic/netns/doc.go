// Package netns runs a test binary again in a network namespace of its own, where
// pods can have addresses and every port is free, without touching the machine's
// network. It needs Linux, and leave to make user namespaces or to be root.
//
// The namespace has a loopback interface and nothing else: no way out, which also
// shows that the tests need none. Package test/traffic is the only one that uses it.
package netns
