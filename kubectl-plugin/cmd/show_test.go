package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

const tree = `Name:            cart
Namespace:       shop
Status:          ॥ Paused
Message:         CanaryPauseStep
Why:             step 2 of 4 is a pause without a duration, so it waits for a person
  To go on:      kubectl rollouts promote cart -n shop
Strategy:        Canary
  Step:          1/4
  SetWeight:     50
  ActualWeight:  50
Images:          cart:new (canary)
                 cart:old (stable)
Replicas:
  Desired:       2
  Current:       2
  Updated:       1
  Ready:         2
  Available:     2

NAME                     KIND        STATUS     AGE  INFO
⟳ cart                   Rollout     ॥ Paused   60m
├──# revision:42
│  └──⧉ cart-new         ReplicaSet  ✔ Healthy  60s  canary
│     └──□ cart-new-x7q  Pod         ✔ Running  60s  ready:1/1
└──# revision:41
   └──⧉ cart-old         ReplicaSet  ✔ Healthy  60s  stable
      └──□ cart-old-x7q  Pod         ✔ Running  60s  ready:1/1
`

func world(change ...func(*v1alpha1.Rollout)) []client.Object {
	return append(append([]client.Object{cart(change...)}, owned("new", "42")...), owned("old", "41")...)
}

func TestGetShowsTheRolloutAndWhatItOwns(t *testing.T) {
	for _, line := range []string{"get rollout cart", "get ro cart", "get rollout ro/cart", "get cart", "get rollout cart -o wide --no-color"} {
		r := newRig(t, world()...)
		if code := r.run("kubectl-rollouts " + line); code != ExitDone {
			t.Fatalf("%s: exit code %d: %s", line, code, r.err)
		}
		if diff := cmp.Diff(tree, r.out.String()); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
}

func TestGetPrintsTheModel(t *testing.T) {
	for format, decode := range map[string]func([]byte, *view.RolloutView) error{
		"json": func(b []byte, v *view.RolloutView) error { return json.Unmarshal(b, v) },
		"yaml": func(b []byte, v *view.RolloutView) error { return yaml.UnmarshalStrict(b, v) },
	} {
		r := newRig(t, world()...)
		if code := r.run("kubectl-rollouts get rollout cart -o " + format); code != ExitDone {
			t.Fatalf("exit code %d: %s", code, r.err)
		}
		var v view.RolloutView
		if err := decode([]byte(r.out.String()), &v); err != nil {
			t.Fatal(err)
		}
		if v.Kind != view.RolloutKind || v.Name != "cart" || len(v.Revisions) != 2 || !v.Pause.Person {
			t.Errorf("%s is %+v", format, v)
		}
	}
}

func TestGetFailsWithWhatToDoNext(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		err  error
		code int
		says string
	}{
		"a missing rollout": {
			"get rollout nope", nil, ExitError,
			"error: reading rollout 'nope' failed\n  why:  rollouts.argoproj.io \"nope\" not found\n  next: kubectl rollouts list rollouts -n shop, or name another namespace with -n\n",
		},
		"a cluster without the definitions": {
			"get rollout cart", apierrors.NewGenericServerResponse(404, "get", v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), "", "", 0, true), ExitError,
			"error: reading rollout 'cart' failed\n  why:  the cluster does not serve rollouts.argoproj.io\n  next: install the custom resource definitions; check with: kubectl get crd rollouts.argoproj.io\n",
		},
		"a login that ended": {
			"get rollout cart", apierrors.NewUnauthorized("token expired"), ExitError,
			"error: reading rollout 'cart' failed\n  why:  token expired\n  next: log in again; check with: kubectl auth whoami\n",
		},
		"an unknown format": {
			"get rollout cart -o xml", nil, ExitUsage, "error: -o is \"xml\", which is none of tree, wide, json, yaml, name\n",
		},
		"an unknown colour": {
			"get rollout cart --color=blue", nil, ExitUsage, "error: --color is \"blue\", which is none of auto, always, never\n",
		},
		"an unknown flag": {
			"get rollout cart --bogus", nil, ExitUsage, "error: unknown flag: --bogus\n  next: kubectl rollouts --help\n",
		},
		"an unknown command": {
			"fly cart", nil, ExitUsage, "error: unknown command \"fly\" for \"kubectl rollouts\"\n  why:  Did you mean this? why\n  next: kubectl rollouts --help\n",
		},
		"no name": {
			"get rollout", nil, ExitUsage, "error: kubectl rollouts get rollout needs the name of a rollout\n  next: for example: kubectl rollouts get rollout cart\n",
		},
		"another kind": {
			"get rollout pod/x", nil, ExitUsage, "error: \"pod/x\" is not a rollout\n  next: name it as NAME or rollout/NAME\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart())
			if c.err != nil {
				r.funcs.Get = func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
					return c.err
				}
			}
			code := r.run("kubectl-rollouts " + c.line)
			if diff := cmp.Diff(c.says, r.err.String()); diff != "" || code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, diff)
			}
		})
	}
}

