// Package prometheus measures with PromQL: a query at this moment, or over a
// range of time. It judges nothing. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package prometheus
