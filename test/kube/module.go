package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// ModuleDir is the folder of a module that one of the project's modules depends on, in the folder of that
// one: "." is the main module. It is fetched if it must be. Some modules hold the
// CustomResourceDefinitions of their kinds.
func ModuleDir(ctx context.Context, dependent, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module) //nolint:gosec // Our own arguments.
	cmd.Dir = filepath.Join(Root(), dependent)
	out, err := cmd.Output()
	var fetched struct{ Dir, Error string }
	if unreadable := json.Unmarshal(out, &fetched); unreadable != nil {
		return "", fmt.Errorf("fetching module %s of %s: %w", module, dependent, errors.Join(unreadable, err))
	}
	if err != nil || fetched.Error != "" {
		return "", fmt.Errorf("fetching module %s of %s: %w: %s", module, dependent, err, fetched.Error)
	}
	return fetched.Dir, nil
}
