// Package analysis decides what an AnalysisRun does next: which measurements
// are due, what the measurements mean, and what the status says. It reads no
// clock, no cluster and no network: time and results come in as values. The
// controller of AnalysisRuns takes the measurements with Providers, and the
// controllers of Rollouts and Experiments use Flatten to make runs.
package analysis
