// Package datadog measures with Datadog queries over a window of time: a
// timeseries query with version 1 of its API, scalar queries and formulas with
// version 2. The conditions of the metric judge the value. It never reads the
// environment: the one who makes the provider passes what it says. It is asked
// by the controller of AnalysisRuns; it knows nothing of runs.
package datadog
