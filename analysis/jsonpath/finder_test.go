package jsonpath

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/jsonpath"
)

func documentOf(t testing.TB, text string) any {
	t.Helper()
	var document any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

func found(t testing.TB, path string, document any) (any, error) {
	t.Helper()
	parsed, err := Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Find(document)
}

// byTheLibrary is what the library of the served API finds first. It may panic
// on null, which is no hit either.
func byTheLibrary(t testing.TB, path string, document any) (hit any, err error) {
	t.Helper()
	defer func() {
		if said := recover(); said != nil {
			err = fmt.Errorf("%v", said)
		}
	}()
	parsed := jsonpath.New("value")
	if err := parsed.Parse(path); err != nil {
		t.Fatal(err)
	}
	results, err := parsed.FindResults(document)
	if err != nil {
		return nil, err
	}
	for _, hits := range results {
		for _, hit := range hits {
			return hit.Interface(), nil
		}
	}
	return nil, ErrNothing
}

func TestWhatIsFoundIsWhatTheLibraryFinds(t *testing.T) {
	documents := []string{
		`{"a":{"b":{"v":1}}}`, `{"a":[1,2,3,4,5]}`, `{"a":[{"v":1.5},{"v":2.5},{"v":3.5}]}`, `{"a":[[1,[2]],[3]]}`, `{"a":[]}`, `{"a":{}}`,
		`{"a":[{"n":"x"},{"n":"y"}]}`, `{"a":[{"n":true},{"n":false}]}`, `{"a":null}`, `{"a":[null,{"v":1.5}]}`, `{"a":"text"}`, `{"a.b":{"v":1}}`,
		`[1,2,3]`, `[[1],[2]]`, `"text"`, `1.5`, `true`, `{}`, `[]`,
	}
	paths := []string{
		"{$}", "{@}", "{.}", "{}", "{.a}", "{$.a}", "{ .a }", "{$['a']}", "{$.a.b}", "{$.a.b.v}", `{$['a\.b'].v}`, `{.a\.b.v}`, "{$.zz}", "{$.a.zz}",
		"{$.a[0]}", "{$.a[2]}", "{$.a[9]}", "{$.a[-1]}", "{$.a[-2]}", "{$.a[-9]}", "{$.a[*]}", "{$.a[:]}", "{$.a[1:]}", "{$.a[:2]}", "{$.a[1:3]}", "{$.a[3:1]}",
		"{$.a[2:2]}", "{$.a[0:9]}", "{$.a[-2:]}", "{$.a[:-1]}", "{$.a[::2]}", "{$.a[1::2]}", "{$.a[::0]}", "{$.a[::-1]}", "{$.a[9:9]}", "{$.a[9:9,0]}", "{$.a[3:1,0]}", "{$.a[::9223372036854775807]}", "{$.a[0,1]}", "{$.a[1,0]}", "{$.a[2,9]}",
		"{$[0]}", "{$[1]}", "{$[*]}", "{$[*][0]}", "{$[0,1]}", "{$.a[*].v}", "{$.a[1:].v}", "{$.a[*][0]}", "{$.a[*][*]}", "{$.a[0].v}", "{$.a[-1].v}",
		"{..v}", "{$..v}", "{..a}", "{..zz}", "{..a..v}", "{$.a..v}", "{..}", "{.*}", "{.a.*}", "{.a.*.v}", "{.*.*}", "{['a','a']}", "{.a['b','b'].v}", "{['a','zz']}",
		"{$.a[?(@.v)]}", "{$.a[?(@.zz)]}", "{$.a[?(@.v>2.0)]}", "{$.a[?(@.v>2.0)].v}", "{$.a[?(@.v>=2.5)].v}", "{$.a[?(@.v<2.0)].v}", "{$.a[?(@.v<=1.5)].v}",
		"{$.a[?(@.v==2.5)].v}", "{$.a[?(@.v!=1.5)].v}", "{$.a[?(2.0<@.v)].v}", "{$.a[?(@.v==@.v)].v}", `{$.a[?(@.n=="y")]}`, `{$.a[?(@.n=='y')].n}`, `{$.a[?(@.n!="x")].n}`,
		`{$.a[?(@.n<"y")].n}`, "{$.a[?(@.n==true)].n}", "{$.a[?(@.n!=true)].n}", `{$.a[?(@.n=!"x")].n}`, "{$.a[?(@==2.0)]}", `{"text"}`, "{1.5}", "{true}", "{$.a[?(@.v>2.0)][0]}",
	}
	for _, text := range documents {
		document := documentOf(t, text)
		for _, path := range paths {
			want, wrong := byTheLibrary(t, path, document)
			got, err := found(t, path, document)
			same := (wrong == nil) == (err == nil) && (err != nil || cmp.Diff(want, got) == "")
			if same == different[path+" of "+text] {
				t.Errorf("%s of %s: got %v and %v, the library finds %v and %v", path, text, got, err, want, wrong)
			}
		}
	}
}

// different are the questions that the library answers otherwise: an item that
// lacks what a filter asks for is an error of all items to it, and a text a
// list of letters.
var different = map[string]bool{
	`{$.a[?(@.v<2.0)].v} of {"a":[null,{"v":1.5}]}`:  true,
	`{$.a[?(@.v<=1.5)].v} of {"a":[null,{"v":1.5}]}`: true,
	`{$.a[?(@.v==@.v)].v} of {"a":[null,{"v":1.5}]}`: true,
	`{.a.*} of {"a":"text"}`:                         true,
	`{.*.*} of {"a":"text"}`:                         true,
	`{.*} of "text"`:                                 true,
	`{..} of "text"`:                                 true,
}

func TestTheFirstHitIsNoMatterOfChance(t *testing.T) {
	document := documentOf(t, `{"b":{"rate":2},"a":{"rate":1},"c":[{"rate":3}]}`)
	for _, path := range []string{"{..rate}", "{.*.rate}", "{$.*['rate']}", "{..['rate']}"} {
		for range 50 {
			if got, err := found(t, path, document); got != 1.0 || err != nil {
				t.Fatalf("%s: got %v and %v", path, got, err)
			}
		}
	}
}

func TestFiltersKnowNumbers(t *testing.T) {
	document := documentOf(t, `[{"v":1,"n":"one"},{"v":7,"n":"seven"},{"n":"none"},{"v":null},{"v":9.5,"n":"nine"}]`)
	for _, c := range []struct {
		path string
		want any
		err  error
	}{
		{"{[?(@.v>5)].n}", "seven", nil},
		{"{[?(@.v>=7)].n}", "seven", nil},
		{"{[?(@.v==9.5)].n}", "nine", nil},
		{"{[?(5<@.v)].n}", "seven", nil},
		{"{[?(@.v!=1)].n}", "seven", nil},
		{"{[?(@.v>100)].n}", nil, ErrNothing},
		{`{[?(@.v=="7")].n}`, nil, errKinds},
		{"{[?(@.v==true)].n}", nil, errKinds},
		{"{[?(@==@)].n}", nil, errKinds},
		{"{[?(@.v=!1)].n}", nil, errOperator},
		{"{[?(@['v','v']>1)].n}", nil, errOperator},
		{"{[?(@.v>true)].n}", nil, errKinds},
		{"{range [*]}", nil, errWords},
		{"{end}", nil, errWords},
	} {
		t.Run(c.path, func(t *testing.T) {
			if got, err := found(t, c.path, document); got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %v and %v, want %v and %v", got, err, c.want, c.err)
			}
		})
	}
}

