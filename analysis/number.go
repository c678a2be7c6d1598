package analysis

import (
	"strconv"
	"strings"
)

// Number is a number as text, in full: 0.00001 and not 1e-05.
func Number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// Numbers is a list of numbers as text, such as [1,0.5,NaN].
func Numbers(values []float64) string {
	parts := make([]string, len(values))
	for i, value := range values {
		parts[i] = Number(value)
	}
	return "[" + strings.Join(parts, ",") + "]"
}
