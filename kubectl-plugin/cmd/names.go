package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// noun is a kind of object as command lines name it.
type noun struct {
	// kind is its Kind, and word what it is called in sentences, with its article.
	kind, word, article string
	// types are the words a user may put in front of a name.
	types []string
	// resource in the words of RBAC.
	resource string
	// example is a name, and list the command that shows which there are.
	example, list string
	// wide is true for objects without a namespace.
	wide bool
}

var (
	rolloutNoun = noun{
		kind: "Rollout", word: "rollout", article: "a", resource: "rollouts.argoproj.io", example: "cart", list: "kubectl rollouts list rollouts",
		types: []string{"ro", "rollout", "rollouts", "rollout.argoproj.io", "rollouts.argoproj.io", "rollouts.v1alpha1.argoproj.io"},
	}
	experimentNoun = noun{
		kind: "Experiment", word: "experiment", article: "an", resource: "experiments.argoproj.io", example: "cart-ab", list: "kubectl rollouts list experiments",
		types: []string{"exp", "experiment", "experiments", "experiment.argoproj.io", "experiments.argoproj.io", "experiments.v1alpha1.argoproj.io"},
	}
	runNoun = noun{
		kind: "AnalysisRun", word: "analysisrun", article: "an", resource: "analysisruns.argoproj.io", example: "cart-6d9f-42", list: "kubectl get analysisruns",
		types: []string{"ar", "analysisrun", "analysisruns", "analysisrun.argoproj.io", "analysisruns.argoproj.io", "analysisruns.v1alpha1.argoproj.io"},
	}
	templateNoun = noun{
		kind: "AnalysisTemplate", word: "analysistemplate", article: "an", resource: "analysistemplates.argoproj.io",
		example: "success-rate", list: "kubectl get analysistemplates",
	}
	clusterTemplateNoun = noun{
		kind: "ClusterAnalysisTemplate", word: "clusteranalysistemplate", article: "a", resource: "clusteranalysistemplates.argoproj.io",
		example: "success-rate", list: "kubectl get clusteranalysistemplates", wide: true,
	}
)

// nouns are the kinds that the plugin knows.
var nouns = []noun{rolloutNoun, experimentNoun, runNoun, templateNoun, clusterTemplateNoun}

// nounOf is the kind that a command line names by its first word; otherwise the given one.
func nounOf(args []string, among []noun, otherwise noun) noun {
	if len(args) == 0 {
		return otherwise
	}
	kind, _, typed := strings.Cut(strings.ToLower(args[0]), "/")
	for _, n := range among {
		if (typed || len(args) > 1) && slices.Contains(n.types, kind) {
			return n
		}
	}
	return otherwise
}

// attempt is what is being done to an object of the kind.
func (n noun) attempt(doing, verb, namespace string) attempt {
	return attempt{noun: n, doing: doing, verb: verb, resource: n.resource, namespace: namespace}
}

// builtinTypes are the kinds that kubectl's builtin rollout command steers.
var builtinTypes = []string{
	"deploy", "deployment", "deployments", "deployment.apps", "deployments.apps",
	"ds", "daemonset", "daemonsets", "daemonset.apps", "daemonsets.apps",
	"sts", "statefulset", "statefulsets", "statefulset.apps", "statefulsets.apps",
}

// rolloutNames reads the names of rollouts.
func rolloutNames(verb string, args []string) ([]string, error) { return rolloutNoun.names(verb, args) }

// names reads NAME, TYPE/NAME and TYPE NAME… arguments.
func (n noun) names(verb string, args []string) ([]string, error) {
	if len(args) > 1 && slices.Contains(n.types, strings.ToLower(args[0])) {
		args = args[1:]
	}
	var names []string
	for i, arg := range args {
		kind, name, typed := strings.Cut(arg, "/")
		if !typed {
			kind, name = n.word, arg
		}
		if i == 0 && len(args) > 1 && slices.Contains(builtinTypes, strings.ToLower(arg)) {
			return nil, builtin(verb, arg+" "+args[1])
		}
		if err := n.checkName(verb, arg, kind, name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func (n noun) checkName(verb, arg, kind, name string) error {
	how := fmt.Sprintf("name it as NAME or %s/NAME", n.word)
	switch {
	case slices.Contains(builtinTypes, strings.ToLower(kind)):
		return builtin(verb, arg)
	case !slices.Contains(n.types, strings.ToLower(kind)):
		return usage(fmt.Sprintf("%q is not %s %s", arg, n.article, n.word), how)
	case name == "" || strings.Contains(name, "/"):
		return usage(fmt.Sprintf("%q has no valid name", arg), how)
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

// atLeast wants n arguments or more about a rollout, and says how to give them.
func atLeast(n int, example string) cobra.PositionalArgs { return rolloutNoun.atLeast(n, example) }

// atLeast wants k arguments or more about an object of the kind, and says how to give them.
func (n noun) atLeast(k int, example string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < k {
			return usage(fmt.Sprintf("%s needs the name of %s %s", c.CommandPath(), n.article, n.word), "for example: "+c.CommandPath()+" "+example)
		}
		return nil
	}
}

// one is the only name of several arguments that name one rollout.
func one(verb string, args []string) (string, error) { return rolloutNoun.one(verb, args) }

// one is the only name of several arguments that name one object of the kind.
func (n noun) one(verb string, args []string) (string, error) {
	names, err := n.names(verb, args)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", usage(fmt.Sprintf("%s takes one %s, not %d", verb, n.word, len(names)), "name one")
	}
	return names[0], nil
}
