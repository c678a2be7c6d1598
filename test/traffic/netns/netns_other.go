//go:build !linux

package netns

import "fmt"

// Run refuses.
func Run() (int, error) { return 0, fmt.Errorf("%w: it takes Linux", ErrRefused) }

// Prepare refuses.
func Prepare(string) error { return ErrRefused }
