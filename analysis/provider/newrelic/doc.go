// Package newrelic measures with NRQL, the query language of New Relic, over
// NerdGraph, its GraphQL API. The conditions of the metric judge the rows. It
// uses no other API of New Relic. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package newrelic
