package nginx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/routertest"
)

func exact(header, value string) v1alpha1.HeaderRoutingMatch {
	return v1alpha1.HeaderRoutingMatch{HeaderName: header, HeaderValue: &v1alpha1.StringMatch{Exact: value}}
}

func prefix(header, value string) v1alpha1.HeaderRoutingMatch {
	return v1alpha1.HeaderRoutingMatch{HeaderName: header, HeaderValue: &v1alpha1.StringMatch{Prefix: value}}
}

func regex(header, value string) v1alpha1.HeaderRoutingMatch {
	return v1alpha1.HeaderRoutingMatch{HeaderName: header, HeaderValue: &v1alpha1.StringMatch{Regex: value}}
}

func managed(name string, matches ...v1alpha1.HeaderRoutingMatch) trafficrouting.ManagedRoute {
	return trafficrouting.ManagedRoute{Name: name, Headers: matches}
}

func byHeaderOf(name, header string) trafficrouting.ManagedRoute {
	return managed(name, exact(header, "yes"))
}

func managedRoutes() map[string][]trafficrouting.ManagedRoute {
	return map[string][]trafficrouting.ManagedRoute{
		"a value of a header":                 {byHeaderOf("testers", "X-Test")},
		"a value with odd characters":         {managed("testers", exact("User-Agent", "a; b <c> & \"d\""))},
		"the start of a header":               {managed("testers", prefix("X-Build", "v1."))},
		"a pattern of a header":               {managed("testers", regex("X-Group", "^(qa|staff)$"))},
		"a cookie":                            {managed("testers", exact("Cookie", "canary=always"))},
		"a pattern of cookies":                {managed("testers", regex("Cookie", `(^|\x3b\x20)group=qa(\x3b|$)`))},
		"a header or a cookie":                {managed("testers", exact("X-Test", "yes"), exact("cookie", "canary=always"))},
		"a route by header and one by cookie": {managed("staff", exact("Cookie", "staff=always")), byHeaderOf("testers", "X-Test")},
	}
}

// withSteps is the Rollout with these steps.
func withSteps(ro *v1alpha1.Rollout, steps ...v1alpha1.SetHeaderRoute) *v1alpha1.Rollout {
	for i := range steps {
		ro.Spec.Strategy.Canary.Steps = append(ro.Spec.Strategy.Canary.Steps, v1alpha1.CanaryStep{SetHeaderRoute: &steps[i]})
	}
	return ro
}

func applySplit(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, split trafficrouting.Split) []trafficrouting.Change {
	t.Helper()
	changes, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, split)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func wantSeen(t *testing.T, w *routertest.World, ro *v1alpha1.Rollout, want trafficrouting.Observed) {
	t.Helper()
	seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func webWorld(t *testing.T) *routertest.World {
	t.Helper()
	return routertest.NewWorld(t, routertest.Kinds{Scheme: scheme(t)}, ingress("web", ruleFor("web.local", "stable")))
}

func TestEveryWriteOfAReleaseByHeaderIsOnePatchForEachIngress(t *testing.T) {
	h := harness(t, "web", "api", "admin")
	w := routertest.NewWorld(t, h.Kinds, h.Given()...)
	testers := byHeaderOf("testers", "X-Test")
	staff := managed("staff", exact("Cookie", "staff=always"))
	ro := withSteps(rollout("web", "api", "admin"), v1alpha1.SetHeaderRoute{Name: "testers", Match: testers.Headers})
	for _, c := range []struct {
		verb, message string
		split         trafficrouting.Split
	}{
		{"create", "Creating canary ingress `web-web-canary` with weight `0`", splitOf(0)},
		{"patch", "Updating Ingress `web-web-canary` to desiredWeight '0' and header routes `testers`", splitOf(0, testers)},
		{"patch", "Updating Ingress `web-web-canary` to desiredWeight '20' and header routes `testers`, `staff`", splitOf(20, testers, staff)},
		{"patch", "Updating Ingress `web-web-canary` to desiredWeight '20' and header routes `staff`", splitOf(20, staff)},
		{"patch", "Updating Ingress `web-web-canary` to desiredWeight '0'", splitOf(0)}, // an abort
	} {
		changes := applySplit(t, w, ro, c.split)
		wantWrites(t, w, c.verb+" web-web-canary", c.verb+" web-api-canary", c.verb+" web-admin-canary")
		if changes[0].Message != c.message {
			t.Errorf("message %q, want %q", changes[0].Message, c.message)
		}
		wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: c.split.Canary.Weight, Routes: c.split.Routes})
	}
	want := map[string]string{markKey: "true", weightKey: "0"}
	if diff := cmp.Diff(want, stored(t, w, "web-api-canary").Annotations); diff != "" {
		t.Errorf("annotations afterwards (-want +got):\n%s", diff)
	}
}

