// Package cloudwatch measures with Amazon CloudWatch: all queries of a metric in
// one call of GetMetricData, over the time until now. The controller's own AWS
// configuration says where and as whom. It is asked by the controller of
// AnalysisRuns; it knows nothing of runs.
package cloudwatch