// maxGrowth is how much memory a path may take, one after the other: at one
// time it is less.
const maxGrowth = 128 << 20

func TestNoPathHurts(t *testing.T) {
	chain := strings.Repeat(`{"a":`, 98) + "[" + strings.Repeat(`[1],`, 90_000) + "[1]]" + strings.Repeat("}", 98)
	documents := map[string]any{
		"a long text": documentOf(t, `{"a":"`+strings.Repeat("x", 1<<20-20)+`"}`),
		"many":        documentOf(t, "["+strings.Repeat(`{"a":1},`, 99_999)+`{"a":1}]`),
		"many below":  documentOf(t, chain),
		"a chain":     documentOf(t, strings.Repeat(`{"a":`, 99)+"1"+strings.Repeat("}", 99)),
		"a tree":      documentOf(t, strings.Repeat("[", 16)+"1"+strings.Repeat("]", 16)),
	}
	for _, path := range []string{
		"{..zz}", "{..[*]}", "{..a..a..a..a..a..a..a}", "{..a.." + strings.Repeat("a..", 100) + "zz}", "{" + strings.Repeat("[0,0]", 60) + "}", "{" + strings.Repeat(".a['a','a']", 40) + "}",
		"{..[?(@..zz)]}", "{..[?(@..a..a..a==1)]}", "{[?(@.a>0)].zz}", "{[*,*][*,*].zz}", "{[" + strings.Repeat("*,", 200) + "*].zz}", "{" + strings.Repeat(".*", 200) + "}",
		"{..['" + strings.Repeat("a','", 100) + "a']}", "{[?(@" + strings.Repeat("[0,0]", 30) + "==1)]}",
	} {
		parsed, err := Parse(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for name, document := range documents {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := parsed.Find(document)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > maxGrowth {
				t.Errorf("%.40s of %s took %d MB: %v", path, name, grown>>20, err)
			}
		}
	}
}

// FuzzPath follows any path through any document. The path is a user's, and
// read by a library.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"{$.a[0].b}", `{..a[?(@.v>=1)].n}`, `{['a','b']}`, "{range [*]}", `{$['a\.b'][1:2:3]}`, `{[?(@.n=='x')]["y"]}`, "{-1.5}", "{true}", "{$..*}"} {
		f.Add(path, `{"a":[{"b":1,"v":2,"n":"x"},null],"a.b":[[1,2],"text",true]}`)
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		var document any
		if json.Unmarshal([]byte(text), &document) != nil {
			t.Skip("no document")
		}
		parsed, err := Parse(path)
		if err != nil {
			return
		}
		first, err := parsed.Find(document)
		again, twice := parsed.Find(document)
		if diff := cmp.Diff(first, again); diff != "" || (err == nil) != (twice == nil) {
			t.Errorf("the same question has another answer: %v, %v, %s", err, twice, diff)
		}
	})
}
