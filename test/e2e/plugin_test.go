package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/kube"
)

// ends checks the exit code of a command line and what it says, on both streams.
func (w *world) ends(code int, line string, says ...string) {
	w.Helper()
	got, stdout, stderr := w.plugin(strings.Fields(line)...)
	if got != code {
		w.Errorf("kubectl rollouts %s: exit code %d, want %d\n%s%s", line, got, code, stdout, stderr)
	}
	if err := holds(stdout+stderr, says...); err != nil {
		w.Errorf("kubectl rollouts %s: %v", line, err)
	}
}

// TestTheCommandLineSteersAnUpdate goes the whole way by the plugin alone.
func TestTheCommandLineSteersAnUpdate(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	steps := "[{setWeight: 25}, {pause: {}}, {setWeight: 50}, {pause: {duration: 1h}}, {setWeight: 75}]"
	w.apply(manifest.Canary{Steps: steps, Strategy: []string{quickAbort, quickEnd}}.All())
	w.until("web", healthy, because("Healthy"))
	w.ends(0, "status web --timeout 60s", "web Healthy, revision 1")
	w.ends(0, "get rollout web", "Healthy", "example.com/web:v1 (stable)", "# revision:1", "ReplicaSet", "Pod", "ready:1/1")
	w.ends(0, "list rollouts", "NAME", "web", "Canary", "Healthy", "5/5", "4/4")
	w.ends(0, "why web", "web is Healthy")

	w.ends(0, "set image web web=example.com/web:v2", `rollout "web" image updated`)
	w.ends(0, "status web --for=paused --timeout 60s")
	w.until("web", atStep(1), because("PausedByStep"))
	w.pausesForAPerson()
	w.ends(0, "promote web", "rollout 'web' promoted")
	w.until("web", atStep(3), because("PausedForTime"))
	w.pausesForTime()
	w.ends(0, "abort web", "rollout 'web' aborted")
	w.until("web", phase(v1alpha1.RolloutPhaseDegraded), because("Aborted"))
	w.isAborted()
	w.ends(0, "retry rollout web", "rollout 'web' retried")
	w.until("web", atStep(1), because("PausedByStep"))
	w.ends(0, "promote web --full", "rollout 'web' fully promoted")
	w.ends(0, "status web --for=complete --timeout 60s", "web Healthy, revision 2, step 5/5")
	w.ends(7, "status web --revision 1", "revision 1", "superseded by revision 2")
	w.ends(0, "get rollout web", "# revision:2", "# revision:1", "example.com/web:v2 (stable)")
}

func (w *world) pausesForAPerson() {
	w.Helper()
	w.ends(5, "status web --timeout 60s", "error: rollout 'web' is paused and waits for a person", "next:", "promote", "abort")
	w.ends(5, "status web --watch=false", "Paused")
	w.ends(0, "status web --for=step=1 --timeout 60s")
	w.ends(4, "status web --for=healthy --revision 3 --timeout 1s")
	w.ends(5, "status web --for=step=3 --timeout 60s")
	w.ends(0, "get rollout web", "Paused", "1/5", "25", "# revision:2", "canary", "# revision:1", "stable")
	w.ends(0, "why web", "web is Paused", "a pause without a duration", "stable 75 of 100, canary 25 of 100", "to go on", "kubectl rollouts promote web")
	w.ends(0, "list rollouts -o wide", "Paused", "1/5", "25")
	w.showsTheModel()
	// The name that scripts use has its own exit codes.
	w.as("kubectl-argo-rollouts").ends(0, "status web --watch=false", "Paused - CanaryPauseStep")
}

// showsTheModel reads the picture as a script does.
func (w *world) showsTheModel() {
	w.Helper()
	var v view.RolloutView
	if err := json.Unmarshal([]byte(w.run("get", "rollout", "web", "-o", "json")), &v); err != nil {
		w.Fatal(err)
	}
	pods := map[string]int{}
	for _, revision := range v.Revisions {
		for _, rs := range revision.ReplicaSets {
			pods[fmt.Sprintf("%d%v", revision.Number, rs.Roles)] += len(rs.Pods)
		}
	}
	if v.APIVersion != view.APIVersion || v.Pause == nil || !v.Pause.Person || len(pods) != 2 || pods["1[stable]"] != 4 || pods["2[canary]"] != 1 {
		w.Errorf("the model has the pods %v: %+v", pods, v)
	}
}

