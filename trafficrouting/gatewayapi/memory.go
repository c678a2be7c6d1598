package gatewayapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// memory is what the mark of a route remembers of what was added to it.
type memory struct {
	// label is the key of the label that says that traffic is shared.
	label string
	// sides are the Services of an Experiment.
	sides  []string
	routes []made
}

// made is a managed route that was made, and the traces of its rules.
type made struct {
	trafficrouting.ManagedRoute

	Rules []trace
}

// trace is what a rule that was made is recognised by, wherever it stands by now: its name, or, where
// the definition has no names for rules, what it matches and where it leads.
type trace struct {
	Name string `json:"name,omitempty"`
	Hash string `json:"hash"`
}

// note is one element of the list in a mark. Exactly one of the first three is filled.
type note struct {
	Label string `json:"label,omitempty"`
	Side  string `json:"side,omitempty"`
	Route string `json:"route,omitempty"`

	Headers    []v1alpha1.HeaderRoutingMatch `json:"headers,omitempty"`
	Mirror     []v1alpha1.RouteMatch         `json:"mirror,omitempty"`
	Percentage int32                         `json:"percentage,omitempty"`
	Rules      []trace                       `json:"rules,omitempty"`
}

// notes are the memory as a mark holds it.
func (m memory) notes() []string {
	var notes []string
	add := func(n note) {
		// The structure of a note is known: it can always be written.
		text, _ := json.Marshal(n)
		notes = append(notes, string(text))
	}
	if m.label != "" {
		add(note{Label: m.label})
	}
	for _, side := range m.sides {
		add(note{Side: side})
	}
	for _, r := range m.routes {
		add(note{Route: r.Name, Headers: r.Headers, Mirror: r.Mirror, Percentage: r.Percentage, Rules: r.Rules})
	}
	return notes
}

// remembered reads a memory. What cannot be read was not written here, and is left out.
func remembered(mark trafficrouting.Mark) memory {
	var m memory
	for _, text := range mark.Routes {
		var n note
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			continue
		}
		switch {
		case n.Label != "":
			m.label = n.Label
		case n.Side != "":
			m.sides = append(m.sides, n.Side)
		case n.Route != "":
			route := trafficrouting.ManagedRoute{Name: n.Route, Headers: n.Headers, Mirror: n.Mirror, Percentage: n.Percentage}
			m.routes = append(m.routes, made{route, n.Rules})
		}
	}
	return m
}

// traceOf is what a rule is recognised by later.
func traceOf(raw map[string]any) trace {
	var backends []string
	for _, element := range list(raw, "backendRefs") {
		ref, _ := element.(map[string]any)
		backends = append(backends, text(ref, "name", ""))
	}
	slices.Sort(backends)
	sum := sha256.Sum256([]byte(encoded([]any{raw["matches"], backends})))
	return trace{Name: text(raw, "name", ""), Hash: hex.EncodeToString(sum[:6])}
}

// recognise marks the rules that were made, by their positions. Positions are not remembered: others
// add, remove and move rules. A rule goes by its name; then one by what it is, once for each rule that
// was made. Where nothing is remembered, as of what the plugin made, managedRoutes says what names mean.
func recognise(rules []rule, m memory, managed []string, s sides) []bool {
	var traces []trace
	for _, r := range m.routes {
		traces = append(traces, r.Rules...)
	}
	ours := make([]bool, len(rules))
	claim := func(fits func(trace, trace) bool) {
		for i, r := range rules {
			found := slices.IndexFunc(traces, func(t trace) bool { return fits(t, traceOf(r.raw)) })
			if r.raw != nil && !ours[i] && found >= 0 {
				ours[i] = true
				traces = slices.Delete(traces, found, found+1)
			}
		}
	}
	claim(func(t, is trace) bool { return t.Name != "" && t.Name == is.Name })
	claim(func(t, is trace) bool { return t.Hash == is.Hash && (is.Name == "" || t.Name == "") })
	for i, r := range rules {
		ours[i] = ours[i] || names(text(r.raw, "name", ""), managed) && (s.leadsToCanaryOnly(r) || s.mirrorsToCanary(r))
	}
	return ours
}

// names reports whether a rule has the name that one of the managed routes gives its rules.
func names(name string, managed []string) bool {
	base, number := name, ""
	if at := strings.LastIndex(name, "-"); at >= 0 {
		base, number = name[:at], name[at+1:]
	}
	_, err := strconv.ParseUint(number, 10, 8)
	return name != "" && (slices.Contains(managed, name) || err == nil && slices.Contains(managed, base))
}

func (s sides) leadsToCanaryOnly(r rule) bool {
	return len(r.backends) > 0 && !slices.ContainsFunc(r.backends, func(b backend) bool { return b.service == "" || !s.isCanary(b.service) })
}

func (s sides) mirrorsToCanary(r rule) bool {
	return slices.ContainsFunc(list(r.raw, "filters"), func(element any) bool {
		filter, _ := element.(map[string]any)
		return s.isCanary(text(child(child(filter, "requestMirror"), "backendRef"), "name", ""))
	})
}
