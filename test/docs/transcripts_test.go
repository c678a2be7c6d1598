package docs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/prometheus"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/cmd"
	"github.com/headway-rollouts/headway/test/kube"
)

// The long outputs on the page of the plugin are its golden files.
func TestThePageOfThePluginShowsItsGoldenFiles(t *testing.T) {
	golden := map[string]string{
		"kubectl rollouts list rollouts":            "list",
		"kubectl rollouts get rollout cart -n shop": "aborted-by-analysis.tree",
		"kubectl rollouts why cart -n shop":         "aborted-by-analysis.why",
	}
	for _, b := range (page{text: read(t, "docs/cli.md")}).blocks() {
		line, shown, _ := strings.Cut(strings.TrimPrefix(b.text, "$ "), "\n")
		name, known := golden[line]
		if !known {
			continue
		}
		delete(golden, line)
		if want := read(t, "kubectl-plugin/view/testdata/"+name+".golden"); shown != want {
			t.Errorf("docs/cli.md shows for %q\n%s\nand %s.golden is\n%s", line, shown, name, want)
		}
	}
	for line := range golden {
		t.Errorf("docs/cli.md does not show %q", line)
	}
}

// An error of the command line is shown as it is printed.
func TestThePageOfThePluginShowsItsError(t *testing.T) {
	for _, shown := range transcripts(t, "docs/cli.md", "# The kubectl plugin") {
		line, want, _ := strings.Cut(shown, "\n")
		streams, _, _, stderr := genericiooptions.NewTestIOStreams()
		cmd.Execute(append([]string{"kubectl-rollouts"}, strings.Fields(line)[2:]...), streams)
		if stderr.String() != want {
			t.Errorf("docs/cli.md shows for %q\n%s\nand it prints\n%s", line, want, stderr.String())
		}
	}
}

// What the plugin names for a verb that it does not have must be served: its
// patches are put into the sample.
func TestWhatThePluginSuggestsIsServed(t *testing.T) {
	patch := regexp.MustCompile(`-p '([^']+)'`)
	for _, verb := range []string{"pause"} {
		streams, _, _, stderr := genericiooptions.NewTestIOStreams()
		cmd.Execute([]string{"kubectl-rollouts", verb, "web"}, streams)
		found := patch.FindStringSubmatch(stderr.String())
		if found == nil {
			t.Errorf("kubectl rollouts %s suggests no patch:\n%s", verb, stderr)
			continue
		}
		checkDocument(t, found[1])
	}
}

// The page lists messages of analyses by the beginning or a part of them.
func TestTheMessagesOfThePageAreThoseOfTheCode(t *testing.T) {
	said := strings.Join(append(sayings(t), sources(t, "analysis", "controllers/analysisrun")...), "\n") + " forbidden" // says the API server
	_, section, _ := strings.Cut(read(t, "docs/analysis.md"), "\n## When a run ends in Error\n")
	section, _, _ = strings.Cut(section, "\n## ")
	seen := 0
	for _, row := range rows(section) {
		for _, m := range span.FindAllStringSubmatch(row[0], -1) {
			for _, part := range strings.Split(m[1], "…") {
				seen++
				if !strings.Contains(said, strings.TrimSpace(part)) {
					t.Errorf("docs/analysis.md has the message %q, and nothing says %q", m[1], strings.TrimSpace(part))
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d parts of messages are found", seen)
	}
}

// sayings are what a metric says of servers that are no help.
func sayings(t *testing.T) []string {
	t.Helper()
	var all []string
	here := providertest.Client()
	provider := prometheus.New(here, prometheus.Home{Client: here})
	ask := func(address string) {
		metric := v1alpha1.Metric{Name: "m", SuccessCondition: "result[0] > 0"}
		metric.Provider.Prometheus = &v1alpha1.PrometheusMetric{Address: address, Query: "up"}
		now := time.Unix(1_000_000, 0)
		reply := provider.Measure(t.Context(), analysis.Query{Verb: analysis.Take, Metric: metric, Now: now})
		all = append(all, analysis.Decide(&metric, reply, nil, now).Message)
	}
	for _, handler := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") },
		func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
		},
	} {
		server := httptest.NewServer(handler)
		ask(server.URL)
		server.Close()
	}
	ask(unreachable)
	ask("http://169.254.169.254")
	return all
}

var verb = regexp.MustCompile(`%[qsvd]`)

// sources are the Go files of folders, with formats as the words around them.
func sources(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, file := range repository(t) {
		for _, folder := range folders {
			if strings.HasPrefix(file, folder+"/") && strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
				text, err := os.ReadFile(filepath.Join(kube.Root(), file))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, verb.ReplaceAllString(string(text), "…"))
			}
		}
	}
	return all
}
