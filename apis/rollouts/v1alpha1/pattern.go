package v1alpha1

import (
	"fmt"
	"regexp/syntax"
)

// PatternSize reads a regular expression and returns how many instructions a
// matcher needs for it, about; looking for it takes time in proportion to that
// and to the text. One that needs more than most is an error: a few bytes can
// ask for millions, such as (a{100}){100}. Nothing is unrolled to find out.
func PatternSize(pattern string, most int) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("reading the regular expression: %w", err)
	}
	size := instructions(parsed, most)
	if size > most {
		return 0, fmt.Errorf("the regular expression needs more than %d instructions; repeat less in it", most)
	}
	return size, nil
}

// instructions counts up to most and one more. Repetitions are unrolled by the
// matcher, and a class is searched by halves.
func instructions(re *syntax.Regexp, most int) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size += len(re.Rune) / 32
	default:
	}
	for _, part := range re.Sub {
		if size += instructions(part, most); size > most {
			return most + 1
		}
	}
	if re.Op == syntax.OpRepeat {
		times := re.Max
		if times < 0 {
			times = re.Min + 1
		}
		size *= max(times, 1)
	}
	return min(size, most+1)
}
