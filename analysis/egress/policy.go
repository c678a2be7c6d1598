package egress

import (
	"fmt"
	"net/netip"
	"strings"
)

// Policy says which addresses may be dialled. The first rule that has an
// address decides; without one, addresses that lead into the node, its metadata
// or the API server are refused, and all others are allowed.
type Policy struct {
	rules      []rule
	kubernetes netip.Addr
}

// WithKubernetes is the policy that refuses the API server too, unless a rule
// allows it. A host that is no address changes nothing.
func (p Policy) WithKubernetes(host string) Policy {
	if ip, err := netip.ParseAddr(host); err == nil {
		p.kubernetes = ip.Unmap()
	}
	return p
}

// rule allows or denies addresses.
type rule struct {
	allow bool
	// class is the name that was written; empty for an address or a prefix.
	class    string
	prefixes []netip.Prefix
}

// fits reports whether a rule decides on an address of a class. A name that
// allows does not reach into a narrower class: metadata services have
// link-local and private addresses, and allow:private must not open them.
func (r rule) fits(ip netip.Addr, class string) bool {
	return holds(r.prefixes, ip) && (!r.allow || r.class == "" || r.class == "all" || r.class == class)
}

// class is a set of addresses with a name.
type class struct {
	name     string
	prefixes []netip.Prefix
}

// refused are the addresses that no metric needs, and an attacker does. The
// order is that of the names in messages.
var refused = []class{
	{"metadata", prefixes("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "fd00:ec2::254/128", "fd00:ec2::23/128",
		"fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128", "fd00:a9fe:a9fe::1/128", "fd00:100::100:200/128",
		"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")},
	{"link-local", prefixes("169.254.0.0/16", "fe80::/10")},
	{"loopback", prefixes("127.0.0.0/8", "::1/128")},
	{"unspecified", prefixes("0.0.0.0/8", "::/128")},
	{"multicast", prefixes("224.0.0.0/4", "ff00::/8", "255.255.255.255/32")},
}

// named are the classes that a rule may name besides those that are refused.
var named = []class{
	{"private", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")},
	{"all", prefixes("0.0.0.0/0", "::/0")},
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// ParsePolicy reads rules such as allow:10.0.0.0/8, allow:loopback or deny:all.
func ParsePolicy(texts []string) (Policy, error) {
	var p Policy
	for _, text := range texts {
		verb, what, found := strings.Cut(strings.TrimSpace(text), ":")
		if !found || (verb != "allow" && verb != "deny") {
			return Policy{}, fmt.Errorf("rule %q: write allow: or deny:, and an address, a prefix such as 10.0.0.0/8, or one of %s", text, classNames())
		}
		r, err := addressesOf(what)
		if err != nil {
			return Policy{}, fmt.Errorf("rule %q: %w", text, err)
		}
		r.allow = verb == "allow"
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// addressesOf reads what a rule is about.
func addressesOf(what string) (rule, error) {
	for _, c := range append(named, refused...) {
		if c.name == what {
			return rule{class: c.name, prefixes: c.prefixes}, nil
		}
	}
	if prefix, err := netip.ParsePrefix(what); err == nil {
		// What is dialled is written as IPv4 where it is IPv4.
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		return rule{prefixes: []netip.Prefix{prefix}}, nil
	}
	if ip, err := netip.ParseAddr(what); err == nil {
		ip = ip.Unmap().WithZone("")
		return rule{prefixes: []netip.Prefix{netip.PrefixFrom(ip, ip.BitLen())}}, nil
	}
	return rule{}, fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8 nor one of %s", what, classNames())
}

func classNames() string {
	var names []string
	for _, c := range append(named, refused...) {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// Unrestricted is the policy for addresses that the operator chose.
func Unrestricted() Policy {
	return Policy{rules: []rule{{allow: true, prefixes: named[1].prefixes}}}
}

// Check says why an address may not be dialled; nil when it may.
func (p Policy) Check(ip netip.Addr) error {
	for _, form := range formsOf(ip) {
		if err := p.check(form); err != nil {
			return err
		}
	}
	return nil
}

func (p Policy) check(ip netip.Addr) error {
	class := p.classOf(ip)
	for _, r := range p.rules {
		switch {
		case !r.fits(ip, class):
		case r.allow:
			return nil
		default:
			return refusal("the address is")
		}
	}
	switch class {
	case "", "private":
		return nil
	case apiServer:
		return refusal("the API server is")
	default:
		return refusal(class + " addresses are")
	}
}

// apiServer is the class of the one address of the API server.
const apiServer = "API server"

// classOf is the narrowest class that an address is in; empty when none. What
// is no address is unspecified.
func (p Policy) classOf(ip netip.Addr) string {
	switch {
	case !ip.IsValid():
		return "unspecified"
	case ip == p.kubernetes:
		return apiServer
	}
	for _, c := range append(refused, named[0]) {
		if holds(c.prefixes, ip) {
			return c.name
		}
	}
	return ""
}

// refusedError is an address that may not be asked.
type refusedError string

// Error says why.
func (e refusedError) Error() string { return string(e) }

func refusal(what string) error {
	return refusedError(what + " refused by the address policy of the controller (--metric-address-policy)")
}

func holds(in []netip.Prefix, ip netip.Addr) bool {
	for _, prefix := range in {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// formsOf are an address and the IPv4 addresses that it carries, if any: a
// gateway for NAT64 or 6to4 would dial one of those.
func formsOf(ip netip.Addr) []netip.Addr {
	ip = ip.Unmap().WithZone("")
	forms := []netip.Addr{ip}
	if !ip.Is6() || ip.IsLoopback() || ip.IsUnspecified() {
		return forms
	}
	b := ip.As16()
	for _, c := range carriers {
		carried := netip.AddrFrom4([4]byte{b[c.at[0]], b[c.at[1]], b[c.at[2]], b[c.at[3]]})
		if c.prefix.Contains(ip) && (c.certain || b[c.at[0]] != 0) {
			forms = append(forms, carried)
		}
	}
	return forms
}

// carrier is a prefix of IPv6 addresses that carry an IPv4 address.
type carrier struct {
	prefix netip.Prefix
	// at is where the four bytes are.
	at [4]int
	// certain says that there is no other place where they may be. Where there
	// is, those that start with zero are none.
	certain bool
}

var carriers = []carrier{
	{netip.MustParsePrefix("64:ff9b::/96"), [4]int{12, 13, 14, 15}, true},    // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{12, 13, 14, 15}, false}, // NAT64 of a network's own, in every layout
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{9, 10, 11, 12}, false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{7, 9, 10, 11}, false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{6, 7, 9, 10}, false},
	{netip.MustParsePrefix("::/96"), [4]int{12, 13, 14, 15}, true},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), [4]int{12, 13, 14, 15}, true}, // IPv4-translated
	{netip.MustParsePrefix("2002::/16"), [4]int{2, 3, 4, 5}, true},           // 6to4
}
