// Package jsonpath finds the value that a path such as {$.data[0].value} leads
// to in a decoded JSON document: always the same one, within limits. It reads
// paths as the served API does. It is used by providers; it knows nothing of
// metrics.
package jsonpath
