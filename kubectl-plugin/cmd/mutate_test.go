package cmd

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const version = `{"metadata":{"resourceVersion":"999"},`

func TestPromoteWritesTheServedPatches(t *testing.T) {
	inconclusive := func(ro *v1alpha1.Rollout) {
		ro.Status.PauseConditions[0].Reason = v1alpha1.PauseReasonInconclusiveAnalysis
		ro.Status.Canary.CurrentStepAnalysisRunStatus = &v1alpha1.RolloutAnalysisRunStatus{Name: "x", Status: v1alpha1.AnalysisPhaseInconclusive}
	}
	blueGreen := func(ro *v1alpha1.Rollout) {
		ro.Spec.Strategy = v1alpha1.RolloutStrategy{BlueGreen: &v1alpha1.BlueGreenStrategy{ActiveService: "cart"}}
	}
	for name, c := range map[string]struct {
		line  string
		state []func(*v1alpha1.Rollout)
		want  []string
		says  string
	}{
		"a pause is cleared": {
			"promote cart", nil,
			[]string{`status ` + version + `"status":{"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"a step is skipped when nothing is paused": {
			"promote cart",
			[]func(*v1alpha1.Rollout){running},
			[]string{`status ` + version + `"status":{"currentStepIndex":2,"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"the index stays behind the last step": {
			"promote cart",
			[]func(*v1alpha1.Rollout){healthy},
			[]string{`status ` + version + `"status":{"currentStepIndex":4,"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"an inconclusive analysis is passed over": {
			"promote cart",
			[]func(*v1alpha1.Rollout){inconclusive},
			[]string{`status ` + version + `"status":{"controllerPause":false,"currentStepIndex":2,"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"spec.paused is cleared before the pause": {
			"promote cart",
			[]func(*v1alpha1.Rollout){func(ro *v1alpha1.Rollout) { ro.Spec.Paused = true }},
			[]string{`main {"spec":{"paused":false}}`, `status {"metadata":{"resourceVersion":"1000"},"status":{"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"a promotion the controller has not seen is not repeated": {
			"promote cart",
			[]func(*v1alpha1.Rollout){func(ro *v1alpha1.Rollout) { ro.Status.PauseConditions = nil }},
			nil, "rollout 'cart' promoted\n",
		},
		"blue-green without a pause has nothing to write": {
			"promote cart", []func(*v1alpha1.Rollout){blueGreen, running}, nil, "rollout 'cart' promoted\n",
		},
		"blue-green clears its pause": {
			"promote cart",
			[]func(*v1alpha1.Rollout){blueGreen},
			[]string{`status ` + version + `"status":{"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"a full promotion sets promoteFull": {
			"promote cart --full", nil,
			[]string{`status ` + version + `"status":{"promoteFull":true}}`},
			"rollout 'cart' fully promoted\n",
		},
		"a full promotion clears spec.paused, or it would stop before its end": {
			"promote cart --full",
			[]func(*v1alpha1.Rollout){func(ro *v1alpha1.Rollout) { ro.Spec.Paused = true }},
			[]string{`main {"spec":{"paused":false}}`, `status {"metadata":{"resourceVersion":"1000"},"status":{"promoteFull":true}}`},
			"rollout 'cart' fully promoted\n",
		},
		"a full promotion of the stable revision writes nothing": {
			"promote cart --full", []func(*v1alpha1.Rollout){healthy}, nil, "rollout 'cart' fully promoted\n",
		},
		"the old flag skips the step": {
			"promote cart -c", nil,
			[]string{`status ` + version + `"status":{"currentStepIndex":2,"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"the old flag skips all steps": {
			"promote cart -a", nil,
			[]string{`status ` + version + `"status":{"currentStepIndex":4,"pauseConditions":null}}`},
			"rollout 'cart' promoted\n",
		},
		"a dry run says so": {
			"promote rollout/cart --dry-run=server", nil,
			[]string{`status ` + version + `"status":{"pauseConditions":null}}`},
			"rollout 'cart' promoted (server dry run)\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart(c.state...))
			if code := r.run("kubectl-rollouts " + c.line); code != ExitDone {
				t.Fatalf("the exit code is %d: %s", code, r.err)
			}
			if diff := cmp.Diff(c.want, r.patches); diff != "" {
				t.Errorf("patches (-want +got):\n%s", diff)
			}
			if !strings.HasSuffix(r.out.String(), c.says) {
				t.Errorf("it says %q, want %q", r.out, c.says)
			}
		})
	}
}

// beforePatch changes the rollout once, just before the first patch arrives.
func (r *rig) beforePatch(change func(*v1alpha1.Rollout)) {
	done := false
	r.funcs.SubResourcePatch = func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
		if !done {
			done = true
			r.change(change)
		}
		r.record(sub, obj, patch)
		return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
	}
}

// change changes the rollout as another client would.
func (r *rig) change(change func(*v1alpha1.Rollout)) {
	r.t.Helper()
	var ro v1alpha1.Rollout
	if err := r.client.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "cart"}, &ro); err != nil {
		r.t.Fatal(err)
	}
	before := ro.Annotations[v1alpha1.RevisionAnnotation]
	change(&ro)
	status := ro.Status
	if ro.Annotations[v1alpha1.RevisionAnnotation] != before {
		if err := r.client.Update(context.Background(), &ro); err != nil {
			r.t.Fatal(err)
		}
		ro.Status = status
	}
	if err := r.client.Status().Update(context.Background(), &ro); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stored() *v1alpha1.Rollout {
	r.t.Helper()
	var ro v1alpha1.Rollout
	if err := r.client.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "cart"}, &ro); err != nil {
		r.t.Fatal(err)
	}
	return &ro
}

func TestAPromotionIsSentAgainWhenOnlyOtherThingsChanged(t *testing.T) {
	r := newRig(t, cart(running))
	r.beforePatch(func(ro *v1alpha1.Rollout) { ro.Status.ReadyReplicas = 1 })
	if code := r.run("kubectl-rollouts promote cart"); code != ExitDone {
		t.Fatalf("the exit code is %d: %s", code, r.err)
	}
	if got := *r.stored().Status.CurrentStepIndex; got != 2 || len(r.patches) != 2 {
		t.Errorf("the step is %d after %d patches, want 2 after 2", got, len(r.patches))
	}
}

func TestAPromotionNeverAdvancesTwoSteps(t *testing.T) {
	for name, line := range map[string]string{"of a step": "promote cart", "of everything, to another revision": "promote cart --full"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart(running))
			r.beforePatch(func(ro *v1alpha1.Rollout) {
				ro.Status.CurrentStepIndex, ro.Status.CurrentPodHash = ptr[int32](2), "newer"
			})
			code := r.run("kubectl-rollouts " + line)
			if got := r.stored(); code != ExitError || *got.Status.CurrentStepIndex != 2 || got.Status.PromoteFull {
				t.Errorf("exit code %d, status %+v; the promotion of another state went through", code, got.Status)
			}
			if want := "error: rollout 'cart' was not promoted\n  why:  it changed while"; !strings.HasPrefix(r.err.String(), want) {
				t.Errorf("it says %q", r.err)
			}
		})
	}
}

func TestAPromotionDoesNotEndAPauseThatBeganMeanwhile(t *testing.T) {
	r := newRig(t, cart(running))
	r.beforePatch(func(ro *v1alpha1.Rollout) {
		ro.Status.PauseConditions = []v1alpha1.PauseCondition{{Reason: v1alpha1.PauseReasonCanaryPauseStep, StartTime: metav1.NewTime(noon)}}
	})
	if code := r.run("kubectl-rollouts promote cart"); code != ExitError || len(r.stored().Status.PauseConditions) != 1 {
		t.Errorf("exit code %d; a pause that nobody saw was ended", code)
	}
}

func TestAPromotionWithALostAnswerIsNotSentAgain(t *testing.T) {
	r := newRig(t, cart(running))
	r.funcs.SubResourcePatch = func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
		r.record(sub, obj, patch)
		if err := c.SubResource(sub).Patch(ctx, obj, patch, opts...); err != nil {
			return err
		}
		return apierrors.NewTimeoutError("no answer", 1)
	}
	if code := r.run("kubectl-rollouts promote cart"); code != ExitError || len(r.patches) != 1 || *r.stored().Status.CurrentStepIndex != 2 {
		t.Errorf("exit code %d after %d patches", code, len(r.patches))
	}
}

func TestAbortAndRetryWriteOneFlag(t *testing.T) {
	for name, c := range map[string]struct{ line, patch, says string }{
		"abort":                   {"abort cart", `status {"status":{"abort":true}}`, "rollout 'cart' aborted\n"},
		"retry rollout":           {"retry rollout cart", `status {"status":{"abort":false}}`, "rollout 'cart' retried\n"},
		"retry with an alias":     {"retry ro cart", `status {"status":{"abort":false}}`, "rollout 'cart' retried\n"},
		"retry without the noun":  {"retry ro/cart", `status {"status":{"abort":false}}`, "rollout 'cart' retried\n"},
		"abort with type in name": {"abort rollouts/cart", `status {"status":{"abort":true}}`, "rollout 'cart' aborted\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, called := range []string{"kubectl-rollouts ", "/usr/local/bin/kubectl-argo-rollouts "} {
				r := newRig(t, cart())
				code := r.run(called + c.line)
				if diff := cmp.Diff([]string{c.patch}, r.patches); diff != "" || code != ExitDone || r.out.String() != c.says {
					t.Errorf("exit code %d, said %q %s, patches:\n%s", code, r.out, r.err, diff)
				}
			}
		})
	}
}

func TestRestartSetsTheTime(t *testing.T) {
	for name, c := range map[string]struct{ line, patch, says string }{
		"now":               {"restart cart", `main {"spec":{"restartAt":"2026-11-21T12:00:00Z"}}`, "rollout 'cart' restarts in 0s\n"},
		"later":             {"restart rollout/cart --in 90s", `main {"spec":{"restartAt":"2026-11-21T12:01:30Z"}}`, "rollout 'cart' restarts in 1m30s\n"},
		"by the short flag": {"restart cart -i 1h", `main {"spec":{"restartAt":"2026-11-21T13:00:00Z"}}`, "rollout 'cart' restarts in 1h0m0s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart())
			code := r.run("kubectl-rollouts " + c.line)
			if diff := cmp.Diff([]string{c.patch}, r.patches); diff != "" || code != ExitDone || r.out.String() != c.says {
				t.Errorf("exit code %d, said %q %s, patches:\n%s", code, r.out, r.err, diff)
			}
		})
	}
	r := newRig(t, cart())
	if code := r.run("kubectl-rollouts restart cart --in -5m"); code != ExitUsage || len(r.patches) > 0 {
		t.Errorf("a restart in the past: exit code %d, %q", code, r.patches)
	}
}

func TestAClusterWithoutTheStatusSubresourceIsPatchedOnTheObject(t *testing.T) {
	r := newRig(t, cart())
	r.funcs.SubResourcePatch = func(_ context.Context, _ client.Client, sub string, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
		r.record(sub, obj, patch)
		return apierrors.NewGenericServerResponse(404, "patch", v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), "", "", 0, false)
	}
	if code := r.run("kubectl-rollouts abort cart"); code != ExitDone {
		t.Fatalf("exit code %d: %s", code, r.err)
	}
	want := []string{`status {"status":{"abort":true}}`, `main {"status":{"abort":true}}`}
	if diff := cmp.Diff(want, r.patches); diff != "" {
		t.Error(diff)
	}
}

func TestSeveralRolloutsAreChangedEvenIfOneFails(t *testing.T) {
	r := newRig(t, cart())
	code := r.run("kubectl-rollouts abort missing cart")
	if code != ExitError || r.out.String() != "rollout 'cart' aborted\n" || !strings.Contains(r.err.String(), "aborting rollout 'missing' failed") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, r.out, r.err)
	}
}

func TestAForbiddenChangeSaysWhichRightIsMissing(t *testing.T) {
	for called, want := range map[string]int{"kubectl-rollouts": ExitForbidden, "kubectl-argo-rollouts": ExitError} {
		r := newRig(t, cart())
		r.funcs.SubResourcePatch = func(context.Context, client.Client, string, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
			return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), "cart", nil)
		}
		code := r.run(called + " abort cart")
		says := "error: aborting rollout 'cart' failed\n  why:  rollouts.argoproj.io \"cart\" is forbidden: <nil>\n" +
			"  next: ask an administrator for \"patch\" on \"rollouts.argoproj.io/status\" in namespace shop; check with: kubectl auth can-i patch rollouts.argoproj.io/status -n shop\n"
		if diff := cmp.Diff(says, r.err.String()); diff != "" || code != want {
			t.Errorf("%s: exit code %d, want %d:\n%s", called, code, want, diff)
		}
	}
}

func TestOnlyAPersonAtATerminalIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		line, answer string
		tty          bool
		code         int
		asks         string
	}{
		"abort asks and goes on with y":         {"kubectl-rollouts abort cart", "y\n", true, ExitDone, "Abort revision 42 of rollout 'cart' (weight 0 → 0)? [y/N] "},
		"abort asks and stops without":          {"kubectl-rollouts abort cart", "\n", true, ExitError, "Abort revision 42 of rollout 'cart' (weight 0 → 0)? [y/N] error: nothing was changed\n  why:  the question was not answered with y\n"},
		"the end of the input is a no":          {"kubectl-rollouts abort cart", "", true, ExitError, "Abort revision 42 of rollout 'cart' (weight 0 → 0)? [y/N] error: nothing was changed\n  why:  the question was not answered with y\n"},
		"--yes is not asked":                    {"kubectl-rollouts abort cart --yes", "", true, ExitDone, ""},
		"a script is not asked":                 {"kubectl-rollouts abort cart", "", false, ExitDone, ""},
		"the served name is not asked":          {"kubectl-argo-rollouts promote cart --full", "", true, ExitDone, ""},
		"a full promotion says what it skips":   {"kubectl-rollouts promote cart --full", "yes\n", true, ExitDone, "Promote revision 42 of rollout 'cart' fully, skipping 3 of 4 steps with their pauses and analysis (weight 0 → 100)? [y/N] "},
		"a promotion by one step is not asked":  {"kubectl-rollouts promote cart", "", true, ExitDone, ""},
		"a retry is not asked":                  {"kubectl-rollouts retry rollout cart", "", true, ExitDone, ""},
		"a full promotion by a script is quiet": {"kubectl-rollouts promote cart --full", "", false, ExitDone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart())
			r.tty, r.in = c.tty, c.answer
			code := r.run(c.line)
			if diff := cmp.Diff(c.asks, r.err.String()); diff != "" || code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, diff)
			}
			if (len(r.patches) > 0) != (c.code == ExitDone) {
				t.Errorf("%d patches were sent with exit code %d", len(r.patches), code)
			}
		})
	}
}

func TestSetImage(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "cart-d", Namespace: "shop"}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "cart:1"}}
	ref := func(kind string) func(*v1alpha1.Rollout) {
		return func(ro *v1alpha1.Rollout) {
			ro.Spec.WorkloadRef = &v1alpha1.ObjectRef{APIVersion: "apps/v1", Kind: kind, Name: "cart-d"}
		}
	}
	const at = "/spec/template/spec/"
	set := func(list, name, image string) string {
		return `{"op":"test","path":"` + at + list + `/name","value":"` + name + `"},{"op":"add","path":"` + at + list + `/image","value":"` + image + `"}`
	}
	for name, c := range map[string]struct {
		line  string
		state []func(*v1alpha1.Rollout)
		code  int
		want  []string
		says  string
	}{
		"one container by name": {
			"set image cart app=cart:2", nil, ExitDone, []string{"main [" + set("containers/0", "app", "cart:2") + "]"}, "rollout \"cart\" image updated\n",
		},
		"the type in front of the name": {
			"set image rollout cart app=cart:2", nil, ExitDone, []string{"main [" + set("containers/0", "app", "cart:2") + "]"}, "rollout \"cart\" image updated\n",
		},
		"an init container by name": {
			"set image cart init=init:2", nil, ExitDone, []string{"main [" + set("initContainers/0", "init", "init:2") + "]"}, "rollout \"cart\" image updated\n",
		},
		"several containers": {
			"set image cart app=cart:2 proxy=proxy:2", nil, ExitDone,
			[]string{"main [" + set("containers/0", "app", "cart:2") + "," + set("containers/1", "proxy", "proxy:2") + "]"},
			"rollout \"cart\" image updated\n",
		},
		"all containers": {
			"set image cart *=x:2", nil, ExitDone,
			[]string{"main [" + set("containers/0", "app", "x:2") + "," + set("containers/1", "proxy", "x:2") + "," + set("initContainers/0", "init", "x:2") + "]"},
			"rollout \"cart\" image updated\n",
		},
		"the Deployment of a workload reference": {
			"set image cart app=cart:2",
			[]func(*v1alpha1.Rollout){ref("Deployment")},
			ExitDone,
			[]string{"main [" + set("containers/0", "app", "cart:2") + "]"},
			"rollout \"cart\" image updated\n",
		},
		"another workload is refused":  {"set image cart app=cart:2", []func(*v1alpha1.Rollout){ref("ReplicaSet")}, ExitError, nil, ""},
		"an unknown container is said": {"set image cart nope=cart:2", nil, ExitError, nil, ""},
		"an image without a container": {"set image cart cart:2", nil, ExitUsage, nil, ""},
		"a container without an image": {"set image cart app=", nil, ExitUsage, nil, ""},
		"a rollout without images":     {"set image cart", nil, ExitUsage, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, cart(c.state...), deployment.DeepCopy())
			code := r.run("kubectl-rollouts " + c.line)
			if diff := cmp.Diff(c.want, r.patches); diff != "" || code != c.code || r.out.String() != c.says {
				t.Errorf("exit code %d, said %q %s, patches:\n%s", code, r.out, r.err, diff)
			}
		})
	}
}