// The whole point of a step with a header: nobody else sees the canary yet.
func TestAStrayThatGetsRequestsByHeaderAloneIsEmptiedBeforeItIsDeleted(t *testing.T) {
	h := harness(t, "a", "b")
	w := routertest.NewWorld(t, h.Kinds, h.Given()...)
	testers := byHeaderOf("testers", "X-Test")
	applySplit(t, w, rollout("a", "b"), splitOf(0, testers))
	w.Writes()
	wantSeen(t, w, rollout("b"), trafficrouting.Observed{Exists: true, Routes: []trafficrouting.ManagedRoute{testers}})
	for _, want := range [][]string{{"patch web-a-canary"}, {"delete web-a-canary"}, nil} {
		applySplit(t, w, rollout("b"), splitOf(0, testers))
		wantWrites(t, w, want...)
	}
	wantSeen(t, w, rollout("b"), trafficrouting.Observed{Exists: true, InSync: true, Routes: []trafficrouting.ManagedRoute{testers}})
}

func TestARolloutWithoutRoutersHasItsHeaderRouteTakenHome(t *testing.T) {
	w, testers, ro := webWorld(t), byHeaderOf("testers", "X-Test"), rollout("web")
	applySplit(t, w, ro, splitOf(30, testers))
	w.Writes()
	ro.Spec.Strategy.Canary.TrafficRouting = nil
	applySplit(t, w, ro, splitOf(30))
	wantWrites(t, w)
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: 30, Routes: []trafficrouting.ManagedRoute{testers}})
	for _, want := range [][]string{{"patch web-web-canary"}, {"delete web-web-canary"}, nil} {
		applySplit(t, w, ro, splitOf(0))
		wantWrites(t, w, want...)
	}
}

