package cmd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// Formats of -o.
const (
	formatTree  = "tree"
	formatTable = "table"
	formatText  = "text"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
)

// format is the -o flag of a command; the first allowed one is the default.
type format struct {
	value   string
	allowed []string
}

func newFormat(allowed ...string) format { return format{value: allowed[0], allowed: allowed} }

func (f *format) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.value, "output", "o", f.value, "how to print: "+strings.Join(f.allowed, ", "))
}

func (f *format) check() error {
	if slices.Contains(f.allowed, f.value) {
		return nil
	}
	return usage(fmt.Sprintf("-o is %q, which is none of %s", f.value, strings.Join(f.allowed, ", ")), "")
}

// document prints a value as JSON or YAML. In a stream each JSON document is
// one line, and YAML documents are divided.
func (a *app) document(value any, format string, stream bool) error {
	var out []byte
	var err error
	switch {
	case format == formatYAML:
		out, err = yaml.Marshal(value)
		if stream {
			out = append([]byte("---\n"), out...)
		}
	case stream:
		out, err = json.Marshal(value)
		out = append(out, '\n')
	default:
		out, err = json.MarshalIndent(value, "", "  ")
		out = append(out, '\n')
	}
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	return a.printf("%s", out)
}
