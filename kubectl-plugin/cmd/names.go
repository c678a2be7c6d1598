package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// rolloutTypes are the words a user may put in front of a rollout's name.
var rolloutTypes = []string{"ro", "rollout", "rollouts", "rollout.argoproj.io", "rollouts.argoproj.io", "rollouts.v1alpha1.argoproj.io"}

// builtinTypes are the kinds that kubectl's builtin rollout command steers.
var builtinTypes = []string{
	"deploy", "deployment", "deployments", "deployment.apps", "deployments.apps",
	"ds", "daemonset", "daemonsets", "daemonset.apps", "daemonsets.apps",
	"sts", "statefulset", "statefulsets", "statefulset.apps", "statefulsets.apps",
}

// rolloutNames reads NAME, TYPE/NAME and TYPE NAME… arguments.
func rolloutNames(verb string, args []string) ([]string, error) {
	if len(args) > 1 && slices.Contains(rolloutTypes, strings.ToLower(args[0])) {
		args = args[1:]
	}
	var names []string
	for i, arg := range args {
		kind, name, typed := strings.Cut(arg, "/")
		if !typed {
			kind, name = "rollout", arg
		}
		if i == 0 && len(args) > 1 && slices.Contains(builtinTypes, strings.ToLower(arg)) {
			return nil, builtin(verb, arg+" "+args[1])
		}
		if err := checkName(verb, arg, kind, name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func checkName(verb, arg, kind, name string) error {
	switch {
	case slices.Contains(builtinTypes, strings.ToLower(kind)):
		return builtin(verb, arg)
	case !slices.Contains(rolloutTypes, strings.ToLower(kind)):
		return usage(fmt.Sprintf("%q is not a rollout", arg), "name it as NAME or rollout/NAME")
	case name == "" || strings.Contains(name, "/"):
		return usage(fmt.Sprintf("%q has no valid name", arg), "name it as NAME or rollout/NAME")
	}
	return nil
}

// builtin says which command of kubectl itself is meant. The two differ by one letter.
func builtin(verb, target string) *failure {
	f := usage(fmt.Sprintf("kubectl rollouts does not handle %s", target), "")
	f.why = "it handles rollouts.argoproj.io; kubectl itself has `rollout`, without an s, for workloads like this"
	switch verb {
	case "status", "history", "pause", "resume", "restart", "undo":
		f.next = fmt.Sprintf("kubectl rollout %s %s", verb, target)
	case "abort":
		f.next = "kubectl rollout undo " + target
	case "promote":
		f.next = "kubectl rollout resume " + target
	default:
		f.next = "kubectl get " + target
	}
	return f
}

// atLeast wants n arguments or more, and says how to give them.
func atLeast(n int, example string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usage(fmt.Sprintf("%s needs the name of a rollout", c.CommandPath()), "for example: "+c.CommandPath()+" "+example)
		}
		return nil
	}
}

// one is the only name of several arguments that name one rollout.
func one(verb string, args []string) (string, error) {
	names, err := rolloutNames(verb, args)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", usage(fmt.Sprintf("%s takes one rollout, not %d", verb, len(names)), "name one")
	}
	return names[0], nil
}
