package istio

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/labels"
)

// hashLabel tells the pods of one revision from those of another.
const hashLabel = "rollouts-pod-template-hash"

// findings are all that is wrong with the objects of a golden file, as sentences.
func findings(t *testing.T, g golden) []string {
	t.Helper()
	written, err := g.objects()
	if err != nil {
		return []string{err.Error()}
	}
	if refused := written.refusals(); len(refused) > 0 {
		return refused // istiod never sees them.
	}
	m := newMesh(t, written)
	var all []string
	for _, vs := range written.virtualServices() {
		all = append(all, m.checkVirtualService(t, vs, g.given)...)
	}
	for _, rule := range written.destinationRules() {
		all = append(all, m.checkDestinationRule(rule, g.given)...)
	}
	return all
}

// checkVirtualService compares what a VirtualService says with what its proxies were told,
// and that with the split.
func (m *mesh) checkVirtualService(t *testing.T, vs config.Config, g given) []string {
	t.Helper()
	var all []string
	told, carried, entry := map[kind]bool{}, false, entryOf(vs)
	for _, p := range m.places(entry) {
		for _, at := range m.seats(p, entry) {
			want, got := said(vs, at), p.found(t, entry, at, m.addressAt(p, at))
			if len(want) == 0 {
				continue
			}
			told[at.Kind] = true
			carried = carried || len(g.sharing(vs, at, got)) > 0
			var wrong []string
			if diff := cmp.Diff(want, got); diff != "" {
				wrong = append(wrong, "Envoy is told otherwise (-VirtualService +Envoy):\n"+diff)
			}
			wrong = append(wrong, m.checkLines(p, got)...)
			wrong = append(wrong, g.checkSplit(vs, at, got)...)
			for _, finding := range wrong {
				all = append(all, fmt.Sprintf("%s: %s: %s", title(vs), at, finding))
			}
		}
	}
	for _, k := range kindsOf(vs) {
		if !told[k] {
			all = append(all, fmt.Sprintf("%s has %s routes that no proxy could be asked for", title(vs), k))
		}
	}
	if _, named := g.reference(vs); named && g.Split != nil && !carried {
		all = append(all, title(vs)+" has no route that carries the split")
	}
	return all
}

// kindsOf are the kinds of route that a VirtualService has.
func kindsOf(vs config.Config) []kind {
	var all []kind
	if len(routing(vs).Http) > 0 {
		all = append(all, kindHTTP)
	}
	if len(routing(vs).Tls) > 0 {
		all = append(all, kindTLS)
	}
	if len(routing(vs).Tcp) > 0 {
		all = append(all, kindTCP)
	}
	return all
}

func (m *mesh) seats(p place, vs config.Config) []seat {
	var all []seat
	for _, name := range routing(vs).Hosts {
		for _, port := range m.portsInOrder() {
			all = append(all, seat{Place: p.name, Kind: m.ports[port], Host: fullName(name, vs), Port: port})
		}
	}
	return all
}

// addressAt is where a sidecar listens for connections to the host. A gateway listens everywhere.
func (m *mesh) addressAt(p place, at seat) string {
	if strings.HasPrefix(p.name, "gateway") {
		return ""
	}
	return m.address(at.Host)
}

// checkLines checks what holds for all routes: shares of 100, and pods behind every share.
func (m *mesh) checkLines(from place, lines []line) []string {
	var all []string
	for _, l := range lines {
		sum := 0.0
		for _, to := range l.To {
			sum += to.Part
		}
		if len(l.To) > 0 && sum != 100 {
			all = append(all, fmt.Sprintf("the weights of %s sum to %v, not to 100", l, sum))
		}
		for _, to := range append(slices.Clone(l.To), l.Mirror...) {
			if finding := m.checkCluster(from, to); finding != "" {
				all = append(all, finding)
			}
		}
	}
	return all
}

// checkCluster checks that a destination leads to the pods with the labels of its subset, and to no others.
func (m *mesh) checkCluster(from place, to share) string {
	name := to.cluster()
	if from.clusters[name] == nil {
		return fmt.Sprintf("%s has no cluster %s: requests to it fail", from.name, name)
	}
	var wanted labels.Instance
	for _, subset := range m.subsetsOf(to.Host) {
		if to.Subset != "" && subset.Name == to.Subset {
			wanted = subset.Labels
		}
	}
	var want []string
	for _, p := range m.podsOf(to.Host) {
		if wanted.SubsetOf(p.labels) {
			want = append(want, p.address)
		}
	}
	sort.Strings(want)
	if diff := cmp.Diff(want, m.reached(from, name)); diff != "" {
		return fmt.Sprintf("cluster %s reaches other pods (-labels +Envoy):\n%s", name, diff)
	}
	return ""
}

// checkDestinationRule checks the clusters of its subsets, and that those of the Rollout
// select the pods of a revision.
func (m *mesh) checkDestinationRule(rule config.Config, g given) []string {
	var all []string
	from := m.sidecar(rule.Namespace)
	for _, subset := range subsets(rule).Subsets {
		for _, port := range m.portsInOrder() {
			to := share{Host: fullName(subsets(rule).Host, rule), Subset: subset.Name, Port: port}
			if finding := m.checkCluster(from, to); finding != "" {
				all = append(all, title(rule)+": "+finding)
			}
		}
	}
	named := g.Rollout.Spec.Strategy.Canary.TrafficRouting.Istio.DestinationRule
	if named == nil || named.Name != rule.Name {
		return all
	}
	hashes := map[string]string{}
	for _, subset := range subsets(rule).Subsets {
		hashes[subset.Name] = subset.Labels[hashLabel]
	}
	for _, name := range []string{named.StableSubsetName, named.CanarySubsetName} {
		if hashes[name] == "" {
			all = append(all, fmt.Sprintf("%s: subset %q selects no revision: it has no label %s", title(rule), name, hashLabel))
		}
	}
	return all
}
