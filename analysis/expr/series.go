package expr

import (
	"math"
	"reflect"
	"slices"
)

// seriesOf are the samples of each item of a result that is a list of Go
// structs with samples, such as the results of several queries at once. JSON
// makes no structs, so a list that a document happens to hold is none of these.
func seriesOf(result any) (series [][]float64, ok bool) {
	list := reflect.ValueOf(result)
	if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct {
		return nil, false
	}
	field := samplesField(list.Type().Elem())
	if field < 0 {
		return nil, false
	}
	for i := range list.Len() {
		samples, _ := list.Index(i).Field(field).Interface().([]float64)
		series = append(series, samples)
	}
	return series, true
}

// Count is how many values a result holds: the entries of a list or a map, the
// samples of all series, one for any other value, and none for no value.
func Count(result any) int {
	result = plain(result)
	if series, ok := seriesOf(result); ok {
		total := 0
		for _, samples := range series {
			total += len(samples)
		}
		return total
	}
	switch v := reflect.ValueOf(result); v.Kind() {
	case reflect.Invalid:
		return 0
	case reflect.Slice, reflect.Map:
		return v.Len()
	default:
		return 1
	}
}

// samplesField is the index of the field with the samples; -1 without one.
func samplesField(item reflect.Type) int {
	for i := range item.NumField() {
		if field := item.Field(i); field.IsExported() && field.Type == reflect.TypeFor[[]float64]() {
			return i
		}
	}
	return -1
}

// unseen reports a result without data that no condition thought of. Among
// several series, one without samples is enough when a condition names it, as
// in result[1].Values.
func (m minds) unseen(result any) bool {
	series, ok := seriesOf(result)
	switch {
	case !ok:
		return result != nil && empty(result) && !m.empty
	case len(series) == 0:
		return !m.empty && !m.emptyPart
	case m.emptyPart:
		return false
	case allEmpty(series):
		return true
	}
	return slices.ContainsFunc(m.parts, func(i int) bool { return i < len(series) && len(series[i]) == 0 })
}

func allEmpty(series [][]float64) bool {
	return !slices.ContainsFunc(series, func(samples []float64) bool { return len(samples) > 0 })
}

// toTest is what a condition should look at to decide what no data means.
func toTest(result any) string {
	if series, ok := seriesOf(result); ok && len(series) > 0 {
		return "len(result[0].Values)"
	}
	return "len(result)"
}

func isInfinite(f float64) bool { return math.IsInf(f, 0) }
