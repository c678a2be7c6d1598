package analysis

import (
	"net/url"
	"sort"
	"strconv"
	"strings"
)

const (
	// ellipsis stands where a text was cut.
	ellipsis = "…"
	// tellingStart is how much of a secret that was cut is more than chance.
	tellingStart = 4
)

// Redact replaces secrets in a text, also where they are escaped as in a URL
// or in quoted text, where they were put on one line, and where the text was
// cut within one.
func Redact(text string, secrets []string) string {
	all := forms(secrets)
	parts := strings.Split(text, ellipsis)
	for i := range parts[:len(parts)-1] {
		parts[i] = redactStart(parts[i], all)
	}
	text = strings.Join(parts, ellipsis)
	for _, form := range all {
		text = strings.ReplaceAll(text, form, Redacted)
	}
	return text
}

// redactStart replaces the start of a secret at the end of a text.
func redactStart(text string, forms []string) string {
	longest := 0
	for _, form := range forms {
		for n := min(len(form), len(text)); n > longest; n-- {
			if strings.HasSuffix(text, form[:n]) {
				longest = n
			}
		}
	}
	if longest < tellingStart {
		return text
	}
	return text[:len(text)-longest] + Redacted
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
			secret, strings.TrimSpace(secret), strings.Join(strings.Fields(secret), " "),
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
