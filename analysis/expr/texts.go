package expr

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

// texts are the functions of the language that build texts or take more time
// than their arguments are long. Each pays before it starts.
func (b *budget) texts() map[string]any {
	return map[string]any{
		"repeat": b.repeat, "replace": b.replace, "join": b.join,
		"upper": b.upper, "lower": b.lower, "trim": b.trim,
		"split": b.split, "splitAfter": b.splitAfter,
		"string": b.string, "toJSON": b.toJSON, "fromJSON": b.fromJSON,
		"toBase64": b.toBase64, "fromBase64": b.fromBase64,
		"uniq": b.uniq,
	}
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

func (b *budget) replace(text, from, to string, most ...int) string {
	b.pay(text)
	hits := strings.Count(text, from)
	limit := optional(most, -1)
	if limit >= 0 {
		hits = min(hits, limit)
	}
	b.grow(len(text) + hits*max(0, len(to)-len(from)))
	return strings.Replace(text, from, to, limit)
}

// optional is the one argument that may be given or left out.
func optional[T any](given []T, otherwise T) T {
	switch len(given) {
	case 0:
		return otherwise
	case 1:
		return given[0]
	}
	panic(errors.New("the function takes fewer arguments"))
}

func (b *budget) join(values any, glue ...string) string {
	b.pay(values)
	list := listOf("join", values)
	separator := optional(glue, "")
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

func listOf(function string, values any) reflect.Value {
	list := reflect.ValueOf(values)
	if kind := list.Kind(); kind != reflect.Slice && kind != reflect.Array {
		panic(fmt.Errorf("%s takes a list, not %T", function, values))
	}
	return list
}

// upper and lower may make three bytes of one that is not UTF-8.

func (b *budget) upper(text string) string {
	b.grow(3 * len(text))
	return strings.ToUpper(text)
}

func (b *budget) lower(text string) string {
	b.grow(3 * len(text))
	return strings.ToLower(text)
}

// trim looks for every letter at the ends of a text in the whole set.
func (b *budget) trim(text string, set ...string) string {
	b.pay(text)
	if len(set) == 0 {
		return strings.TrimSpace(text)
	}
	letters := optional(set, "")
	b.take(len(text) * len(letters) / 64)
	return strings.Trim(text, letters)
}

func (b *budget) split(text, separator string, most ...int) []string {
	b.fillParts(text, separator)
	return strings.SplitN(text, separator, optional(most, -1))
}

func (b *budget) splitAfter(text, separator string, most ...int) []string {
	b.fillParts(text, separator)
	return strings.SplitAfterN(text, separator, optional(most, -1))
}

func (b *budget) fillParts(text, separator string) {
	b.pay(text)
	b.fill((strings.Count(text, separator) + 1) * roomOfValue)
}

func (b *budget) string(value any) string {
	b.grow(b.length(value, false, 0))
	return fmt.Sprint(value)
}

func (b *budget) toJSON(value any) string {
	b.grow(b.length(value, true, 0))
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		panic(fmt.Errorf("toJSON: %w", err))
	}
	return string(text)
}

// fromJSON pays for every value that a text may hold: each but the first has
// a bracket or a comma before it. An empty map is far larger than its text.
func (b *budget) fromJSON(text string) any {
	b.pay(text)
	values := 1 + strings.Count(text, ",") + strings.Count(text, "[")
	b.fill(len(text) + roomOfValue*values + 4*roomOfValue*strings.Count(text, "{"))
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(fmt.Errorf("fromJSON: %w", err))
	}
	return value
}

func (b *budget) toBase64(text string) string {
	b.grow(base64.StdEncoding.EncodedLen(len(text)))
	return base64.StdEncoding.EncodeToString([]byte(text))
}

func (b *budget) fromBase64(text string) string {
	b.grow(len(text))
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(fmt.Errorf("fromBase64: %w", err))
	}
	return string(decoded)
}

// uniq compares each value with all that are different so far.
func (b *budget) uniq(values any) []any {
	list := listOf("uniq", values)
	b.fill(b.pay(values) * roomOfValue)
	var out []any
	for i := range list.Len() {
		value, known := list.Index(i).Interface(), false
		for k := 0; k < len(out) && !known; k++ {
			b.pay(value)
			known = runtime.Equal(value, out[k])
		}
		if !known {
			out = append(out, value)
		}
	}
	return out
}

// length is the most bytes the text of a value may have, indented and escaped
// when it is JSON.
func (b *budget) length(value any, asJSON bool, depth int) int {
	b.take(1)
	const scalar = 32
	switch v := value.(type) {
	case string:
		b.take(len(v) / 64)
		return lengthOf(v, asJSON)
	case nil, bool, int, int64, float64, time.Duration:
		return scalar
	case time.Time:
		return 3 * scalar
	}
	size := scalar + 2*depth
	list := reflect.ValueOf(value)
	switch kind := list.Kind(); {
	case kind == reflect.Slice, kind == reflect.Array:
		for i := range list.Len() {
			size += 2*depth + 4 + b.length(list.Index(i).Interface(), asJSON, depth+1)
		}
	case kind == reflect.Map:
		for _, key := range list.MapKeys() {
			size += 2*depth + 6 + b.length(key.Interface(), asJSON, depth+1) +
				b.length(list.MapIndex(key).Interface(), asJSON, depth+1)
		}
	case kind == reflect.Struct && allExported(list.Type()):
		for field, item := range list.Fields() {
			size += 2*depth + 6 + lengthOf(field.Name, asJSON) + b.length(item.Interface(), asJSON, depth+1)
		}
	case kind == reflect.Bool, list.CanInt(), list.CanUint(), list.CanFloat():
	default:
		panic(fmt.Errorf("%T has no text", value))
	}
	return size
}

// allExported reports a struct without fields of its own: what it holds is seen.
func allExported(item reflect.Type) bool {
	for i := range item.NumField() {
		if !item.Field(i).IsExported() {
			return false
		}
	}
	return true
}

// lengthOf is the most bytes a text takes: JSON writes some letters with six.
func lengthOf(text string, asJSON bool) int {
	size := len(text)
	if !asJSON {
		return size
	}
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			size += 5
		}
	}
	return size + 2
}
