package analysis

import (
	"strings"
	"testing"
)

func TestSecretsAreHiddenInWhatWasReshaped(t *testing.T) {
	const token = "s3cr3t-token-0123456789"
	lines := "line one\n  line two"
	filler := strings.Repeat("x", 180)
	cases := []struct {
		name, text, want string
		secrets          []string
	}{
		{"a text that was cut within a secret", filler + "s3cr3t-tok…", filler + "*****…", []string{token}},
		{"a text that was cut twice", "s3cr3t… and 's3cr3t-…'", "*****… and '*****…'", []string{token}},
		{"a secret that is cut in its quoted form", `"a\"bcd…" is no number`, `"*****…" is no number`, []string{"a\"bcdef"}},
		{"the longer of two starts", "s3cr3t-tok…", "*****…", []string{"s3cr3t", token}},
		{"a secret of several lines on one", "bad line one line two", "bad *****", []string{lines}},
		{"a secret of several lines that was cut on one", "bad line one li…", "bad *****…", []string{lines}},
		{"a cut that has nothing of a secret", "it is an s3…", "it is an s3…", []string{token}},
		{"a start that was not cut is a word", "s3cr3t-tok", "s3cr3t-tok", []string{token}},
		{"a text that was cut without secrets", "s3cr3t-tok…", "s3cr3t-tok…", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Redact(c.text, c.secrets); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
