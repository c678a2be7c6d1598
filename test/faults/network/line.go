package network

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Line is a TCP connection to the API server that can be interrupted. It passes
// bytes on and does not look into them.
type Line struct {
	// Address is where it listens, as a URL.
	Address string

	target   string
	listener net.Listener

	mu    sync.Mutex
	state state
	// open is closed, and replaced, whenever the line is connected again.
	open  chan struct{}
	conns map[net.Conn]struct{}
}

// state is what a line does with what arrives.
type state int

const (
	connected state = iota
	refusing        // connections are closed at once
	silent          // connections stay open and nothing passes
)

// NewLine listens on loopback until the test ends.
func NewLine(t testing.TB, cfg *rest.Config) *Line {
	t.Helper()
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatalf("parsing the address of the API server: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	l := &Line{
		Address: fmt.Sprintf("%s://%s", target.Scheme, listener.Addr()),
		target:  target.Host, listener: listener,
		open: make(chan struct{}), conns: map[net.Conn]struct{}{},
	}
	close(l.open)
	t.Cleanup(func() {
		_ = listener.Close()
		l.Restore()
		l.closeAll()
	})
	go l.accept()
	return l
}

func (l *Line) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.serve(conn)
	}
}

// Refuse closes all connections and every new one, as a dead API server does.
func (l *Line) Refuse() {
	l.set(refusing)
	l.closeAll()
}

// Silence lets connections stand and passes nothing on, as a dropped route does.
func (l *Line) Silence() { l.set(silent) }

// Restore connects the line again. What waited in silence passes.
func (l *Line) Restore() { l.set(connected) }

func (l *Line) set(s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == silent && s != silent {
		close(l.open)
	}
	if s == silent && l.state != silent {
		l.open = make(chan struct{})
	}
	l.state = s
}

func (l *Line) now() (state, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.open
}

func (l *Line) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		_ = conn.Close()
	}
	clear(l.conns)
}

func (l *Line) serve(near net.Conn) {
	if s, _ := l.now(); s == refusing {
		_ = near.Close()
		return
	}
	far, err := net.DialTimeout("tcp", l.target, 10*time.Second)
	if err != nil {
		_ = near.Close()
		return
	}
	if !l.keep(near, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(far, near) })
	both.Go(func() { l.pass(near, far) })
	both.Wait()
	l.mu.Lock()
	delete(l.conns, near)
	delete(l.conns, far)
	l.mu.Unlock()
}

// keep remembers a connection; false when the line was cut while it was made.
func (l *Line) keep(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == refusing {
		_ = near.Close()
		_ = far.Close()
		return false
	}
	l.conns[near], l.conns[far] = struct{}{}, struct{}{}
	return true
}

// pass copies one direction and waits while the line is silent.
func (l *Line) pass(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if _, open := l.now(); n > 0 {
			<-open
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
