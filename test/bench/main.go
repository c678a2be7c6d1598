// Command bench measures what a rollout controller costs: the requests it sends to
// the API server, CPU, memory, and how soon it reacts. It starts a test cluster,
// puts a counting proxy between the controller and the API server, and plays the
// same scenarios for each controller in turn.
//
// It is not a test of correctness and not a load generator for real clusters.
// `make bench` runs it; docs/benchmarks.md says what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/demo/process"
	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/kube/scratch"
)

// options are the flags.
type options struct {
	scenarios      []string
	n              int
	idle           int
	idleFor        time.Duration
	samples        int
	restores       int
	scaleDownDelay int
	runs           int
	queries        int
	runsFor        time.Duration
	answerIn       time.Duration
	churn          int
	timeout        time.Duration
	json           string
	others         []subject
}

// allScenarios in the order in which they run.
var allScenarios = []string{"one", "many", "idle", "restore", "analyses"}

func main() {
	opts, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, opts)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	scenarios := flags.String("scenarios", strings.Join(allScenarios, ","), "what to measure, separated by commas")
	flags.IntVar(&o.n, "n", 500, "canaries at once in scenario many")
	flags.IntVar(&o.idle, "idle-rollouts", 100, "healthy Rollouts in scenario idle")
	flags.DurationVar(&o.idleFor, "idle-for", time.Minute, "how long scenario idle watches")
	flags.IntVar(&o.samples, "samples", 50, "changes timed in scenario one")
	flags.IntVar(&o.restores, "restores", 10, "bad measurements timed in scenario restore")
	flags.IntVar(&o.scaleDownDelay, "scale-down-delay", 30, "scaleDownDelaySeconds of the Rollouts; 30 is the API's default")
	o.bindAnalyses(flags)
	flags.DurationVar(&o.timeout, "timeout", 20*time.Minute, "limit for one scenario of one controller")
	flags.StringVar(&o.json, "json", "", "file to write the figures to")
	flags.Func("controller", "COMMAND of another controller of the same API, measured too; {kubeconfig} is replaced by a path, each {port} by a free port, {metrics} and {pprof} by one that is asked for /metrics and /debug/pprof; repeatable", func(command string) error {
		s, err := subjectOf(command)
		if err != nil {
			return err
		}
		s.Name = fmt.Sprintf("%s-%d", s.Name, len(o.others)+2) // two may be the same binary with other flags
		o.others = append(o.others, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.scenarios = strings.Split(*scenarios, ",")
	for _, s := range o.scenarios {
		if !slices.Contains(allScenarios, s) {
			return o, fmt.Errorf("unknown scenario %q: use some of %s", s, strings.Join(allScenarios, ","))
		}
	}
	if min(o.n, o.idle, o.samples, o.restores, o.runs, o.queries, o.churn) < 1 {
		return o, errors.New("-n, -idle-rollouts, -samples, -restores, -runs, -queries and -churn must be at least 1")
	}
	if o.runsFor < 2*measuredEvery {
		return o, fmt.Errorf("-runs-for must be at least %s: each half needs a measurement of every run", 2*measuredEvery)
	}
	return o, nil
}

// bindAnalyses declares the flags of scenario analyses.
func (o *options) bindAnalyses(flags *flag.FlagSet) {
	flags.IntVar(&o.runs, "runs", 5000, "AnalysisRuns at once in scenario analyses")
	flags.IntVar(&o.queries, "queries", 50, "distinct queries of these runs")
	flags.DurationVar(&o.runsFor, "runs-for", time.Minute, "how long scenario analyses watches")
	flags.DurationVar(&o.answerIn, "answer-in", 10*time.Millisecond, "time that Prometheus takes for an answer in scenario analyses")
	flags.IntVar(&o.churn, "churn", 10_000, "AnalysisRuns that come and go in scenario analyses")
}

// bench is a cluster to measure on.
type bench struct {
	cluster *kube.Cluster
	client  client.Client
	scheme  *runtime.Scheme
	dir     string
	opts    options
}

func run(ctx context.Context, o options) (err error) {
	say("building headway")
	if err := process.Build(ctx, kube.Root(), say, "headway"); err != nil {
		return err
	}
	b, stop, err := begin(ctx, o)
	if err != nil {
		return err
	}
	defer stop()
	result, err := b.measure(ctx, append([]subject{headway(kube.Root())}, o.others...))
	if err != nil {
		return err
	}
	if err := result.print(os.Stdout); err != nil {
		return err
	}
	if own, err := usageOf(os.Getpid()); err == nil {
		say(fmt.Sprintf("the benchmark itself and its proxy used %.0f s of CPU", own.CPU.Seconds()))
	}
	if o.json == "" {
		return nil
	}
	return result.save(o.json)
}

// begin starts the cluster, and returns what stops it.
func begin(ctx context.Context, o options) (*bench, func(), error) {
	ctrllog.SetLogger(logr.Discard()) // what the benchmark's own watches log is no result
	klog.SetLogger(logr.Discard())
	b := &bench{opts: o, scheme: runtime.NewScheme()}
	if err := errors.Join(clientgoscheme.AddToScheme(b.scheme), v1alpha1.AddToScheme(b.scheme)); err != nil {
		return nil, nil, fmt.Errorf("making the scheme: %w", err)
	}
	var err error
	if b.dir, err = scratch.Dir("bench"); err != nil {
		return nil, nil, fmt.Errorf("making a temporary folder: %w", err)
	}
	say("starting the cluster")
	b.cluster, err = kube.Start(ctx, kube.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	stop := func() {
		b.cluster.Stop()
		_ = os.RemoveAll(b.dir)
	}
	if err := b.connect(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return b, stop, nil
}

func (b *bench) connect(ctx context.Context) error {
	if err := b.cluster.InstallCRDs(ctx, filepath.Join(kube.Root(), "config", "crd")); err != nil {
		return err
	}
	var err error
	b.client, err = client.New(b.cluster.Config, client.Options{Scheme: b.scheme})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

// measure plays the scenarios for every controller: one controller at a time, on
// an empty cluster.
func (b *bench) measure(ctx context.Context, subjects []subject) (*report, error) {
	result := newReport(b.opts)
	say("measuring the floor")
	for _, floor := range b.floors() {
		rows, err := b.limited(ctx, floor)
		if err != nil {
			return nil, fmt.Errorf("the floor: %w", err)
		}
		result.Floor = append(result.Floor, rows...)
	}
	for _, s := range subjects {
		c := column{subject: s}
		for _, scenario := range b.opts.scenarios {
			say(fmt.Sprintf("%s: scenario %s", s.Name, scenario))
			rows, err := b.limited(ctx, func(ctx context.Context) (figures, error) { return b.play(ctx, scenario, s) })
			if err != nil {
				return nil, fmt.Errorf("%s, scenario %s: %w", s.Name, scenario, err)
			}
			c.Figures = append(c.Figures, rows...)
		}
		result.Controllers = append(result.Controllers, c)
	}
	return result, nil
}

// floors are those of the scenarios.
func (b *bench) floors() []func(context.Context) (figures, error) {
	var floors []func(context.Context) (figures, error)
	if slices.ContainsFunc(b.opts.scenarios, func(s string) bool { return s != "analyses" }) {
		floors = append(floors, b.floor)
	}
	if slices.Contains(b.opts.scenarios, "analyses") {
		floors = append(floors, b.writeFloor)
	}
	return floors
}

func (b *bench) limited(ctx context.Context, do func(context.Context) (figures, error)) (figures, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.timeout)
	defer cancel()
	return do(ctx)
}

func (b *bench) play(ctx context.Context, scenario string, s subject) (figures, error) {
	switch scenario {
	case "one":
		return b.one(ctx, s)
	case "many":
		return b.many(ctx, s)
	case "idle":
		return b.idle(ctx, s)
	case "restore":
		return b.restore(ctx, s)
	case "analyses":
		return b.analyses(ctx, s)
	}
	return nil, fmt.Errorf("unknown scenario %q", scenario)
}

// say reports progress; standard output is for the figures.
func say(line string) { fmt.Fprintln(os.Stderr, line) }