func TestThoseWhoMayNotSeePodsStillSeeTheRollout(t *testing.T) {
	r := newRig(t, world()...)
	r.funcs.List = func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, pods := list.(*corev1.PodList); pods {
			return errors.New("pods is forbidden")
		}
		return c.List(ctx, list, opts...)
	}
	code := r.run("kubectl-rollouts get rollout cart")
	if code != ExitDone || !strings.Contains(r.out.String(), "Note:            pods are not shown: pods is forbidden\n") {
		t.Errorf("exit code %d:\n%s", code, r.out)
	}
}

func TestTheNamesOfTheBuiltinCommandLeadToIt(t *testing.T) {
	for line, want := range map[string]string{
		"history deploy/x":          "next: kubectl rollout history deploy/x",
		"history deployment x":      "next: kubectl rollout history deployment x",
		"undo sts/x --to-revision=": "next: kubectl rollout undo sts/x",
		"status ds/x":               "next: kubectl rollout status ds/x",
		"promote deploy/x":          "next: kubectl rollout resume deploy/x",
		"history cart":              "next: kubectl rollouts get rollout cart",
		"resume ro/cart":            "next: kubectl rollouts promote cart",
		"pause cart --now":          `next: kubectl patch rollouts.argoproj.io cart --type merge -p '{"spec":{"paused":true}}'`,
	} {
		r := newRig(t)
		if code := r.run("kubectl-rollouts " + line); code != ExitUsage || !strings.Contains(r.err.String(), want) {
			t.Errorf("%s: exit code %d: %s", line, code, r.err)
		}
	}
}

func TestWhySaysTheReason(t *testing.T) {
	r := newRig(t, world()...)
	code := r.run("kubectl-rollouts why cart")
	want := `॥ cart is Paused: step 2 of 4 is a pause without a duration, so it waits for a person

  since     2026-11-21T11:59:00Z (60s ago)
  traffic   stable 50 of 100, canary 50 of 100
  next      nothing happens by itself
  to go on  kubectl rollouts promote cart -n shop
`
	if diff := cmp.Diff(want, r.out.String()); diff != "" || code != ExitDone {
		t.Errorf("exit code %d:\n%s", code, diff)
	}
	r = newRig(t, world()...)
	r.run("kubectl-rollouts why cart -o json")
	var e view.Explanation
	if err := json.Unmarshal([]byte(r.out.String()), &e); err != nil || e.Why.Code != "PausedByStep" {
		t.Errorf("the JSON is %s (%v)", r.out, err)
	}
}

func TestListShowsRollouts(t *testing.T) {
	other := cart(healthy)
	other.Name, other.Namespace = "ledger", "pay"
	for line, want := range map[string]string{
		"list rollouts":                     "NAME  STRATEGY  STATUS  STEP  SET-WEIGHT  READY  DESIRED  UP-TO-DATE  AVAILABLE\ncart  Canary    Paused  1/4   50          2/2    2        1           2\n",
		"list ro -o name":                   "rollout.argoproj.io/cart\n",
		"list rollouts -A --name ledger":    "NAMESPACE  NAME    STRATEGY  STATUS   STEP  SET-WEIGHT  READY  DESIRED  UP-TO-DATE  AVAILABLE\npay        ledger  Canary    Healthy  4/4   100         2/2    2        2           2\n",
		"list rollouts --timestamps":        "TIMESTAMP             NAME  STRATEGY  STATUS  STEP  SET-WEIGHT  READY  DESIRED  UP-TO-DATE  AVAILABLE\n2026-11-21T12:00:00Z  cart  Canary    Paused  1/4   50          2/2    2        1           2\n",
		"list rollouts --name nope -o name": "",
	} {
		r := newRig(t, cart(), other.DeepCopy())
		code := r.run("kubectl-rollouts " + line)
		if diff := cmp.Diff(want, r.out.String()); diff != "" || code != ExitDone {
			t.Errorf("%s: exit code %d:\n%s", line, code, diff)
		}
	}
}

func TestAListOfNothingIsAnEmptyListAlsoInADocument(t *testing.T) {
	for line, want := range map[string]string{
		"list rollouts -o json":             "\"items\": []",
		"list rollouts -o yaml":             "items: []",
		"list rollouts -o json --name nope": "\"items\": []",
	} {
		r := newRig(t)
		if code := r.run("kubectl-rollouts " + line); code != ExitDone || !strings.Contains(r.out.String(), want) {
			t.Errorf("%s: exit code %d, want %s:\n%s", line, code, want, r.out.String())
		}
	}
}

