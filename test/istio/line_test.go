package istio

import (
	"fmt"
	"slices"
	"sort"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/config"
)

// A seat is where a proxy looks for a VirtualService's routes: those of a kind, for one
// of its hosts and a port.
type seat struct {
	Place string
	Kind  kind
	Host  string
	Port  int
}

func (s seat) String() string {
	return fmt.Sprintf("%s, %s port %d, host %s", s.Place, s.Kind, s.Port, s.Host)
}

type kind string

const (
	kindHTTP kind = "http"
	kindTLS  kind = "tls"
	kindTCP  kind = "tcp"
)

// A line is one rule of routing, in words that fit both a VirtualService and Envoy.
type line struct {
	Name   string   // Only HTTP routes have names.
	When   []string // All must hold. Sorted.
	To     []share
	Mirror []share
}

func (l line) equals(other line) bool { return cmp.Equal(l, other) }

func (l line) String() string {
	if l.Name != "" {
		return fmt.Sprintf("route %q", l.Name)
	}
	return fmt.Sprintf("the route for %q", l.When)
}

// A share is a destination and its part of the traffic, of 100.
type share struct {
	Host   string
	Subset string
	Port   int
	Part   float64
}

func (s share) cluster() string {
	return model.BuildSubsetKey(model.TrafficDirectionOutbound, s.Subset, hostname(s.Host), s.Port)
}

// said are the lines that a VirtualService asks for at a seat, in its order. It is what the
// documentation of Istio says, written a second time: that istiod agrees is the check.
func said(vs config.Config, at seat) []line {
	switch at.Kind {
	case kindHTTP:
		return saidHTTP(vs, at.Port)
	case kindTLS:
		return saidTLS(vs, at.Port)
	case kindTCP:
		return saidTCP(vs, at.Port)
	default:
		panic("unknown kind " + at.Kind)
	}
}

func saidHTTP(vs config.Config, port int) []line {
	var lines []line
	for _, route := range routing(vs).Http {
		matches := route.Match
		if len(matches) == 0 {
			matches = []*networking.HTTPMatchRequest{{}}
		}
		to := newShares(vs, port)
		for _, d := range route.Route {
			to.add(d.Destination, d.Weight, len(route.Route))
		}
		for _, match := range matches {
			if !concerns(match.Port, port) {
				continue
			}
			name := route.Name
			if match.Name != "" {
				name += "." + match.Name
			}
			lines = append(lines, line{Name: name, When: conditions(match), To: to.all, Mirror: mirrors(vs, route, port)})
		}
	}
	return lines
}

func saidTLS(vs config.Config, port int) []line {
	var lines []line
	for _, route := range routing(vs).Tls {
		to := newShares(vs, port)
		for _, d := range route.Route {
			to.add(d.Destination, d.Weight, len(route.Route))
		}
		for _, match := range route.Match {
			if concerns(match.Port, port) {
				lines = append(lines, line{When: serverNames(match.SniHosts), To: to.all})
			}
		}
	}
	return lines
}

func saidTCP(vs config.Config, port int) []line {
	var lines []line
	for _, route := range routing(vs).Tcp {
		to := newShares(vs, port)
		for _, d := range route.Route {
			to.add(d.Destination, d.Weight, len(route.Route))
		}
		forPort := func(m *networking.L4MatchAttributes) bool { return concerns(m.Port, port) }
		if len(route.Match) == 0 || slices.ContainsFunc(route.Match, forPort) {
			lines = append(lines, line{To: to.all})
		}
	}
	return lines
}

// concerns tells whether a match on a port, 0 for any, matches on this one.
func concerns[Port int | uint32](matched Port, port int) bool {
	return matched == 0 || int(matched) == port
}

func serverNames(hosts []string) []string {
	names := make([]string, 0, len(hosts))
	for _, host := range hosts {
		names = append(names, "server name "+host)
	}
	sort.Strings(names)
	return names
}

// shares collects destinations as a proxy on a port sees them.
type shares struct {
	vs   config.Config
	port int
	all  []share
}

func newShares(vs config.Config, port int) *shares {
	return &shares{vs: vs, port: port}
}

// add leaves out a destination of weight 0, unless it is the only one: then it gets everything.
func (s *shares) add(d *networking.Destination, weight int32, of int) {
	part := float64(weight)
	if of == 1 {
		part = 100
	}
	if part > 0 {
		s.all = append(s.all, s.share(d, part))
	}
}

func (s *shares) share(d *networking.Destination, part float64) share {
	port := s.port
	if number := d.GetPort().GetNumber(); number != 0 {
		port = int(number)
	}
	return share{Host: fullName(d.GetHost(), s.vs), Subset: d.GetSubset(), Port: port, Part: part}
}

// mirrors of a route. A share that is not given is all the traffic.
func mirrors(vs config.Config, route *networking.HTTPRoute, port int) []share {
	to := newShares(vs, port)
	add := func(d *networking.Destination, percent *networking.Percent) {
		part := 100.0
		if percent != nil {
			part = percent.Value
		}
		if part > 0 {
			to.all = append(to.all, to.share(d, part))
		}
	}
	if route.Mirror != nil {
		add(route.Mirror, route.MirrorPercentage)
	}
	for _, mirror := range route.Mirrors {
		add(mirror.Destination, mirror.Percentage)
	}
	return to.all
}

// conditions of a match. A path is always one, as it is in Envoy.
func conditions(match *networking.HTTPMatchRequest) []string {
	all := []string{"path prefix /"}
	if match.Uri != nil {
		all[0] = "path " + text(match.Uri)
	}
	one := func(name string, m *networking.StringMatch) {
		if m != nil {
			all = append(all, "header "+name+" "+text(m))
		}
	}
	one(":method", match.Method)
	one(":authority", match.Authority)
	one(":scheme", match.Scheme)
	for name, m := range match.Headers {
		all = append(all, "header "+name+" "+text(m))
	}
	for name, m := range match.WithoutHeaders {
		all = append(all, "not header "+name+" "+text(m))
	}
	for name, m := range match.QueryParams {
		all = append(all, "query "+name+" "+text(m))
	}
	sort.Strings(all)
	return all
}

func text(match *networking.StringMatch) string {
	switch m := match.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		return "exact " + m.Exact
	case *networking.StringMatch_Prefix:
		return "prefix " + m.Prefix
	case *networking.StringMatch_Regex:
		if m.Regex != "*" { // Istio's word for any value, no regular expression.
			return "regex " + m.Regex
		}
	}
	return "present"
}
