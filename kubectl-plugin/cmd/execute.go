package cmd

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// servedName is the name of the plugin whose scripts ours runs unchanged.
const servedName = "kubectl-argo-rollouts"

// Execute runs the command line args, of which the first is the name the
// program was called by, and returns the exit code. It ends early on an
// interrupt; a rollout is never changed by that.
func Execute(args []string, streams genericiooptions.IOStreams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return newApp(args, streams).run(ctx, args)
}

// clock is the time; tests stop it.
type clock interface {
	Now() time.Time
	// After is a channel that gets one value when the duration has passed.
	After(time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// app is what every command stands on. Everything that touches the world is a
// field, so that tests run whole commands without one.
type app struct {
	streams  genericiooptions.IOStreams
	clock    clock
	env      func(string) (string, bool)
	terminal func(stream any) (terminalSize, bool)
	connect  func(*genericclioptions.ConfigFlags) (session, error)
	// served is true under the name of the served plugin: codes 3 to 7 become
	// 1, status waits for people and prints its lines, and nothing is asked.
	served  bool
	flags   *genericclioptions.ConfigFlags
	display displayFlags
}

func newApp(args []string, streams genericiooptions.IOStreams) *app {
	return &app{
		streams:  streams,
		clock:    wallClock{},
		env:      os.LookupEnv,
		terminal: terminalOf,
		connect:  connector(streams.ErrOut),
		served:   calledAs(args) == servedName,
		flags:    genericclioptions.NewConfigFlags(true),
	}
}

func calledAs(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return strings.TrimSuffix(filepath.Base(args[0]), ".exe")
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // Cobra hands the context of ExecuteContext to each command.
	if len(args) > 0 {
		args = args[1:]
	}
	root.SetArgs(args)
	return a.report(root.ExecuteContext(ctx))
}

const longHelp = `Shows and steers Rollouts.

Put kubectl's own flags after the plugin's name: kubectl rollouts --context prod list.

Exit codes: 0 done, 1 error, 2 usage, 3 degraded or aborted, 4 timed out,
5 paused and waiting for a person, 6 forbidden, 7 superseded by a newer
revision, 130 interrupted. Called as kubectl-argo-rollouts, 3 to 7 are 1.`

func (a *app) root() *cobra.Command {
	name := "kubectl-rollouts"
	if a.served {
		name = servedName
	}
	root := &cobra.Command{
		Use:           name,
		Short:         "Shows and steers Rollouts",
		Long:          longHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: shownName(a)},
	}
	root.SetIn(a.streams.In)
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.ErrOut)
	a.flags.AddFlags(root.PersistentFlags())
	a.display.add(root.PersistentFlags())
	addIgnored(root.PersistentFlags())
	root.AddCommand(
		a.getCommand(),
		a.listCommand(),
		a.statusCommand(),
		a.whyCommand(),
		a.promoteCommand(),
		a.abortCommand(),
		a.retryCommand(),
		a.restartCommand(),
		a.terminateCommand(),
		a.setCommand(),
		a.createCommand(),
		a.lintCommand(),
		a.versionCommand(),
	)
	root.AddCommand(a.builtinCommands()...)
	a.nameExamples(root)
	return root
}

// action runs a verb; every error that leaves it says what to do next.
func action(run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if err := run(c.Context(), args); err != nil {
			return asFailure(err)
		}
		return nil
	}
}
