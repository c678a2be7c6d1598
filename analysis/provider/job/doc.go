// Package job measures by running a Kubernetes Job: the measurement is good
// when the Job completes and bad when it fails. It is asked by the controller
// of AnalysisRuns; it knows nothing of runs but who owns the Jobs.
package job
