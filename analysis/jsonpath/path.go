package jsonpath

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

const (
	// Whole is the path of all of a document.
	Whole = "{$}"
	// maxPath is how long a path may be.
	maxPath = 512
	// maxVisits is how many values a path may lead to on its way. A reply of 1 MiB
	// holds fewer, so one .. is always within it; two may lead to the same values
	// over and over, and so does [0,0].
	maxVisits = 600_000
)

var (
	// ErrNothing says that there is no such value.
	ErrNothing  = errors.New("jsonPath finds nothing in the reply")
	errTooMuch  = fmt.Errorf("jsonPath leads to more than %d values on its way; name the value more plainly", maxVisits)
	errKinds    = errors.New("a filter of jsonPath compares values of different kinds, or such as have no order")
	errWords    = errors.New("jsonPath knows no range, end or other words; the first hit counts, so name it, as in {$.items[0].value}")
	errOperator = errors.New("a filter of jsonPath compares with ==, !=, <, <=, > or >=, one value on each side")
)

// Path finds a value in a document.
type Path struct {
	text string
	list *jsonpath.ListNode
}

// String is the path as it was written.
func (p Path) String() string { return p.text }

// Parse reads a path such as {$.data[0].value}, of at most 512 characters.
func Parse(text string) (Path, error) {
	text = strings.TrimSpace(text)
	switch {
	case len(text) > maxPath:
		return Path{}, fmt.Errorf("longer than %d characters", maxPath)
	case !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}"):
		return Path{}, errors.New("not one path in braces, such as {$.data.value}")
	}
	parsed, err := jsonpath.Parse("value", text)
	if err != nil {
		return Path{}, fmt.Errorf("not a path such as {$.data.value}: %w", err)
	}
	list, ok := parsed.Root.Nodes[0].(*jsonpath.ListNode)
	if !ok || len(parsed.Root.Nodes) != 1 {
		return Path{}, errors.New("not one path in braces, such as {$.data.value}")
	}
	return Path{text: text, list: list}, nil
}

// Find is the first value of a decoded document that the path leads to, in the
// order of lists and of the names of objects. Where there is none, that is
// ErrNothing.
func (p Path) Find(document any) (any, error) {
	hits, err := (&finder{left: maxVisits}).list([]any{document}, p.list)
	switch {
	case err != nil:
		return nil, err
	case len(hits) == 0:
		return nil, ErrNothing
	default:
		return hits[0], nil
	}
}
