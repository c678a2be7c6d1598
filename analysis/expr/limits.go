package expr

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// maxDepth is how deep brackets, prefix operators and conditionals may nest.
// The compiler recurses on each, and a stack overflow ends a Go process, so
// depth is counted before the compiler sees the text.
const maxDepth = 64

// checkSize reports text that is too long or too deep to be compiled.
func checkSize(source string) error {
	if most := v1alpha1.MaxExpressionBytes; len(source) > most {
		return fmt.Errorf("expression is %d bytes long, above the limit of %d; make it shorter", len(source), most)
	}
	if depth := nesting(source); depth > maxDepth {
		return fmt.Errorf("expression nests %d deep or more, above the limit of %d; make it flatter", depth, maxDepth)
	}
	return nil
}

// nesting is an upper bound of how deep the parser would recurse: open
// brackets, the prefix operators in a row, and conditionals, which nest to
// the right. It stops counting just above maxDepth.
func nesting(source string) int {
	var s scanner
	for i := 0; i < len(source) && s.deepest <= maxDepth; {
		i += s.step(source[i:])
	}
	return s.deepest
}

// scanner counts nesting in a text.
type scanner struct {
	brackets, prefixes, conditionals int
	deepest                          int
}

// step reads one token from the start of a text and returns its length.
func (s *scanner) step(text string) int {
	switch c := text[0]; {
	case c == '"' || c == '\'' || c == '`':
		s.prefixes = 0
		return quoted(text)
	case strings.HasPrefix(text, "//"):
		return until(text, "\n")
	case strings.HasPrefix(text, "/*"):
		return until(text, "*/")
	case strings.HasPrefix(text, "??"), strings.HasPrefix(text, "?."):
		s.prefixes = 0
		return 2
	case unicode.IsSpace(rune(c)):
		return 1
	case isWord(c):
		return s.word(text)
	default:
		s.symbol(c)
		return 1
	}
}

func (s *scanner) symbol(c byte) {
	switch c {
	case '(', '[', '{':
		s.brackets++
		s.prefixes = 0
	case ')', ']', '}':
		s.brackets--
		s.prefixes = 0
	case '!', '-', '+':
		s.prefixes++
	case '?':
		s.conditionals++
		s.prefixes = 0
	default:
		s.prefixes = 0
	}
	s.deepest = max(s.deepest, s.brackets+s.prefixes+s.conditionals)
}

func (s *scanner) word(text string) int {
	n := 0
	for n < len(text) && isWord(text[n]) {
		n++
	}
	switch text[:n] {
	case "not":
		s.prefixes++
	case "if":
		s.conditionals++
		s.prefixes = 0
	default:
		s.prefixes = 0
	}
	s.deepest = max(s.deepest, s.brackets+s.prefixes+s.conditionals)
	return n
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoted is the length of the string literal at the start of a text. Raw
// strings in backticks know no escapes.
func quoted(text string) int {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		if text[i] == '\\' && quote != '`' {
			i++
			continue
		}
		if text[i] == quote {
			return i + 1
		}
	}
	return len(text)
}

func until(text, end string) int {
	if i := strings.Index(text, end); i >= 0 {
		return i + len(end)
	}
	return len(text)
}
