package egress

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	cases := []struct {
		name, rules, address string
		want                 string // of the refusal; empty when it is allowed
	}{
		{"an address of the Internet is allowed", "", "192.0.2.1", ""},
		{"a private address is allowed", "", "10.0.0.1", ""},
		{"a private IPv6 address is allowed", "", "fd00::1", ""},
		{"loopback is refused", "", "127.0.0.1", "loopback addresses are refused by the address policy of the controller (--metric-address-policy)"},
		{"the API server is refused", "", "10.96.0.1", "the API server is refused"},
		{"the API server as IPv4 in IPv6 is refused", "", "::ffff:10.96.0.1", "the API server is refused"},
		{"no address is refused", "", "", "unspecified addresses are refused"},
		{"no address is refused whatever a prefix allows", "allow:0.0.0.0/0", "", "unspecified addresses are refused"},
		{"an allowed class is open", "allow:loopback", "127.0.0.1", ""},
		{"an allowed class is open in IPv6", "allow:loopback", "::1", ""},
		{"an allowed class opens no other", "allow:loopback", "169.254.169.254", "metadata addresses are refused"},
		{"an allowed address opens no other", "allow:127.0.0.1", "127.0.0.2", "loopback addresses are refused"},
		{"an allowed IPv6 address is open", "allow:::1", "::1", ""},
		{"an allowed address may have a zone", "allow:fe80::1%eth0", "fe80::1%eth1", ""},
		{"an allowed prefix is masked", "allow:127.0.0.9/8", "127.0.0.1", ""},
		{"an allowed prefix opens what is within", "allow:169.254.0.0/16", "169.254.169.254", ""},
		{"an allowed IPv4 prefix in IPv6 is one of IPv4", "allow:::ffff:127.0.0.0/104", "127.0.0.1", ""},
		{"a denied IPv4 prefix in IPv6 is one of IPv4", "deny:::ffff:10.0.0.0/104", "10.0.0.1", "the address is refused"},
		{"allow:link-local opens link-local", "allow:link-local", "169.254.20.10", ""},
		{"allow:link-local opens no metadata", "allow:link-local", "169.254.169.254", "metadata addresses are refused"},
		{"allow:link-local opens no metadata before deny:all", "allow:link-local deny:all", "169.254.169.254", "the address is refused"},
		{"allow:private opens no metadata", "allow:private", "fd00:ec2::254", "metadata addresses are refused"},
		{"allow:private opens no metadata of a shared range", "allow:private", "100.100.100.200", "metadata addresses are refused"},
		{"allow:private opens no API server", "allow:private", "10.96.0.1", "the API server is refused"},
		{"allow:metadata opens it", "allow:metadata", "169.254.169.254", ""},
		{"allow:unspecified opens it", "allow:unspecified", "0.0.0.0", ""},
		{"allow:multicast opens it", "allow:multicast", "224.0.0.1", ""},
		{"allow:all opens the metadata", "allow:all", "169.254.169.254", ""},
		{"allow:all opens the API server", "allow:all", "10.96.0.1", ""},
		{"an address allows the API server", "allow:10.96.0.1", "10.96.0.1", ""},
		{"deny:all refuses the Internet", "deny:all", "192.0.2.1", "the address is refused"},
		{"deny:all refuses IPv6", "deny:all", "2001:db8::1", "the address is refused"},
		{"deny:private refuses a private address", "deny:private", "192.168.1.1", "the address is refused"},
		{"deny:link-local refuses the metadata too", "deny:link-local allow:all", "169.254.169.254", "the address is refused"},
		{"the first of two decides: allow", "allow:10.0.0.0/8 deny:all", "10.0.0.1", ""},
		{"the first of two decides: deny", "deny:all allow:10.0.0.0/8", "10.0.0.1", "the address is refused"},
		{"a hole in an allowed prefix", "deny:10.1.0.0/16 allow:10.0.0.0/8 deny:all", "10.1.2.3", "the address is refused"},
		{"beside a hole in an allowed prefix", "deny:10.1.0.0/16 allow:10.0.0.0/8 deny:all", "10.2.2.3", ""},
		{"NAT64 of the Internet is allowed", "", "64:ff9b::192.0.2.1", ""},
		{"NAT64 of the metadata is refused", "", "64:ff9b::169.254.169.254", "metadata addresses are refused"},
		{"NAT64 of a denied address is refused", "deny:10.0.0.0/8", "64:ff9b::10.0.0.1", "the address is refused"},
		{"an allowed prefix of NAT64 opens no metadata", "allow:64:ff9b::/96", "64:ff9b::169.254.169.254", "metadata addresses are refused"},
		{"NAT64 of a network, with 32 more bits", "", "64:ff9b:1::169.254.169.254", "metadata addresses are refused"},
		{"NAT64 of a network, with 48 bits", "", "64:ff9b:1:a9fe:a9:fe00::", "addresses are refused"},
		{"NAT64 of a network, with 56 bits", "", "64:ff9b:1:a9:fe:a9fe::", "metadata addresses are refused"},
		{"NAT64 of a network, with 64 bits", "", "64:ff9b:1:0:a9:fea9:fe00:0", "metadata addresses are refused"},
		{"NAT64 of a network, of the Internet", "", "64:ff9b:1::192.0.2.1", ""},
		{"NAT64 of a network with 48 bits, of the Internet", "", "64:ff9b:1:c000:2:100::", ""},
		{"6to4 of loopback is refused", "", "2002:7f00:1::", "loopback addresses are refused"},
		{"6to4 of the Internet is allowed", "", "2002:c000:201::1", ""},
		{"IPv4-compatible loopback is refused", "allow:::1", "::127.0.0.1", "loopback addresses are refused"},
		{"IPv4-translated loopback is refused", "", "::ffff:0:127.0.0.1", "loopback addresses are refused"},
		{"a denied zone is refused", "", "fe80::1%eth0", "link-local addresses are refused"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var ip netip.Addr
			if c.address != "" {
				ip = netip.MustParseAddr(c.address)
			}
			err := policyOf(t, strings.Fields(c.rules)...).WithKubernetes("10.96.0.1").Check(ip)
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEveryDefaultIsRefused(t *testing.T) {
	for _, class := range refused {
		for _, prefix := range class.prefixes {
			if err := (Policy{}).Check(prefix.Addr()); err == nil {
				t.Errorf("%s of %s is allowed", prefix, class.name)
			}
			if err := policyOf(t, "allow:all").Check(prefix.Addr()); err != nil {
				t.Errorf("allow:all refuses %s of %s: %v", prefix, class.name, err)
			}
			if err := Unrestricted().Check(prefix.Addr()); err != nil {
				t.Errorf("without restriction, %s of %s is refused: %v", prefix, class.name, err)
			}
		}
	}
}

func TestAHostThatIsNoAddressIsNoAPIServer(t *testing.T) {
	for _, host := range []string{"", "kubernetes.default.svc"} {
		if err := (Policy{}).WithKubernetes(host).Check(netip.MustParseAddr("10.96.0.1")); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestBadRules(t *testing.T) {
	const classes = "one of private, all, metadata, link-local, loopback, unspecified, multicast"
	cases := []struct{ name, rule, want string }{
		{"nothing", "", `rule "": write allow: or deny:, and an address, a prefix such as 10.0.0.0/8, or ` + classes},
		{"no verb", "10.0.0.0/8", `rule "10.0.0.0/8": write allow: or deny:`},
		{"an unknown verb", "permit:all", `rule "permit:all": write allow: or deny:`},
		{"a verb in capitals", "ALLOW:all", `rule "ALLOW:all": write allow: or deny:`},
		{"an IPv6 address without a verb", "fd00::1", `rule "fd00::1": write allow: or deny:`},
		{"a verb alone", "allow:", `rule "allow:": "" is neither an address nor a prefix such as 10.0.0.0/8 nor ` + classes},
		{"an unknown class", "allow:localhost", `rule "allow:localhost": "localhost" is neither an address`},
		{"a name", "allow:metrics.example.com", `"metrics.example.com" is neither an address`},
		{"a URL", "allow:http://10.0.0.1", `"http://10.0.0.1" is neither an address`},
		{"a port", "allow:10.0.0.1:80", `"10.0.0.1:80" is neither an address`},
		{"a prefix that is too long", "allow:10.0.0.0/33", `"10.0.0.0/33" is neither an address`},
		{"a prefix of nothing", "deny:/8", `"/8" is neither an address`},
		{"half an address", "deny:10.0", `"10.0" is neither an address`},
		{"an octal address", "deny:010.0.0.1", `"010.0.0.1" is neither an address`},
		{"a space within", "deny: all", `" all" is neither an address`},
		{"two in one", "allow:loopback,deny:all", `"loopback,deny:all" is neither an address`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParsePolicy([]string{"allow:10.0.0.0/8", c.rule})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("rule %q: ", c.rule)) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestARuleMayHaveSpacesAround(t *testing.T) {
	if err := policyOf(t, " deny:all ").Check(netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("the rule was not read")
	}
}
