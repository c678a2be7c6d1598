// Package egress is the way out to the servers that users name in metrics. It
// checks every address at the moment it is dialled, follows redirects on the
// same host alone, and reads no more of a reply than a metric needs. Behind a
// proxy it sees no more than the host: what names lead to, the proxy has to
// limit. Providers
// ask through it, and the controller of AnalysisRuns makes the one Client they
// share. It knows nothing of what is asked.
package egress
