package istio

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	networking "istio.io/api/networking/v1alpha3"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/xds/endpoints"
	"istio.io/istio/pilot/test/xdstest"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/host"
	"istio.io/istio/pkg/config/labels"
	"istio.io/istio/pkg/config/protocol"
	"istio.io/istio/pkg/config/schema/gvk"
)

// The mesh itself, as VirtualServices name it among their gateways: all sidecars.
const sidecars = "mesh"

// A mesh is istiod's translation of objects, in a world that has all they name: a Service
// for each host with every port, pods for each subset, and the gateways.
type mesh struct {
	objects objects
	ports   map[int]kind
	hosts   []string // Sorted: their places give the addresses.
	istiod  *core.ConfigGenTest
}

func newMesh(t *testing.T, o objects) *mesh {
	t.Helper()
	m := &mesh{objects: o, ports: portsOf(o), hosts: hostsOf(o)}
	options := core.TestOptions{Configs: append(slices.Clone(o), m.gateways()...)}
	for _, vs := range o.virtualServices() {
		if entry := entryOf(vs); entry.Name != vs.Name {
			options.Configs = append(options.Configs, entry)
		}
	}
	for _, name := range m.hosts {
		service := m.service(name)
		options.Services = append(options.Services, service)
		for _, pod := range m.podsOf(name) {
			for _, port := range service.Ports {
				options.Instances = append(options.Instances, &model.ServiceInstance{
					Service: service, ServicePort: port, Endpoint: pod.endpoint(port),
				})
			}
		}
	}
	m.istiod = core.NewConfigGenTest(t, options)
	return m
}

// entryOf is the VirtualService that has the hosts: itself, or one that delegates to it.
func entryOf(vs config.Config) config.Config {
	if len(routing(vs).Hosts) > 0 {
		return vs
	}
	entry := vs.DeepCopy()
	entry.Name += "-entry"
	entry.Spec = &networking.VirtualService{
		Hosts: []string{entry.Name + ".example.com"},
		Http:  []*networking.HTTPRoute{{Delegate: &networking.Delegate{Name: vs.Name, Namespace: vs.Namespace}}},
	}
	return entry
}

func hostname(name string) host.Name { return host.Name(name) }

// fullName completes a short name, which means a Service beside the object.
func fullName(name string, beside config.Config) string {
	return string(model.ResolveShortnameToFQDN(name, beside.Meta))
}

// hostsOf lists all that must be a Service.
func hostsOf(o objects) []string {
	var hosts []string
	add := func(name string, object config.Config) {
		full := fullName(name, object)
		if full != "" && !hostname(full).IsWildCarded() && !slices.Contains(hosts, full) {
			hosts = append(hosts, full)
		}
	}
	for _, vs := range o.virtualServices() {
		for _, name := range routing(vs).Hosts {
			add(name, vs)
		}
		for _, d := range destinations(routing(vs)) {
			add(d.GetHost(), vs)
		}
	}
	for _, rule := range o.destinationRules() {
		add(subsets(rule).Host, rule)
	}
	sort.Strings(hosts)
	return hosts
}

func destinations(vs *networking.VirtualService) []*networking.Destination {
	var all []*networking.Destination
	for _, r := range vs.Http {
		for _, d := range r.Route {
			all = append(all, d.Destination)
		}
		all = append(all, r.Mirror)
		for _, m := range r.Mirrors {
			all = append(all, m.Destination)
		}
	}
	for _, r := range vs.Tls {
		for _, d := range r.Route {
			all = append(all, d.Destination)
		}
	}
	for _, r := range vs.Tcp {
		for _, d := range r.Route {
			all = append(all, d.Destination)
		}
	}
	return all
}

// portsOf are the ports that the objects speak of, and one of each kind for routes that name
// none. Where two kinds name one, the lowest layer has it.
func portsOf(o objects) map[int]kind {
	ports := map[int]kind{}
	name := func(port uint32, k kind) {
		if _, taken := ports[int(port)]; port != 0 && !taken {
			ports[int(port)] = k
		}
	}
	for _, vs := range o.virtualServices() {
		for _, r := range routing(vs).Tcp {
			for _, m := range r.Match {
				name(m.Port, kindTCP)
			}
			for _, d := range r.Route {
				name(d.Destination.GetPort().GetNumber(), kindTCP)
			}
		}
		for _, r := range routing(vs).Tls {
			for _, m := range r.Match {
				name(m.Port, kindTLS)
			}
		}
		for _, r := range routing(vs).Http {
			for _, m := range r.Match {
				name(m.Port, kindHTTP)
			}
		}
		for _, d := range destinations(routing(vs)) {
			name(d.GetPort().GetNumber(), kindHTTP)
		}
	}
	name(80, kindHTTP)
	name(443, kindTLS)
	name(9000, kindTCP)
	return ports
}

func (m *mesh) portsInOrder() []int {
	var all []int
	for port := range m.ports {
		all = append(all, port)
	}
	sort.Ints(all)
	return all
}

// address is that of the host's Service, "" if the host is none.
func (m *mesh) address(name string) string {
	at := slices.Index(m.hosts, name)
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("10.0.0.%d", at+1)
}

