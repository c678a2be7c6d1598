package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

type terminalSize struct{ width, height int }

// terminalOf is the size of the terminal behind a stream; ok is false when it is none.
func terminalOf(stream any) (size terminalSize, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // A file descriptor is a small number.
		return terminalSize{}, false
	}
	width, height, err := term.GetSize(int(f.Fd())) //nolint:gosec // See above.
	if err != nil {
		return terminalSize{width: 80, height: 24}, true
	}
	return terminalSize{width: width, height: height}, true
}

// displayFlags say how text is drawn.
type displayFlags struct {
	noColour bool
	colour   string
	ascii    bool
	plain    bool
}

func (d *displayFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&d.noColour, "no-color", false, "draw without colour; the same as --color=never")
	flags.StringVar(&d.colour, "color", "auto", "draw with colour: auto, always or never; auto follows NO_COLOR, CLICOLOR_FORCE, TERM and the terminal")
	flags.BoolVar(&d.ascii, "ascii", false, "draw with ASCII signs only; on by itself when the locale is not UTF-8")
	flags.BoolVar(&d.plain, "plain", false, "print one fact a line without signs, for screen readers")
}

// addIgnored accepts flags of the served plugin that have nothing to do here.
func addIgnored(flags *pflag.FlagSet) {
	flags.String("loglevel", "", "accepted for scripts; has no effect")
	flags.IntP("kloglevel", "v", 0, "accepted for scripts; has no effect")
	_ = flags.MarkHidden("loglevel")
	_ = flags.MarkHidden("kloglevel")
}

// style is how to draw on standard output.
func (a *app) style() (view.Style, error) {
	size, isTerminal := a.terminal(a.streams.Out)
	colour, err := a.colour(isTerminal)
	if err != nil {
		return view.Style{}, err
	}
	return view.Style{Width: size.width, Colour: colour, Glyphs: a.glyphs(), Signs: isTerminal}, nil
}

// colour decides whether to colour a stream: a flag wins over the
// environment, and the environment over the terminal.
func (a *app) colour(isTerminal bool) (bool, error) {
	switch {
	case a.display.noColour || a.display.colour == "never":
		return false, nil
	case a.display.colour == "always":
		return true, nil
	case a.display.colour != "auto":
		return false, usage(fmt.Sprintf("--color is %q, which is none of auto, always, never", a.display.colour), "")
	}
	if v, ok := a.env("NO_COLOR"); ok && v != "" {
		return false, nil
	}
	if v, ok := a.env("CLICOLOR_FORCE"); ok && v != "" && v != "0" {
		return true, nil
	}
	if v, _ := a.env("TERM"); v == "dumb" {
		return false, nil
	}
	return isTerminal, nil
}

func (a *app) glyphs() view.Glyphs {
	switch {
	case a.display.plain:
		return view.GlyphsPlain
	case a.display.ascii || !a.served && !a.utf8():
		return view.GlyphsASCII
	}
	return view.GlyphsUnicode
}

// utf8 reports whether the locale can show Unicode. Machines without any
// locale, as in containers and CI, only pass the text on, so they count.
func (a *app) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v, ok := a.env(name); ok && v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}

// confirm asks before a verb that cannot be taken back. It asks only people:
// without a terminal, with --yes and under the served name it agrees, so that
// scripts that worked keep working.
func (a *app) confirm(question string, yes bool) error {
	_, in := a.terminal(a.streams.In)
	_, out := a.terminal(a.streams.ErrOut)
	if yes || a.served || !in || !out {
		return nil
	}
	a.say("%s [y/N] ", question)
	answer, err := bufio.NewReader(a.streams.In).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &failure{code: ExitError, what: "nothing was changed", why: "the question was not answered with y"}
}

// say writes to standard error, where everything goes that is not data.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.streams.ErrOut, format, args...)
}

// printf writes to standard output.
func (a *app) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(a.streams.Out, format, args...); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
