package expr

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// environment is what an expression can name besides the language's own
// functions. Functions of the language that can build unbounded texts or read
// the clock are replaced.
func environment(result any, now time.Time, b *budget) map[string]any {
	return map[string]any{
		"result":  result,
		"asInt":   asInt,
		"asFloat": asFloat,
		"isNaN":   func(value any) bool { return math.IsNaN(number("isNaN", value)) },
		"isInf":   func(value any) bool { return math.IsInf(number("isInf", value), 0) },
		// The argument of isNil and the first of default are not looked at:
		// both ask whether the provider gave a value at all.
		"isNil": func(any) bool { return result == nil },
		"default": func(_, otherwise any) any {
			if result == nil {
				return otherwise
			}
			return result
		},
		"now":     func(zone ...*time.Location) time.Time { return inZone(now, zone) },
		"repeat":  b.repeat,
		"replace": b.replace,
		"join":    b.join,
		nameSpend: b.spend,
		nameAdd:   b.add,
	}
}

// replaced are the functions of the language that environment replaces.
var replaced = []string{"now", "repeat", "replace", "join"}

func inZone(now time.Time, zone []*time.Location) time.Time {
	if len(zone) == 1 && zone[0] != nil {
		return now.In(zone[0])
	}
	return now
}

func (b *budget) repeat(text string, n int) string {
	if n < 0 {
		panic(fmt.Errorf("repeat %d times: the number must not be negative", n))
	}
	if n > maxText {
		panic(errText)
	}
	b.grow(len(text) * n)
	return strings.Repeat(text, n)
}

func (b *budget) replace(text, from, to string) string {
	hits := strings.Count(text, from)
	b.take(1 + len(text)/64)
	b.grow(len(text) + hits*max(0, len(to)-len(from)))
	return strings.ReplaceAll(text, from, to)
}

func (b *budget) join(values any, glue ...string) string {
	b.pay(values)
	list := reflect.ValueOf(values)
	if list.Kind() != reflect.Slice {
		panic(fmt.Errorf("join takes a list of texts, not %T", values))
	}
	separator := strings.Join(glue, "")
	parts := make([]string, list.Len())
	size := len(separator) * len(parts)
	for i := range parts {
		part, ok := list.Index(i).Interface().(string)
		if !ok {
			panic(fmt.Errorf("join takes a list of texts, not %T", values))
		}
		parts[i] = part
		size += len(part)
	}
	b.grow(size)
	return strings.Join(parts, separator)
}

// asInt makes a whole number of a number or of the text of one.
func asInt(value any) int64 {
	if text, ok := value.(string); ok {
		whole, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic(fmt.Errorf("asInt: %q is not a whole number", short(text)))
		}
		return whole
	}
	if f, ok := value.(float64); ok {
		return int64(f)
	}
	if v := reflect.ValueOf(value); v.IsValid() && v.CanInt() {
		return v.Int()
	}
	return int64(number("asInt", value))
}

// asFloat makes a number of a number or of the text of one.
func asFloat(value any) float64 {
	text, ok := value.(string)
	if !ok {
		return number("asFloat", value)
	}
	parsed, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Errorf("asFloat: %q is not a number", short(text)))
	}
	return parsed
}

// number is the value of any kind of number.
func number(function string, value any) float64 {
	if text, ok := value.(json.Number); ok {
		return asFloat(string(text))
	}
	v := reflect.ValueOf(value)
	switch {
	case !v.IsValid():
		panic(fmt.Errorf("%s: there is no value", function))
	case v.CanFloat():
		return v.Float()
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	}
	panic(fmt.Errorf("%s: %T is not a number", function, value))
}

func short(text string) string {
	const most = 50
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
