package patch

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var read = &metav1.ObjectMeta{Name: "web", UID: "u1", ResourceVersion: "7", Annotations: map[string]string{"a/b": "1"}}

const stored = `{"metadata":{"annotations":{"a/b":"1"},"name":"web","resourceVersion":"7","uid":"u1"},"spec":{"http":[{"weight":1,"x-unknown":[1,2.50]},{"weight":2}]}}`

// applied is what the API server makes of a patch.
func applied(t *testing.T, p *Patch) string {
	t.Helper()
	data, err := p.Data(read)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch(data)
	if err != nil {
		t.Fatal(err)
	}
	out, err := decoded.Apply([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAPatchChangesWhatItNamesAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Patch)
		was    string
		is     string
	}{
		"nothing":                               {func(*Patch) {}, "", ""},
		"a member that was there":               {func(p *Patch) { p.Set(5, "spec", "http", 0, "weight") }, `{"weight":1,`, `{"weight":5,`},
		"a member that was not":                 {func(p *Patch) { p.Set("x", "spec", "http", 1, "name") }, `{"weight":2}`, `{"name":"x","weight":2}`},
		"an element":                            {func(p *Patch) { p.Set(3, "spec", "http", 1) }, `{"weight":2}`, `3`},
		"an element before another":             {func(p *Patch) { p.Insert(3, "spec", "http", 1) }, `{"weight":2}`, `3,{"weight":2}`},
		"an element behind the last":            {func(p *Patch) { p.Insert(3, "spec", "http", 2) }, `{"weight":2}`, `{"weight":2},3`},
		"a name with a slash and a tilde":       {func(p *Patch) { p.Set(1, "metadata", "annotations", "~c/d") }, `"a/b":"1"`, `"a/b":"1","~c/d":1`},
		"an annotation":                         {func(p *Patch) { p.Annotate(read, "c", "2") }, `"a/b":"1"`, `"a/b":"1","c":"2"`},
		"an annotation with another value":      {func(p *Patch) { p.Annotate(read, "a/b", "2") }, `"a/b":"1"`, `"a/b":"2"`},
		"no annotation that is so already":      {func(p *Patch) { p.Annotate(read, "a/b", "1") }, "", ""},
		"an annotation that goes":               {func(p *Patch) { p.Annotate(read, "a/b", "") }, `"a/b":"1"`, ``},
		"no annotation that is not there":       {func(p *Patch) { p.Annotate(read, "c", "") }, "", ""},
		"one change after another, where it is": {func(p *Patch) { p.Remove("spec", "http", 0); p.Set(5, "spec", "http", 0, "weight") }, `{"weight":1,"x-unknown":[1,2.50]},{"weight":2}`, `{"weight":5}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p Patch
			c.change(&p)
			if p.Empty() != (c.was == c.is) {
				t.Errorf("empty %t", p.Empty())
			}
			if diff := cmp.Diff(strings.Replace(stored, c.was, c.is, 1), applied(t, &p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheFirstAnnotationMakesTheirPlace(t *testing.T) {
	t.Parallel()
	var p Patch
	p.Annotate(&metav1.ObjectMeta{}, "a/b", "1")
	p.Annotate(&metav1.ObjectMeta{}, "c", "2")
	data, err := p.Data(&metav1.ObjectMeta{UID: "u1", ResourceVersion: "7"})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"op":"add","path":"/metadata/uid","value":"u1"},{"op":"add","path":"/metadata/resourceVersion","value":"7"},` +
		`{"op":"add","path":"/metadata/annotations","value":{"a/b":"1"}},{"op":"add","path":"/metadata/annotations/c","value":"2"}]`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPatchThatCannotBeEncodedIsAnError(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Patch){
		"a value":             func(p *Patch) { p.Set(func() {}, "spec") },
		"a part of a place":   func(p *Patch) { p.Remove("spec", 1.5) },
		"raw JSON with a gap": func(p *Patch) { p.Set(json.RawMessage(`{`), "spec") },
	} {
		var p Patch
		change(&p)
		if _, err := p.For(read); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
