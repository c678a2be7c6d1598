package jsonpath

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"k8s.io/client-go/util/jsonpath"
)

// finder follows a path through a document. The library that reads paths would
// follow them too, but it takes the fields of an object in any order, so that
// the first hit is a matter of chance; it compares no number of JSON with a
// whole one, takes texts apart into letters, and knows no limit.
type finder struct {
	// left is how many values it may still be led to.
	left int
}

// list follows the steps of a path from some values.
func (f *finder) list(from []any, path *jsonpath.ListNode) ([]any, error) {
	for _, node := range path.Nodes {
		var err error
		if from, err = f.step(from, node); err != nil {
			return nil, err
		}
	}
	return from, nil
}

func (f *finder) step(from []any, node jsonpath.Node) ([]any, error) {
	switch n := node.(type) {
	case *jsonpath.ListNode:
		return f.list(from, n)
	case *jsonpath.UnionNode:
		return f.union(from, n)
	case *jsonpath.RecursiveNode:
		return f.below(nil, from)
	case *jsonpath.WildcardNode:
		return f.each(from, func(hits []any, value any) ([]any, error) { return append(hits, within(value)...), nil })
	case *jsonpath.FieldNode:
		return f.field(from, n.Value)
	case *jsonpath.ArrayNode:
		return f.each(from, func(hits []any, value any) ([]any, error) { return items(hits, value, n.Params) })
	case *jsonpath.FilterNode:
		return f.each(from, func(hits []any, value any) ([]any, error) { return f.filter(hits, value, n) })
	case *jsonpath.TextNode:
		return []any{n.Text}, nil
	case *jsonpath.IntNode:
		return []any{float64(n.Value)}, nil
	case *jsonpath.FloatNode:
		return []any{n.Value}, nil
	case *jsonpath.BoolNode:
		return []any{n.Value}, nil
	default: // range and end, for all hits in turn
		return nil, errWords
	}
}

// each collects what every value leads to.
func (f *finder) each(from []any, to func(hits []any, value any) ([]any, error)) ([]any, error) {
	var hits []any
	for _, value := range from {
		before := len(hits)
		var err error
		if hits, err = to(hits, value); err != nil {
			return nil, err
		}
		if err := f.spend(1 + len(hits) - before); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

func (f *finder) union(from []any, n *jsonpath.UnionNode) ([]any, error) {
	var hits []any
	for _, path := range n.Nodes {
		more, err := f.list(from, path)
		if err != nil {
			return nil, err
		}
		hits = append(hits, more...)
	}
	return hits, nil
}

// field is a field of every object that has it; one has to.
func (f *finder) field(from []any, name string) ([]any, error) {
	hits, err := f.each(from, func(hits []any, value any) ([]any, error) {
		object, _ := value.(map[string]any)
		if value, has := object[name]; has {
			hits = append(hits, value)
		}
		return hits, nil
	})
	if err == nil && len(from) > 0 && len(hits) == 0 {
		err = ErrNothing
	}
	return hits, err
}

// below adds values, and all below them, that hold others, in their order.
func (f *finder) below(hits, from []any) ([]any, error) {
	for _, value := range from {
		if err := f.spend(1); err != nil {
			return nil, err
		}
		inner := within(value)
		if len(inner) == 0 {
			continue
		}
		var err error
		if hits, err = f.below(append(hits, value), inner); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// spend counts values that the path leads to.
func (f *finder) spend(values int) error {
	if f.left -= values; f.left < 0 {
		return errTooMuch
	}
	return nil
}

// within are the items of a list, or the values of an object in the order of
// their names.
func within(value any) []any {
	switch v := value.(type) {
	case []any:
		return v
	case map[string]any:
		out := make([]any, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out = append(out, v[name])
		}
		return out
	default:
		return nil
	}
}

// items are those of a list that [start:end:step] names. Below zero they count
// from the end.
func items(hits []any, value any, params [3]jsonpath.ParamsEntry) ([]any, error) {
	list, is := value.([]any)
	if !is {
		return nil, ErrNothing
	}
	start, end, step := 0, len(list), 1
	if params[0].Known {
		start = params[0].Value
	}
	if params[1].Known {
		end = params[1].Value
	}
	if params[2].Known {
		step = params[2].Value
	}
	if start < 0 {
		start += len(list)
	}
	if end < 0 || (end == 0 && params[1].Derived) { // [-1] is [-1:0]
		end += len(list)
	}
	switch {
	case start == end:
		return hits, nil
	case start < 0 || end > len(list) || start > end || step < 1:
		return nil, ErrNothing
	}
	for i := 0; i < end-start; i += step {
		hits = append(hits, list[start+i])
	}
	return hits, nil
}

// filter are the items of a list that fit.
func (f *finder) filter(hits []any, value any, n *jsonpath.FilterNode) ([]any, error) {
	list, is := value.([]any)
	if !is {
		return nil, ErrNothing
	}
	for _, item := range list {
		if err := f.spend(1); err != nil {
			return nil, err
		}
		fits, err := f.fits(item, n)
		if err != nil {
			return nil, err
		}
		if fits {
			hits = append(hits, item)
		}
	}
	return hits, nil
}

func (f *finder) fits(item any, n *jsonpath.FilterNode) (bool, error) {
	left, err := f.operand(item, n.Left)
	if err != nil || n.Operator == "exists" {
		return len(left) > 0, err
	}
	right, err := f.operand(item, n.Right)
	switch {
	case err != nil:
		return false, err
	case len(left) == 0 || len(right) == 0 || left[0] == nil || right[0] == nil:
		return false, nil // what an item does not have does not fit
	case len(left) > 1 || len(right) > 1:
		return false, errOperator
	}
	return compare(left[0], right[0], n.Operator)
}

// operand is what a side of a filter leads to from an item; nothing is fine.
func (f *finder) operand(item any, path *jsonpath.ListNode) ([]any, error) {
	hits, err := f.list([]any{item}, path)
	if errors.Is(err, ErrNothing) {
		return nil, nil
	}
	return hits, err
}

// compare reports whether two values are as an operator says.
func compare(left, right any, operator string) (bool, error) {
	order, alike := order(left, right)
	_, truth := left.(bool)
	if !alike || (truth && operator != "==" && operator != "!=") {
		return false, errKinds
	}
	switch operator {
	case "==":
		return order == 0, nil
	case "!=":
		return order != 0, nil
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	case ">=":
		return order >= 0, nil
	default:
		return false, errOperator
	}
}

// order is 0 for values that are equal, and says whether they can be compared.
func order(left, right any) (order int, alike bool) {
	switch l := left.(type) {
	case float64:
		r, is := right.(float64)
		return cmp.Compare(l, r), is
	case string:
		r, is := right.(string)
		return cmp.Compare(l, r), is
	case bool:
		r, is := right.(bool)
		return map[bool]int{false: 1}[l == r], is
	default:
		return 0, false
	}
}
