// Package network stands between a controller and the API server and disturbs:
// a Line can be cut, a Meddler loses a chosen write or its answer.
//
// It knows requests and connections and nothing of rollouts. The fault tests use it.
package network