func (w *world) pausesForTime() {
	w.Helper()
	w.ends(0, "status web --watch=false", "Paused")
	w.ends(4, "status web --timeout 5s", "Paused", "exceeded timeout", "next:")
	w.ends(0, "why web", "a pause with a duration", "step 5/5 sets weight 75", "stable 50 of 100, canary 50 of 100")
}

func (w *world) isAborted() {
	w.Helper()
	w.ends(3, "status web --timeout 60s", "The rollout is in a degraded state", "RolloutAborted", "next:", "kubectl rollouts why")
	w.ends(0, "status web --for=degraded --timeout 60s")
	w.ends(0, "why web", "aborted by a person", "stable 100 of 100, canary 0 of 100", "kubectl rollouts retry rollout web")
	w.as("kubectl-argo-rollouts").ends(1, "status web --watch=false", "Degraded")
}

func TestTheCommandLineSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{Replicas: "1", Strategy: []string{quickEnd}}.All())
	w.until("web", healthy)
	for _, line := range []string{
		"get rollout wbe", "status wbe", "why wbe", "promote wbe", "abort wbe", "retry rollout wbe", "set image wbe web=example.com/web:v2",
	} {
		w.ends(1, line, "error: ", "'wbe' failed", `rollouts.argoproj.io "wbe" not found`, "next: kubectl rollouts list rollouts -n "+w.namespace)
	}
	w.ends(1, "set image web wbe=example.com/web:v2", "error: ", "wbe", "next:")
	w.ends(2, "get rollout", "needs the name of a rollout")
	w.ends(2, "get rollouts deploy/web", "it handles rollouts.argoproj.io", "next: kubectl get deploy/web")
	w.ends(2, "promot web", "promot")
	w.ends(2, "status web --for=ready", "ready", "healthy")
	w.ends(6, "--as nobody promote web", "forbidden", `ask an administrator for`, "auth can-i")
	w.ends(1, "--server https://127.0.0.1:1 get rollout web", "connection refused", "next:")
	w.ends(0, "version", "kubectl-rollouts: v", "GoVersion")
	w.ends(0, "get rollout web", "Healthy")
}

// TestTheCommandLineTellsWhyPodsAreMissing asks in states that only pods explain.
func TestTheCommandLineTellsWhyPodsAreMissing(t *testing.T) {
	w := newWorld(t)
	w.watch("web")
	w.apply(manifest.Canary{Strategy: []string{quickAbort, quickEnd}}.All())
	w.until("web", healthy)
	w.release("web", "badpull")
	w.until("web", phase(v1alpha1.RolloutPhaseProgressing), because("WaitingForPods", "0 of 1 pods of revision 2"))
	kube.Eventually(w, within, func() error { // the kubelet needs a moment to try
		_, out, _ := w.plugin("why", "web")
		return holds(out, "ImagePullBackOff")
	})
	w.ends(0, "why web", "web is Progressing", "0 of 1 pods of revision 2 are available", "ImagePullBackOff", "to go on")
	w.ends(0, "get rollout web", "Progressing", "ImagePullBackOff", "# revision:2")
	w.ends(4, "status web --timeout 5s", "Progressing", "exceeded timeout")
	w.patch(named("web"), `{"spec":{"paused":true}}`)
	w.until("web", phase(v1alpha1.RolloutPhasePaused), because("PausedByUser"))
	w.ends(0, "why web", "spec.paused is true", "kubectl rollouts promote web")
	w.ends(5, "status web --watch=false")
	w.ends(0, "promote web")
	w.until("web", phase(v1alpha1.RolloutPhaseProgressing), because("WaitingForPods"))
	w.release("web", "v3")
	w.until("web", healthy)
}
