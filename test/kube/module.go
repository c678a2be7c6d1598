package kube

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// ModuleDir is the folder of a module that the project depends on. Some hold the
// CustomResourceDefinitions of their kinds.
func ModuleDir(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module) //nolint:gosec // Our own arguments.
	cmd.Dir = Root()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the folder of module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
