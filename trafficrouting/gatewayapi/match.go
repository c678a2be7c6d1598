package gatewayapi

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	exact      = "Exact"
	pathPrefix = "PathPrefix"
	regex      = "RegularExpression"
)

// condition is what a managed route asks of a request, all of it.
type condition struct {
	headers []map[string]any
	method  string
	path    *v1alpha1.StringMatch
}

// conditionsOf lists the conditions of a managed route; a request needs to meet one.
func conditionsOf(route trafficrouting.ManagedRoute) []condition {
	var all []condition
	for _, match := range route.Headers {
		if match.HeaderValue != nil {
			all = append(all, condition{headers: []map[string]any{headerMatch(match.HeaderName, *match.HeaderValue)}})
		}
	}
	for _, match := range route.Mirror {
		next := condition{path: match.Path}
		if match.Method != nil {
			next.method = match.Method.Exact
		}
		for _, name := range slices.Sorted(maps.Keys(match.Headers)) {
			next.headers = append(next.headers, headerMatch(name, match.Headers[name]))
		}
		all = append(all, next)
	}
	return all
}

func headerMatch(name string, value v1alpha1.StringMatch) map[string]any {
	match := map[string]any{"name": name, "type": exact, "value": value.Exact}
	switch {
	case value.Exact != "":
	case value.Prefix != "":
		match["type"], match["value"] = regex, "^"+regexp.QuoteMeta(value.Prefix)+".*"
	default:
		match["type"], match["value"] = regex, value.Regex
	}
	return match
}

// and is a match of a rule that the condition narrows; false for a pair that no request meets, or that
// one match cannot express. With pinned, the path must stay as it is.
func (c condition) and(match map[string]any, k kind, pinned bool) (map[string]any, bool) {
	narrowed := runtime.DeepCopyJSON(match)
	for _, header := range c.headers {
		if !andHeader(narrowed, header) {
			return nil, false
		}
	}
	if !k.paths {
		return narrowed, true
	}
	if has, ok := narrowed["method"].(string); ok && c.method != "" && has != c.method {
		return nil, false
	}
	if c.method != "" {
		narrowed["method"] = c.method
	}
	path, ok := c.andPath(child(match, "path"))
	if !ok || pinned && (text(path, "type", "") != pathPrefix || text(path, "value", "") != text(child(match, "path"), "value", "/")) {
		return nil, false
	}
	narrowed["path"] = path
	return narrowed, true
}

// andHeader adds a header to a match. The API allows each header once.
func andHeader(match, header map[string]any) bool {
	headers := list(match, "headers")
	for _, element := range headers {
		has, _ := element.(map[string]any)
		if !strings.EqualFold(text(has, "name", ""), text(header, "name", "")) {
			continue
		}
		return text(has, "type", exact) == header["type"] && text(has, "value", "") == header["value"]
	}
	match["headers"] = append(slices.Clone(headers), runtime.DeepCopyJSON(header))
	return true
}

// andPath is the path of a match, narrowed: the narrower of two of which one is under the other. The
// defaults of the API are written out, because it fills them in and what is stored is compared.
func (c condition) andPath(match map[string]any) (map[string]any, bool) {
	has := path{text(match, "type", pathPrefix), text(match, "value", "/")}
	asked := has
	switch {
	case c.path == nil:
	case c.path.Exact != "":
		asked = path{exact, c.path.Exact}
	case c.path.Prefix != "":
		asked = path{pathPrefix, c.path.Prefix}
	default:
		asked = path{regex, c.path.Regex}
	}
	switch {
	case asked == has, asked.contains(has):
		return has.raw(), true
	case has.contains(asked):
		return asked.raw(), true
	}
	return nil, false
}

// path is how one match sees the path of a request.
type path struct{ kind, value string }

// contains reports whether every request that another path matches is matched by this one, as far as
// that can be told: what a regular expression matches cannot.
func (p path) contains(other path) bool {
	root := strings.TrimSuffix(p.value, "/")
	switch {
	case p.kind != pathPrefix:
		return false
	case root == "":
		return true
	case other.kind == regex:
		return false
	}
	return strings.TrimSuffix(other.value, "/") == root || strings.HasPrefix(other.value, root+"/")
}

func (p path) raw() map[string]any { return map[string]any{"type": p.kind, "value": p.value} }

// rewritesPrefix reports whether a rule replaces the prefix that it matches. The API then wants exactly
// one match, and a longer prefix would be replaced by the same text, which is another request.
func rewritesPrefix(rule map[string]any) bool {
	filters := slices.Clone(list(rule, "filters"))
	for _, element := range list(rule, "backendRefs") {
		ref, _ := element.(map[string]any)
		filters = append(filters, list(ref, "filters")...)
	}
	return slices.ContainsFunc(filters, func(element any) bool {
		filter, _ := element.(map[string]any)
		for _, name := range []string{"urlRewrite", "requestRedirect"} {
			if text(child(child(filter, name), "path"), "type", "") == "ReplacePrefixMatch" {
				return true
			}
		}
		return false
	})
}
