// Package headway runs the controller under test: it builds the binary once and
// starts it as a process of its own, which can be killed at any moment.
//
// It knows nothing of what the controller does. The end-to-end tests and the
// fault tests use it.
package headway
