// Package wavefront measures with the chart API of Wavefront. Its value is the
// point of each series that is closest to now. Tokens are in one Secret of the
// controller, by address. It judges nothing; the controller of AnalysisRuns asks it.
package wavefront
