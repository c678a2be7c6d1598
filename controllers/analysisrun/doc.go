// Package analysisrun is the shell around the core in package analysis: it
// reads an AnalysisRun, has the measurements taken that are due, and stores
// what the core makes of them. It decides nothing.
//
// A measurement may take long, so it holds no worker of the queue: it is taken
// on the desk, and its result wakes the run. One that is lost with the process
// is due again, so it is taken again.
package analysisrun
