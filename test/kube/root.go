package kube

import (
	"bytes"
	"os"
	"path/filepath"
)

// module is the first line of the repository's go.mod; the modules under test have
// longer names.
const module = "module github.com/headway-rollouts/headway\n"

// Root is the folder of the repository that the working directory is in. It panics
// outside of one: nothing of this package works there.
func Root() string {
	start, err := os.Getwd()
	if err != nil {
		panic("finding the working directory: " + err.Error())
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		data, err := os.ReadFile(filepath.Clean(filepath.Join(dir, "go.mod")))
		if err == nil && bytes.HasPrefix(data, []byte(module)) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("no go.mod of headway above " + start)
		}
	}
}
