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
)

// errNothing says that there is no such value.
var errNothing = errors.New("jsonPath finds nothing in the reply")

// path finds a value in a document.
type path struct {
	text   string
	parsed *jsonpath.JSONPath
}

// parse reads a path such as {$.data[0].value}. A path that finds the same twice
// over and over is refused: what it finds is larger than the document.
func parse(text string) (path, error) {
	text = strings.TrimSpace(text)
	switch {
	case len(text) > maxPath:
		return path{}, fmt.Errorf("longer than %d characters", maxPath)
	case !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") || strings.Count(text, "{") != 1:
		return path{}, errors.New("not one path in braces, such as {$.data.value}")
	case strings.Count(text, "..") > 1, strings.Count(text, ",") > 1, strings.Count(text, "?(") > 2:
		return path{}, errors.New("more than one .., one comma or two filters; name the value more plainly")
	}
	parsed := jsonpath.New("value")
	if err := parsed.Parse(text); err != nil {
		return path{}, fmt.Errorf("not a path such as {$.data.value}: %s", egress.Brief(err.Error()))
	}
	return path{text: text, parsed: parsed}, nil
}

// find is the first value that the path finds.
func (p path) find(document any) (value any, err error) {
	defer func() { // the library looks into values of any kind by reflection
		if recover() != nil {
			err = errors.New("jsonPath cannot be followed in this reply; name the value more plainly")
		}
	}()
	found, err := p.parsed.FindResults(document)
	if err != nil {
		return nil, errNothing
	}
	for _, hits := range found {
		for _, hit := range hits {
			if !hit.IsValid() || !hit.CanInterface() {
				return nil, nil //nolint:nilnil // It is the null of JSON.
			}
			return hit.Interface(), nil
		}
	}
	return nil, errNothing
}
