package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
)

// elsewhere says how to do what a verb of kubectl's builtin rollout command
// does, for a Rollout. The plugin has no such verb, but its name differs from
// the builtin by one letter, so people type them.
var elsewhere = map[string]string{
	"history": "kubectl rollouts get rollout %s",
	"pause":   `kubectl patch rollouts.argoproj.io %s --type merge -p '{"spec":{"paused":true}}'`,
	"resume":  "kubectl rollouts promote %s",
	"undo":    "kubectl rollouts abort %s while it updates, or: kubectl rollouts set image %[1]s CONTAINER=OLD-IMAGE",
}

// builtinCommands are hidden verbs that only say which command is meant.
func (a *app) builtinCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, verb := range []string{"history", "pause", "resume", "undo"} {
		out = append(out, &cobra.Command{
			Use:                verb,
			Hidden:             true,
			DisableFlagParsing: true,
			RunE:               func(_ *cobra.Command, args []string) error { return meant(verb, args) },
		})
	}
	return out
}

func meant(verb string, args []string) error {
	var words []string
	for _, arg := range args {
		if arg != "" && arg[0] != '-' {
			words = append(words, arg)
		}
	}
	names, err := rolloutNames(verb, words)
	if err != nil {
		return err
	}
	name := "NAME"
	if len(names) > 0 {
		name = names[0]
	}
	f := usage(fmt.Sprintf("kubectl rollouts has no command %s", verb), fmt.Sprintf(elsewhere[verb], name))
	f.why = fmt.Sprintf("`kubectl rollout %s`, without an s, is for Deployments, DaemonSets and StatefulSets", verb)
	return f
}
