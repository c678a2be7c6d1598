// Package influxdb measures with Flux queries. Its value is the column _value
// of every row. The server, the organization and the token are in a Secret of
// the controller, which the metric names. It judges nothing. It is asked by the
// controller of AnalysisRuns.
package influxdb
