package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	// MaxBytes is the largest file that is read. etcd holds no object of more
	// than 1.5 MiB, so a file of this size holds several of the largest.
	MaxBytes = 4 << 20
	// MaxObjects is how many objects of one file are read.
	MaxObjects = 1000
	// maxExpanded is how large a document may be with its aliases filled in.
	maxExpanded = 4 * MaxBytes
)

// Object is one object of a file.
type Object struct {
	// Document is the number of the YAML document, from 1; documents without content do not count.
	Document int
	// Line is where the object begins.
	Line int
	// Kind of the object.
	Kind schema.GroupVersionKind
	// Name of the object; empty when it has none, or only a generateName.
	Name string
	// GenerateName is the beginning of a name that the API server completes.
	GenerateName string
	// Namespace of the object; empty when the file does not say.
	Namespace string
	// JSON is the object.
	JSON []byte

	node *yaml.Node
	line int // of the document's first line, less one
}

// Problem is what is wrong with a text.
type Problem struct {
	// Document is the number of the document, 0 for the whole file.
	Document int
	// Line is where it is; 0 when that is not known.
	Line int
	// Message says what is wrong, and what to do where that is not plain.
	Message string
}

// Read reads the objects of a file. What cannot be read is a problem, and does
// not keep the rest from being read.
func Read(text []byte) ([]Object, []Problem) {
	if len(text) > MaxBytes {
		return nil, []Problem{{Message: fmt.Sprintf("the file has %d bytes, above the limit of %d: split it", len(text), MaxBytes)}}
	}
	var r reader
	for _, chunk := range split(string(text)) {
		r.document(chunk)
		if len(r.objects) > MaxObjects {
			r.problem(chunk.line+1, fmt.Sprintf("the file has more than %d objects: split it", MaxObjects))
			return r.objects[:MaxObjects], r.problems
		}
	}
	return r.objects, r.problems
}

// chunk is the text of one document, and how many lines are before it.
type chunk struct {
	text string
	line int
}

// split divides a text at the lines that begin with three dashes. Three dashes
// at the very beginning of a line are never part of a value.
func split(text string) []chunk {
	var chunks []chunk
	current := chunk{}
	var b strings.Builder
	for i, line := range strings.SplitAfter(text, "\n") {
		rest, divides := strings.CutPrefix(line, "---")
		if divides && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n")) {
			current.text = b.String()
			chunks = append(chunks, current)
			b.Reset()
			// What stands behind the dashes belongs to the document, in its columns.
			current, line = chunk{line: i}, "   "+rest
		}
		b.WriteString(line)
	}
	current.text = b.String()
	return append(chunks, current)
}

type reader struct {
	documents int
	objects   []Object
	problems  []Problem
}

func (r *reader) problem(line int, message string) {
	r.problems = append(r.problems, Problem{Document: r.documents, Line: line, Message: message})
}

func (r *reader) document(c chunk) {
	if blank(c.text) {
		return
	}
	r.documents++
	root, err := parse(c.text)
	if err != nil {
		line, message := where(err, c)
		r.problem(line, message)
		return
	}
	if root == nil { // null
		r.documents--
		return
	}
	text, err := toJSON(c.text)
	if err != nil {
		line, message := where(err, c)
		r.problem(line, message)
		return
	}
	for _, twice := range duplicates(root) {
		r.problem(c.line+twice.Line, fmt.Sprintf("the key %q is given twice: only one of them counts; remove the other", twice.Value))
	}
	r.add(Object{Document: r.documents, JSON: text, node: root, line: c.line})
}

// blank reports a document without content: only space and comments.
func blank(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && line != "..." {
			return false
		}
	}
	return true
}

