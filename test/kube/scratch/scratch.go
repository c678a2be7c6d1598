// Package scratch makes temporary folders for tests, the demo and the benchmarks that do not
// pile up: a process that was killed cannot remove its own, so whoever makes the next folder
// removes those of the dead. It knows nothing of what the folders hold.
package scratch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// named are the folders of this package: what for, the process that made it, and a random number.
var named = regexp.MustCompile(`^headway-[a-z-]+-(\d+)-\d+$`)

// Dir makes a folder, of lower-case letters and dashes by name. Remove it when it is no longer
// needed; should this process not get to that, another one will.
func Dir(purpose string) (string, error) {
	sweep(os.TempDir())
	dir, err := os.MkdirTemp("", fmt.Sprintf("headway-%s-%d-", purpose, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("making a temporary folder: %w", err)
	}
	return dir, nil
}

// sweep removes the folders of processes that have ended. What it may not remove is somebody else's.
func sweep(tmp string) {
	entries, _ := os.ReadDir(tmp)
	for _, e := range entries {
		owner := named.FindStringSubmatch(e.Name())
		if owner == nil || !e.IsDir() {
			continue
		}
		if pid, err := strconv.Atoi(owner[1]); err == nil && ended(pid) {
			_ = os.RemoveAll(filepath.Join(tmp, e.Name()))
		}
	}
}
