package cmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version of the plugin; release builds set it with the linker's -X flag.
var Version = ""

func (a *app) versionCommand() *cobra.Command {
	var short bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version of the plugin",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text := versionText(c.Root().Name(), short)
			return a.printf("%s", text)
		},
	}
	c.Flags().BoolVar(&short, "short", false, "print the number only")
	return c
}

func versionText(name string, short bool) string {
	version, commit, built := Version, "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
			version = info.Main.Version
		}
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				commit = setting.Value
			case "vcs.time":
				built = setting.Value
			}
		}
	}
	if version == "" {
		version = "v0.0.0-dev"
	}
	text := fmt.Sprintf("%s: %s\n", name, version)
	if short {
		return text
	}
	for _, row := range [][2]string{
		{"BuildDate", built},
		{"GitCommit", commit},
		{"GoVersion", runtime.Version()},
		{"Compiler", runtime.Compiler},
		{"Platform", runtime.GOOS + "/" + runtime.GOARCH},
	} {
		if row[1] != "" {
			text += fmt.Sprintf("  %s: %s\n", row[0], row[1])
		}
	}
	return text
}
