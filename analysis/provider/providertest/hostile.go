package providertest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Hostile are servers that do everything wrong.
func Hostile() map[string]http.HandlerFunc {
	filler := strings.Repeat("x", 1<<16)
	page := "<html>" + strings.Repeat("<br>", 500) + Leak + "</html>"
	return map[string]http.HandlerFunc{
		"an internal error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, page, http.StatusInternalServerError) },
		"a page instead of data": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, page)
		},
		"no right":          func(w http.ResponseWriter, _ *http.Request) { http.Error(w, Leak, http.StatusForbidden) },
		"a text":            says(Leak),
		"a list of a text":  says(`["` + Leak + `"]`),
		"a text in quotes":  says(`"` + Leak + `"`),
		"an unknown object": says(`{"password":"` + Leak + `","` + Leak + `":{"status":"` + Leak + `"}}`),
		"another protocol":  raw("SSH-2.0-" + Leak + "\r\n"),
		"another status":    raw("HTTP/1.1 " + Leak + "\r\n\r\n"),
		"nothing":           func(http.ResponseWriter, *http.Request) {},
		"half of an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"status":`)
		},
		"an answer without end": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"`)
			for range 16 << 10 {
				if _, err := fmt.Fprint(w, filler); err != nil {
					return
				}
			}
		},
		"a small answer that unpacks to a large one": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			for range 16 << 10 {
				if _, err := packed.Write([]byte(filler)); err != nil {
					return
				}
			}
			_ = packed.Close()
		},
		"brackets without end": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("[", 900_000)) },
		"a redirect to elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/"+Leak, http.StatusFound)
		},
		"a redirect in a circle":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"a header without an end":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 1<<20)) },
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
}

// slow are servers that do not come to an end.
func slow() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"a server that does not answer": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // before that, nobody is seen to go
			<-r.Context().Done()
		},
		"a server that answers little by little": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
				}
			}
		},
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// raw answers with bytes that need not be HTTP.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // the server of a test can
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}
