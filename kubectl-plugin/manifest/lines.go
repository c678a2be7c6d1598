package manifest

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// LineOf is the line of a field, by a path such as spec.steps[0].setWeight or
// metadata.labels[app]. For a field that is not there it is the line of the
// nearest one above.
func (o Object) LineOf(path string) int {
	node, line := o.node, o.Line
	for _, part := range parts(path) {
		key, value := o.step(node, part)
		if value == nil {
			return line
		}
		node, line = value, o.line+key.Line
	}
	return line
}

// step goes one part down. key is the node whose line is that of the part.
func (Object) step(node *yaml.Node, part string) (key, value *yaml.Node) {
	node = resolved(node)
	if index, err := strconv.Atoi(part); err == nil && node != nil && node.Kind == yaml.SequenceNode {
		value = element(node, index)
		return value, value
	}
	return member(node, part)
}

// parts divides a path. What stands in brackets is one part, with its dots.
func parts(path string) []string {
	var out []string
	for path != "" {
		switch path[0] {
		case '.':
			path = path[1:]
		case '[':
			inside, rest, _ := strings.Cut(path[1:], "]")
			out, path = append(out, inside), rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			out, path = append(out, path[:end]), path[end:]
		}
	}
	return out
}

// member is an entry of a mapping; nil when it has none of that name.
func member(node *yaml.Node, name string) (key, value *yaml.Node) {
	node = resolved(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// element is an entry of a list; nil when it has fewer.
func element(node *yaml.Node, index int) *yaml.Node {
	node = resolved(node)
	if node == nil || node.Kind != yaml.SequenceNode || index < 0 || index >= len(node.Content) {
		return nil
	}
	return node.Content[index]
}

// resolved is what an alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// lineOfError is the line of the field that an error of the JSON decoder names.
func (o Object) lineOfError(err error) int {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return o.LineOf(wrong.Field)
	}
	return o.Line
}
