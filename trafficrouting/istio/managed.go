package istio

import (
	"bytes"
	"encoding/json"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// frame is what managed routes take from the route that carries the weights.
type frame struct {
	// canary is the destination of the canary, as an object of Istio without a weight.
	canary map[string]any
	// shared are all weighted destinations, as they stand.
	shared []any
}

// frameOf takes the canary's destination from a route, which names host and subset as its author
// does. Where the canary has no port, that of the first destination counts.
func frameOf(s sides, r route, shared []any) frame {
	i := slices.IndexFunc(r.to, func(d destination) bool { return s.of(d) == canarySide })
	if i < 0 {
		return frame{}
	}
	d := r.to[i]
	if d.port == 0 {
		d.port = r.to[0].port
	}
	return frame{destinationFor(d.host, d.subset, d.port), shared}
}

func destinationFor(host, subset string, port uint32) map[string]any {
	made := map[string]any{"host": host}
	if subset != "" {
		made["subset"] = subset
	}
	if port != 0 {
		made["port"] = map[string]any{"number": int64(port)}
	}
	return made
}

// write is a managed route as an object of Istio.
func (f frame) write(route trafficrouting.ManagedRoute) map[string]any {
	if route.Mirrors() {
		return map[string]any{
			"name": route.Name, "match": mirrorMatches(route.Mirror), "route": f.shared,
			"mirror": f.canary, "mirrorPercentage": map[string]any{"value": int64(route.Percentage)},
		}
	}
	return map[string]any{
		"name": route.Name, "match": headerMatches(route.Headers),
		"route": []any{map[string]any{"destination": f.canary, "weight": int64(total)}},
	}
}

// read is the inverse of write. A route that is not as it would be written has a name and no match.
func (f frame) read(stands *networking.HTTPRoute, object any) trafficrouting.ManagedRoute {
	if route, ok := parse(stands); ok && !matchless(route) && same(object, f.write(route)) {
		return route
	}
	return trafficrouting.ManagedRoute{Name: stands.GetName()}
}

func headerMatches(headers []v1alpha1.HeaderRoutingMatch) []any {
	var all []any
	for _, match := range headers {
		all = append(all, map[string]any{"headers": map[string]any{match.HeaderName: stringMatch(match.HeaderValue)}})
	}
	return all
}

func mirrorMatches(matches []v1alpha1.RouteMatch) []any {
	var all []any
	for _, match := range matches {
		made := map[string]any{}
		if match.Method != nil {
			made["method"] = stringMatch(match.Method)
		}
		if match.Path != nil {
			made["uri"] = stringMatch(match.Path)
		}
		headers := map[string]any{}
		for name, value := range match.Headers {
			headers[name] = stringMatch(&value)
		}
		if len(headers) > 0 {
			made["headers"] = headers
		}
		all = append(all, made)
	}
	return all
}

func stringMatch(match *v1alpha1.StringMatch) map[string]any {
	made := map[string]any{}
	if match == nil {
		return made
	}
	for name, value := range map[string]string{"exact": match.Exact, "prefix": match.Prefix, "regex": match.Regex} {
		if value != "" {
			made[name] = value
		}
	}
	return made
}

// parse reads what a managed route matches; false for one that no step can ask for. What it leaves
// out is found by writing it again.
func parse(stands *networking.HTTPRoute) (trafficrouting.ManagedRoute, bool) {
	route := trafficrouting.ManagedRoute{Name: stands.GetName()}
	if stands.GetMirror() != nil {
		route.Percentage = int32(stands.GetMirrorPercentage().GetValue())
		for _, match := range stands.GetMatch() {
			route.Mirror = append(route.Mirror, v1alpha1.RouteMatch{
				Method: parseMatch(match.GetMethod()), Path: parseMatch(match.GetUri()), Headers: parseHeaders(match.GetHeaders()),
			})
		}
		return route, true
	}
	for _, match := range stands.GetMatch() {
		headers := match.GetHeaders()
		if len(headers) != 1 {
			return route, false
		}
		for name, value := range headers {
			route.Headers = append(route.Headers, v1alpha1.HeaderRoutingMatch{HeaderName: name, HeaderValue: parseMatch(value)})
		}
	}
	return route, true
}

func parseMatch(match *networking.StringMatch) *v1alpha1.StringMatch {
	if match == nil {
		return nil
	}
	return &v1alpha1.StringMatch{Exact: match.GetExact(), Prefix: match.GetPrefix(), Regex: match.GetRegex()}
}

func parseHeaders(headers map[string]*networking.StringMatch) map[string]v1alpha1.StringMatch {
	var all map[string]v1alpha1.StringMatch
	for name, value := range headers {
		if all == nil {
			all = map[string]v1alpha1.StringMatch{}
		}
		if match := parseMatch(value); match != nil {
			all[name] = *match
		}
	}
	return all
}

// same reports whether two values are the same JSON.
func same(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}

// placeManaged makes the managed routes of a VirtualService those that are wanted, before all others
// but the managed ones of other Rollouts. Those that are in their place are changed one by one; else
// all are taken out and put in again, since each is wholly ours.
func (vs virtualService) placeManaged(p *patch.Patch, ours, theirs []string, wanted []map[string]any) {
	var at []int
	for i, r := range vs.http {
		if slices.Contains(ours, r.GetName()) {
			at = append(at, i)
		}
	}
	if vs.inPlace(at, theirs, wanted) {
		for i, route := range wanted {
			if !same(raw(vs.obj, "spec", http, at[i]), route) {
				p.Set(route, "spec", http, at[i])
			}
		}
		return
	}
	for _, i := range slices.Backward(at) {
		p.Remove("spec", http, i)
	}
	for i, route := range wanted {
		p.Insert(route, "spec", http, i)
	}
}

// inPlace reports whether the routes at the positions have the wanted names, and nothing stands
// before or between them but managed routes of others.
func (vs virtualService) inPlace(at []int, theirs []string, wanted []map[string]any) bool {
	if len(at) != len(wanted) {
		return false
	}
	for i, index := range at {
		if vs.http[index].GetName() != wanted[i]["name"] {
			return false
		}
	}
	if len(at) == 0 {
		return true
	}
	for i := range at[len(at)-1] {
		if !slices.Contains(at, i) && !slices.Contains(theirs, vs.http[i].GetName()) {
			return false
		}
	}
	return true
}
