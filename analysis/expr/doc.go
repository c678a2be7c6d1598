// Package expr evaluates the conditions of a metric: what a measurement's value
// means. It is pure: the time comes in as an argument, nothing is read or kept.
// Nothing a user writes can exhaust it: text is capped in length and depth
// before it reaches the compiler, and every evaluation has a budget of work.
// It is called by the analysis shell and by metric providers.
package expr
