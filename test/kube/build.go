package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// heartbeat is how often a long build says that it is alive.
const heartbeat = 15 * time.Second

// program is a binary that this package builds from a module of its own under test.
type program struct {
	name    string
	ldflags []string
	patient string // What the first build takes.
}

// The version is Kubernetes' own: without it /version says v0.0.0-master.
var clusterProgram = program{
	name:    "cluster",
	patient: "the first build takes 5 to 10 minutes, later ones seconds",
	ldflags: []string{
		"-X k8s.io/component-base/version.gitVersion=v1.36.3",
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/component-base/version.gitMinor=36",
		"-X k8s.io/client-go/pkg/version.gitVersion=v1.36.3",
	},
}

var prometheusProgram = program{name: "prometheus", patient: "the first build takes about a minute"}

// Build makes the binaries of the cluster and of Prometheus unless they are there, so
// that no test waits for them: go test hides the progress of a build within a test.
func Build(ctx context.Context) error {
	for _, p := range []program{clusterProgram, prometheusProgram} {
		if _, err := p.build(ctx); err != nil {
			return err
		}
	}
	return nil
}

// build returns the path of the binary and makes it first if its sources changed.
func (p program) build(ctx context.Context) (string, error) {
	source := filepath.Join(Root(), "test", p.name)
	key, err := p.key(source)
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", source, err)
	}
	bin := filepath.Join(Root(), "bin")
	path := filepath.Join(bin, p.name+"-"+key)
	if exists(path) {
		return path, nil
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("making the folder for binaries: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(bin, p.name+".lock"))
	if err != nil {
		return "", fmt.Errorf("waiting for another build of %s: %w", p.name, err)
	}
	defer unlock()
	if exists(path) { // Another process built it meanwhile.
		return path, nil
	}
	if err := p.compile(ctx, source, path); err != nil {
		return "", fmt.Errorf("building %s: %w", source, err)
	}
	removeOthers(bin, p.name, path)
	return path, nil
}

// compile builds to a temporary name and moves it in place, so that the path never
// names half a binary.
func (p program) compile(ctx context.Context, source, path string) error {
	done := p.reportProgress()
	defer done()
	tmp := fmt.Sprintf("%s.tmp%d", path, os.Getpid())
	ldflags := strings.Join(append([]string{"-s", "-w"}, p.ldflags...), " ")
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "2", "-trimpath", "-ldflags", ldflags, "-o", tmp, ".") //nolint:gosec // Our own arguments.
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(tmp, path)
}

// reportProgress tells on standard error that a build runs, until done is called.
func (p program) reportProgress() (done func()) {
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "test/kube: "+format+"\n", args...)
	}
	say("building test/%s: %s", p.name, p.patient)
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				say("still building test/%s after %s", p.name, time.Since(start).Round(time.Second))
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		say("building test/%s took %s", p.name, time.Since(start).Round(time.Second))
	}
}

// key names a build: the sources, the flags and the compiler.
func (p program) key(source string) (string, error) {
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH, p.ldflags)
	files := os.DirFS(source)
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(files, path)
		_, _ = fmt.Fprintln(sum, path, len(data))
		_, _ = sum.Write(data)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:12], err
}

// removeOthers deletes builds of older sources, of 130 MB each.
func removeOthers(bin, name, keep string) {
	old, _ := filepath.Glob(filepath.Join(bin, name+"-*"))
	for _, path := range old {
		if path != keep {
			_ = os.Remove(path)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// errBusy says that another process holds the lock.
var errBusy = errors.New("locked by another process")

// lock waits for the file's lock. The kernel frees the lock of a process that dies.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := tryLock(f)
		if err == nil {
			return func() { closeQuietly(f) }, nil
		}
		if !errors.Is(err, errBusy) {
			closeQuietly(f)
			return nil, err
		}
		select {
		case <-ctx.Done():
			closeQuietly(f)
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func closeQuietly(c io.Closer) { _ = c.Close() }
