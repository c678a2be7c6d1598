package main

import (
	"context"
	"fmt"
	"time"
)

// pollInterval bounds how late a wait notices; figures are never taken from it but
// where they are seconds.
const pollInterval = 20 * time.Millisecond

// until waits for a condition. The error says what was waited for.
func until(ctx context.Context, what string, met func() bool) error {
	return untilEvery(ctx, pollInterval, what, met)
}

// untilEvery is until for a condition that costs something to look at.
func untilEvery(ctx context.Context, interval time.Duration, what string, met func() bool) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
	return nil
}