func (m *mesh) service(name string) *model.Service {
	short, rest, _ := strings.Cut(name, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	s := &model.Service{
		Hostname:       hostname(name),
		DefaultAddress: m.address(name),
		Attributes:     model.ServiceAttributes{Name: short, Namespace: namespace},
	}
	protocols := map[kind]protocol.Instance{kindHTTP: protocol.HTTP, kindTLS: protocol.TLS, kindTCP: protocol.TCP}
	for _, port := range m.portsInOrder() {
		k := m.ports[port]
		s.Ports = append(s.Ports, &model.Port{Name: fmt.Sprintf("%s-%d", k, port), Port: port, Protocol: protocols[k]})
	}
	return s
}

// A pod that a Service selects.
type pod struct {
	address string
	labels  labels.Instance
}

func (p pod) endpoint(port *model.Port) *model.IstioEndpoint {
	return &model.IstioEndpoint{
		Addresses:       []string{p.address},
		Labels:          p.labels,
		ServicePortName: port.Name,
		EndpointPort:    uint32(port.Port), //nolint:gosec // A port fits.
		HealthStatus:    model.Healthy,
	}
}

// podsOf a host are one for each of its subsets, and one of a revision that no subset names.
func (m *mesh) podsOf(name string) []pod {
	all := []pod{{labels: labels.Instance{"app": "of-another-revision"}}}
	for _, subset := range m.subsetsOf(name) {
		all = append(all, pod{labels: subset.Labels})
	}
	for i := range all {
		all[i].address = fmt.Sprintf("10.1.%d.%d", slices.Index(m.hosts, name), i+1)
	}
	return all
}

func (m *mesh) subsetsOf(name string) []*networking.Subset {
	var all []*networking.Subset
	for _, rule := range m.objects.destinationRules() {
		if fullName(subsets(rule).Host, rule) == name {
			all = append(all, subsets(rule).Subsets...)
		}
	}
	return all
}

// gateways makes the ones that the VirtualServices name: each accepts all hosts on all ports.
func (m *mesh) gateways() []config.Config {
	named := map[string]config.Config{}
	for _, vs := range m.objects.virtualServices() {
		for _, name := range routing(vs).Gateways {
			if name != sidecars {
				gateway := m.gateway(name, vs)
				named[selector(gateway)] = gateway
			}
		}
	}
	var all []config.Config
	for _, gateway := range named {
		all = append(all, gateway)
	}
	return all
}

func (m *mesh) gateway(name string, vs config.Config) config.Config {
	namespace, short, found := strings.Cut(name, "/")
	if !found {
		namespace, short = vs.Namespace, name
	}
	gateway := config.Config{Meta: config.Meta{
		GroupVersionKind: gvk.Gateway, Namespace: namespace, Name: short, Domain: vs.Domain,
	}}
	spec := &networking.Gateway{Selector: map[string]string{"gateway": selector(gateway)}}
	for _, port := range m.portsInOrder() {
		k := m.ports[port]
		server := &networking.Server{
			Hosts: []string{"*/*"},
			Port: &networking.Port{
				Name: fmt.Sprintf("%s-%d", k, port), Number: uint32(port), Protocol: strings.ToUpper(string(k)), //nolint:gosec // A port fits.
			},
		}
		if k == kindTLS {
			server.Tls = &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_PASSTHROUGH}
		}
		spec.Servers = append(spec.Servers, server)
	}
	gateway.Spec = spec
	return gateway
}

// selector is the label of the one proxy that serves a gateway.
func selector(gateway config.Config) string {
	return gateway.Namespace + "." + gateway.Name
}

// places are the proxies that must know of a VirtualService: a sidecar, unless it names
// gateways only, and a proxy of each gateway.
func (m *mesh) places(vs config.Config) []place {
	names := routing(vs).Gateways
	if len(names) == 0 {
		names = []string{sidecars}
	}
	var all []place
	for _, name := range names {
		if name == sidecars {
			all = append(all, m.sidecar(vs.Namespace))
			continue
		}
		gateway := m.gateway(name, vs)
		all = append(all, m.place("gateway "+name, &model.Proxy{
			Type:            model.Router,
			ConfigNamespace: gateway.Namespace,
			Labels:          labels.Instance{"gateway": selector(gateway)},
		}))
	}
	return all
}

func (m *mesh) sidecar(namespace string) place {
	return m.place("sidecar", &model.Proxy{Type: model.SidecarProxy, ConfigNamespace: namespace})
}

func (m *mesh) place(name string, proxy *model.Proxy) place {
	proxy.Metadata = &model.NodeMetadata{Namespace: proxy.ConfigNamespace, Labels: proxy.Labels}
	proxy = m.istiod.SetupProxy(proxy)
	listeners := m.istiod.Listeners(proxy)
	return place{
		name:      name,
		proxy:     proxy,
		listeners: listeners,
		routes:    m.istiod.RoutesFromListeners(proxy, listeners),
		clusters:  xdstest.ExtractClusters(m.istiod.Clusters(proxy)),
	}
}

// reached are the addresses of the pods behind a cluster.
func (m *mesh) reached(from place, cluster string) []string {
	builder := endpoints.NewEndpointBuilder(cluster, from.proxy, m.istiod.PushContext())
	assignment := builder.BuildClusterLoadAssignment(m.istiod.Env().EndpointIndex)
	var all []string
	for _, locality := range assignment.GetEndpoints() {
		for _, e := range locality.LbEndpoints {
			all = append(all, socket(e))
		}
	}
	sort.Strings(all)
	return all
}

func socket(e *endpoint.LbEndpoint) string {
	return e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress()
}
