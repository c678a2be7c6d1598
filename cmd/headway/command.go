package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of the command.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a command line that cannot be meant; it ends the command with exitUsage.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stderr) //nolint:contextcheck // cobra hands the context of ExecuteContext to it.
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "headway: %v\n", err)
	if errors.As(err, &usageError{}) {
		_, _ = fmt.Fprintln(stderr, "Run headway --help for the flags.")
		return exitUsage
	}
	return exitError
}

func newCommand(logs io.Writer) *cobra.Command {
	o := defaultOptions()
	cmd := &cobra.Command{
		Use:           "headway",
		Short:         "Headway releases new versions step by step and takes bad ones back",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usageError{fmt.Errorf("unexpected argument %q: headway takes flags only", strings.Join(args, " "))}
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.showVersion {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), readBuild())
				return err //nolint:wrapcheck // writing one line to stdout has no more context to add.
			}
			o.unserved = changedUnserved(cmd.Flags())
			return start(cmd.Context(), o, logs)
		},
	}
	o.bind(cmd.Flags())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

// start checks the options, sets up logging and runs the controllers.
func start(ctx context.Context, o *options, logs io.Writer) error {
	if err := o.validate(); err != nil {
		return usageError{err}
	}
	log, err := setLogging(o, logs)
	if err != nil {
		return usageError{err}
	}
	log.Info("Starting", "version", version, "instanceID", o.instanceID, "namespaced", o.namespaced)
	for _, f := range o.unserved {
		log.Info("Flag is accepted but has no effect yet", "flag", "--"+f.name, "reason", f.why)
	}
	return run(ctx, o, log)
}
