package egress

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// target is an address that leads where no metric may look. PORT in it is one
// at which this machine answers at all of its addresses.
type target struct {
	name, url string
	// want is part of the message; empty where it depends on the machine.
	want string
	// here says that it leads to this machine where the policy allows it.
	here bool
}

const notURL = "is not a URL such as http://metrics.example.com:8080"

var targets = []target{
	{"metadata of AWS", "http://169.254.169.254/latest/meta-data/", "metadata addresses are refused", false},
	{"metadata over TLS", "https://169.254.169.254/", "metadata addresses are refused", false},
	{"metadata at another port", "http://169.254.169.254:PORT/", "metadata addresses are refused", false},
	{"metadata of AWS in IPv6", "http://[fd00:ec2::254]/latest/meta-data/", "metadata addresses are refused", false},
	{"metadata in long IPv6", "http://[fd00:0ec2:0:0:0:0:0:0254]/", "metadata addresses are refused", false},
	{"credentials of ECS", "http://169.254.170.2/v2/credentials", "metadata addresses are refused", false},
	{"credentials of EKS", "http://169.254.170.23/v1/credentials", "metadata addresses are refused", false},
	{"credentials of EKS in IPv6", "http://[fd00:ec2::23]/v1/credentials", "metadata addresses are refused", false},
	{"metadata of Google in IPv6", "http://[fd20:ce::254]/computeMetadata/v1/", "metadata addresses are refused", false},
	{"metadata of Alibaba", "http://100.100.100.200/latest/meta-data/", "metadata addresses are refused", false},
	{"metadata of Alibaba in IPv6", "http://[fd00:100::100:200]/", "metadata addresses are refused", false},
	{"the host of Azure", "http://168.63.129.16/machine?comp=goalstate", "metadata addresses are refused", false},
	{"metadata of Oracle", "http://192.0.0.192/latest/", "metadata addresses are refused", false},
	{"metadata of Oracle in IPv6", "http://[fd00:c1::a9fe:a9fe]/opc/v2/", "metadata addresses are refused", false},
	{"metadata of Scaleway in IPv6", "http://[fd00:42::42]/conf", "metadata addresses are refused", false},
	{"metadata of Linode in IPv6", "http://[fd00:a9fe:a9fe::1]/v1/", "metadata addresses are refused", false},
	{"metadata of Tencent", "http://169.254.0.23/latest/", "link-local addresses are refused", false},
	{"metadata of Google by its name", "http://metadata.google.internal/computeMetadata/v1/", "metadata addresses are refused", false},
	{"metadata by a name with a dot", "http://metadata.google.internal./", "metadata addresses are refused", false},
	{"metadata by a short name", "http://metadata/computeMetadata/v1/", "metadata addresses are refused", false},
	{"metadata by a name of AWS", "http://instance-data/latest/", "metadata addresses are refused", false},
	{"metadata as IPv4 in IPv6", "http://[::ffff:169.254.169.254]/", "metadata addresses are refused", false},
	{"metadata as IPv4 in IPv6 in hex", "http://[::ffff:a9fe:a9fe]/", "metadata addresses are refused", false},
	{"metadata through NAT64", "http://[64:ff9b::169.254.169.254]/", "metadata addresses are refused", false},
	{"metadata through NAT64 of a network", "http://[64:ff9b:1::a9fe:a9fe]/", "metadata addresses are refused", false},
	{"metadata through 6to4", "http://[2002:a9fe:a9fe::1]/", "metadata addresses are refused", false},
	{"metadata in decimal", "http://2852039166/", "", false},
	{"metadata in hex", "http://0xa9fea9fe/", "", false},
	{"metadata in octal", "http://0251.0376.0251.0376/", "", false},
	{"link-local with a zone", "http://[fe80::a9fe:a9fe%25lo]:PORT/", "link-local addresses are refused", false},

	{"loopback", "http://127.0.0.1:PORT/", "loopback addresses are refused", true},
	{"loopback over TLS", "https://127.0.0.1:PORT/", "loopback addresses are refused", true},
	{"another loopback", "http://127.0.0.2:PORT/", "loopback addresses are refused", true},
	{"the last loopback", "http://127.255.255.254:PORT/", "loopback addresses are refused", true},
	{"localhost", "http://localhost:PORT/", "loopback addresses are refused", true},
	{"localhost in capitals", "http://LOCALHOST:PORT/", "loopback addresses are refused", true},
	{"localhost with a dot", "http://localhost.:PORT/", "loopback addresses are refused", true},
	{"a name below localhost", "http://metrics.localhost:PORT/", "loopback addresses are refused", true},
	{"loopback in IPv6", "http://[::1]:PORT/", "loopback addresses are refused", true},
	{"loopback in long IPv6", "http://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/", "loopback addresses are refused", true},
	{"loopback as IPv4 in IPv6", "http://[::ffff:127.0.0.1]:PORT/", "loopback addresses are refused", true},
	{"loopback as IPv4 in IPv6 in hex", "http://[::ffff:7f00:1]:PORT/", "loopback addresses are refused", true},
	{"loopback as IPv4-compatible", "http://[::127.0.0.1]:PORT/", "loopback addresses are refused", false},
	{"loopback as IPv4-translated", "http://[::ffff:0:127.0.0.1]:PORT/", "loopback addresses are refused", false},
	{"loopback through NAT64", "http://[64:ff9b::7f00:1]:PORT/", "loopback addresses are refused", false},
	{"loopback through 6to4", "http://[2002:7f00:1::1]:PORT/", "loopback addresses are refused", false},
	{"loopback in decimal", "http://2130706433:PORT/", "", false},
	{"loopback in hex", "http://0x7f000001:PORT/", "", false},
	{"loopback in octal", "http://017700000001:PORT/", "", false},
	{"loopback in octal with dots", "http://0177.0.0.1:PORT/", "", false},
	{"loopback in hex with dots", "http://0x7f.0x0.0x0.0x1:PORT/", "", false},
	{"loopback cut short", "http://127.1:PORT/", "", false},
	{"loopback with zeros", "http://127.000.000.001:PORT/", "", false},
	{"loopback with a dot", "http://127.0.0.1.:PORT/", "", false},
	{"loopback in wide letters", "http://１２７.０.０.１:PORT/", "loopback addresses are refused", true},
	{"loopback with wide dots", "http://127。0。0。1:PORT/", "loopback addresses are refused", true},
	{"loopback in escapes", "http://%31%32%37.0.0.1:PORT/", notURL, false},
	{"every address", "http://0.0.0.0:PORT/", "unspecified addresses are refused", true},
	{"every address in IPv6", "http://[::]:PORT/", "unspecified addresses are refused", true},
	{"every address in decimal", "http://0:PORT/", "", false},
	{"an address of this network", "http://0.0.0.1:PORT/", "unspecified addresses are refused", false},
	{"no host", "http://:PORT/", notURL, false},
	{"multicast", "http://224.0.0.1:PORT/", "multicast addresses are refused", false},
	{"multicast in IPv6", "http://[ff02::1]:PORT/", "multicast addresses are refused", false},
	{"broadcast", "http://255.255.255.255:PORT/", "multicast addresses are refused", false},

	{"the API server", "https://10.96.0.1/api/v1/secrets", "the API server is refused", false},
	{"the API server at another port", "https://10.96.0.1:6443/", "the API server is refused", false},
	{"the API server by its name", "https://kubernetes.default.svc/api", "the API server is refused", false},
	{"the API server as IPv4 in IPv6", "https://[::ffff:10.96.0.1]/", "the API server is refused", false},
	{"the API server through NAT64", "https://[64:ff9b::10.96.0.1]/", "the API server is refused", false},

	{"a name of loopback", "http://loopback.test:PORT/", "loopback addresses are refused", true},
	{"a name of loopback in IPv6", "http://loopback6.test:PORT/", "loopback addresses are refused", true},
	{"a name of both loopbacks", "http://both.test:PORT/", "loopback addresses are refused", true},
	{"a name of IPv4 in IPv6", "http://mapped.test:PORT/", "loopback addresses are refused", true},
	{"a name of every address", "http://zero.test:PORT/", "unspecified addresses are refused", true},
	{"a name of NAT64", "http://nat64.test:PORT/", "metadata addresses are refused", false},
	{"a name with an address in it", "http://127.0.0.1.test:PORT/", "loopback addresses are refused", true},

	{"a user that looks like a host", "http://metrics.example.com@127.0.0.1:PORT/", "loopback addresses are refused", true},
	{"a user and a password", "http://me:" + leak + "@127.0.0.1:PORT/", "loopback addresses are refused", true},
	{"a user that looks like a host and a port", "http://metrics.example.com:80@127.0.0.1:PORT/", "loopback addresses are refused", true},
	{"a fragment that looks like a host", "http://127.0.0.1:PORT#@metrics.example.com/", "loopback addresses are refused", true},
	{"a query that looks like a host", "http://127.0.0.1:PORT?@metrics.example.com/", "loopback addresses are refused", true},
	{"a backslash", `http://metrics.example.com\@127.0.0.1:PORT/`, notURL, false},
	{"two ports", "http://127.0.0.1:80:PORT/", "", false},
	{"a line in the path", "http://127.0.0.1:PORT/\r\nHost: metrics.example.com", notURL, false},
	{"a line in the host", "http://127.0.0.1\r\n:PORT/", notURL, false},
	{"an escaped line in the path", "http://127.0.0.1:PORT/%0d%0aHost:%20x", "loopback addresses are refused", true},
	{"a tab", "http://127.0.0.1\t:PORT/", notURL, false},
	{"a space", "http://127.0.0.1 :PORT/", notURL, false},
	{"a zero byte", "http://127.0.0.1:PORT/\x00", notURL, false},

	{"a file", "file:///etc/passwd", notURL, false},
	{"a file of a host", "file://127.0.0.1/etc/passwd", notURL, false},
	{"a socket", "unix:///var/run/docker.sock", notURL, false},
	{"a socket behind a host", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", notURL, false},
	{"gopher", "gopher://127.0.0.1:PORT/_GET", notURL, false},
	{"a dictionary", "dict://127.0.0.1:PORT/info", notURL, false},
	{"FTP", "ftp://127.0.0.1:PORT/", notURL, false},
	{"LDAP", "ldap://127.0.0.1:PORT/", notURL, false},
	{"data", "data:application/json,1", notURL, false},
	{"no scheme", "127.0.0.1:PORT", notURL, false},
	{"a relative scheme", "//127.0.0.1:PORT/", notURL, false},
	{"no slashes", "http:127.0.0.1:PORT", notURL, false},
	{"too many slashes", "http:///127.0.0.1:PORT/", notURL, false},
	{"nothing", "", notURL, false},
}

var names = zone{
	"metadata.google.internal": always("169.254.169.254"),
	"metadata":                 always("169.254.169.254"),
	"instance-data":            always("169.254.169.254"),
	"kubernetes.default.svc":   always("10.96.0.1"),
	"metrics.localhost":        always("127.0.0.1"),
	"loopback.test":            always("127.0.0.1"),
	"loopback6.test":           always("::1"),
	"both.test":                always("127.0.0.1", "::1"),
	"mapped.test":              always("::ffff:127.0.0.1"),
	"zero.test":                always("0.0.0.0"),
	"nat64.test":               always("64:ff9b::169.254.169.254"),
	"127.0.0.1.test":           always("127.0.0.1"),
	"localhost":                always("127.0.0.1"), // with a dot it is no name of this machine
}

func ask(t testing.TB, c *Client, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := c.Ask(ctx, Request{URL: url})
	return err
}

func TestNoMetricReachesWhatIsRefused(t *testing.T) {
	resolveBy(t, names)
	sink, ipv6 := listen(t, ":0"), speaksIPv6()
	guarded, open := New(Policy{}.WithKubernetes("10.96.0.1")), New(Unrestricted())
	for _, c := range targets {
		t.Run(c.name, func(t *testing.T) {
			if !ipv6 && (strings.Contains(c.url, "[") || strings.Contains(c.url, "6.test")) {
				t.Skip("this machine has no IPv6")
			}
			url, before := strings.ReplaceAll(c.url, "PORT", sink.port), sink.count.Load()
			err := ask(t, guarded, url)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(Explain("web", err).Error(), leak) {
				t.Errorf("the message repeats the URL: %v", Explain("web", err))
			}
			if n := sink.count.Load() - before; n != 0 {
				t.Errorf("%d connections arrived", n)
			}
			if !c.here {
				return
			}
			_ = ask(t, open, url)
			open.strict.CloseIdleConnections()
			if sink.count.Load() == before {
				t.Error("without the policy it does not arrive either, so the case shows nothing")
			}
		})
	}
}

func TestWhatIsAllowedIsReached(t *testing.T) {
	resolveBy(t, names)
	sink := listen(t, ":0")
	cases := []struct{ name, rules, url string }{
		{"a class", "allow:loopback", "http://127.0.0.1:PORT/"},
		{"a class by a name", "allow:loopback", "http://loopback.test:PORT/"},
		{"a class in IPv6", "allow:loopback", "http://[::1]:PORT/"},
		{"a class by a name of IPv6", "allow:loopback", "http://loopback6.test:PORT/"},
		{"an address", "allow:127.0.0.1 deny:all", "http://127.0.0.1:PORT/"},
		{"an address as IPv4 in IPv6", "allow:127.0.0.1 deny:all", "http://[::ffff:127.0.0.1]:PORT/"},
		{"the address that is allowed of two", "allow:127.0.0.1 deny:all", "http://both.test:PORT/"},
		{"the other address of two", "allow:::1 deny:all", "http://both.test:PORT/"},
		{"every address of this machine", "allow:unspecified", "http://0.0.0.0:PORT/"},
		{"all", "allow:all", "http://localhost:PORT/"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if !speaksIPv6() && (strings.Contains(c.url, "[::1]") || strings.Contains(c.url, "6.test") || strings.Contains(c.rules, "::1")) {
				t.Skip("this machine has no IPv6")
			}
			before := sink.count.Load()
			if err := ask(t, New(policyOf(t, strings.Fields(c.rules)...)), strings.ReplaceAll(c.url, "PORT", sink.port)); err != nil {
				t.Error(err)
			}
			if n := sink.count.Load() - before; n != 1 {
				t.Errorf("%d connections arrived", n)
			}
		})
	}
}

