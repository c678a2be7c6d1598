// Package view turns a Rollout and the objects it owns into the one model that
// every surface shows: the tree and the JSON of the kubectl plugin, and later
// the dashboard. It also holds the text renderers of that model.
//
// It is pure: it reads no cluster, no clock and no environment; the time is an
// argument. It decides nothing about a rollout; it only says what is there.
// The commands in kubectl-plugin/cmd call it.
package view
