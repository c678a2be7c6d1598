package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// maxSize is the largest spec that is read. An API server stores no more than about 1.5 MiB.
const maxSize = 4 << 20

// The sections of a VirtualService.
const (
	http = "http"
	tls  = "tls"
	tcp  = "tcp"
)

// virtualService is one as it stands, and what Istio's types say of it.
type virtualService struct {
	obj *unstructured.Unstructured
	// routes are all that can carry weights, in the order of their sections.
	routes []route
	http   []*networking.HTTPRoute
}

// route is one route of any section.
type route struct {
	section string
	index   int
	// name is that of an HTTP route; others have none.
	name string
	// port and hosts are what a TLS or TCP route matches: a single port, 0 for none and below zero for
	// several, and the SNI hosts, sorted.
	port  int64
	hosts []string
	to    []destination
}

// destination is where a part of the traffic of a route goes.
type destination struct {
	host, subset string
	port         uint32
	weight       int32
}

// id names a route in marks, where positions would not last.
func (r route) id() string {
	switch r.section {
	case http:
		return http + "/" + r.name
	case tls:
		return tls + "/" + strconv.FormatInt(r.port, 10) + "/" + strings.Join(r.hosts, ",")
	}
	return tcp + "/" + strconv.FormatInt(r.port, 10)
}

// share is the part of 100 that the destinations which are meant get together, rounded up. A route
// with one destination gives it everything. Istio takes weights for relative; where they sum to more
// than 100, the part is not reduced: the planner must assume the worst.
func (r route) share(meant func(destination) bool) int32 {
	part, sum := int64(0), int64(0)
	for _, d := range r.to {
		if d.weight < 0 {
			return total // nobody knows what Istio makes of it
		}
		weight := int64(d.weight)
		if len(r.to) == 1 {
			weight = total
		}
		sum += weight
		if meant(d) {
			part += weight
		}
	}
	whole := min(sum, total)
	if part == 0 {
		return 0
	}
	if part >= whole {
		return total
	}
	return int32((part*total + whole - 1) / whole) // part < whole <= 100
}

func readVirtualService(obj *unstructured.Unstructured) (virtualService, error) {
	vs := virtualService{obj: obj}
	var spec networking.VirtualService
	if err := decode(obj, &spec); err != nil {
		return vs, err
	}
	vs.http = spec.GetHttp()
	for i, r := range spec.GetHttp() {
		next := route{section: http, index: i, name: r.GetName()}
		for _, d := range r.GetRoute() {
			next.to = append(next.to, destinationOf(d.GetDestination(), d.GetWeight()))
		}
		vs.routes = append(vs.routes, next)
	}
	for i, r := range spec.GetTls() {
		vs.routes = append(vs.routes, tlsRoute(i, r))
	}
	for i, r := range spec.GetTcp() {
		vs.routes = append(vs.routes, tcpRoute(i, r))
	}
	return vs, nil
}

func tlsRoute(index int, r *networking.TLSRoute) route {
	next := route{section: tls, index: index, to: destinationsOf(r.GetRoute())}
	ports := map[uint32]bool{}
	for _, match := range r.GetMatch() {
		ports[match.GetPort()] = true
		next.hosts = append(next.hosts, match.GetSniHosts()...)
	}
	slices.Sort(next.hosts)
	next.port, next.hosts = single(ports), slices.Compact(next.hosts)
	return next
}

func tcpRoute(index int, r *networking.TCPRoute) route {
	ports := map[uint32]bool{}
	for _, match := range r.GetMatch() {
		ports[match.GetPort()] = true
	}
	return route{section: tcp, index: index, port: single(ports), to: destinationsOf(r.GetRoute())}
}

// single is the one port of a set, 0 for none, and below zero for several: no spec can name those.
func single(ports map[uint32]bool) int64 {
	if len(ports) > 1 {
		return -1
	}
	for port := range ports {
		return int64(port)
	}
	return 0
}

func destinationsOf(routes []*networking.RouteDestination) []destination {
	var all []destination
	for _, d := range routes {
		all = append(all, destinationOf(d.GetDestination(), d.GetWeight()))
	}
	return all
}

func destinationOf(d *networking.Destination, weight int32) destination {
	return destination{host: d.GetHost(), subset: d.GetSubset(), port: d.GetPort().GetNumber(), weight: weight}
}

// section are the routes of one section.
func (vs virtualService) section(name string) []route {
	var some []route
	for _, r := range vs.routes {
		if r.section == name {
			some = append(some, r)
		}
	}
	return some
}

// destinationRule is one as it stands, and what Istio's types say of it.
type destinationRule struct {
	obj     *unstructured.Unstructured
	subsets []subset
}

type subset struct {
	name string
	hash string
	// labels counts the labels, of which the hash may be one; none below zero says that there is no such member.
	labels int
}

func readDestinationRule(obj *unstructured.Unstructured) (destinationRule, error) {
	rule := destinationRule{obj: obj}
	var spec networking.DestinationRule
	if err := decode(obj, &spec); err != nil {
		return rule, err
	}
	for _, s := range spec.GetSubsets() {
		rule.subsets = append(rule.subsets, subset{s.GetName(), s.GetLabels()[v1alpha1.PodTemplateHashLabel], len(s.GetLabels())})
	}
	return rule, nil
}

// hash is that of a subset; false without one of that name.
func (d destinationRule) hash(name string) (string, bool) {
	i := slices.IndexFunc(d.subsets, func(s subset) bool { return s.name == name })
	if i < 0 {
		return "", false
	}
	return d.subsets[i].hash, true
}

// decode reads the spec of an object as Istio does, which takes durations such as 1m. Members that these
// types do not know are left alone.
func decode(obj *unstructured.Unstructured, into json.Unmarshaler) error {
	spec := obj.Object["spec"]
	if spec == nil {
		return nil
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encoding its spec: %w", err)
	}
	if len(text) > maxSize {
		return fmt.Errorf("its spec has %d bytes, more than %d", len(text), maxSize)
	}
	if err := into.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("reading its spec: %w", err)
	}
	return nil
}

// raw is what stands at a place of the object, nil where nothing does.
func raw(obj *unstructured.Unstructured, place ...any) any {
	at := any(obj.Object)
	for _, part := range place {
		switch part := part.(type) {
		case string:
			members, _ := at.(map[string]any)
			at = members[part]
		case int:
			elements, _ := at.([]any)
			if part >= len(elements) {
				return nil
			}
			at = elements[part]
		}
	}
	return at
}
