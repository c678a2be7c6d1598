package egress

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// maxGrowth is how much memory one bad reply may take, the server's part included.
const maxGrowth = 16 << 20

// raw answers with the bytes that a function writes, and ends the connection.
func raw(write func(w io.Writer, gone <-chan struct{})) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }()
		gone := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			close(gone)
		}()
		write(conn, gone)
	}
}

func bytesOf(text string) http.HandlerFunc {
	return raw(func(w io.Writer, _ <-chan struct{}) { _, _ = io.WriteString(w, text) })
}

// withoutEnd writes a start, and then a part again and again, for 1 GB or as
// long as somebody listens.
func withoutEnd(start, part string) http.HandlerFunc {
	chunk := []byte(strings.Repeat(part, max(1, 32<<10/len(part))))
	return raw(func(w io.Writer, _ <-chan struct{}) {
		_, err := io.WriteString(w, start)
		for sent := 0; sent < 1<<30 && err == nil; sent += len(chunk) {
			_, err = w.Write(chunk)
		}
	})
}

// drip writes a start, and then a part every other millisecond, for seconds.
func drip(start, part string) http.HandlerFunc {
	return raw(func(w io.Writer, gone <-chan struct{}) {
		_, err := io.WriteString(w, start)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := 0; n < 2000 && err == nil; n++ {
			select {
			case <-tick.C:
				_, err = io.WriteString(w, part)
			case <-gone:
				return
			}
		}
	})
}

// encoded answers with a body that is said to be packed.
func encoded(as string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", as)
		_, _ = w.Write(body)
	}
}

// packed is a text as often as said, in gzip.
func packed(text string, times int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for range times {
		_, _ = io.WriteString(w, text)
	}
	_ = w.Close()
	return out.Bytes()
}

func deflated(text string) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return out.Bytes()
}

// labels is an object of n labels.
func labels(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `,"l%d":"x"`, i)
	}
	return "{" + out.String()[1:] + "}"
}

func nested(opening, closing string, n int) string {
	return strings.Repeat(opening, n) + "1" + strings.Repeat(closing, n)
}

const (
	ok       = "HTTP/1.1 200 OK\r\n"
	chunked  = ok + "Transfer-Encoding: chunked\r\n\r\n"
	tooLarge = "the reply is larger than 1 MiB; make the query return less"
	tooMany  = "the reply has more than 100000 parts; make the query return less"
	tooNest  = "the reply nests lists and objects more than 100 deep"
	notJSON  = "the reply is not the JSON that was expected"
	notHTTP  = "the reply is not the HTTP that was expected"
	cutShort = "the server ended the connection before the reply was complete"
	inTime   = "context deadline exceeded"
)

// bomb is a reply that is meant to hurt, and the message it leads to.
type bomb struct {
	name  string
	serve http.HandlerFunc
	want  string
}