// A name that resolves to what is allowed when it is looked at, and to what is
// refused when it is dialled, is dialled at what was looked at.
func TestADNSThatChangesItsMindReachesNothingElse(t *testing.T) {
	fine := listen(t, "127.0.0.1:0")
	sink := listen(t, "127.0.0.2:"+fine.port)
	resolveBy(t, zone{"mind.test": func(n int) []string {
		if n%2 == 1 {
			return []string{"127.0.0.1"}
		}
		return []string{"127.0.0.2"}
	}})
	c := New(policyOf(t, "allow:127.0.0.1"))
	for n := range 6 {
		err := ask(t, c, "http://mind.test:"+fine.port)
		c.strict.CloseIdleConnections()
		if refused := err != nil && strings.Contains(err.Error(), "loopback addresses are refused"); refused != (n%2 == 1) || (err == nil) == refused {
			t.Errorf("question %d: got %v", n+1, err)
		}
	}
	if n := fine.count.Load(); n != 3 {
		t.Errorf("%d connections to what is allowed, want 3", n)
	}
	if n := sink.count.Load(); n != 0 {
		t.Errorf("%d connections to what is refused", n)
	}
}

func TestARedirectLeadsNowhereElse(t *testing.T) {
	sink, other := listen(t, ":0"), serve(t, says("{}"))
	targets := []struct{ name, location, want string }{
		{"a refused address", "http://127.0.0.2:" + sink.port + "/", "redirects to another host"},
		{"metadata", "http://169.254.169.254/" + leak, "redirects to another host"},
		{"a host that is allowed", other, "redirects to another host"},
		{"another port", "http://127.0.0.1:" + sink.port + "/", "redirects to another host"},
		{"another scheme", "https://SELF/", "redirects to another host"},
		{"a host without a scheme", "//127.0.0.2:" + sink.port + "/", "redirects to another host"},
		{"a user before another host", "http://SELF@127.0.0.2:" + sink.port + "/", "redirects to another host"},
		{"another name of the host", "http://localhost:" + sink.port + "/", "redirects to another host"},
		{"a file", "file:///etc/passwd", "redirects to another host"},
		{"gopher", "gopher://SELF/", "redirects to another host"},
		{"what is no URL", "http://[" + leak, "redirects to what is not a URL"},
		{"itself", "/", "stopped after 5 redirects"},
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, c := range targets {
			t.Run(fmt.Sprintf("%d to %s", code, c.name), func(t *testing.T) {
				asked := 0
				server := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if asked++; asked > 20 {
						return
					}
					w.Header().Set("Location", strings.ReplaceAll(c.location, "SELF", r.Host))
					w.WriteHeader(code)
				})
				body := []byte("what is asked")
				_, err := New(policyOf(t, "allow:127.0.0.1")).Ask(t.Context(), Request{Method: http.MethodPost, URL: server, Body: body})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				if strings.Contains(Explain("web", err).Error(), leak) {
					t.Errorf("the message repeats the server: %v", Explain("web", err))
				}
				if want := map[bool]int{true: 6, false: 1}[c.name == "itself"]; asked != want {
					t.Errorf("the server was asked %d times, want %d", asked, want)
				}
			})
		}
	}
	if n := sink.count.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

