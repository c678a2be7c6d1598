package annotatedcsv

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const head = "#datatype,string,long,double\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n"

func TestValues(t *testing.T) {
	got, err := Values(head + ",,0,1.5\r\n,,0,\r\n\r\n" + strings.ReplaceAll(head, "double", "string") + ",,1,\"a\n\"\"b\"\"\"\r\n\r\n")
	if diff := cmp.Diff([]any{1.5, nil, "a\n\"b\""}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// FuzzValues reads what a server may say. It never gives more than the limit, and
// rows are taken apart as a reader of CSV takes those that it accepts.
func FuzzValues(f *testing.F) {
	for _, text := range []string{
		head + ",,0,1.5\r\n\r\n", strings.ReplaceAll(head, "double", "string") + ",,0,\"a \"\"b\"\", c\n#d\"\r\n",
		strings.ReplaceAll(head, "double", "dateTime:RFC3339") + ",,0,2026-03-01T12:00:00Z", head + "\r\n" + head + ",,1,NaN",
		"error,reference\r\nFailed to parse query,897\r\n", "\r\n", "{}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := Values(body)
		again, _ := Values(body)
		if diff := cmp.Diff(got, again, cmpopts.EquateNaNs()); diff != "" {
			t.Fatal("not the same again: " + diff)
		}
		if err != nil && got != nil {
			t.Fatalf("got %v and %q", got, err)
		}
		if len(got) > min(maxRows, len(body)) {
			t.Fatalf("%d bytes gave %d values", len(body), len(got))
		}
		reader := csv.NewReader(strings.NewReader(body))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		if err != nil || strings.Contains(strings.ReplaceAll(body, "\r\n", ""), "\r") {
			return // it drops some of the lone returns
		}
		if diff := cmp.Diff(want, rows(t, body)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// rows are the rows of a text without the blank ones.
func rows(t *testing.T, text string) [][]string {
	t.Helper()
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var out [][]string
	for text != "" {
		before := text
		cells, rest, err := row(text)
		if err != nil {
			t.Fatal(err)
		}
		if text = rest; !strings.HasPrefix(before, "\n") {
			out = append(out, cells)
		}
	}
	return out
}
