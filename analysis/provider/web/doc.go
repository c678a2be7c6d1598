// Package web measures with an HTTP request: what a JSONPath finds in the reply
// is the value. It knows no kind of server. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package web