func TestAHeaderRouteOutlivesAWrongSpecUntilAllGoesHome(t *testing.T) {
	for name, spoil := range map[string]func(*v1alpha1.Rollout, *routertest.World){
		"the spec is wrong": func(ro *v1alpha1.Rollout, _ *routertest.World) {
			ro.Spec.Strategy.Canary.TrafficRouting.Nginx.StableIngresses = []string{"api"}
		},
		"the stable Ingress is gone": func(_ *v1alpha1.Rollout, w *routertest.World) {
			if err := w.Direct.Delete(t.Context(), stored(t, w, "web")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, testers, ro := webWorld(t), byHeaderOf("testers", "X-Test"), rollout("web")
			applySplit(t, w, ro, splitOf(30, testers))
			w.Writes()
			spoil(ro, w)
			router, ref := New(w.Client), trafficrouting.Ref{Rollout: ro}
			for _, c := range []struct {
				split  trafficrouting.Split
				writes []string
			}{
				{splitOf(20, testers), nil},
				{splitOf(0, testers), nil}, // A step may set this, so it waits for the correction.
				{splitOf(0), []string{"patch web-web-canary"}},
				{splitOf(0), nil},
			} {
				if _, err := router.Apply(t.Context(), ref, c.split); err == nil {
					t.Error("no error, want one that names the field")
				}
				wantWrites(t, w, c.writes...)
			}
			want := map[string]string{markKey: "true", weightKey: "0"}
			if diff := cmp.Diff(want, stored(t, w, "web-web-canary").Annotations); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAHeaderRouteDecidedBeforeAnotherInstanceAbortedIsRefused(t *testing.T) {
	w, ro := webWorld(t), rollout("web")
	applySplit(t, w, ro, splitOf(0))
	w.Interfere = func(ctx context.Context, direct client.Client, found client.Object) error {
		found.SetLabels(map[string]string{"seen": "later"})
		return direct.Update(ctx, found)
	}
	_, err := New(w.Client).Apply(t.Context(), trafficrouting.Ref{Rollout: ro}, splitOf(0, byHeaderOf("testers", "X-Test")))
	if !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	w.Interfere = nil
	applySplit(t, w, ro, splitOf(0, byHeaderOf("testers", "X-Test")))
	w.Interfere = func(ctx context.Context, direct client.Client, found client.Object) error {
		found.SetLabels(map[string]string{"seen": "later still"})
		return direct.Update(ctx, found)
	}
	applySplit(t, w, ro, splitOf(0)) // An abort wins that race.
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true})
}

func TestObservedRoutes(t *testing.T) {
	testers := byHeaderOf("testers", "X-Test")
	written := map[string]string{markKey: "true", weightKey: "20", headerKey: "X-Test", valueKey: "yes", routesAnnotation: remember([]trafficrouting.ManagedRoute{testers})}
	unknown := []trafficrouting.ManagedRoute{{}}
	for _, c := range []struct {
		name string
		edit map[string]string // "-" takes an annotation away
		want []trafficrouting.ManagedRoute
		seen bool
	}{
		{"a route is read back as it was set", nil, []trafficrouting.ManagedRoute{testers}, true},
		{"another annotation changes nothing", map[string]string{"example.com/note": "x"}, []trafficrouting.ManagedRoute{testers}, true},
		{"another value is no route of ours", map[string]string{valueKey: "no"}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"no value would match always", map[string]string{valueKey: "-"}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"another header", map[string]string{headerKey: "X-Other"}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"a cookie besides", map[string]string{cookieKey: "canary"}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"the header is gone", map[string]string{headerKey: "-", valueKey: "-"}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"what was remembered is gone, and the steps set headers", map[string]string{routesAnnotation: "-"}, unknown, false},
		{"what was remembered is no JSON", map[string]string{routesAnnotation: "testers"}, unknown, false},
		{"what was remembered is another shape", map[string]string{routesAnnotation: `{"name":"testers"}`}, unknown, false},
		{"nothing was remembered", map[string]string{routesAnnotation: "[]"}, unknown, false},
		{"what was remembered is too long to be ours", map[string]string{routesAnnotation: written[routesAnnotation] + strings.Repeat(" ", maxRoutes)}, unknown, false},
		{"what was remembered cannot be said", map[string]string{routesAnnotation: `[{"name":"testers","match":[{"headerName":"X Y"}]}]`}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"what was remembered has no match", map[string]string{routesAnnotation: `[{"name":"testers"}]`, headerKey: "-", valueKey: "-"}, []trafficrouting.ManagedRoute{{Name: "testers"}}, false},
		{"no route, no annotation", map[string]string{routesAnnotation: "-", headerKey: "-", valueKey: "-"}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := withSteps(rollout("web"), v1alpha1.SetHeaderRoute{Name: "testers", Match: testers.Headers})
			in, err := intentOf(ro)
			if err != nil {
				t.Fatal(err)
			}
			canary := ingress("web-web-canary")
			canary.Annotations = maps.Clone(written)
			maps.Copy(canary.Annotations, c.edit)
			maps.DeleteFunc(canary.Annotations, func(_, value string) bool { return value == "-" })
			got, seen := in.observedRoutes(canary)
			if diff := cmp.Diff(c.want, got); diff != "" || seen != c.seen {
				t.Errorf("as written %t, want %t; routes (-want +got):\n%s", seen, c.seen, diff)
			}
		})
	}
}

func TestAnEditOfAHeaderRouteIsSeenAndRepaired(t *testing.T) {
	testers := byHeaderOf("testers", "X-Test")
	for name, edit := range map[string]func(map[string]string){
		"everybody is let in":      func(a map[string]string) { delete(a, valueKey); a[patternKey] = "." },
		"a cookie is added":        func(a map[string]string) { a[cookieKey] = "canary" },
		"the header is taken away": func(a map[string]string) { delete(a, headerKey) },
		"the memory is lost":       func(a map[string]string) { delete(a, routesAnnotation) },
		"the memory is of a name": func(a map[string]string) {
			clear(a)
			maps.Copy(a, map[string]string{markKey: "true", weightKey: "20", routesAnnotation: `[{"name":"testers"}]`})
		},
		"the memory is garbage": func(a map[string]string) { a[routesAnnotation] = "[{" },
		"the memory has another layout": func(a map[string]string) {
			a[routesAnnotation] = strings.ReplaceAll(a[routesAnnotation], ":", ": ")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := webWorld(t)
			ro := withSteps(rollout("web"), v1alpha1.SetHeaderRoute{Name: "testers", Match: testers.Headers})
			applySplit(t, w, ro, splitOf(20, testers))
			whole := stored(t, w, "web-web-canary").Annotations
			editCanary(t, w, edit)
			if seen, err := New(w.Client).Observe(t.Context(), trafficrouting.Ref{Rollout: ro}); err != nil || seen.InSync || len(seen.Routes) != 1 {
				t.Errorf("observed %+v, error %v, want one route out of sync", seen, err)
			}
			w.Writes()
			applySplit(t, w, ro, splitOf(20, testers))
			wantWrites(t, w, "patch web-web-canary")
			if diff := cmp.Diff(whole, stored(t, w, "web-web-canary").Annotations); diff != "" {
				t.Errorf("after the repair (-before the edit +after):\n%s", diff)
			}
			editCanary(t, w, edit)
			applySplit(t, w, ro, splitOf(0))
			if got := stored(t, w, "web-web-canary").Annotations; got[headerKey] != "" || got[cookieKey] != "" || got[routesAnnotation] != "" {
				t.Errorf("annotations %v after an abort, want no header and no cookie", got)
			}
		})
	}
}

