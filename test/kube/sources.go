package kube

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SeeSources opens every folder that the binaries are built from. go test keeps a
// result until something changes that the test has opened, and what a compiler
// opens is not among it: without this a cached result would be of another build.
func SeeSources() error {
	for _, name := range []string{"go.mod", "analysis", "apis", "cmd", "config", "controllers", "kubectl-plugin", "trafficrouting"} {
		err := filepath.WalkDir(filepath.Join(Root(), name), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("looking at the sources: %w", err)
		}
	}
	return nil
}
