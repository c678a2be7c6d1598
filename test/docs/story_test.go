package docs

import (
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
)

const (
	newVersion  = "kubectl rollouts set image web web=quay.io/brancz/prometheus-example-app:v0.5.0"
	troubles    = "docs/troubleshooting.md"
	oldVersion  = "quay.io/brancz/prometheus-example-app:v0.4.0"
	unreachable = "http://127.0.0.1:1"
)

// The release that the first page shows going back.
func TestTheReadmeShowsWhatThePluginPrints(t *testing.T) {
	w := newWalk(t)
	w.value.Store("0.7180893765")
	w.apply(w.sample())
	w.phaseIs(v1alpha1.RolloutPhaseHealthy)
	w.does(newVersion)
	w.phaseIs(v1alpha1.RolloutPhaseDegraded)
	shown := transcripts(t, "README.md", "## A canary")
	if len(shown) != 2 {
		t.Fatalf("README.md shows %d outputs of the plugin: %q", len(shown), shown)
	}
	for _, transcript := range shown {
		w.shows(transcript)
	}
}

// The pipeline of the page of the plugin, with shorter pauses.
func TestAReleaseIsWaitedForAsThePageShows(t *testing.T) {
	w := newWalk(t)
	w.apply(strings.ReplaceAll(w.sample(), "duration: 10s", "duration: 1s"))
	w.phaseIs(v1alpha1.RolloutPhaseHealthy)
	w.does(newVersion)
	w.does("kubectl rollouts status web --for=paused --timeout 60s")
	w.does("kubectl rollouts promote web")
	line, want, _ := strings.Cut(transcripts(t, "docs/cli.md", "## Wait in a pipeline")[0], "\n")
	code, out := w.plugin(strings.ReplaceAll(line, "cart", "web"))
	if lines := missing(strings.ReplaceAll(want, "cart", "web"), out); code != 0 || len(lines) > 0 {
		t.Errorf("exit code %d; %q is not printed:\n%s", code, lines, out)
	}
}

// Every mistake of the page is made, and corrected as it says.
func TestTroubleIsReportedAsThePageShows(t *testing.T) {
	w := newWalk(t)
	shown := transcripts(t, troubles, "## A typo in the manifest")
	typos := [][]string{
		{"stableService: web-stable", "stableService: web-stabel"},
		{"setWeight: 80", "setWeight: 800"},
		{"containerPort: 8080", "containerPort: 8080x"},
		{"      steps:\n", "      steps:\n        - plugin: {name: example/ready}\n"},
	}
	if len(shown) != len(typos) {
		t.Fatalf("%s shows %d typos, this test makes %d", troubles, len(shown), len(typos))
	}
	for i, typo := range typos {
		w.apply(w.sample(typo...))
		w.shows(shown[i])
		w.apply(w.sample())
		w.phaseIs(v1alpha1.RolloutPhaseHealthy)
	}
	w.refuses(w.sample("setWeight: 80", "setWieght: 80"), "## A typo in the manifest")

	w.does(strings.Replace(newVersion, "v0.5.0", "badpull", 1))
	w.shows(only(t, "## An image that cannot be pulled"))
	w.does(strings.Replace(newVersion, "web=quay.io/brancz/prometheus-example-app:v0.5.0", "web="+oldVersion, 1))
	w.phaseIs(v1alpha1.RolloutPhaseHealthy)
}

func TestAMetricSourceThatIsDownIsReportedAsThePageShows(t *testing.T) {
	w := newWalk(t)
	w.apply(w.sample(w.prometheus, unreachable, "failureLimit: 3", "failureLimit: 3\n      consecutiveErrorLimit: 0"))
	w.phaseIs(v1alpha1.RolloutPhaseHealthy)
	w.does(newVersion)
	w.shows(only(t, "## The metric source is down"))
	w.apply(part(t, w.sample(), "AnalysisTemplate"))
	w.does("kubectl rollouts retry rollout web")
	w.does("kubectl rollouts status web --for=step=1 --timeout 60s")
}

func TestAControllerThatWasKilledIsReportedAsThePageShows(t *testing.T) {
	w := newWalk(t)
	w.apply(w.sample())
	w.phaseIs(v1alpha1.RolloutPhaseHealthy)
	w.controller.Kill()
	w.does(newVersion)
	w.shows(only(t, "## The controller was killed"))
	headway.Start(t, headway.Options{Kubeconfig: w.cluster.Kubeconfig})
	w.does("kubectl rollouts status web --for=step=1 --timeout 60s")
}

// only is the one transcript of a part of the page.
func only(t *testing.T, heading string) string {
	t.Helper()
	shown := transcripts(t, troubles, heading)
	if len(shown) != 1 {
		t.Fatalf("%s shows %d outputs of the plugin below %q", troubles, len(shown), heading)
	}
	return shown[0]
}

// part is the object of one kind in a manifest.
func part(t *testing.T, manifest, kind string) string {
	t.Helper()
	for _, text := range documents(manifest) {
		if strings.Contains(text, "\nkind: "+kind+"\n") {
			return text
		}
	}
	t.Fatalf("the manifest has no %s", kind)
	return ""
}

// refuses applies a manifest that the API server must refuse in the words of the page.
func (w walk) refuses(manifest, heading string) {
	w.Helper()
	_, text, _ := strings.Cut(read(w.T, troubles), heading)
	_, says, _ := strings.Cut(text, "\nError from server: ")
	says, _, _ = strings.Cut(says, "\n")
	err := w.cluster.Apply(w.Context(), w.namespace, []byte(manifest))
	if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), w.namespace, "shop"), says) {
		w.Errorf("the API server does not say %q: %v", says, err)
	}
}