func editCanary(t *testing.T, w *routertest.World, change func(map[string]string)) {
	t.Helper()
	edit(t, w, "web-web-canary", func(i *networkingv1.Ingress) { change(i.Annotations) })
}

func TestCanaryIngressesThatDisagreeAboutARouteAreNotInSync(t *testing.T) {
	h := harness(t, "web", "api", "admin")
	w := routertest.NewWorld(t, h.Kinds, h.Given()...)
	testers, ro := byHeaderOf("testers", "X-Test"), rollout("web", "api", "admin")
	applySplit(t, w, ro, splitOf(20, testers))
	edit(t, w, "web-api-canary", func(i *networkingv1.Ingress) {
		i.Annotations = map[string]string{markKey: "true", weightKey: "20"}
	})
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{testers}})
	w.Writes()
	applySplit(t, w, ro, splitOf(20, testers))
	wantWrites(t, w, "patch web-api-canary")
}

// Steps that the goldens do not have: an error is found before its step is reached, with its path.
func TestWhatTheAnnotationsCannotSayIsAnErrorOfItsStep(t *testing.T) {
	set := func(name string, matches ...v1alpha1.HeaderRoutingMatch) v1alpha1.SetHeaderRoute {
		return v1alpha1.SetHeaderRoute{Name: name, Match: matches}
	}
	for _, c := range []struct {
		name  string
		steps []v1alpha1.SetHeaderRoute
		field string // empty for none
	}{
		{"a route replaces the one of its name", []v1alpha1.SetHeaderRoute{set("a", exact("X", "1")), set("a", exact("Y", "1"))}, ""},
		{"a route that goes makes room", []v1alpha1.SetHeaderRoute{set("a", exact("X", "1")), set("a"), set("b", exact("Y", "1"))}, ""},
		{"another route that goes makes none", []v1alpha1.SetHeaderRoute{set("a", exact("X", "1")), set("b"), set("b", exact("Y", "1"))}, "[2].setHeaderRoute.match[0]"},
		{"the same header twice", []v1alpha1.SetHeaderRoute{set("a", exact("X", "1"), exact("X", "2"))}, "[0].setHeaderRoute.match[1]"},
		{"a cookie and a pattern of the header Cookie", []v1alpha1.SetHeaderRoute{set("a", exact("Cookie", "a=always"), regex("Cookie", "b="))}, ""},
		{"two patterns of cookies", []v1alpha1.SetHeaderRoute{set("a", regex("Cookie", "a=")), set("b", prefix("Cookie", "b="))}, "[1].setHeaderRoute.match[0]"},
		{"a header after a cookie has room", []v1alpha1.SetHeaderRoute{set("a", exact("Cookie", "a=always")), set("b", exact("X", "1"), exact("Cookie", "b=always"))}, "[1].setHeaderRoute.match[1]"},
		{"no header", []v1alpha1.SetHeaderRoute{set("a", exact("", "1"))}, "[0].setHeaderRoute.match[0].headerName"},
		{"no name of a header", []v1alpha1.SetHeaderRoute{set("a", exact("X: Y", "1"))}, "[0].setHeaderRoute.match[0].headerName"},
		{"no value", []v1alpha1.SetHeaderRoute{set("a", v1alpha1.HeaderRoutingMatch{HeaderName: "X"})}, "[0].setHeaderRoute.match[0].headerValue"},
		{"an empty value", []v1alpha1.SetHeaderRoute{set("a", exact("X", ""))}, "[0].setHeaderRoute.match[0].headerValue.regex"},
		{"a value that is not ASCII", []v1alpha1.SetHeaderRoute{set("a", exact("X", "später"))}, "[0].setHeaderRoute.match[0].headerValue.exact"},
		{"a start that is not printable", []v1alpha1.SetHeaderRoute{set("a", prefix("X", "a\nb"))}, "[0].setHeaderRoute.match[0].headerValue.prefix"},
		{"a pattern with a comma", []v1alpha1.SetHeaderRoute{set("a", regex("X", "a{1,2}"))}, "[0].setHeaderRoute.match[0].headerValue.regex"},
		{"a value that no request can have", []v1alpha1.SetHeaderRoute{set("a", exact("X", strings.Repeat("a", maxRoute)))}, "[0].setHeaderRoute"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := intentOf(withSteps(rollout("web"), c.steps...))
			var got *field.Error
			switch errors.As(err, &got); {
			case c.field == "" && err != nil:
				t.Errorf("error %v, want none", err)
			case c.field != "" && (got == nil || got.Field != "spec.strategy.canary.steps"+c.field):
				t.Errorf("error %v, want one at %s", err, c.field)
			}
		})
	}
}

