package cmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/kubectl-plugin/manifest"
)

// fetchTimeout is how long an address may take to give a manifest.
const fetchTimeout = 30 * time.Second

// readSource reads a manifest from a file, an http address, or for - from
// standard input. It reads no more than may be parsed.
func (a *app) readSource(ctx context.Context, name string) ([]byte, error) {
	in, err := a.openSource(ctx, name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, manifest.MaxBytes+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if len(text) > manifest.MaxBytes {
		return nil, &failure{
			code: ExitError, what: shownSource(name) + " was not read",
			why: fmt.Sprintf("it has more than %d MiB", manifest.MaxBytes>>20), next: "split it; name each part with -f",
		}
	}
	return text, nil
}

func unreadable(name string, err error) error {
	return &failure{code: ExitError, what: "reading " + shownSource(name) + " failed", why: reason(err), next: "check the name; -f takes files, http addresses and -"}
}

// shownSource is how a source is called in messages.
func shownSource(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

func (a *app) openSource(ctx context.Context, name string) (io.ReadCloser, error) {
	switch {
	case name == "-":
		return io.NopCloser(a.streams.In), nil
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		return fetch(ctx, name)
	}
	file, err := os.Open(name) //nolint:gosec // A person names the file.
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller says what was being read.
	}
	return file, nil
}

func fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller says what was being read.
	}
	response, err := (&http.Client{Timeout: fetchTimeout}).Do(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller says what was being read.
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("the server answers %s", response.Status)
	}
	return response.Body, nil
}
