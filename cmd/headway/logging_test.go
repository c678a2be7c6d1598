package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

var timestamp = regexp.MustCompile(`("?time"?[=:])\S+?( |,)`)

func TestLogLines(t *testing.T) {
	for _, c := range []struct{ name, level, format, want string }{
		{"text at info", "info", formatText, `
time=T level=info msg=Scaling ReplicaSet.name=web ReplicaSet.namespace=team
time=T level=error msg=Stopping err=broken
`},
		{"JSON at debug", "debug", formatJSON, `
{"time":T,"level":"info","msg":"Scaling","ReplicaSet":{"name":"web","namespace":"team"}}
{"time":T,"level":"debug","msg":"Looking"}
{"time":T,"level":"error","msg":"Stopping","err":"broken"}
`},
		{"everything at trace", "trace", formatText, `
time=T level=info msg=Scaling ReplicaSet.name=web ReplicaSet.namespace=team
time=T level=debug msg=Looking
time=T level=trace msg=Staring
time=T level=error msg=Stopping err=broken
`},
		{"errors alone at warn", "warn", formatText, `
time=T level=error msg=Stopping err=broken
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			o := defaultOptions()
			o.logLevel, o.logFormat = c.level, c.format
			log, err := setLogging(o, &out)
			if err != nil {
				t.Fatal(err)
			}
			log.Info("Scaling", "ReplicaSet", klog.KRef("team", "web"))
			log.V(1).Info("Looking")
			log.V(9).Info("Staring")
			log.Error(errors.New("broken"), "Stopping")
			got := "\n" + timestamp.ReplaceAllString(out.String(), "${1}T$2")
			if got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTheClientLibraryHasItsOwnVerbosity(t *testing.T) {
	for _, c := range []struct {
		name  string
		level int
		want  bool
	}{
		{"silent by default", 0, false},
		{"shown when asked for, whatever our level", 6, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			o := defaultOptions()
			o.logLevel, o.klogLevel = "error", c.level
			if _, err := setLogging(o, &out); err != nil {
				t.Fatal(err)
			}
			klog.V(6).InfoS("Request", "key", types.NamespacedName{Namespace: "a", Name: "b"})
			if got := strings.Contains(out.String(), "msg=Request"); got != c.want {
				t.Errorf("shown: %t, want %t: %s", got, c.want, out.String())
			}
		})
	}
}