func TestListFollowsTheRolloutsThatChange(t *testing.T) {
	r := newRig(t, cart())
	ctx, stop := context.WithCancel(t.Context())
	code := r.start(ctx, "kubectl-rollouts list rollouts -w")
	// A change that falls before the watch is seen by its first read.
	r.eventually("the table", func() bool { return strings.Contains(r.out.String(), "Paused") })
	r.change(func(ro *v1alpha1.Rollout) { healthy(ro) })
	r.eventually("the row", func() bool { return strings.Contains(r.out.String(), "Healthy") })
	stop()
	if got := <-code; got != ExitInterrupted {
		t.Errorf("exit code %d: %s", got, r.err)
	}
	if got := strings.Count(r.out.String(), "\n"); got != 3 {
		t.Errorf("%d lines, want the title and two rows:\n%s", got, r.out)
	}
}

func TestAWatchWithoutATerminalPrintsALineForEachChange(t *testing.T) {
	r := newRig(t, world(running)...)
	ctx, stop := context.WithCancel(t.Context())
	code := r.start(ctx, "kubectl-rollouts get rollout cart -w")
	r.eventually("the first line", func() bool { return strings.Count(r.out.String(), "\n") == 1 })
	r.change(func(ro *v1alpha1.Rollout) { ro.Status.CurrentStepIndex = ptr[int32](2) })
	r.eventually("the second line", func() bool {
		r.clock.advance(leastGap)
		return strings.Count(r.out.String(), "\n") == 2
	})
	r.eventually("the heartbeat", func() bool {
		r.clock.advance(time.Minute)
		return strings.Contains(r.err.String(), "still the same")
	})
	stop()
	if got := <-code; got != ExitInterrupted || strings.Contains(r.out.String(), "\x1b") {
		t.Errorf("exit code %d:\n%s", got, r.out)
	}
}

func TestAJSONWatchIsOneDocumentALine(t *testing.T) {
	r := newRig(t, world(running)...)
	ctx, stop := context.WithCancel(t.Context())
	code := r.start(ctx, "kubectl-rollouts get rollout cart -w -o json")
	r.eventually("the first document", func() bool { return strings.Count(r.out.String(), "\n") == 1 })
	r.change(func(ro *v1alpha1.Rollout) { ro.Status.CurrentStepIndex = ptr[int32](2) })
	r.eventually("the second document", func() bool {
		r.clock.advance(leastGap)
		return strings.Count(r.out.String(), "\n") == 2
	})
	stop()
	<-code
	for _, line := range strings.Split(strings.TrimSpace(r.out.String()), "\n") {
		var v view.RolloutView
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
}

func TestAWatchOnATerminalDrawsInPlace(t *testing.T) {
	r := newRig(t, world(running)...)
	r.tty = true
	ctx, stop := context.WithCancel(t.Context())
	code := r.start(ctx, "kubectl-rollouts get rollout cart -w")
	r.eventually("the first picture", func() bool { return strings.Contains(r.out.String(), eraseBelow) })
	for i := range 50 {
		r.change(func(ro *v1alpha1.Rollout) { ro.Status.ReadyReplicas = int32(i % 2) })
	}
	stop()
	<-code
	out := r.out.String()
	if !strings.HasPrefix(out, screenEnter) || !strings.Contains(out, screenLeave+"Name:") {
		t.Errorf("the alternate screen is not entered and left:\n%q", out)
	}
	if got := strings.Count(out, eraseBelow); got != 1 {
		t.Errorf("a burst of changes within one instant was drawn %d times", got)
	}
}

func TestAWatchThatMayNotWatchPolls(t *testing.T) {
	r := newRig(t, cart(running))
	r.funcs.Watch = func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
		return nil, apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), "", nil)
	}
	code := r.start(t.Context(), "kubectl-argo-rollouts status cart")
	r.eventually("the first line", func() bool { return r.out.String() != "" })
	r.change(func(ro *v1alpha1.Rollout) { healthy(ro) })
	r.eventually("the end", func() bool {
		r.clock.advance(followAgain)
		return strings.HasSuffix(r.out.String(), "Healthy\n")
	})
	if got := <-code; got != ExitDone {
		t.Errorf("exit code %d", got)
	}
}

