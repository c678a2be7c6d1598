package egress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzResponse answers with any status, header and body, well formed or not.
// Whatever it is, what comes back is within the limits, soon, and no error
// tells what the server sent.
func FuzzResponse(f *testing.F) {
	f.Add("HTTP/1.1 200 OK", "Content-Type: application/json", []byte(`{"a":[1,2,{"b":null}]}`))
	f.Add("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", []byte("2\r\n{}\r\n0\r\nX-A: b\r\n\r\n"))
	f.Add("HTTP/1.1 200 OK", "Content-Encoding: gzip", packed("[", 300))
	f.Add("HTTP/1.1 200 OK", "Content-Length: 4", []byte("1e400"))
	f.Add("HTTP/1.1 302 Found", "Location: http://169.254.169.254/"+leak, []byte(leak))
	f.Add("HTTP/1.1 302 Found", "Location: http://["+leak, []byte(leak))
	f.Add("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: "+leak, []byte(leak))
	f.Add("HTTP/1.1 103 Early Hints", "", []byte("HTTP/1.1 500 No\r\n\r\n"+leak))
	f.Add("HTTP/1.0 401 "+leak, leak, []byte(leak))
	f.Add("SSH-2.0-"+leak, "", []byte{})
	f.Add("HTTP/1.1 200 OK", "X-A: "+strings.Repeat(leak, 40), []byte("1"))
	f.Add("HTTP/1.1 200 OK", "", bytes.Repeat([]byte("["), 200))
	f.Fuzz(func(t *testing.T, status, header string, body []byte) {
		c := New(Unrestricted())
		c.strict.DialContext = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go answer(server, fmt.Sprintf("%s\r\n%s\r\n\r\n%s", status, header, body))
			return client, nil
		}
		defer c.strict.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var got any
		err := c.AskJSON(ctx, Request{URL: "http://192.0.2.1/", Options: Options{Signer: signedBy("me")}}, &got)
		if ctx.Err() != nil {
			t.Errorf("it took until the deadline: %v", err)
		}
		if err != nil && strings.Contains(Explain("web", err).Error(), "SECRET-OF") {
			t.Errorf("the message repeats the server: %v", Explain("web", err))
		}
		var said *StatusError
		if errors.As(err, &said) && len(said.Body) > MaxBody {
			t.Errorf("the body of the error has %d bytes", len(said.Body))
		}
		if parts, depth := measure(got); parts > MaxBody || depth > MaxDepth {
			t.Errorf("the reply has %d parts and is %d deep", parts, depth)
		}
	})
}

// answer reads a request and writes a reply, and ends the connection.
func answer(conn net.Conn, reply string) {
	defer func() { _ = conn.Close() }()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		_, _ = io.WriteString(conn, reply)
	}
}

// measure is how many values a value holds, and how deep.
func measure(value any) (parts, depth int) {
	var inner []any
	switch v := value.(type) {
	case []any:
		inner = v
	case map[string]any:
		for _, item := range v {
			inner = append(inner, item)
		}
	default:
		return 1, 0
	}
	for _, item := range inner {
		n, d := measure(item)
		parts, depth = parts+n, max(depth, d)
	}
	return parts + 1, depth + 1
}
