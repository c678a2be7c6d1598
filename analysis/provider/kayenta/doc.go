// Package kayenta measures by having a Kayenta server judge a canary. The
// server works for minutes: a measurement starts a judgement, is looked at
// every 15 seconds, and ends with the score, which is held against the
// thresholds of the metric. A judgement that is started and forgotten, or whose
// run is terminated, comes to its end at the server, and nobody reads it. It is
// asked by the controller of AnalysisRuns; it knows nothing of runs.
package kayenta
