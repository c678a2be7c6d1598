// Package cmd holds the verbs of the kubectl plugin, one file a verb.
//
// It reads the cluster, asks kubectl-plugin/view what that looks like, prints
// it, and sends the small patches by which people steer a rollout. It never
// decides what a rollout does; the controller does. The binary in
// cmd/kubectl-rollouts calls Execute.
package cmd
