package view

import (
	"strings"
	"unicode"
)

// longest is the number of runes of a user's string that are shown. Messages
// of controllers are shorter; a longer one would only push the rest away.
const longest = 4096

// clean makes a user's string safe to print: line breaks and tabs become
// spaces, and everything that could steer a terminal or reorder text becomes
// a replacement character. Annotations, messages and measured values are
// written by others and must not be able to draw a false screen.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > longest {
			b.WriteRune('…')
			break
		}
		b.WriteRune(harmless(r))
	}
	return strings.TrimSpace(b.String())
}

// Clean makes a text of a user's file safe to print, in the same way.
func Clean(s string) string { return clean(s) }

func harmless(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return ' '
	case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
		return unicode.ReplacementChar
	}
	return r
}

func cleanAll(in []string) []string {
	var out []string
	for _, s := range in {
		out = append(out, clean(s))
	}
	return out
}