// NGINX reads patterns as PCRE does, Traefik as Go does: what is quoted means the same to both.
func TestAQuotedValueMatchesItselfAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "text")
		other := rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "other")
		for kind, match := range map[string]v1alpha1.HeaderRoutingMatch{"exact": exact("X", text), "prefix": prefix("X", text)} {
			said, err := sayMatch(match, field.NewPath("match"))
			if err != nil {
				t.Fatal(err)
			}
			if value, plain := said[byHeaderValue]; plain {
				if value != text || kind != "exact" {
					t.Fatalf("%s %q is said as the value %q", kind, text, value)
				}
				continue
			}
			pattern := said[byHeaderPattern]
			if !plainPattern.MatchString(pattern) {
				t.Fatalf("ingress-nginx would drop the pattern %q", pattern)
			}
			reads := regexp.MustCompile(pattern)
			if !reads.MatchString(text) || reads.MatchString(text+other) != (kind == "prefix") || reads.MatchString("~"+other) && text[0] != '~' {
				t.Fatalf("%s %q is said as %q, which matches something else", kind, text, pattern)
			}
		}
	})
}

func TestATotalBelowOneHundredIsWrittenAsAMultipleThatNGINXObeys(t *testing.T) {
	for _, total := range []int32{1, 3, 10, 50, 99, 100, 101} {
		ro, w := rollout("web"), webWorld(t)
		ro.Spec.Strategy.Canary.TrafficRouting.MaxTrafficWeight = &total
		for _, weight := range []int32{0, 1, total / 2, total} {
			split := splitOf(weight)
			split.MaxWeight, split.Stable.Weight = total, total-weight
			applySplit(t, w, ro, split)
			wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: weight})
			var share, of int64
			annotations := stored(t, w, "web-web-canary").Annotations
			if _, err := fmt.Sscan(annotations[weightKey]+" "+annotations[totalKey], &share, &of); err != nil {
				t.Fatal(err)
			}
			if of < 100 || share*int64(total) != int64(weight)*of {
				t.Errorf("%d of %d was written as %d of %d", weight, total, share, of)
			}
		}
	}
}

// The annotations that users wrote before there were header routes go on as they are.
func TestAHeaderThatTheSpecAnnotatesIsNoManagedRoute(t *testing.T) {
	w, ro := webWorld(t), rollout("web")
	ro.Spec.Strategy.Canary.TrafficRouting.Nginx.AdditionalIngressAnnotations = map[string]string{byHeader: "X-Canary"}
	for _, weight := range []int32{0, 20, 0} {
		applySplit(t, w, ro, splitOf(weight))
		wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: weight})
		if got := stored(t, w, "web-web-canary").Annotations[headerKey]; got != "X-Canary" {
			t.Errorf("header %q, want the user's", got)
		}
	}
}

// A spec that is given such an annotation in place of its steps gets it when the route goes.
func TestAnAnnotationTakesThePlaceOfARoute(t *testing.T) {
	w, testers := webWorld(t), byHeaderOf("testers", "X-Test")
	applySplit(t, w, rollout("web"), splitOf(20, testers))
	ro := rollout("web")
	ro.Spec.Strategy.Canary.TrafficRouting.Nginx.AdditionalIngressAnnotations = map[string]string{byHeader: "X-Canary"}
	wantSeen(t, w, ro, trafficrouting.Observed{Exists: true, InSync: true, CanaryWeight: 20, Routes: []trafficrouting.ManagedRoute{testers}})
	applySplit(t, w, ro, splitOf(20))
	want := map[string]string{markKey: "true", weightKey: "20", headerKey: "X-Canary"}
	if got := stored(t, w, "web-web-canary").Annotations; !reflect.DeepEqual(got, want) {
		t.Errorf("annotations %v, want %v", got, want)
	}
}
