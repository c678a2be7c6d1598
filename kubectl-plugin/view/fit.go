package view

import (
	"strings"
	"unicode/utf8"
)

func length(s string) int { return utf8.RuneCountInString(s) }

func (s Style) ellipsis() string {
	if s.Glyphs == GlyphsASCII {
		return "..."
	}
	return "…"
}

// middle cuts a text in its middle, because names differ at both ends.
func (s Style) middle(text string, width int) string {
	r := []rune(text)
	dots := s.ellipsis()
	if width <= 0 || len(r) <= width {
		return text
	}
	keep := width - length(dots)
	if keep < 2 {
		return string(r[:width])
	}
	return string(r[:(keep+1)/2]) + dots + string(r[len(r)-keep/2:])
}

// tail cuts a text at its end.
func (s Style) tail(text string, width int) string {
	r := []rune(text)
	dots := s.ellipsis()
	if width <= 0 || len(r) <= width {
		return text
	}
	if width <= length(dots) {
		return string(r[:width])
	}
	return string(r[:width-length(dots)]) + dots
}

// wrap breaks prose at spaces into lines of at most width columns; a word that
// is longer is cut into pieces. Width 0 keeps one line.
func wrap(text string, width int) []string {
	if width <= 0 || length(text) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && length(line)+1+length(word) > width {
			lines, line = append(lines, line), ""
		}
		for length(word) > width {
			r := []rune(word)
			lines, word = append(lines, string(r[:width])), string(r[width:])
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func pad(text string, width int) string {
	if gap := width - length(text); gap > 0 {
		return text + strings.Repeat(" ", gap)
	}
	return text
}

// trimRight removes the padding at the ends of lines.
func trimRight(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
