// Package awstest checks the signatures of requests as a service of AWS does. It
// computes them anew from what arrived. Tests of what signs call it.
package awstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Keys are for tests alone.
const (
	KeyID  = "AKIDEXAMPLE"
	Secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// Isolate keeps the AWS configuration of this machine out of a test, and sets
// variables of the environment, as pairs of a name and a value.
func Isolate(t *testing.T, pairs ...string) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_USE_FIPS_ENDPOINT",
		"AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_DEFAULTS_MODE", "AWS_CA_BUNDLE",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
	for pair := range slices.Chunk(pairs, 2) {
		t.Setenv(pair[0], pair[1])
	}
}

// WithKeys are the variables of the environment with the keys for tests, and
// those that are given.
func WithKeys(pairs ...string) []string {
	return append([]string{"AWS_ACCESS_KEY_ID", KeyID, "AWS_SECRET_ACCESS_KEY", Secret}, pairs...)
}

// Signature is what a request is signed with.
type Signature struct {
	KeyID, Date, Region, Service string
	Headers                      []string
}

// Verify is the signature of a request, checked with a secret. The body can be
// read after it.
func Verify(r *http.Request, secret string) (Signature, error) {
	found, given, err := parse(r.Header.Get("Authorization"))
	if err != nil {
		return Signature{}, err
	}
	canonical, err := canonical(r, found.Headers)
	if err != nil {
		return Signature{}, err
	}
	scope := strings.Join([]string{found.Date, found.Region, found.Service, "aws4_request"}, "/")
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), scope, hash([]byte(canonical))}, "\n")
	if want := hex.EncodeToString(mac(key, text)); want != given {
		return found, fmt.Errorf("the signature is %s, want %s for\n%s", given, want, canonical)
	}
	if !strings.HasPrefix(r.Header.Get("X-Amz-Date"), found.Date) {
		return found, fmt.Errorf("the date %s is not that of the scope %s", r.Header.Get("X-Amz-Date"), found.Date)
	}
	return found, nil
}

// parse takes apart the header Authorization.
func parse(header string) (found Signature, given string, err error) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return Signature{}, "", fmt.Errorf("the request is not signed: %q", header)
	}
	fields := map[string]string{}
	for _, part := range strings.Split(rest, ", ") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return Signature{}, "", fmt.Errorf("the scope is %q", fields["Credential"])
	}
	headers := strings.Split(fields["SignedHeaders"], ";")
	return Signature{KeyID: scope[0], Date: scope[1], Region: scope[2], Service: scope[3], Headers: headers}, fields["Signature"], nil
}

// canonical is the text of a request that is signed.
func canonical(r *http.Request, signed []string) (string, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", fmt.Errorf("reading the body: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date") {
		return "", fmt.Errorf("the host and the date are not signed: %v", signed)
	}
	lines := []string{r.Method, path(r.URL), query(r.URL)}
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		lines = append(lines, name+":"+strings.TrimSpace(value))
	}
	lines = append(lines, "", strings.Join(signed, ";"), hash(body))
	return strings.Join(lines, "\n"), nil
}

// path has each part escaped twice, as all services but one want it.
func path(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for i, part := range parts {
		parts[i] = escape(part)
	}
	return strings.Join(parts, "/")
}

func query(u *url.URL) string {
	var pairs []string
	for name, values := range u.Query() {
		for _, value := range values {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func mac(key []byte, text string) []byte {
	sum := hmac.New(sha256.New, key)
	sum.Write([]byte(text))
	return sum.Sum(nil)
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
