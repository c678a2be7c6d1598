package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/test/demo/process"
)

// subject is a controller that is measured.
type subject struct {
	Name string `json:"name"`
	// Command is what the shell runs; {kubeconfig} stands for the path of the
	// kubeconfig, each {port} for a free port, {metrics} for the port of /metrics
	// and {pprof} for that of /debug/pprof.
	Command string `json:"command"`
}

// headway is the subject that is always measured.
func headway(root string) subject {
	return subject{
		Name:    "headway",
		Command: filepath.Join(root, "bin", "headway") + " --kubeconfig {kubeconfig} --leader-elect=false --metricsPort {metrics} --healthzPort {port} --enable-pprof-address 127.0.0.1:{pprof} --metric-address-policy allow:loopback",
	}
}

// subjectOf names another controller after its binary.
func subjectOf(command string) (subject, error) {
	if !strings.Contains(command, "{kubeconfig}") {
		return subject{}, fmt.Errorf("the controller command %q does not say {kubeconfig}: put it where the path of the kubeconfig belongs", command)
	}
	for word := range strings.FieldsSeq(command) {
		if !strings.Contains(word, "=") { // not an environment variable
			return subject{Name: filepath.Base(word), Command: command}, nil
		}
	}
	return subject{}, fmt.Errorf("the controller command %q names no binary", command)
}

// launch is a command with its placeholders filled in.
type launch struct {
	command string
	// metrics and pprof are addresses of the controller; empty when its command does not name them.
	metrics, pprof string
}

// expand fills the placeholders. The shell replaces itself with the controller, so
// that the process that is measured is the controller.
func (s subject) expand(kubeconfig string) (launch, error) {
	l := launch{command: "exec env " + strings.ReplaceAll(s.Command, "{kubeconfig}", kubeconfig)}
	for _, served := range []struct {
		placeholder string
		address     *string
	}{{"{metrics}", &l.metrics}, {"{pprof}", &l.pprof}, {"{port}", new(string)}} {
		for strings.Contains(l.command, served.placeholder) {
			port, err := process.FreePort()
			if err != nil {
				return l, fmt.Errorf("choosing a port: %w", err)
			}
			l.command = strings.Replace(l.command, served.placeholder, strconv.Itoa(port), 1)
			*served.address = fmt.Sprintf("http://127.0.0.1:%d", port)
		}
	}
	return l, nil
}

// running is a controller at work behind its own proxy.
type running struct {
	proxy   *proxy
	process *process.Process
	// served is where it tells of itself.
	served launch
}

// settleTime is the silence after which a controller counts as started: its caches
// are filled and its queues are empty, and a status that was held back for a second
// is stored.
const settleTime = 2 * time.Second

// startLimit bounds a start.
const startLimit = time.Minute

// start runs the controller and returns when it watches Rollouts and is quiet.
func (b *bench) start(ctx context.Context, s subject) (*running, error) {
	p, err := startProxy(b.cluster.Config)
	if err != nil {
		return nil, fmt.Errorf("starting the counting proxy: %w", err)
	}
	r := &running{proxy: p}
	if err := b.launch(ctx, r, s); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// launch starts the process behind a proxy that exists.
func (b *bench) launch(ctx context.Context, r *running, s subject) error {
	kubeconfig, err := r.proxy.kubeconfig(b.dir)
	if err != nil {
		return err
	}
	if r.served, err = s.expand(kubeconfig); err != nil {
		return err
	}
	before, _ := r.proxy.read()
	r.process, err = process.Start(process.Program{
		Path: "/bin/sh",
		Args: []string{"-c", r.served.command},
		Log:  filepath.Join(b.dir, s.Name+".log"),
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	watching := call{Verb: "watch", Resource: "rollouts"}
	err = until(ctx, s.Name+" to watch Rollouts", func() bool {
		now, _ := r.proxy.read()
		return r.process.Failure() != nil || now.since(before)[watching].Requests > 0
	})
	if err := errors.Join(r.process.Failure(), err); err != nil {
		return err
	}
	return r.proxy.quiet(ctx, settleTime)
}

// stop ends the controller, then its proxy.
func (r *running) stop() error {
	defer r.proxy.close()
	if r.process == nil {
		return nil
	}
	return r.process.Stop()
}

// phase is what a controller used between two moments.
type phase struct {
	counts counts
	before usage
	after  usage
}

// cpu is the CPU time of the phase.
func (p phase) cpu() time.Duration { return p.after.CPU - p.before.CPU }

// during measures the controller while do runs and until it has been quiet for the
// window after it.
func (r *running) during(ctx context.Context, window time.Duration, do func() error) (phase, error) {
	var p phase
	earlier, _ := r.proxy.read()
	var err error
	if p.before, err = usageOf(r.process.PID()); err != nil {
		return p, errors.Join(r.process.Failure(), err)
	}
	if err := errors.Join(do(), r.process.Failure()); err != nil {
		return p, err
	}
	if err := r.proxy.quiet(ctx, window); err != nil {
		return p, err
	}
	now, _ := r.proxy.read()
	p.counts = now.since(earlier)
	if p.after, err = usageOf(r.process.PID()); err != nil {
		return p, errors.Join(r.process.Failure(), err)
	}
	return p, nil
}
