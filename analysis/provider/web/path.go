package web

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	"github.com/headway-rollouts/headway/analysis/egress"
)

const (
	// whole is the path of all of a document.
	whole = "{$}"
	// maxPath is how long a path may be.
	maxPath = 512
	// maxVisits is how many values a path may lead to on its way. A reply of 1 MiB
	// holds fewer, so one .. is always within it; two may lead to the same values
	// over and over, and so does [0,0].
	maxVisits = 600_000
)

var (
	// errNothing says that there is no such value.
	errNothing  = errors.New("jsonPath finds nothing in the reply")
	errTooMuch  = fmt.Errorf("jsonPath leads to more than %d values on its way; name the value more plainly", maxVisits)
	errKinds    = errors.New("a filter of jsonPath compares values of different kinds, or such as have no order")
	errWords    = errors.New("jsonPath knows no range, end or other words; the first hit counts, so name it, as in {$.items[0].value}")
	errOperator = errors.New("a filter of jsonPath compares with ==, !=, <, <=, > or >=, one value on each side")
)

// path finds a value in a document.
type path struct {
	text string
	list *jsonpath.ListNode
}

// parse reads a path such as {$.data[0].value}.
func parse(text string) (path, error) {
	text = strings.TrimSpace(text)
	switch {
	case len(text) > maxPath:
		return path{}, fmt.Errorf("longer than %d characters", maxPath)
	case !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}"):
		return path{}, errors.New("not one path in braces, such as {$.data.value}")
	}
	parsed, err := jsonpath.Parse("value", text)
	if err != nil {
		return path{}, fmt.Errorf("not a path such as {$.data.value}: %s", egress.Brief(err.Error()))
	}
	list, ok := parsed.Root.Nodes[0].(*jsonpath.ListNode)
	if !ok || len(parsed.Root.Nodes) != 1 {
		return path{}, errors.New("not one path in braces, such as {$.data.value}")
	}
	return path{text: text, list: list}, nil
}

// find is the first value that the path finds.
func (p path) find(document any) (any, error) {
	hits, err := (&finder{left: maxVisits}).list([]any{document}, p.list)
	switch {
	case err != nil:
		return nil, err
	case len(hits) == 0:
		return nil, errNothing
	default:
		return hits[0], nil
	}
}
