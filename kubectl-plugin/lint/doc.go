// Package lint finds what is wrong with manifests before a cluster sees them:
// what the API server or the controllers would refuse, and what they would
// accept and the author hardly meant.
//
// It is pure: texts come in, findings come out. It knows only what the given
// files have, so an object that another file or the cluster has is never
// reported as missing. The lint command calls it.
package lint
