// Package patch writes the narrowest patch of an object that users made: single fields by their
// place, so that what a router does not know stays byte for byte. Routers call it; it decides nothing.
package patch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Patch collects changes to one object, as it was read. The zero value changes nothing.
//
// A place is a list of member names (string) and positions in a list (int). Each change applies to
// the object as the changes before it left it: remove the later of two elements first.
type Patch struct {
	operations []operation
}

// operation is one of RFC 6902.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`

	invalid error
}

// Empty reports whether nothing would change.
func (p *Patch) Empty() bool { return len(p.operations) == 0 }

// Set gives a member of an object its value, whether or not it was there, or an element of a list another one.
func (p *Patch) Set(value any, place ...any) {
	op := "add"
	if _, element := last(place).(int); element {
		op = "replace"
	}
	p.do(op, value, place)
}

// Insert puts a new element into a list before the one at the position, which may be the length of the list.
func (p *Patch) Insert(value any, place ...any) { p.do("add", value, place) }

// Remove takes away a member or an element that is there.
func (p *Patch) Remove(place ...any) { p.do("remove", nil, place) }

// Annotate gives an object an annotation, or takes it away when the value is empty. Nothing happens when it is so already.
func (p *Patch) Annotate(obj metav1.Object, key, value string) {
	has, ok := obj.GetAnnotations()[key]
	switch {
	case value == "" && ok:
		p.Remove("metadata", "annotations", key)
	case value == "" || ok && has == value:
	case len(obj.GetAnnotations()) == 0 && !p.sets("/metadata/annotations"):
		p.Set(map[string]string{key: value}, "metadata", "annotations")
	default:
		p.Set(value, "metadata", "annotations", key)
	}
}

// sets reports whether a change gives a place its value.
func (p *Patch) sets(path string) bool {
	return slices.ContainsFunc(p.operations, func(o operation) bool { return o.Path == path && o.Op != "remove" })
}

func (p *Patch) do(op string, value any, place []any) {
	next := operation{Op: op}
	if op != "remove" {
		next.Value, next.invalid = json.Marshal(value)
	}
	var path strings.Builder
	for _, part := range place {
		path.WriteString("/")
		switch part := part.(type) {
		case int:
			path.WriteString(strconv.Itoa(part))
		case string:
			path.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
		default:
			next.invalid = fmt.Errorf("a place has %T, want a name or a position", part)
		}
	}
	next.Path = path.String()
	p.operations = append(p.operations, next)
}

func last(place []any) any {
	if len(place) == 0 {
		return nil
	}
	return place[len(place)-1]
}

// Data is the JSON patch with its preconditions: the API server answers with a conflict for another
// object of that name, and for another version than the one the patch was made from. Positions mean
// something else in any other version.
func (p *Patch) Data(read metav1.Object) ([]byte, error) {
	guarded := Patch{}
	guarded.Set(read.GetUID(), "metadata", "uid")
	guarded.Set(read.GetResourceVersion(), "metadata", "resourceVersion")
	var invalid []error
	for _, op := range p.operations {
		invalid = append(invalid, op.invalid)
	}
	if err := errors.Join(invalid...); err != nil {
		return nil, fmt.Errorf("encoding the patch of %s: %w", read.GetName(), err)
	}
	data, err := json.Marshal(append(guarded.operations, p.operations...))
	if err != nil {
		return nil, fmt.Errorf("encoding the patch of %s: %w", read.GetName(), err)
	}
	return data, nil
}

// For is the patch to send for the object that it was made from.
func (p *Patch) For(read metav1.Object) (client.Patch, error) {
	data, err := p.Data(read)
	if err != nil {
		return nil, err
	}
	return client.RawPatch(types.JSONPatchType, data), nil
}
