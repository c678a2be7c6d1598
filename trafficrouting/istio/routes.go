package istio

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// weighted are the routes of a VirtualService that carry the weights, those of all entries that name
// it, each once and in its order. Each has a destination of both sides.
func (in intent) weighted(t target, vs virtualService, managed []string) ([]route, error) {
	chosen := map[string]bool{}
	place := func(r route) string { return fmt.Sprintf("%s/%d", r.section, r.index) }
	for _, s := range t.selections {
		routes, err := s.choose(vs, managed)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			if err := in.checkSides(s, r); err != nil {
				return nil, err
			}
			chosen[place(r)] = true
		}
	}
	some := slices.Clone(vs.routes)
	return slices.DeleteFunc(some, func(r route) bool { return !chosen[place(r)] }), nil
}

// choose are the routes that one entry of the spec means: those it lists, or the only one of a section.
func (s selection) choose(vs virtualService, managed []string) ([]route, error) {
	own := vs.section(http)
	own = slices.DeleteFunc(own, func(r route) bool { return slices.Contains(managed, r.name) })
	routes, err := s.chooseHTTP(own)
	if err != nil {
		return nil, err
	}
	secure, err := s.chooseTLS(vs.section(tls))
	if err != nil {
		return nil, err
	}
	plain, err := s.chooseTCP(vs.section(tcp))
	if err != nil {
		return nil, err
	}
	routes = slices.Concat(routes, secure, plain)
	if len(routes) == 0 {
		return nil, field.Invalid(s.path.Child("name"), s.spec.Name, "this VirtualService has no route that could share traffic: add one with both destinations")
	}
	return routes, nil
}

func (s selection) chooseHTTP(own []route) ([]route, error) {
	if len(s.spec.Routes) == 0 {
		return s.only(own, "routes")
	}
	var some []route
	for i, name := range s.spec.Routes {
		at := slices.IndexFunc(own, func(r route) bool { return r.name == name })
		if at < 0 {
			return nil, field.Invalid(s.path.Child("routes").Index(i), name, fmt.Sprintf(
				"VirtualService %q has no HTTP route of this name: add it, or name another one", s.spec.Name))
		}
		some = append(some, own[at])
	}
	return some, nil
}

func (s selection) chooseTLS(own []route) ([]route, error) {
	if len(s.spec.TLSRoutes) == 0 {
		return s.only(own, "tlsRoutes")
	}
	var some []route
	for i, wanted := range s.spec.TLSRoutes {
		hosts := slices.Compact(slices.Sorted(slices.Values(wanted.SNIHosts)))
		found := matching(own, func(r route) bool { return r.port == wanted.Port && slices.Equal(r.hosts, hosts) })
		if len(found) == 0 {
			return nil, field.Invalid(s.path.Child("tlsRoutes").Index(i), fmt.Sprintf("port %d, hosts %q", wanted.Port, wanted.SNIHosts), fmt.Sprintf(
				"VirtualService %q has no TLS route that matches exactly this port and these SNI hosts: add it, or name another one", s.spec.Name))
		}
		some = append(some, found...)
	}
	return some, nil
}

func (s selection) chooseTCP(own []route) ([]route, error) {
	if len(s.spec.TCPRoutes) == 0 {
		return s.only(own, "tcpRoutes")
	}
	var some []route
	for i, wanted := range s.spec.TCPRoutes {
		found := matching(own, func(r route) bool { return r.port == wanted.Port })
		if len(found) == 0 {
			return nil, field.Invalid(s.path.Child("tcpRoutes").Index(i).Child("port"), wanted.Port, fmt.Sprintf(
				"VirtualService %q has no TCP route that matches exactly this port: add it, or name another one", s.spec.Name))
		}
		some = append(some, found...)
	}
	return some, nil
}

func matching(routes []route, meant func(route) bool) []route {
	var some []route
	for _, r := range routes {
		if meant(r) {
			some = append(some, r)
		}
	}
	return some
}

// only is the one route of a section that the spec does not list the routes of.
func (s selection) only(own []route, list string) ([]route, error) {
	if len(own) > 1 {
		return nil, field.Required(s.path.Child(list), fmt.Sprintf(
			"VirtualService %q has %d %s routes: list those that share the traffic", s.spec.Name, len(own), own[0].section))
	}
	return own, nil
}

// checkSides refuses a route that cannot share traffic: a side that is not there gets none.
func (in intent) checkSides(s selection, r route) error {
	stableName, canaryName := in.sides.names()
	kind := "Service"
	if in.sides.bySubset {
		kind = "subset"
	}
	for _, wanted := range []struct {
		side side
		name string
	}{{canarySide, canaryName}, {stableSide, stableName}} {
		if !in.sides.has(r, wanted.side) {
			return field.Invalid(s.path.Child("name"), s.spec.Name, fmt.Sprintf(
				"spec.%s[%d] of this VirtualService has no destination of the %s %q: add one", r.section, r.index, kind, wanted.name))
		}
	}
	return nil
}
