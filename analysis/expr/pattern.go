package expr

import (
	"fmt"
	"regexp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// maxPattern is how many instructions a regular expression may have.
	maxPattern = 1000
	// readingLetter is the work of reading one letter of a regular
	// expression: a name of a class can stand for hundreds of ranges.
	readingLetter = 300
	// steps of the matcher take as long as looking at one value.
	steps = 64
)

// pattern is a regular expression that was paid for.
type pattern struct {
	compiled *regexp.Regexp
	size     int
}

// matches is the operator of that name. The matcher takes up to one step for
// each instruction and letter, whatever the regular expression is.
func (b *budget) matches(text, source any) bool {
	if text == nil || source == nil {
		return false
	}
	p := b.pattern(textual(source))
	in := textual(text)
	b.take(1 + len(in)*p.size/steps)
	return p.compiled.MatchString(in)
}

// pattern reads a regular expression once in an evaluation.
func (b *budget) pattern(source string) pattern {
	if known, ok := b.patterns[source]; ok {
		return known
	}
	b.take(len(source) * readingLetter)
	size, err := v1alpha1.PatternSize(source, maxPattern)
	if err != nil {
		panic(fmt.Errorf("matches: %w", err))
	}
	b.fill(size * roomOfValue)
	compiled, err := regexp.Compile(source)
	if err != nil {
		panic(fmt.Errorf("matches: %w", err))
	}
	b.patterns[source] = pattern{compiled, size}
	return b.patterns[source]
}

func textual(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	panic(fmt.Errorf("matches compares texts, not %T", value))
}