func bombs() []bomb {
	mega, deep := strings.Repeat("x", 1<<20), strings.Repeat("[", 10_000)
	bomb64 := packed(mega, 64)
	return []bomb{
		{"1 GB", withoutEnd(ok+"\r\n", "x"), tooLarge},
		{"1 GB with its length", withoutEnd(ok+"Content-Length: 1073741824\r\n\r\n", "x"), tooLarge},
		{"1 GB of spaces", withoutEnd(ok+"\r\n", " "), tooLarge},
		{"1 GB after a value", withoutEnd(ok+"\r\n1", "\n"), tooLarge},
		{"1 GB with an error", withoutEnd("HTTP/1.1 500 Internal Server Error\r\n\r\n", leak), tooLarge},
		{"1 GB with a redirect", withoutEnd("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", leak), tooLarge},
		{"a byte more than is read", says(`"` + mega[:MaxBody-1] + `"`), tooLarge},
		{"gzip of 1000 to 1", encoded("gzip", bomb64), tooLarge},
		{"gzip of many parts", encoded("gzip", bytes.Repeat(packed(mega, 1), 1000)), tooLarge},
		{"gzip of 1000 to 1 with an error", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write(bomb64)
		}, tooLarge},
		{"gzip in gzip", encoded("gzip", packed(string(bomb64), 1)), notJSON},
		{"gzip in gzip, named twice", encoded("gzip, gzip", packed(string(bomb64), 1)), notJSON},
		{"gzip that is none", encoded("gzip", []byte(leak+leak)), notHTTP},
		{"gzip that is cut", encoded("gzip", packed(leak, 1000)[:40]), cutShort},
		{"gzip with a wrong sum", encoded("gzip", append(packed(leak, 9)[:len(packed(leak, 9))-8], "xxxxxxxx"...)), notHTTP},
		{"deflate that nobody asked for", encoded("deflate", deflated(mega)), notJSON},
		{"a byte now and then", drip(ok+"\r\n", " "), inTime},
		{"a chunk now and then", drip(chunked, "1\r\nx\r\n"), inTime},
		{"gzip now and then", drip(ok+"Content-Encoding: gzip\r\n\r\n"+string(packed(leak, 1)[:10]), "\x00\x00\x00\xff\xff"), inTime},
		{"a header now and then", drip(ok, "X-A: b\r\n"), inTime},
		{"a letter of the status now and then", drip("HTTP/1.1 200 ", "O"), inTime},
		{"nothing at all", drip("", ""), inTime},
		{"nothing after the header", drip(ok+"Content-Length: 9\r\n\r\n", ""), inTime},
		{"another protocol now and then", drip("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", leak), "switches to another protocol than HTTP"},
		{"another protocol that is not named", drip("HTTP/1.1 101 Switching Protocols\r\n\r\n", leak), "switches to another protocol than HTTP"},
		{"1e5 labels", says(labels(100_002)), tooLarge},
		{"1e6 labels", says(labels(1_000_000)), tooLarge},
		{"1e5 small labels", says("{" + strings.Repeat(`"":1,`, 100_001) + `"":1}`), tooMany},
		{"1e6 small labels in gzip", encoded("gzip", packed(`"a":1,`, 1_000_000)), tooLarge},
		{"1e5 empty objects", says("[" + strings.Repeat("{},", 100_001) + "{}]"), tooMany},
		{"1e5 commas in a text", says(`"` + strings.Repeat(",", 100_001) + `"`), tooMany},
		{"10k lists deep", says(nested("[", "]", 10_000)), tooNest},
		{"10k objects deep", says(nested(`{"a":`, "}", 10_000)), tooNest},
		{"10k lists that do not close", says(deep), tooNest},
		{"10k lists that close first", says(strings.Repeat("]", 10_000) + deep), tooNest},
		{"10k lists deep in gzip", encoded("gzip", packed("[", 10_000)), tooNest},
		{"10k lists deep with an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, deep, http.StatusBadRequest) }, tooNest},
		{"101 lists deep", says(nested("[", "]", 101)), tooNest},
		{"lists after a text with a quote", says(`["\"",` + deep), tooNest},
		{"NaN", says(`{"v":NaN}`), notJSON},
		{"infinity", says(`{"v":-Infinity}`), notJSON},
		{"1e400", says(`{"v":1e400}`), notJSON},
		{"a million digits", says(strings.Repeat("9", 1_000_000)), notJSON},
		{"a hex number", says(`{"v":0x10}`), notJSON},
		{"nothing", says(""), notJSON},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, notJSON},
		{"zero bytes", says(strings.Repeat("\x00", 1000)), notJSON},
		{"a mark of the byte order", says("\xef\xbb\xbf{}"), notJSON},
		{"UTF-16", says("\xff\xfe{\x00}\x00"), notJSON},
		{"two values", says("{}{}"), notJSON},
		{"a page", says("<html>" + leak + "</html>"), notJSON},
		{"half of a value", says(`{"` + leak + `":`), notJSON},
		{"headers without end", withoutEnd(ok, "X-A: "+leak+"\r\n"), notHTTP},
		{"a header without end", withoutEnd(ok+"X-A: ", leak), notHTTP},
		{"a status without end", withoutEnd("HTTP/1.1 200 ", leak), notHTTP},
		{"a version without end", withoutEnd("", leak), notHTTP},
		{"a header without a colon", bytesOf(ok + leak + "\r\n\r\n{}"), notHTTP},
		{"a header with a zero byte", bytesOf(ok + "X-A: \x00" + leak + "\r\n\r\n{}"), notHTTP},
		{"trailers without end", withoutEnd(ok+"Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n2\r\n{}\r\n0\r\n", "X-A: "+leak+"\r\n"), notHTTP},
		{"a trailer without a colon", bytesOf(chunked + "2\r\n{}\r\n0\r\n" + leak + "\r\n\r\n"), notHTTP},
		{"early hints without end", withoutEnd("", "HTTP/1.1 103 Early Hints\r\nLink: "+leak+"\r\n\r\n"), notHTTP},
		{"a length that is too long", bytesOf(ok + "Content-Length: 100\r\n\r\n{}"), cutShort},
		{"a length that is too short", bytesOf(ok + "Content-Length: 3\r\n\r\n{\"v\":1}"), notJSON},
		{"a length below zero", bytesOf(ok + "Content-Length: -1\r\n\r\n{}"), notHTTP},
		{"a length that is none", bytesOf(ok + "Content-Length: " + leak + "\r\n\r\n{}"), notHTTP},
		{"two lengths", bytesOf(ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), notHTTP},
		{"a length beyond all numbers", bytesOf(ok + "Content-Length: 99999999999999999999\r\n\r\n{}"), notHTTP},
		{"chunks without end", withoutEnd(chunked, "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n"), tooLarge},
		{"small chunks without end", withoutEnd(chunked, "1\r\nx\r\n"), tooLarge},
		{"a chunk that is cut", bytesOf(chunked + "10\r\n{}"), cutShort},
		{"a chunk beyond all numbers", bytesOf(chunked + "fffffffffffffffff\r\n{}"), notHTTP},
		{"a chunk of exabytes", withoutEnd(chunked+"7fffffffffffffff\r\n", "x"), tooLarge},
		{"a chunk without a length", bytesOf(chunked + leak + "\r\n"), notHTTP},
		{"a length of a chunk without end", withoutEnd(chunked, "0"), notHTTP},
		{"an extension of a chunk without end", withoutEnd(chunked+"1;a=", leak), notHTTP},
		{"no last chunk", bytesOf(chunked + "2\r\n{}\r\n"), cutShort},
		{"another transfer encoding", bytesOf(ok + "Transfer-Encoding: " + leak + "\r\n\r\n{}"), notHTTP},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }, "stopped after 5 redirects"},
		{"a redirect to a text", bytesOf("HTTP/1.1 302 Found\r\nLocation: http://[" + leak + "\r\nContent-Length: 0\r\n\r\n"), "redirects to what is not a URL"},
		{"a greeting of another protocol", bytesOf("SSH-2.0-" + leak + "\r\n"), notHTTP},
		{"a greeting without a line", bytesOf(leak), notHTTP},
		{"an unknown version", bytesOf("HTTP/x 200 " + leak + "\r\n\r\n{}"), notHTTP},
		{"a status of no number", bytesOf("HTTP/1.1 " + leak + "\r\n\r\n{}"), notHTTP},
		{"a status of four numbers", bytesOf("HTTP/1.1 2000 OK\r\n\r\n{}"), notHTTP},
		{"an unknown status", bytesOf("HTTP/1.1 999 " + leak + "\r\n\r\n" + leak), "the server answered with status 999"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, leak, http.StatusTeapot) }, "the server answered with status 418 I'm a teapot"},
		{"TLS", bytesOf("\x15\x03\x01\x00\x02\x02\x46"), notHTTP},
		{"HTTP/2", bytesOf("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), notHTTP},
		{"a connection that is closed", bytesOf(""), cutShort},
		{"a connection that breaks", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}, "connection reset by peer"},
	}
}

