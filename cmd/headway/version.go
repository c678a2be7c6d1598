package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for a release: -X main.version=v1.2.3.
var version = "dev"

// build is what is known of this binary.
type build struct {
	version, goVersion, goArch, commit string
}

func (b build) String() string {
	return fmt.Sprintf("headway %s (commit %s, %s, %s)", b.version, b.commit, b.goVersion, b.goArch)
}

// readBuild takes the commit from the build information that the Go tool embeds.
func readBuild() build {
	b := build{version: version, goVersion: runtime.Version(), goArch: runtime.GOARCH, commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.commit = s.Value
		}
	}
	return b
}
