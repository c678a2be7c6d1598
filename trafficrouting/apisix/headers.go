package apisix

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// classAnnotation chooses the controller that serves a route, for versions that have no spec.ingressClassName.
const classAnnotation = "kubernetes.io/ingress.class"

// headerRoute is the ApisixRoute of a managed route: for each http rule that the spec names, and each way to
// match, a rule that leads to the canary alone and comes before the one it was made from.
func (in intent) headerRoute(base *unstructured.Unstructured, route trafficrouting.ManagedRoute) (*unstructured.Unstructured, error) {
	spec := map[string]any{}
	from, _ := member(base.Object, "spec").(map[string]any)
	for key, value := range from {
		if key != "http" && key != "stream" { // The latter are of TCP and UDP, which have no headers.
			spec[key] = runtime.DeepCopyJSONValue(value)
		}
	}
	if len(route.Headers) == 0 {
		return nil, fmt.Errorf("making ApisixRoute %s: it matches no header", route.Name)
	}
	http, _ := httpOf(base)
	var rules []any
	for _, named := range in.rules {
		at, missing := named.find(base)
		if missing != nil {
			return nil, missing
		}
		for i := range route.Headers {
			rule, err := in.headerRule(http[at], route, i)
			if err != nil {
				return nil, field.Invalid(named.path, named.name, fmt.Sprintf("this http rule of ApisixRoute %q cannot be used for a header route: %v", base.GetName(), err))
			}
			rules = append(rules, rule)
		}
	}
	spec["http"] = rules
	made := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	made.SetGroupVersionKind(base.GroupVersionKind())
	made.SetNamespace(base.GetNamespace())
	made.SetName(route.Name)
	made.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(in.rollout, v1alpha1.RolloutKind)})
	if class, ok := base.GetAnnotations()[classAnnotation]; ok {
		made.SetAnnotations(map[string]string{classAnnotation: class})
	}
	return made, nil
}

// headerRule is one rule for one way to match. The expressions of a rule must all hold, so the ways of a
// managed route, of which one must hold, are rules of their own. Those that the rule has already stay.
func (in intent) headerRule(from any, route trafficrouting.ManagedRoute, match int) (map[string]any, error) {
	expr, err := expression(route.Headers[match])
	if err != nil {
		return nil, err
	}
	found, err := sidesOf(from, in.stable, in.canary)
	if err != nil {
		return nil, err
	}
	priority, ok := priorityOf(from)
	if !ok {
		return nil, errors.New("its priority is no number of 32 bits")
	}
	rule, _ := runtime.DeepCopyJSONValue(from).(map[string]any)
	matches, ok := rule["match"].(map[string]any)
	exprs, list := matches["exprs"].([]any)
	if !ok && rule["match"] != nil || !list && matches["exprs"] != nil {
		return nil, errors.New("its match cannot be read")
	}
	if matches == nil {
		matches = map[string]any{}
	}
	backends, _ := rule["backends"].([]any)
	backend, _ := backends[found.canary].(map[string]any)
	backend["weight"], matches["exprs"] = int64(total), append(exprs, expr)
	rule["backends"], rule["match"], rule["priority"] = []any{backend}, matches, priority+in.precedence(route.Name)
	delete(rule, "upstreams") // They are backends too.
	if len(route.Headers) > 1 {
		rule["name"] = fmt.Sprintf("%s-%d", rule["name"], match) // Names are unique in a route.
	}
	return rule, nil
}

// precedence is what a managed route adds to the priority of a rule. It follows the order of managedRoutes, so
// that the others need no write when one comes or goes; the last adds 1.
func (in intent) precedence(route string) int64 {
	return int64(len(in.managed) - slices.Index(in.managed, route))
}

func priorityOf(rule any) (int64, bool) {
	value := member(rule, "priority")
	if value == nil {
		return 0, true
	}
	priority, ok := value.(int64)
	return priority, ok && priority >= math.MinInt32 && priority <= math.MaxInt32
}

// expression is a way to match as APISIX writes it.
func expression(match v1alpha1.HeaderRoutingMatch) (map[string]any, error) {
	value := match.HeaderValue
	if match.HeaderName == "" || value == nil {
		return nil, errors.New("name the header and say which of its values match")
	}
	op, text := "RegexMatch", ""
	switch {
	case value.Exact != "" && value.Prefix == "" && value.Regex == "":
		op, text = "Equal", value.Exact
	case value.Prefix != "" && value.Exact == "" && value.Regex == "":
		text = "^" + regexp.QuoteMeta(value.Prefix) + ".*"
	case value.Regex != "" && value.Exact == "" && value.Prefix == "":
		text = value.Regex
		if disguised(text) {
			text = group + text + ")"
		}
	default:
		return nil, errors.New("set one of exact, prefix and regex")
	}
	subject := map[string]any{"scope": "Header", "name": match.HeaderName}
	return map[string]any{"subject": subject, "op": op, "value": text}, nil
}

