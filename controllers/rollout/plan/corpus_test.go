package plan_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// issues are the bug reports about other controllers of this kind that taught
// the safety rules: each is answered by a line of testdata/corpus.tsv.
var issues = map[string]string{
	"argo": "305 504 521 587 925 939 1203 1292 1411 1466 1624 1677 1774 1820 2050 2507 2897 2931 2939 2953 2982 3015 3020 3078 " +
		"3120 3220 3338 3354 3372 3417 3420 3467 3474 3586 3602 3669 3681 3774 3848 3850 3873 3878 3898 3941 3975 4035 4128 4200 4208 " +
		"4221 4265 4310 4390 4412 4461 4479 4480 4503 4534 4560 4564 4566 4604 4612 4639 4646 4728 4764 4766 4787 4831 4841 4900 " +
		"4919 4973",
	"flagger":    "639 874 1202 1588 1851 1898 1931 1932",
	"gatewayapi": "115 124 158 164 203",
}

// TestEveryIssueOfTheCorpusHasItsTest reads the table of issues: project,
// number, what must not happen again, and which test shows it.
func TestEveryIssueOfTheCorpusHasItsTest(t *testing.T) {
	const file = "testdata/corpus.tsv"
	all := claims(t, file, 4)
	checkClaims(t, file, all)
	listed, named := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		issue := c.columns[0] + " " + c.columns[1]
		if listed[issue] {
			t.Errorf("%s:%d: %s is listed twice", file, c.line, issue)
		}
		listed[issue] = true
		for _, name := range c.shownBy {
			named[name] = true
		}
	}
	for project, numbers := range issues {
		for number := range strings.FieldsSeq(numbers) {
			if issue := project + " " + number; !listed[issue] {
				t.Errorf("%s has no line about %s", file, issue)
			}
		}
	}
	transcripts, err := filepath.Glob("testdata/corpus-*.txt")
	if err != nil || len(transcripts) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	slices.Sort(transcripts)
	for _, path := range transcripts {
		if name := strings.TrimSuffix(filepath.Base(path), ".txt"); !named[name] {
			t.Errorf("%s names no issue for %s", file, name)
		}
	}
}
