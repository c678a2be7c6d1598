// Command kubectl-rollouts is the kubectl plugin. Called as
// kubectl-argo-rollouts it behaves as scripts for that name expect.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	// Kubeconfigs may name any of the authentication plugins.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/headway-rollouts/headway/kubectl-plugin/cmd"
)

func main() {
	os.Exit(cmd.Execute(os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
}
