package istio

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	percent "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xdstest"
	"istio.io/istio/pkg/config"
)

// A place is a proxy, and what istiod makes it do.
type place struct {
	name      string
	proxy     *model.Proxy
	listeners []*listener.Listener
	routes    []*route.RouteConfiguration
	clusters  map[string]*cluster.Cluster
}

// found are the lines that istiod made of a VirtualService at a seat, in the order in which
// Envoy tries them. The address is that of the host's Service; a gateway has none.
func (p place) found(t *testing.T, vs config.Config, at seat, address string) []line {
	t.Helper()
	switch at.Kind {
	case kindHTTP:
		return p.foundHTTP(vs, at)
	case kindTLS, kindTCP:
		return p.foundChains(t, vs, at, address)
	default:
		panic("unknown kind " + at.Kind)
	}
}

func (p place) foundHTTP(vs config.Config, at seat) []line {
	var lines []line
	for _, routes := range p.routes {
		if routes.Name != strconv.Itoa(at.Port) && routes.Name != "http."+strconv.Itoa(at.Port) {
			continue
		}
		for _, host := range routes.VirtualHosts {
			if !slices.Contains(host.Domains, at.Host) {
				continue
			}
			for _, r := range host.Routes {
				if comesFrom(r, vs) {
					lines = append(lines, lineOf(r))
				}
			}
		}
	}
	return lines
}

// comesFrom reads the note that istiod leaves on a route.
func comesFrom(r *route.Route, vs config.Config) bool {
	note := r.GetMetadata().GetFilterMetadata()["istio"].GetFields()["config"].GetStringValue()
	return strings.HasSuffix(note, fmt.Sprintf("/namespaces/%s/virtual-service/%s", vs.Namespace, vs.Name))
}

func lineOf(r *route.Route) line {
	action := r.GetRoute()
	l := line{Name: r.Name, When: conditionsOf(r.Match)}
	if name := action.GetCluster(); name != "" {
		l.To = append(l.To, shareOf(name, 100))
	}
	for _, c := range action.GetWeightedClusters().GetClusters() {
		l.To = append(l.To, shareOf(c.Name, float64(c.Weight.GetValue())))
	}
	for _, m := range action.GetRequestMirrorPolicies() {
		l.Mirror = append(l.Mirror, shareOf(m.Cluster, percentOf(m.RuntimeFraction.GetDefaultValue())))
	}
	return l
}

func shareOf(name string, part float64) share {
	_, subset, host, port := model.ParseSubsetKey(name)
	return share{Host: string(host), Subset: subset, Port: port, Part: part}
}

func percentOf(f *percent.FractionalPercent) float64 {
	parts := float64(f.GetNumerator())
	switch f.GetDenominator() {
	case percent.FractionalPercent_MILLION:
		return parts / 10_000
	case percent.FractionalPercent_TEN_THOUSAND:
		return parts / 100
	default:
		return parts
	}
}

func conditionsOf(match *route.RouteMatch) []string {
	var all []string
	switch path := match.PathSpecifier.(type) {
	case *route.RouteMatch_Path:
		all = append(all, "path exact "+path.Path)
	case *route.RouteMatch_Prefix:
		all = append(all, "path prefix "+path.Prefix)
	case *route.RouteMatch_SafeRegex:
		all = append(all, "path regex "+path.SafeRegex.Regex)
	default:
		all = append(all, fmt.Sprintf("path %T", path))
	}
	for _, h := range match.Headers {
		condition := "header " + h.Name + " " + textOf(h.GetStringMatch())
		if h.InvertMatch {
			condition = "not " + condition
		}
		all = append(all, condition)
	}
	for _, q := range match.QueryParameters {
		all = append(all, "query "+q.Name+" "+textOf(q.GetStringMatch()))
	}
	sort.Strings(all)
	return all
}

func textOf(match *matcher.StringMatcher) string {
	switch m := match.GetMatchPattern().(type) {
	case nil:
		return "present"
	case *matcher.StringMatcher_Exact:
		return "exact " + m.Exact
	case *matcher.StringMatcher_Prefix:
		return "prefix " + m.Prefix
	case *matcher.StringMatcher_SafeRegex:
		return "regex " + m.SafeRegex.Regex
	default:
		return fmt.Sprintf("%T", m)
	}
}

// foundChains reads connections instead of requests: a filter chain is a line.
func (p place) foundChains(t *testing.T, vs config.Config, at seat, address string) []line {
	t.Helper()
	var lines []line
	for _, l := range p.listeners {
		socket := l.GetAddress().GetSocketAddress()
		if int(socket.GetPortValue()) != at.Port || address != "" && socket.GetAddress() != address {
			continue
		}
		for _, chain := range l.FilterChains {
			names := chain.GetFilterChainMatch().GetServerNames()
			proxy := xdstest.ExtractTCPProxy(t, chain)
			if proxy != nil && belongs(names, vs, at.Kind) {
				lines = append(lines, lineOfProxy(proxy, names))
			}
		}
	}
	return lines
}

// belongs tells whether a filter chain for these server names could be the VirtualService's.
// On a gateway another VirtualService can have chains beside it.
func belongs(names []string, vs config.Config, k kind) bool {
	if k == kindTCP {
		return len(names) == 0
	}
	for _, r := range routing(vs).Tls {
		for _, m := range r.Match {
			if slices.ContainsFunc(m.SniHosts, func(host string) bool { return slices.Contains(names, host) }) {
				return true
			}
		}
	}
	return false
}

func lineOfProxy(proxy *tcp.TcpProxy, names []string) line {
	var l line
	if len(names) > 0 {
		l.When = serverNames(names)
	}
	if name := proxy.GetCluster(); name != "" {
		l.To = append(l.To, shareOf(name, 100))
	}
	for _, c := range proxy.GetWeightedClusters().GetClusters() {
		l.To = append(l.To, shareOf(c.Name, float64(c.Weight)))
	}
	return l
}
