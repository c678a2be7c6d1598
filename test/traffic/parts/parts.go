// Package parts builds what the live tests run and finds what they install: Traefik
// and the pods' program, each from a module of its own, beside the control plane and
// Prometheus of test/kube. It starts nothing.
//
// Building needs the network, for modules that are not cached, and the tests run
// where there is none; so Build comes first. go build itself knows what is current:
// a second Build takes seconds.
package parts

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/headway-rollouts/headway/test/kube"
)

// Parts are the paths of what was built or found.
type Parts struct {
	// Traefik and App are programs.
	Traefik, App string
	// CRDs are folders of CustomResourceDefinitions.
	CRDs []string
}

const traefikModule = "github.com/traefik/traefik/v3"

// heartbeat is how often a long build says that it is alive.
const heartbeat = 15 * time.Second

// Build makes every program unless it is current. The first time takes 5 to 15
// minutes on two processors, most of it for the control plane and Traefik.
func Build(ctx context.Context) (Parts, error) {
	if err := kube.Build(ctx); err != nil {
		return Parts{}, err
	}
	// The tests build the controller where there is no network: its modules must be
	// there. This is how test/e2e/headway builds it, so that the compiler's cache serves both.
	if err := build(command(ctx, kube.Root(), "build", "-buildvcs=false", "-o", os.DevNull, "./cmd/headway")); err != nil {
		return Parts{}, err
	}
	p := find()
	if err := build(command(ctx, folder("traefik"), small(p.Traefik, traefikModule+"/cmd/traefik")...)); err != nil {
		return Parts{}, err
	}
	if err := build(command(ctx, folder("app"), small(p.App, ".")...)); err != nil {
		return Parts{}, err
	}
	return Find(ctx)
}

// Find is what Build has built, without building.
func Find(ctx context.Context) (Parts, error) {
	p := find()
	for _, path := range []string{p.Traefik, p.App} {
		if _, err := os.Stat(path); err != nil {
			return Parts{}, fmt.Errorf("looking for what was built: %w", err)
		}
	}
	gateway, err := moduleFolder(ctx, "sigs.k8s.io/gateway-api")
	if err != nil {
		return Parts{}, err
	}
	traefik, err := moduleFolder(ctx, traefikModule)
	if err != nil {
		return Parts{}, err
	}
	p.CRDs = []string{
		filepath.Join(gateway, "config", "crd", "standard"),
		filepath.Join(traefik, "docs", "content", "reference", "dynamic-configuration"),
	}
	return p, nil
}

func find() Parts {
	bin := filepath.Join(kube.Root(), "bin")
	return Parts{Traefik: filepath.Join(bin, "traefik"), App: filepath.Join(bin, "traffic-app")}
}

func folder(name string) string { return filepath.Join(kube.Root(), "test", "traffic", name) }

// small are the arguments of go build for a program without what a debugger needs.
func small(out, what string) []string {
	return []string{"build", "-p", "2", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", "-s -w", "-o", out, what}
}

// command is the go command in a folder. Modules of ours are never in a workspace.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // Our own arguments.
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	if dir != kube.Root() {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	return cmd
}

// build runs a build and says on standard error that it does when it takes long.
func build(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	what, start := cmd.Args[len(cmd.Args)-1], time.Now()
	go func() { done <- cmd.Run() }()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(os.Stderr, "test/traffic: still building %s in %s after %s; the first time takes minutes\n",
				what, filepath.Base(cmd.Dir), time.Since(start).Round(time.Second))
		case err := <-done:
			if err != nil {
				return fmt.Errorf("building %s in %s: %w\n%s", what, cmd.Dir, err, output.Bytes())
			}
			return nil
		}
	}
}

// moduleFolder is where the files of a dependency of Traefik's module are.
func moduleFolder(ctx context.Context, module string) (string, error) {
	out, err := command(ctx, folder("traefik"), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module %s: %w", module, err)
	}
	return string(bytes.TrimSpace(out)), nil
}
