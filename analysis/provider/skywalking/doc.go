// Package skywalking measures with the GraphQL API of a SkyWalking OAP server.
// Its value is the data of the reply. It asks for a window of time in UTC, the
// time zone of the servers' images, and it judges nothing. It is asked by the
// controller of AnalysisRuns.
package skywalking
