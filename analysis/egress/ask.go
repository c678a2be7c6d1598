package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// maxMessage is how much of what a server says is passed on.
const maxMessage = 200

// Request is one question to a server.
type Request struct {
	// Method of the request; default GET.
	Method string
	// URL to ask, with http or https.
	URL string
	// Header to send.
	Header http.Header
	// Body to send; default none.
	Body []byte
	// JSON to send as the body, in place of Body, where it is not nil. The header
	// says so unless it says something else.
	JSON any
	Options
}

// StatusError is a reply whose status is not a success.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// Body is what the server said, up to MaxBody. It is not part of the message:
	// who names an address must not be able to read what is behind it.
	Body []byte
}

// Error is the status alone.
func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answered with status %d %s", e.Code, http.StatusText(e.Code)))
}

// Ask sends a request and returns the body of the reply. A status that is not
// 2xx is a *StatusError.
func (c *Client) Ask(ctx context.Context, r Request) ([]byte, error) {
	if err := CheckURL(r.URL); err != nil {
		return nil, err
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if r.JSON != nil {
		var err error
		if r.Body, err = json.Marshal(r.JSON); err != nil {
			return nil, fmt.Errorf("encoding the question: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, errors.New("the request cannot be made of this method and URL")
	}
	if r.JSON != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for key, values := range r.Header {
		request.Header[key] = values
	}
	response, err := c.HTTP(r.Options).Do(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // Explain makes the sentence.
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body) // all of it is here already
	if err != nil {
		return nil, fmt.Errorf("reading the reply: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, &StatusError{Code: response.StatusCode, Body: body}
	}
	return body, nil
}

// AskJSON sends a request and decodes the reply.
func (c *Client) AskJSON(ctx context.Context, r Request, into any) error {
	body, err := c.Ask(ctx, r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("the reply is not the JSON that was expected; the address may lead to something else")
	}
	return nil
}

// CheckURL reports an address that cannot be asked. The message does not repeat
// it, since it may hold a password.
func CheckURL(address string) error {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return errors.New("the address is not a URL such as http://metrics.example.com:8080")
	}
	return nil
}

// told is what may be told of an error while a server is asked. The rest may
// quote what the server sent, and what does not speak HTTP is not for reading.
func told(err error) error {
	var (
		refused     refusedError
		dialled     *net.OpError
		slow        net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled), errors.As(err, &refused), errors.As(err, &dialled),
		errors.As(err, &slow) && slow.Timeout(), errors.As(err, &certificate), errors.As(err, &record),
		strings.HasPrefix(text, "tls: "), strings.HasPrefix(text, "net/http: invalid header field"):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server ended the connection before the reply was complete")
	default:
		return errors.New("the reply is not the HTTP that was expected; the address may lead to something else")
	}
}

// Explain makes a short sentence of the error of a question to a source, such
// as "datadog". What a server says is cut.
func Explain(source string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer in time", source)
	}
	// The error of the client starts with a URL, which may have been chosen by
	// the server, by a redirect.
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Errorf("querying %s: %s", source, Brief(err.Error()))
}

// Complaint is what a source says is wrong, decoded from JSON.
type Complaint interface {
	// Text is the complaint on one line; empty when there is none.
	Text() string
}

// ExplainStatus is Explain with what the source says is wrong, read into says from
// the body of a reply that is no success, and with what to do about its status.
func ExplainStatus(source string, err error, says Complaint, advice map[int]string) error {
	explained := Explain(source, err)
	var status *StatusError
	if !errors.As(err, &status) {
		return explained
	}
	if json.Unmarshal(status.Body, says) == nil && says.Text() != "" {
		explained = fmt.Errorf("%w: %s", explained, says.Text())
	}
	if todo := advice[status.Code]; todo != "" {
		explained = fmt.Errorf("%w; %s", explained, todo)
	}
	return explained
}

// Brief puts a text on one line of at most 200 bytes.
func Brief(text string) string {
	// A long text is cut before it is taken apart.
	if len(text) > 4*maxMessage {
		text = text[:4*maxMessage]
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1 // a terminal would obey it
	}, text)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
