// Package graphite measures with the render API of Graphite. Its value is the
// points of the first series. It sends no parameters but those a query may
// hold, and it judges nothing. It is asked by the controller of AnalysisRuns.
package graphite
