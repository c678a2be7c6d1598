package expr

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// added are the functions that the language does not have.
var added = []string{"asInt", "asFloat", "isNaN", "isInf", "isNil", "default"}

// replaced are the functions of the language that environment replaces: they
// read the clock, or their cost is not that of their arguments.
var replaced = append(slices.Sorted(maps.Keys((&budget{}).texts())), "now")

// environment is what an expression can name besides the language's own
// functions.
func environment(result any, now time.Time, b *budget) map[string]any {
	env := map[string]any{
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
		"now": func(zone ...*time.Location) time.Time { return inZone(now, zone) },
	}
	maps.Copy(env, b.texts())
	maps.Copy(env, b.meters())
	return env
}

func inZone(now time.Time, zone []*time.Location) time.Time {
	if len(zone) == 1 && zone[0] != nil {
		return now.In(zone[0])
	}
	return now
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
