package trafficrouting

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var (
	web = &metav1.ObjectMeta{Namespace: "shop", Name: "web"}
	api = &metav1.ObjectMeta{Namespace: "shop", Name: "api"}

	webMark = Mark{Rollout: "shop/web", Stable: "web-stable", Canary: "web-canary"}
	apiMark = Mark{Rollout: "shop/api", Stable: "api-stable", Canary: "api-canary", Routes: []string{"vip"}}
)

func marked(text string) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Name: "routes", Annotations: map[string]string{v1alpha1.RoutedByAnnotation: text, "a": "b"}}
}

func TestSeveralRolloutsMarkOneObject(t *testing.T) {
	t.Parallel()
	first := webMark.Beside(&metav1.ObjectMeta{})
	if want := `{"rollout":"shop/web","stable":"web-stable","canary":"web-canary"}`; first != want {
		t.Errorf("one mark is %s, want %s", first, want)
	}
	both := apiMark.Beside(marked(first))
	if diff := cmp.Diff([]string{"shop/api", "shop/web"}, MarkKeys(marked(both))); diff != "" {
		t.Errorf("keys of both (-want +got):\n%s", diff)
	}
	if got := webMark.Beside(marked(both)); got != both {
		t.Errorf("the same mark again gives %s, want %s", got, both)
	}
	for _, c := range []struct {
		rollout metav1.Object
		want    Mark
	}{{web, webMark}, {api, apiMark}} {
		got, ok := MarkFor(marked(both), c.rollout)
		if diff := cmp.Diff(c.want, got); diff != "" || !ok {
			t.Errorf("%s (-want +got):\n%s", Key(c.rollout), diff)
		}
	}
	if got := Without(marked(both), api); got != first {
		t.Errorf("without one: %s, want %s", got, first)
	}
	if got := Without(marked(first), web); got != "" {
		t.Errorf("without any: %s, want nothing", got)
	}
}

func TestTwoRolloutsThatLeadTheSameSideAreInEachOthersWay(t *testing.T) {
	t.Parallel()
	obj := marked(apiMark.Beside(marked(webMark.String())))
	for name, c := range map[string]struct {
		sides []string
		by    string
	}{
		"other sides":                {[]string{"a", "b"}, ""},
		"its own":                    {[]string{"web-stable", "web-canary"}, ""},
		"the stable side of another": {[]string{"api-stable", "b"}, "shop/api"},
		"the canary of another":      {[]string{"a", "api-canary"}, "shop/api"},
		"no side":                    {[]string{""}, ""},
	} {
		if by, taken := Taken(obj, web, c.sides...); by != c.by || taken != (c.by != "") {
			t.Errorf("%s: taken by %q (%t), want %q", name, by, taken, c.by)
		}
	}
}

func TestAMarkThatCannotBeReadIsNone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "no JSON": "{", "no mark": `{}`, "another type": `"web"`, "a list of another type": `[1]`, "null": "null",
		"a large one": `{"rollout":"shop/web","stable":"` + strings.Repeat("x", maxMarks) + `"}`,
	} {
		if got, ok := MarkFor(marked(text), web); ok || len(MarkKeys(marked(text))) > 0 {
			t.Errorf("%s: %v", name, got)
		}
		if got := webMark.Beside(marked(text)); got != webMark.String() {
			t.Errorf("%s: marked again it is %s", name, got)
		}
	}
}
