package expr

import (
	"errors"
	"reflect"
)

const (
	// maxWork is how many values one evaluation may look at. A vector of
	// 10,000 samples passes 100 times; loops within loops run out.
	maxWork = 1_000_000
	// maxText is the longest text one evaluation may build.
	maxText = 1 << 20
	// maxRoom is how many bytes of texts, lists and maps its functions may
	// build, all together: what is kept until its end must fit in the
	// memory of the controller many times.
	maxRoom = 8 << 20
	// maxValues is how many values its loops and literals may put into lists.
	maxValues = 200_000
	// roomOfValue is the most one value takes in a list or a map.
	roomOfValue = 128
)

var (
	errWork = errors.New("expression takes too long: it looks at more than 1,000,000 values")
	errText = errors.New("expression builds a text longer than 1 MiB")
	errRoom = errors.New("expression builds more than 8 MiB of texts and lists")
)

// budget is what one evaluation may still do. Its methods panic when it is
// used up: that is how an expression is stopped from within.
type budget struct {
	work, room int
	patterns   map[string]pattern
}

func newBudget() *budget {
	return &budget{work: maxWork, room: maxRoom, patterns: map[string]pattern{}}
}

// take pays for work.
func (b *budget) take(n int) {
	b.work -= n
	if b.work < 0 {
		panic(errWork)
	}
}

// fill pays for memory.
func (b *budget) fill(bytes int) {
	b.room -= bytes
	if b.room < 0 {
		panic(errRoom)
	}
}

// grow pays for building a text.
func (b *budget) grow(size int) {
	if size < 0 || size > maxText {
		panic(errText)
	}
	b.fill(size)
	b.take(size / 64)
}

// pay takes the size of a value from the budget, all its parts included, and
// returns it. It walks no further than the budget goes.
func (b *budget) pay(value any) int {
	before := b.work
	b.walk(value)
	return before - b.work
}

func (b *budget) walk(value any) {
	b.take(1)
	switch v := value.(type) {
	case string:
		// Text is scanned far faster than values are visited.
		b.take(len(v) / 64)
	case []float64:
		b.take(len(v))
	case []any:
		for _, item := range v {
			b.walk(item)
		}
	case map[string]any:
		for _, item := range v {
			b.walk(item)
		}
	case nil, bool, int, int64, float64:
	default:
		b.walkReflected(reflect.ValueOf(value))
	}
}

// walkReflected pays for the rare values that are not made of JSON.
func (b *budget) walkReflected(value reflect.Value) {
	switch value.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			b.walk(value.Index(i).Interface())
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			b.walk(value.MapIndex(key).Interface())
		}
	case reflect.Struct:
		for _, field := range value.Fields() {
			if field.CanInterface() {
				b.walk(field.Interface())
			}
		}
	default:
	}
}
