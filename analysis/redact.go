package analysis

import (
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// Redact replaces secrets in a text, also where they are escaped as in a URL
// or in quoted text.
func Redact(text string, secrets []string) string {
	for _, form := range forms(secrets) {
		text = strings.ReplaceAll(text, form, Redacted)
	}
	return text
}

// RedactReply replaces secrets in everything a provider says except the value:
// that is what the user asked for.
func RedactReply(r Reply, secrets []string) Reply {
	if len(secrets) == 0 {
		return r
	}
	r.Message = Redact(r.Message, secrets)
	r.Metadata = redactValues(r.Metadata, secrets)
	r.MetricMetadata = redactValues(r.MetricMetadata, secrets)
	return r
}

func redactValues(in map[string]string, secrets []string) map[string]string {
	if in == nil {
		return nil
	}
	out := make(map[string]string, len(in))
	for key, value := range in {
		out[key] = Redact(value, secrets)
	}
	return out
}

// forms lists the ways secrets may be written, longest first, so that a form
// that holds another is replaced whole.
func forms(secrets []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, secret := range secrets {
		quoted := strconv.Quote(secret)
		for _, form := range []string{
			secret, strings.TrimSpace(secret),
			url.QueryEscape(secret), url.PathEscape(secret), quoted[1 : len(quoted)-1],
		} {
			if form != "" && !seen[form] {
				seen[form] = true
				out = append(out, form)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if len(out[i]) != len(out[j]) {
			return len(out[i]) > len(out[j])
		}
		return out[i] < out[j]
	})
	return out
}
