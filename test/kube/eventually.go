package kube

import (
	"testing"
	"time"
)

// pollInterval is how often Eventually looks.
const pollInterval = 50 * time.Millisecond

// Eventually polls cond until it returns nil and fails the test with its last error
// when that takes longer than within.
func Eventually(t testing.TB, within time.Duration, cond func() error) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(pollInterval) {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
	}
}
