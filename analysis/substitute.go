package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// MaxBytes is the largest a template, or a metric with its arguments filled
// in, may be as JSON. etcd holds no larger object.
const MaxBytes = 1 << 20

// Redacted stands where a secret was.
const Redacted = "*****"

// ResolveMetric fills the arguments into every text of a metric: {{args.name}}
// becomes the value of name. An argument without a value is an error.
func ResolveMetric(metric v1alpha1.Metric, values map[string]string) (v1alpha1.Metric, error) {
	out, err := substitute(metric, values)
	if err != nil {
		return v1alpha1.Metric{}, fmt.Errorf("metric %q: %w", metric.Name, err)
	}
	return out, nil
}

// ArgValues splits the arguments of a run into values that are known and
// those that are read from Secrets when a measurement is taken.
func ArgValues(args []v1alpha1.Argument) (values map[string]string, secrets []v1alpha1.Argument, err error) {
	values = make(map[string]string, len(args))
	for _, arg := range args {
		switch {
		case arg.Value != nil:
			values[arg.Name] = *arg.Value
		case arg.ValueFrom != nil && arg.ValueFrom.SecretKeyRef != nil:
			secrets = append(secrets, arg)
		default:
			return nil, nil, unresolved(arg.Name)
		}
	}
	return values, secrets, nil
}

func unresolved(name string) error {
	return fmt.Errorf("args.%s was not resolved", name)
}

// substitute fills arguments into the JSON of a value. Each tag sits within a
// JSON string, so a value is inserted in its JSON form and cannot add fields.
func substitute[T any](in T, values map[string]string) (T, error) {
	var none T
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(in); err != nil {
		return none, fmt.Errorf("encoding: %w", err)
	}
	if !bytes.Contains(buffer.Bytes(), []byte("{{")) {
		return in, nil
	}
	filled, err := fill(buffer.String(), values)
	if err != nil {
		return none, err
	}
	var out T
	if err := json.Unmarshal([]byte(filled), &out); err != nil {
		return none, fmt.Errorf("decoding after arguments were filled in: %w", err)
	}
	return out, nil
}

// fill replaces the tags of a text. What was inserted is not looked at again.
func fill(text string, values map[string]string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{{")
		out.WriteString(before)
		if out.Len() > MaxBytes {
			return "", errors.New("the metric is larger than 1 MiB with its arguments filled in")
		}
		if !found {
			return out.String(), nil
		}
		tag, after, closed := strings.Cut(rest, "}}")
		// A quote ends the text the tag is in.
		if !closed || strings.Contains(tag, `"`) {
			return "", errors.New("{{ is not closed by }}")
		}
		value, err := valueOf(tag, values)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = after
	}
}

// valueOf is the value of a tag, in the form it has within a JSON string.
func valueOf(tag string, values map[string]string) (string, error) {
	name, isArg := strings.CutPrefix(strings.TrimSpace(tag), "args.")
	value, known := values[name]
	if !isArg || !known {
		return "", fmt.Errorf("failed to resolve {{%s}}", shorten(tag))
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encoding args.%s: %w", name, err)
	}
	return string(quoted[1 : len(quoted)-1]), nil
}

func shorten(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
