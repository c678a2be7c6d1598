package lint

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/manifest"
)

// kinds are the kinds of this API, as empty objects.
var kinds = map[string]func() runtime.Object{
	"Rollout":                 func() runtime.Object { return &v1alpha1.Rollout{} },
	"Experiment":              func() runtime.Object { return &v1alpha1.Experiment{} },
	"AnalysisRun":             func() runtime.Object { return &v1alpha1.AnalysisRun{} },
	"AnalysisTemplate":        func() runtime.Object { return &v1alpha1.AnalysisTemplate{} },
	"ClusterAnalysisTemplate": func() runtime.Object { return &v1alpha1.ClusterAnalysisTemplate{} },
}

// neighbours are the kinds that a Rollout refers to, by group and kind.
var neighbours = map[string]func() runtime.Object{
	"Service":                            func() runtime.Object { return &corev1.Service{} },
	"Deployment.apps":                    func() runtime.Object { return &appsv1.Deployment{} },
	"Ingress.networking.k8s.io":          func() runtime.Object { return &unstructured.Unstructured{} },
	"Ingress.extensions":                 func() runtime.Object { return &unstructured.Unstructured{} },
	"VirtualService.networking.istio.io": func() runtime.Object { return &unstructured.Unstructured{} },
}

// decode gives an object its type. Kinds that do not matter here have none.
func (l *linter) decode(o *object) {
	if empty, ok := neighbours[o.Kind.GroupKind().String()]; ok {
		into := empty()
		if _, err := manifest.Decode(o.JSON, into); err == nil { // What is wrong with it is not for this linter.
			o.typed = into
		}
		return
	}
	empty, known := kinds[o.Kind.Kind]
	if !known || o.Kind.Group != v1alpha1.GroupVersion.Group {
		return
	}
	if o.Kind.Version != v1alpha1.GroupVersion.Version {
		l.fail(o.at("apiVersion"), RuleValidation, fmt.Sprintf("there is no %s of %s: write %s", o.Kind.Kind, o.Kind.GroupVersion(), v1alpha1.GroupVersion))
		return
	}
	into := empty()
	unknown, err := manifest.Decode(o.JSON, into)
	if err != nil {
		path, message := divided(manifest.Plain(err))
		l.fail(o.at(path), RuleValidation, message)
		return
	}
	o.typed = into
	l.unknown(o, "", unknown)
	for _, t := range podTemplates(into) {
		l.podTemplate(o, t)
	}
}

// divided takes the path off a message that begins with one.
func divided(message string) (path, rest string) {
	before, after, found := strings.Cut(message, ": ")
	if !found || strings.Contains(before, " ") {
		return "", message
	}
	return before, after
}

func (l *linter) unknown(o *object, below string, fields []manifest.Unknown) {
	for _, field := range fields {
		at := o.at(below + field.Path)
		if l.options.UnknownFieldsFail {
			l.fail(at, RuleUnknownField, field.Message)
			continue
		}
		l.warn(at, RuleUnknownField, field.Message)
	}
}

// podTemplate is a pod template and where it is.
type podTemplate struct {
	path     string
	template *v1alpha1.PodTemplate
}

// podTemplates are the pod templates of an object.
func podTemplates(in runtime.Object) []podTemplate {
	switch it := in.(type) {
	case *v1alpha1.Rollout:
		return []podTemplate{{"spec.template", &it.Spec.Template}}
	case *v1alpha1.Experiment:
		all := make([]podTemplate, 0, len(it.Spec.Templates))
		for i := range it.Spec.Templates {
			all = append(all, podTemplate{fmt.Sprintf("spec.templates[%d].template", i), &it.Spec.Templates[i].Template})
		}
		return all
	}
	return nil
}

// podTemplate finds unknown fields of a pod template, which decodes itself.
func (l *linter) podTemplate(o *object, t podTemplate) {
	text := raw(o.JSON, t.path)
	if text == nil || t.template.Malformed != "" { // What is malformed is for the validation.
		return
	}
	whole, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "PodTemplate", "template": text})
	if err != nil {
		return
	}
	unknown, err := manifest.Decode(whole, &corev1.PodTemplate{})
	if err != nil {
		return
	}
	for i := range unknown {
		unknown[i].Path = strings.TrimPrefix(unknown[i].Path, "template")
	}
	l.unknown(o, t.path, unknown)
}

// raw is the JSON at a path of an object; nil when there is none.
func raw(text []byte, path string) json.RawMessage {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		var mapping map[string]json.RawMessage
		var list []json.RawMessage
		switch {
		case json.Unmarshal(text, &mapping) == nil:
			text = mapping[part]
		case json.Unmarshal(text, &list) == nil:
			text = entry(list, part)
		default:
			return nil
		}
	}
	return text
}

func entry(list []json.RawMessage, index string) json.RawMessage {
	for i := range list {
		if fmt.Sprint(i) == index {
			return list[i]
		}
	}
	return nil
}
