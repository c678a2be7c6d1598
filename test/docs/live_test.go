package docs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/cmd"
	"github.com/headway-rollouts/headway/test/kube"
)

// walk goes through the pages as a reader does: with the sample, a controller,
// and a Prometheus that gives one value to every query.
type walk struct {
	migration

	prometheus string
	value      *atomic.Value
}

func newWalk(t *testing.T) walk {
	t.Helper()
	w := walk{migration: newMigration(t), value: &atomic.Value{}}
	w.value.Store("1")
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[0,"%s"]}]}}`, w.value.Load())
	}))
	t.Cleanup(server.Close)
	w.prometheus = server.URL
	return w
}

// sample is the sample with a Prometheus of its own that is asked sooner. The
// changes are pairs of a text and what replaces it.
func (w walk) sample(changes ...string) string {
	w.Helper()
	text := read(w.T, sampleFile)
	changes = append([]string{
		"http://prometheus.monitoring:9090", w.prometheus,
		"initialDelay: 10s", "initialDelay: 1s",
		"interval: 5s", "interval: 1s",
	}, changes...)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			w.Fatalf("%s does not hold %q", sampleFile, changes[i])
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	return text
}

// plugin runs a command line of the plugin in the namespace of the walk.
func (w walk) plugin(line string) (code int, out string) {
	w.Helper()
	line, _, _ = strings.Cut(line, " | ")
	args := append([]string{"kubectl-rollouts"}, strings.Fields(line)[2:]...)
	args = append(args, "--kubeconfig", w.cluster.Kubeconfig, "-n", w.namespace)
	streams, _, stdout, stderr := genericiooptions.NewTestIOStreams()
	code = cmd.Execute(args, streams)
	return code, strings.ReplaceAll(stdout.String()+stderr.String(), w.namespace, "shop")
}

// shows waits until a command of the page prints every line that the page shows below it.
func (w walk) shows(transcript string) {
	w.Helper()
	line, want, _ := strings.Cut(transcript, "\n")
	kube.Eventually(w, within, func() error {
		_, out := w.plugin(line)
		if lines := missing(want, out); len(lines) > 0 {
			return fmt.Errorf("%s does not print\n%s\nbut\n%s", line, strings.Join(lines, "\n"), out)
		}
		return nil
	})
}

// missing are the lines of a transcript that an output does not have, apart from what differs from run to run.
func missing(transcript, out string) []string {
	has := map[string]bool{"…": true}
	for _, line := range strings.Split(out, "\n") {
		has[masked(line)] = true
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(transcript), "\n") {
		if !has[masked(line)] {
			lines = append(lines, line)
		}
	}
	return lines
}

// What differs from one run to the next: names with hashes, numbers, times and
// drawn lines. The order of the masks matters.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\bweb-[0-9a-f]{5,10}(-[0-9a-z.]+)*`), "web-X"},
	{regexp.MustCompile(`\b(\d+[smhd])+\b`), "T"},
	{regexp.MustCompile(`\((now|in T|T ago)\)`), "(T)"},
	{regexp.MustCompile(`\d[\d.:]*`), "0"},
	{regexp.MustCompile(`[▁-█]+`), "▁"},
	{regexp.MustCompile(`[ ─│├└]+`), " "},
}

func masked(line string) string {
	for _, m := range masks {
		line = m.what.ReplaceAllString(line, m.by)
	}
	return strings.TrimSpace(line)
}

func TestATranscriptThatIsNotPrintedIsNoticed(t *testing.T) {
	const out = "✖ web is Degraded: failed (4) > failureLimit (3)\n\n  since  2026-11-21T09:54:36Z (11s ago)\n" +
		"  pod    web-6fc4f96cf8-9dd6k ImagePullBackOff\n│  └──α web-6fc4f96cf8-2  AnalysisRun  ✖ Failed  51s  ✖ 4"
	for line, want := range map[string]int{
		"✖ web is Degraded: failed (5) > failureLimit (4)":              0,
		"  since     2027-01-01T00:00:00Z (now)":                        0,
		"  since     2027-01-01T00:00:00Z (2m3s ago)":                   0,
		"  pod       web-7bd94f9fdc-gxxf9 ImagePullBackOff":             0,
		"   └──α web-7bd94f9fdc-4.1   AnalysisRun  ✖ Failed  1h2m  ✖ 1": 0,
		"      …": 0,
		"✖ web is Degraded: failed (4) > limit (3)":         1,
		"✖ cart is Degraded: failed (4) > failureLimit (3)": 1,
		"  pod       web-stable ImagePullBackOff":           1,
		"  next      nothing happens by itself":             1,
	} {
		if got := missing(line, out); len(got) != want {
			t.Errorf("%q: %d lines are missing, want %d", line, len(got), want)
		}
	}
}

// transcripts are the commands of the plugin in a part of a page, each with what the page shows below it.
func transcripts(t *testing.T, name, heading string) []string {
	t.Helper()
	_, part, found := strings.Cut("\n"+read(t, name), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", name, heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	var all []string
	for _, b := range (page{text: part}).blocks() {
		for _, one := range strings.Split("\n"+b.text, "\n$ ")[1:] {
			if strings.HasPrefix(one, "kubectl rollouts ") {
				all = append(all, one)
			}
		}
	}
	return all
}

func (w walk) phaseIs(phase v1alpha1.RolloutPhase) {
	w.Helper()
	kube.Eventually(w, within, func() error {
		var ro v1alpha1.Rollout
		if err := w.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "web"}, &ro); err != nil {
			return err
		}
		if ro.Status.Phase != phase || ro.Status.ObservedGeneration != fmt.Sprint(ro.Generation) {
			return fmt.Errorf("the Rollout is %s: %s, want %s", ro.Status.Phase, ro.Status.Message, phase)
		}
		return nil
	})
}

// does runs a command that must succeed.
func (w walk) does(line string) {
	w.Helper()
	if code, out := w.plugin(line); code != cmd.ExitDone {
		w.Fatalf("%s: exit code %d\n%s", line, code, out)
	}
}