// A redirect to the same name is dialled again, and checked again.
func TestARedirectToAHostThatMovedIsRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	sink := listen(t, "127.0.0.2:"+port)
	resolveBy(t, zone{"mind.test": func(n int) []string { return []string{fmt.Sprintf("127.0.0.%d", min(n, 2))} }})
	err := ask(t, New(policyOf(t, "allow:127.0.0.1")), "http://mind.test:"+port)
	if err == nil || !strings.Contains(err.Error(), "loopback addresses are refused") {
		t.Errorf("got %v", err)
	}
	if n := sink.count.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
}

func TestFiveRedirectsOnAHostAreFollowed(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/xxxxx" {
			fmt.Fprintf(w, "%s %s", r.Method, r.Header.Get("X-Key"))
			return
		}
		http.Redirect(w, r, r.URL.Path+"x", http.StatusPermanentRedirect)
	})
	got, err := New(policyOf(t, "allow:loopback")).Ask(t.Context(), Request{
		Method: http.MethodPut, URL: server, Header: http.Header{"X-Key": {"mine"}}, Body: []byte("{}"),
	})
	if err != nil || string(got) != "PUT mine" {
		t.Errorf("got %q and %v", got, err)
	}
}

// The environment is read once in a process, so this one starts another.
func TestProxiesOfTheEnvironment(t *testing.T) {
	child := exec.Command(os.Args[0], "-test.run=^TestBehindAProxy$", "-test.v")
	child.Env = append(os.Environ(), "HEADWAY_TEST_BEHIND_A_PROXY=yes")
	if said, err := child.CombinedOutput(); err != nil || !strings.Contains(string(said), "--- PASS: TestBehindAProxy ") {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestBehindAProxy(t *testing.T) {
	if os.Getenv("HEADWAY_TEST_BEHIND_A_PROXY") == "" {
		t.Skip("TestProxiesOfTheEnvironment runs it")
	}
	var asked string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.RequestURI
		fmt.Fprint(w, "{}")
	})
	for _, key := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(key, proxy)
	}
	t.Setenv("NO_PROXY", "direct.test")
	t.Setenv("no_proxy", "direct.test")
	resolveBy(t, zone{"direct.test": always("169.254.169.254")})
	cases := []struct{ name, url, asked, want string }{
		{"a name", "http://metrics.example.com/x", "GET http://metrics.example.com/x", ""},
		{"a name with a dot", "http://metrics.example.com./x", "GET http://metrics.example.com./x", ""},
		{"an address", "http://192.0.2.7:90/x", "GET http://192.0.2.7:90/x", ""},
		{"a name over TLS", "https://metrics.example.com/x", "CONNECT metrics.example.com:443", "HTTP"},
		{"metadata", "http://169.254.169.254/", "", "metadata addresses are refused"},
		{"metadata over TLS", "https://169.254.169.254/", "", "metadata addresses are refused"},
		{"metadata in IPv6", "http://[fd00:ec2::254]/", "", "metadata addresses are refused"},
		{"metadata as IPv4 in IPv6", "http://[::ffff:a9fe:a9fe]/", "", "metadata addresses are refused"},
		{"the API server", "http://10.96.0.1/", "", "the API server is refused"},
		{"a decimal", "http://2852039166/", "", "as a name in ASCII"},
		{"a hex", "http://0xa9fea9fe/", "", "as a name in ASCII"},
		{"an octal", "http://0251.0376.0251.0376/", "", "as a name in ASCII"},
		{"an octal with a dot", "http://0251.0376.0251.0376./", "", "as a name in ASCII"},
		{"a hex at the end", "http://169.254.169.0XfE/", "", "as a name in ASCII"},
		{"an address with a dot", "http://169.254.169.254./", "", "as a name in ASCII"},
		{"wide letters", "http://１６９.254.169.254/", "", "as a name in ASCII"},
		{"wide dots", "http://metrics。example。com/", "", "as a name in ASCII"},
		{"no proxy for loopback", "http://127.0.0.1/", "", "loopback addresses are refused"},
		{"no proxy for a name", "http://direct.test/", "", "metadata addresses are refused"},
		{"the proxy itself", proxy + "/stats", "", "the controller's own proxy"},
	}
	c := New(Policy{}.WithKubernetes("10.96.0.1"))
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			asked = ""
			err := ask(t, c, each.url)
			if (err == nil) != (each.want == "") || (err != nil && !strings.Contains(err.Error(), each.want)) || asked != each.asked {
				t.Errorf("got %v and asked %q, want %q and %q", err, asked, each.want, each.asked)
			}
		})
	}
}
