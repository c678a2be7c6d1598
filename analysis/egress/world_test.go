package egress

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// leak is a text of a server that must not reach a message.
const leak = "SECRET-OF-THE-SERVER"

// TestMain takes the proxies of whoever runs the tests out of the environment.
func TestMain(m *testing.M) {
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		_, _ = os.Unsetenv(name), os.Unsetenv(strings.ToUpper(name))
	}
	os.Exit(m.Run())
}

func policyOf(t testing.TB, rules ...string) Policy {
	t.Helper()
	p, err := ParsePolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve answers on this machine, at an address that the rule allow:loopback allows.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func says(text string) http.HandlerFunc {
	body := []byte(text)
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }
}

// sink counts the connections that reach this machine at any of its addresses.
type sink struct {
	port  string
	count atomic.Int32
}

func listen(t testing.TB, address string) *sink {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip("this machine has no such address:", err)
	}
	var s sink
	_, s.port, _ = net.SplitHostPort(listener.Addr().String())
	server := httptest.NewUnstartedServer(says("{}"))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.count.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return &s
}

// speaksIPv6 reports whether this machine does.
func speaksIPv6() bool {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}

// zone answers the DNS of a test: the addresses of a name at the nth time.
type zone map[string]func(n int) []string

func always(addresses ...string) func(int) []string {
	return func(int) []string { return addresses }
}

// resolveBy has all names of a test resolved by a zone.
func resolveBy(t testing.TB, names zone) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		names.answer(server)
	}()
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = server.Close()
		<-done
	})
}

func (z zone) answer(server net.PacketConn) {
	asked, packet := map[string]int{}, make([]byte, 1024)
	for {
		n, from, err := server.ReadFrom(packet)
		if err != nil {
			return
		}
		name, kind, end := question(packet[:n])
		of := z[name]
		if of == nil {
			_, _ = server.WriteTo(message(packet[:end], 3, nil), from) // there is no such name
			continue
		}
		key := name + string(rune(kind))
		asked[key]++
		_, _ = server.WriteTo(message(packet[:end], 0, recordsOf(kind, of(asked[key]))), from)
	}
}

// question is the name and the type that a packet asks for, and where it ends.
func question(packet []byte) (name string, kind uint16, end int) {
	var labels []string
	at := 12
	for packet[at] != 0 {
		labels = append(labels, string(packet[at+1:at+1+int(packet[at])]))
		at += 1 + int(packet[at])
	}
	return strings.ToLower(strings.Join(labels, ".")), binary.BigEndian.Uint16(packet[at+1:]), at + 5
}

// recordsOf are addresses of one type, A or AAAA, as a packet has them.
func recordsOf(kind uint16, addresses []string) [][]byte {
	var out [][]byte
	for _, address := range addresses {
		ip := netip.MustParseAddr(address)
		if (kind == 1 && ip.Is4()) || (kind == 28 && ip.Is6()) {
			record := binary.BigEndian.AppendUint16([]byte{0xc0, 12}, kind) // of the name in the question
			record = append(record, 0, 1, 0, 0, 0, 0)                       // of the Internet, for no time
			record = binary.BigEndian.AppendUint16(record, uint16(ip.BitLen()/8))
			out = append(out, append(record, ip.AsSlice()...))
		}
	}
	return out
}

func message(asked []byte, code byte, records [][]byte) []byte {
	out := append([]byte{asked[0], asked[1], 0x81, 0x80 | code, 0, 1, 0, byte(len(records)), 0, 0, 0, 0}, asked[12:]...)
	for _, record := range records {
		out = append(out, record...)
	}
	return out
}
