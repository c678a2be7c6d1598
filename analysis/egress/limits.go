package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxBody is how many bytes of a reply are read, unpacked.
	MaxBody = 1 << 20
	// MaxParts is how many commas a reply may have: ten thousand samples with
	// seven labels each. What is small as text, such as {}, is large once it is
	// decoded.
	MaxParts = 100_000
	// MaxDepth is how deep the lists and objects of a reply may nest.
	MaxDepth = 100
)

var (
	errTooLarge = errors.New("the reply is larger than 1 MiB; make the query return less")
	errTooMany  = fmt.Errorf("the reply has more than %d parts; make the query return less", MaxParts)
	errTooDeep  = fmt.Errorf("the reply nests lists and objects more than %d deep", MaxDepth)
)

// readAll reads and closes a reply. It counts what is unpacked, so a small
// reply cannot grow large, and an error ends it where a plain limit would end
// as if all was read.
func readAll(body io.ReadCloser) ([]byte, error) {
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, MaxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the reply: %w", told(err))
	case len(text) > MaxBody:
		return nil, errTooLarge
	case bytes.Count(text, []byte(",")) > MaxParts:
		return nil, errTooMany
	case tooDeep(text):
		return nil, errTooDeep
	}
	return text, nil
}

// tooDeep reports brackets that nest too deep for a decoder. Those within
// quoted text do not count; what is not JSON may be refused for its brackets,
// which nobody writes.
func tooDeep(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth = max(depth-1, 0)
		}
	}
	return false
}

// Turns are the rights to decode a reply and to judge it. A reply takes up to
// thirty times its size once it is decoded, so few are at once. A turn is asked
// for when all of the reply is there, so that no slow server holds one.
type Turns struct{ places chan struct{} }

// NewTurns lets n replies be decoded at once.
func NewTurns(n int) Turns { return Turns{places: make(chan struct{}, n)} }

// Begin makes the requests of a context wait for a turn after each reply, and
// keep it until the next request, or until end is called.
func (t Turns) Begin(ctx context.Context) (turned context.Context, end func()) {
	own := &turn{places: t.places}
	return context.WithValue(ctx, turnKey{}, own), own.leave
}

type turnKey struct{}

// turnOf is the turn of a context; nil when replies need none.
func turnOf(ctx context.Context) *turn {
	own, _ := ctx.Value(turnKey{}).(*turn)
	return own
}

// turn belongs to one measurement, which asks one server after the other.
type turn struct {
	places chan struct{}
	taken  bool
}

func (t *turn) take(ctx context.Context) error {
	if t == nil || t.taken {
		return nil
	}
	select {
	case t.places <- struct{}{}:
		t.taken = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to decode the reply: %w", ctx.Err())
	}
}

func (t *turn) leave() {
	if t != nil && t.taken {
		t.taken = false
		<-t.places
	}
}