// add reads what an object is called, and takes lists apart.
func (r *reader) add(o Object) {
	o.Line = o.line + o.node.Line
	if o.node.Kind != yaml.MappingNode {
		r.problem(o.Line, "this is no object: an object has apiVersion, kind and metadata")
		return
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
			Namespace    string `json:"namespace"`
		} `json:"metadata"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(o.JSON, &head); err != nil {
		r.problem(o.lineOfError(err), Plain(err))
		return
	}
	version, err := schema.ParseGroupVersion(head.APIVersion)
	if err != nil || head.APIVersion == "" || head.Kind == "" {
		r.problem(o.Line, "this object has no apiVersion and kind that can be read, for example argoproj.io/v1alpha1 and Rollout")
		return
	}
	o.Kind = version.WithKind(head.Kind)
	o.Name, o.GenerateName, o.Namespace = head.Metadata.Name, head.Metadata.GenerateName, head.Metadata.Namespace
	if !strings.HasSuffix(head.Kind, "List") || head.Items == nil {
		r.objects = append(r.objects, o)
		return
	}
	_, items := member(o.node, "items")
	for i, item := range head.Items {
		if node := element(items, i); node != nil && len(r.objects) <= MaxObjects {
			r.add(Object{Document: o.Document, JSON: item, node: node, line: o.line})
		}
	}
}

// parse reads a document as nodes, which know their lines; nil without content.
func parse(text string) (root *yaml.Node, err error) {
	defer func() {
		// The parser is not ours, and a manifest may hold anything.
		if cause := recover(); cause != nil {
			err = fmt.Errorf("this cannot be read as YAML: %v", cause)
		}
	}()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, err //nolint:wrapcheck // where reads it.
	}
	if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
		return nil, nil // A document may be empty.
	}
	w := weigher{seen: map[*yaml.Node]int{}}
	if _, err := w.weigh(document.Content[0]); err != nil {
		return nil, err
	}
	return document.Content[0], nil
}

// weigher finds how large a document is with its aliases filled in, before they are.
type weigher struct{ seen map[*yaml.Node]int }

// open marks a node that is being weighed.
const open = -1

func (w *weigher) weigh(node *yaml.Node) (int, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch size, known := w.seen[node]; {
	case known && size == open:
		return 0, fmt.Errorf("line %d: the anchor %q contains itself", node.Line, node.Anchor)
	case known:
		return size, nil
	}
	w.seen[node] = open
	const overhead = 8
	size := overhead + len(node.Value)
	for _, part := range node.Content {
		more, err := w.weigh(part)
		if err != nil {
			return 0, err
		}
		if size += more; size > maxExpanded {
			return 0, fmt.Errorf("line %d: with its aliases filled in, this is larger than %d bytes", node.Line, maxExpanded)
		}
	}
	w.seen[node] = size
	return size, nil
}

// toJSON turns a document into JSON by the rules that kubectl has.
func toJSON(text string) (out []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("this cannot be read as YAML: %v", cause)
		}
	}()
	if trimmed := []byte(strings.TrimSpace(text)); json.Valid(trimmed) {
		return trimmed, nil
	}
	return sigsyaml.YAMLToJSON([]byte(text)) //nolint:wrapcheck // where reads it.
}

var lineOf = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?`)

// where is the line of a parser's error in the file, and what it says.
func where(err error, in chunk) (line int, message string) {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	found := lineOf.FindStringSubmatch(text)
	message = "the YAML cannot be read: " + strings.Join(strings.Fields(text[len(found[0]):]), " ")
	n, convErr := strconv.Atoi(found[1])
	if convErr != nil {
		return in.line + 1, message
	}
	if countedFromZero.MatchString(text[len(found[0]):]) {
		n++
	}
	last := strings.Count(strings.TrimRight(in.text, "\n"), "\n") + 1
	return in.line + min(n, last), message
}

// countedFromZero are the errors whose line the parser counts from 0, unlike all others.
var countedFromZero = regexp.MustCompile(`^did not find expected (key|node content|[<',])`)

// duplicates are the keys that a mapping has a second time.
func duplicates(node *yaml.Node) []*yaml.Node {
	var twice []*yaml.Node
	keys := map[string]bool{}
	for i, part := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			twice = append(twice, duplicates(part)...)
			continue
		}
		if keys[part.Value] && part.Kind == yaml.ScalarNode && part.Value != "<<" {
			twice = append(twice, part)
		}
		keys[part.Value] = true
	}
	return twice
}

// Plain says in plain English why JSON does not fit a type.
func Plain(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	if wrong.Field == "" {
		return fmt.Sprintf("%s is needed, not %s", needed(wrong), given(wrong.Value))
	}
	return fmt.Sprintf("%s: %s is needed, not %s", wrong.Field, needed(wrong), given(wrong.Value))
}