func TestColour(t *testing.T) {
	for name, c := range map[string]struct {
		flag string
		env  map[string]string
		tty  bool
		want bool
	}{
		"is on at a terminal":                      {"auto", nil, true, true},
		"is off without one":                       {"auto", nil, false, false},
		"is off with NO_COLOR":                     {"auto", map[string]string{"NO_COLOR": "1"}, true, false},
		"is not off with an empty NO_COLOR":        {"auto", map[string]string{"NO_COLOR": ""}, true, true},
		"is on with CLICOLOR_FORCE":                {"auto", map[string]string{"CLICOLOR_FORCE": "1"}, false, true},
		"is not forced by CLICOLOR_FORCE=0":        {"auto", map[string]string{"CLICOLOR_FORCE": "0"}, false, false},
		"NO_COLOR wins over CLICOLOR_FORCE":        {"auto", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, true, false},
		"is off on a dumb terminal":                {"auto", map[string]string{"TERM": "dumb"}, true, false},
		"is on when asked for, whatever the rest":  {"always", map[string]string{"NO_COLOR": "1"}, false, true},
		"is off when asked for, whatever the rest": {"never", map[string]string{"CLICOLOR_FORCE": "1"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.env = c.env
			a := r.app("kubectl-rollouts")
			a.display.colour = c.flag
			if got, err := a.colour(c.tty); err != nil || got != c.want {
				t.Errorf("it is %t, %v", got, err)
			}
		})
	}
}

func TestGlyphs(t *testing.T) {
	for name, c := range map[string]struct {
		called string
		env    map[string]string
		want   view.Glyphs
	}{
		"are Unicode without a locale":          {"kubectl-rollouts", nil, view.GlyphsUnicode},
		"are Unicode in UTF-8":                  {"kubectl-rollouts", map[string]string{"LANG": "de_DE.UTF-8"}, view.GlyphsUnicode},
		"are ASCII in another locale":           {"kubectl-rollouts", map[string]string{"LANG": "C"}, view.GlyphsASCII},
		"follow LC_ALL first":                   {"kubectl-rollouts", map[string]string{"LC_ALL": "C.utf8", "LANG": "C"}, view.GlyphsUnicode},
		"are Unicode always by the served name": {"kubectl-argo-rollouts", map[string]string{"LANG": "C"}, view.GlyphsUnicode},
	} {
		r := newRig(t)
		r.env = c.env
		if got := r.app(c.called).glyphs(); got != c.want {
			t.Errorf("glyphs %s: %s, want %s", name, got, c.want)
		}
	}
}

func TestTimeout(t *testing.T) {
	for text, want := range map[string]timeout{
		"90s": {Duration: 90 * time.Second}, "0": {}, "60": {Duration: time.Minute, bare: true}, "1h30m": {Duration: 90 * time.Minute},
	} {
		var got timeout
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "-5s", "soon", "99999999999999"} {
		var got timeout
		if err := got.Set(text); err == nil {
			t.Errorf("%q is taken as %s", text, got.Duration)
		}
	}
}

func TestVersionNamesTheProgram(t *testing.T) {
	r := newRig(t)
	r.run("kubectl-rollouts version --short")
	if got := r.out.String(); !strings.HasPrefix(got, "kubectl-rollouts: v") || strings.Count(got, "\n") != 1 {
		t.Errorf("the short version is %q", got)
	}
	r = newRig(t)
	r.run("kubectl-argo-rollouts version")
	if got := r.out.String(); !strings.HasPrefix(got, "kubectl-argo-rollouts: v") || !strings.Contains(got, "  Platform: ") {
		t.Errorf("the version is %q", got)
	}
}

func TestExecuteSendsOnlyTheRequestsItNeeds(t *testing.T) {
	var requests []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests = append(requests, req.Method+" "+req.URL.Path+" "+req.Header.Get("Content-Type"))
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(cart())
	}))
	defer server.Close()
	config := filepath.Join(t.TempDir(), "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, namespace: shop}}]\nclusters: [{name: a, cluster: {server: \"" + server.URL + "\"}}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut := &buffer{}, &buffer{}
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut}
	code := Execute([]string{"kubectl-rollouts", "promote", "cart", "--kubeconfig", config}, streams)
	want := []string{
		"GET /apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/cart ",
		"PATCH /apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/cart/status application/merge-patch+json",
	}
	if diff := cmp.Diff(want, requests); diff != "" || code != ExitDone {
		t.Errorf("exit code %d: %s%s", code, errOut, diff)
	}
}

func TestACommandWithoutAClusterSaysSo(t *testing.T) {
	errOut := &buffer{}
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &buffer{}, ErrOut: errOut}
	code := Execute([]string{"kubectl-rollouts", "get", "rollout", "cart", "--kubeconfig", filepath.Join(t.TempDir(), "none")}, streams)
	if code != ExitError || !strings.HasPrefix(errOut.String(), "error: ") || !strings.Contains(errOut.String(), "\n  next: ") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}