// group begins a group of a regular expression, which means the same as what is in it. One around a
// regular expression that reads like a prefix tells them apart.
const group = "(?:"

// disguised reports whether a regular expression reads like a prefix, or like one in groups.
func disguised(regex string) bool {
	for {
		if _, ok := prefixOf(regex); ok {
			return true
		}
		inner, ok := ungrouped(regex)
		if !ok {
			return false
		}
		regex = inner
	}
}

func ungrouped(regex string) (string, bool) {
	inner, begins := strings.CutPrefix(regex, group)
	inner, ends := strings.CutSuffix(inner, ")")
	return inner, begins && ends
}

// prefixOf is the prefix that a regular expression was made from.
func prefixOf(regex string) (string, bool) {
	inner, begins := strings.CutPrefix(regex, "^")
	inner, ends := strings.CutSuffix(inner, ".*")
	if !begins || !ends || inner == "" {
		return "", false
	}
	var prefix strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		prefix.WriteByte(inner[i])
	}
	return prefix.String(), regexp.QuoteMeta(prefix.String()) == inner
}

// matchOf reads an expression back. The result may not be what it was made from: the caller checks.
func matchOf(expr any) v1alpha1.HeaderRoutingMatch {
	name, _ := member(member(expr, "subject"), "name").(string)
	text, _ := member(expr, "value").(string)
	match := v1alpha1.HeaderRoutingMatch{HeaderName: name, HeaderValue: &v1alpha1.StringMatch{}}
	prefix, isPrefix := prefixOf(text)
	inner, grouped := ungrouped(text)
	switch {
	case member(expr, "op") == "Equal":
		match.HeaderValue.Exact = text
	case isPrefix:
		match.HeaderValue.Prefix = prefix
	case grouped && disguised(inner):
		match.HeaderValue.Regex = inner
	default:
		match.HeaderValue.Regex = text
	}
	return match
}

// read is the managed route that an ApisixRoute was made for. One that is not as this router makes it has
// its name and no match.
func (in intent) read(made, base *unstructured.Unstructured) trafficrouting.ManagedRoute {
	unknown := trafficrouting.ManagedRoute{Name: made.GetName()}
	http, _ := httpOf(made)
	if base == nil || len(in.rules) == 0 || !slices.Contains(in.managed, made.GetName()) {
		return unknown
	}
	route := unknown
	for _, rule := range http[:len(http)/len(in.rules)] {
		exprs, _ := member(member(rule, "match"), "exprs").([]any)
		if len(exprs) == 0 {
			return unknown
		}
		route.Headers = append(route.Headers, matchOf(exprs[len(exprs)-1]))
	}
	wanted, err := in.headerRoute(base, route)
	if err != nil {
		return unknown
	}
	if p := differences(made, wanted); !p.Empty() {
		return unknown
	}
	return route
}

// inOrder sorts header routes as they match.
func (in intent) inOrder(made []*unstructured.Unstructured) []*unstructured.Unstructured {
	place := func(route *unstructured.Unstructured) int {
		if at := slices.Index(in.managed, route.GetName()); at >= 0 {
			return at
		}
		return len(in.managed)
	}
	return slices.SortedFunc(slices.Values(made), func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// leads reports whether an ApisixRoute has the form of a header route: each rule has one backend, and ends
// its match with a header. Somebody's own route, which the Rollout may own too, has another one.
func leads(route *unstructured.Unstructured) bool {
	http, _ := httpOf(route)
	for _, rule := range http {
		exprs, _ := member(member(rule, "match"), "exprs").([]any)
		backends, _ := member(rule, "backends").([]any)
		if len(backends) != 1 || len(exprs) == 0 || member(member(exprs[len(exprs)-1], "subject"), "scope") != "Header" {
			return false
		}
	}
	return len(http) > 0
}

// differences is the patch between two header routes. Their spec is all ours, and the class.
func differences(existing, wanted *unstructured.Unstructured) patch.Patch {
	var p patch.Patch
	want, _ := wanted.Object["spec"].(map[string]any)
	has, ok := existing.Object["spec"].(map[string]any)
	if !ok {
		p.Set(want, "spec")
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if old, there := has[key]; ok && (!there || !equality.Semantic.DeepEqual(old, want[key])) {
			p.Set(want[key], "spec", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(has)) {
		if _, wants := want[key]; !wants {
			p.Remove("spec", key)
		}
	}
	p.Annotate(existing, classAnnotation, wanted.GetAnnotations()[classAnnotation])
	return p
}
