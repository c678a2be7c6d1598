package headway

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/kube/scratch"
)

// built is the folder of the binary; Clean removes it.
var built string

// binary is the path of the controller, built by the first caller.
var binary = sync.OnceValues(func() (string, error) {
	if err := kube.SeeSources(); err != nil {
		return "", err
	}
	dir, err := scratch.Dir("under-test")
	if err != nil {
		return "", fmt.Errorf("making a folder for the controller: %w", err)
	}
	built = dir
	path := filepath.Join(dir, "headway")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/headway")
	build.Dir = kube.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the controller: %w\n%s", err, out)
	}
	return path, nil
})

// Clean removes the binary. Call it when all tests have ended.
func Clean() {
	if built != "" {
		_ = os.RemoveAll(built)
	}
}
