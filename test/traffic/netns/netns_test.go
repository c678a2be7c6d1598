package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
)

// refused is why the tests do not run inside of a namespace.
var refused error

func TestMain(m *testing.M) {
	if Inside() {
		os.Exit(m.Run())
	}
	code, err := Run()
	switch {
	case errors.Is(err, ErrRefused):
		refused = err
		code = m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestANewNamespaceHasNothingButTheRangeThatIsPrepared(t *testing.T) {
	if refused != nil {
		t.Skipf("NOT CHECKED: a network namespace with addresses of its own: %v", refused)
	}
	const address = "10.244.7.9:0"
	if has, err := net.Interfaces(); err != nil || len(has) != 1 || has[0].Flags&net.FlagUp != 0 {
		t.Fatalf("this is no new namespace: it has %v, %v", has, err)
	}
	if err := Prepare("10.244.0.0/16"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			_, _ = fmt.Fprint(conn, "hello")
			_ = conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	said := make([]byte, 5)
	if _, err := conn.Read(said); err != nil || string(said) != "hello" {
		t.Errorf("heard %q, %v", said, err)
	}
	if err := Prepare("10.244.0.0/16"); err == nil {
		t.Error("the same route was made twice")
	}
}