func TestNoReplyHurts(t *testing.T) {
	c := New(policyOf(t, "allow:loopback"))
	for _, b := range bombs() {
		t.Run(b.name, func(t *testing.T) {
			limit := 10 * time.Second
			if b.want == inTime {
				limit = 150 * time.Millisecond
			}
			url := serve(t, b.serve)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			err := c.AskJSON(ctx, Request{URL: url}, new(any))
			took := time.Since(start)
			runtime.ReadMemStats(&after)

			if err == nil || !strings.Contains(err.Error(), b.want) {
				t.Errorf("got %v, want %q", err, b.want)
			}
			if (b.want == inTime) != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("whether %v is about time is not what it should be", err)
			}
			if err != nil && (strings.Contains(err.Error(), leak) || strings.Contains(Explain("web", err).Error(), leak)) {
				t.Errorf("the message repeats the server: %v", err)
			}
			if took > limit+5*time.Second {
				t.Errorf("took %s with a limit of %s", took, limit)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > maxGrowth {
				t.Errorf("took %d bytes of memory", grown)
			}
		})
	}
}

func TestWhatOnlyLooksLikeABombIsRead(t *testing.T) {
	text := strings.Repeat("[{", 10_000)
	cases := []struct {
		name  string
		serve http.HandlerFunc
		want  any
	}{
		{"brackets in a text", says(`"` + text + `"`), text},
		{"brackets after a quote in a text", says(`"\"` + text + `"`), `"` + text},
		{"brackets after a backslash in a text", says(`"\\` + text + `"`), `\` + text},
		{"brackets in a key", says(`{"` + text + `":1}`), map[string]any{text: 1.0}},
		{"100 lists deep", says(nested("[", "]", 100)), lists(100)},
		{"as many bytes as are read", says(`"` + strings.Repeat("x", MaxBody-2) + `"`), strings.Repeat("x", MaxBody-2)},
		{"as many parts as are read", says(`"` + strings.Repeat(",", MaxParts) + `"`), strings.Repeat(",", MaxParts)},
		{"a key twice, where the last one wins", says(`{"v":1,"v":2}`), map[string]any{"v": 2.0}},
		{"a key 50k times", says(`{` + strings.Repeat(`"v":1,`, 50_000) + `"v":2}`), map[string]any{"v": 2.0}},
		{"a small number of a million digits", says("0." + strings.Repeat("0", 1_000_000)), 0.0},
		{"a large number", says("1e308"), 1e308},
		{"gzip", encoded("gzip", packed("1", 1)), 1.0},
		{"gzip of a text", encoded("gzip", packed("1", 300)), 1.1111111111111112e299},
		{"chunks", bytesOf(chunked + "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"), map[string]any{}},
		{"a reply without a length", bytesOf(ok + "\r\n{}"), map[string]any{}},
		{"a hint before", bytesOf("HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\n{}"), map[string]any{}},
		{"another success", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "1")
		}, 1.0},
		{"a text that is not UTF-8", says("\"\xff\""), "\ufffd"},
		{"null", says("null"), nil},
	}
	c := New(policyOf(t, "allow:loopback"))
	for _, each := range cases {
		t.Run(each.name, func(t *testing.T) {
			var got any
			if err := c.AskJSON(t.Context(), Request{URL: serve(t, each.serve)}, &got); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(each.want) {
				t.Errorf("got %.100v, want %.100v", got, each.want)
			}
		})
	}
}

// lists are lists in lists, and a 1.
func lists(n int) any {
	out := any(1.0)
	for range n {
		out = []any{out}
	}
	return out
}
