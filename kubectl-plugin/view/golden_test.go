package view_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path) //nolint:gosec // The path is made of constants.
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s changed (-want +got), run with -update if it should:\n%s", path, diff)
	}
}

// worlds are all states, by the name of their golden files.
func worlds() map[string]world {
	inconclusive := paused(0, v1alpha1.PauseReasonInconclusiveAnalysis).analysed(v1alpha1.AnalysisPhaseInconclusive, 0.99)
	inconclusive.owned.AnalysisRuns[0].Status.MetricResults[0].Inconclusive = 1
	manual := rolling(2)
	manual.ro.Spec.Paused = true
	manual.ro.Status.Phase, manual.ro.Status.Message = v1alpha1.RolloutPhasePaused, "manually paused"
	unmeasured := aborted()
	rate := &unmeasured.owned.AnalysisRuns[0].Status.MetricResults[0]
	*rate = v1alpha1.MetricResult{
		Name: "success-rate", Phase: v1alpha1.AnalysisPhaseError, Error: 5, ConsecutiveError: 5,
		Measurements: []v1alpha1.Measurement{{Phase: v1alpha1.AnalysisPhaseError, Message: "querying http://prometheus:9090: connection refused", FinishedAt: at(-time.Minute)}},
	}
	return map[string]world{
		"healthy": cart(), "progressing": rolling(2), "paused-for-person": paused(1, v1alpha1.PauseReasonCanaryPauseStep),
		"paused-for-time": paused(3, v1alpha1.PauseReasonCanaryPauseStep), "paused-inconclusive": inconclusive,
		"paused-by-user": manual, "aborted-by-analysis": aborted(), "aborted-by-errors": unmeasured,
		"degraded-by-deadline": degradedByDeadline(), "image-pull-error": imagePullError(), "invalid-spec": invalidSpec(),
		"new": newRollout(), "long-names": longNames(), "hostile": hostile(), "reported-by-controller": reportedByController(),
		"blue-green": blueGreen(), "empty": {ro: &v1alpha1.Rollout{}},
	}
}

func TestEveryStateHasATreeAndAWhy(t *testing.T) {
	for name, w := range worlds() {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".tree", view.Tree(w.view(), view.Style{}))
			golden(t, name+".why", view.Why(w.view(), view.Style{}))
		})
	}
}

func TestTheStyleChangesHowATreeIsDrawn(t *testing.T) {
	for name, style := range map[string]view.Style{
		"width-60": {Width: 60}, "width-80": {Width: 80}, "width-120": {Width: 120},
		"colour": {Colour: true}, "ascii": {Glyphs: view.GlyphsASCII}, "plain": {Glyphs: view.GlyphsPlain},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, "style-"+name+".tree", view.Tree(aborted().view(), style))
			golden(t, "style-"+name+".why", view.Why(aborted().view(), style))
			golden(t, "style-"+name+".list", view.List(fleet(), style, view.ListColumns{Namespace: true, Why: true}))
			golden(t, "style-"+name+".long", view.Tree(longNames().view(), style))
		})
	}
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	for name, w := range worlds() {
		for _, width := range []int{60, 80, 120} {
			style := view.Style{Width: width}
			all := view.Tree(w.view(), style) + view.Why(w.view(), style) +
				view.List([]view.RolloutView{w.view()}, style, view.ListColumns{Namespace: true, Timestamp: true, Why: true})
			for _, line := range strings.Split(all, "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%s at width %d: a line has %d columns: %s", name, width, n, line)
				}
			}
		}
	}
}

func TestATreeThatIsTooHighIsFolded(t *testing.T) {
	w := imagePullError().replicaSet(40, "47ab", 0, "shop/cart:2.7.3", 200*time.Hour).replicaSet(39, "39ab", 0, "shop/cart:2.7.2", 300*time.Hour)
	w = w.analysed(v1alpha1.AnalysisPhaseRunning, 0.99, 0.98)
	head := strings.Index(view.Tree(w.view(), view.Style{}), "\n\n")
	for _, height := range []int{34, 31, 28, 26, 24, 5} {
		tree := view.Tree(w.view(), view.Style{Height: height})
		if strings.Index(tree, "\n\n") != head {
			t.Errorf("at height %d the header changed", height)
		}
		if got := strings.Count(tree, "\n"); height > 24 && got > height {
			t.Errorf("at height %d the tree has %d lines", height, got)
		}
		golden(t, fmt.Sprintf("folded-to-%d", height), tree)
	}
}

func TestTheListShowsOneRowForEachRollout(t *testing.T) {
	golden(t, "list", view.List(fleet(), view.Style{}, view.ListColumns{}))
	golden(t, "list-terminal", view.List(fleet(), view.Style{Colour: true, Signs: true}, view.ListColumns{Namespace: true}))
	golden(t, "list-timestamps", view.List(fleet(), view.Style{}, view.ListColumns{Timestamp: true, NoHeader: true}))
}

func TestTheGuideShowsWhatTheGoldenFilesShow(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aborted-by-analysis.tree", "aborted-by-analysis.why", "list", "experiment-failed.tree", "experiment-list"} {
		want, err := os.ReadFile(filepath.Join("testdata", name+".golden")) //nolint:gosec // The path is made of constants.
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(guide), string(want)) {
			t.Errorf("docs/cli.md does not show testdata/%s.golden as it is; copy it", name)
		}
	}
}

func fleet() []view.RolloutView {
	views := []view.RolloutView{aborted().view(), blueGreen().view(), cart().view(), newRollout().view()}
	for i, name := range []string{"cart", "basket", "ledger", "search"} {
		views[i].Name = name
	}
	view.Sort(views)
	return views
}

func TestTheJSONIsTheDocumentedModel(t *testing.T) {
	for name, value := range map[string]any{
		"json-rollout": aborted().view(), "json-paused": paused(3, v1alpha1.PauseReasonCanaryPauseStep).view(),
		"json-why": view.Explain(aborted().view()),
	} {
		out, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(out)+"\n")
	}
}

func TestNothingAUserWritesReachesTheTerminalAsASequence(t *testing.T) {
	v := hostile().view()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	all := string(out) + view.Tree(v, view.Style{}) + view.Why(v, view.Style{}) + view.Summary(v) +
		view.Tree(v, view.Style{Glyphs: view.GlyphsPlain}) + view.List([]view.RolloutView{v}, view.Style{}, view.ListColumns{Why: true})
	if at := strings.IndexAny(all, "\x1b\a\x7f\u009b\u202e\t\r"); at >= 0 {
		t.Errorf("a control character is left at %q", all[at:min(at+20, len(all))])
	}
}

func TestASummaryHoldsNothingThatTicks(t *testing.T) {
	for name, w := range worlds() {
		later := view.Of(w.ro, w.owned, now.Add(time.Hour))
		if diff := cmp.Diff(view.Summary(w.view()), view.Summary(later)); diff != "" {
			t.Errorf("%s: an hour alone changed the summary:\n%s", name, diff)
		}
	}
}
