package resources

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Arguments resolves what a Rollout gives to an analysis. The error names the
// argument and the field that was not there.
func Arguments(ro *v1alpha1.Rollout, args []v1alpha1.AnalysisRunArgument, stable, latest string) ([]v1alpha1.Argument, error) {
	out := make([]v1alpha1.Argument, 0, len(args))
	for _, arg := range args {
		value, err := argument(ro, arg, stable, latest)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", arg.Name, err)
		}
		out = append(out, v1alpha1.Argument{Name: arg.Name, Value: &value})
	}
	return out, nil
}

// ErrNotYet says that a field of the status is not there, which it may be later.
var ErrNotYet = errors.New("it is not reported yet")

// FillFields resolves the fields of the Rollout that templates name as the
// source of an argument. The arguments are changed in place.
func FillFields(ro *v1alpha1.Rollout, args []v1alpha1.Argument) error {
	for i, arg := range args {
		if arg.Value != nil || arg.ValueFrom == nil || arg.ValueFrom.FieldRef == nil {
			continue
		}
		value, err := Field(ro, arg.ValueFrom.FieldRef.FieldPath)
		if err != nil {
			return fmt.Errorf("argument %q: %w", arg.Name, err)
		}
		args[i] = v1alpha1.Argument{Name: arg.Name, Value: &value}
	}
	return nil
}

func argument(ro *v1alpha1.Rollout, arg v1alpha1.AnalysisRunArgument, stable, latest string) (string, error) {
	from := arg.ValueFrom
	switch {
	case from == nil:
		return arg.Value, nil
	case from.FieldRef != nil:
		return Field(ro, from.FieldRef.FieldPath)
	case from.PodTemplateHashValue == nil:
		return "", fmt.Errorf("valueFrom is empty: set podTemplateHashValue or fieldRef")
	}
	switch *from.PodTemplateHashValue {
	case v1alpha1.PodTemplateHashStable:
		return stable, nil
	case v1alpha1.PodTemplateHashLatest:
		return latest, nil
	default:
		return "", fmt.Errorf("podTemplateHashValue is %q: it is Stable or Latest", *from.PodTemplateHashValue)
	}
}

var (
	pathPart = regexp.MustCompile(`^([^\[\]]+)((?:\[[^\[\]]*\])*)$`)
	keyed    = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)
)

// Field reads a field of a Rollout that ends in a plain value, for example
// metadata.labels['app'] or spec.template.spec.containers[0].image.
func Field(ro *v1alpha1.Rollout, path string) (string, error) {
	if m := keyed.FindStringSubmatch(path); m != nil {
		values := map[string]map[string]string{"labels": ro.Labels, "annotations": ro.Annotations}[m[1]]
		if value, ok := values[m[2]]; ok {
			return value, nil
		}
		return "", fmt.Errorf("the Rollout has no field %s", path)
	}
	data, err := json.Marshal(ro)
	if err != nil {
		return "", fmt.Errorf("encoding the Rollout: %w", err)
	}
	var at any
	if err := json.Unmarshal(data, &at); err != nil {
		return "", fmt.Errorf("decoding the Rollout: %w", err)
	}
	for _, part := range strings.Split(path, ".") {
		if at, err = walk(at, part); err != nil && strings.HasPrefix(path, "status.") {
			return "", fmt.Errorf("the Rollout has no field %s: %w: %w", path, ErrNotYet, err)
		} else if err != nil {
			return "", fmt.Errorf("the Rollout has no field %s: %w", path, err)
		}
	}
	return plain(at, path)
}

func walk(at any, part string) (any, error) {
	m := pathPart.FindStringSubmatch(part)
	if m == nil {
		return nil, fmt.Errorf("%q is not a field name", part)
	}
	object, ok := at.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%q is not inside an object", m[1])
	}
	at, ok = object[m[1]]
	if !ok {
		return nil, fmt.Errorf("%q is not set", m[1])
	}
	for _, index := range strings.FieldsFunc(m[2], func(r rune) bool { return r == '[' || r == ']' }) {
		list, ok := at.([]any)
		i, err := strconv.Atoi(index)
		if !ok || err != nil || i < 0 || i >= len(list) {
			return nil, fmt.Errorf("%s has no element %s", m[1], index)
		}
		at = list[i]
	}
	return at, nil
}

func plain(at any, path string) (string, error) {
	switch v := at.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	default:
		return "", fmt.Errorf("%s is not a plain value", path)
	}
}
