package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headway-rollouts/headway/test/kube"
)

// run says what becomes of the commands that match: a test that runs them, or
// why none can. A test is written as folder: name.
type run struct {
	commands string
	test     string
	cannot   string
}

const (
	byPlugin  = "test/docs: TestEveryPluginCommandRuns"
	byKubectl = "test/docs: TestEveryKubectlCommandRuns"
	byMover   = "test/docs: TestADeploymentIsReplacedAndBroughtBackAsThePageSays"
	byReferer = "test/docs: TestADeploymentIsReferredToAndBroughtBackAsThePageSays"
)

// runs are all commands of the pages. Where a row fits, the ones below it are not looked at.
var runs = []run{
	{commands: `kubectl rollouts create -f .*`, test: "kubectl-plugin/cmd: TestCreateMakesWhatIsInFiles"},
	{commands: `kubectl rollouts lint -f .*`, test: "kubectl-plugin/cmd: TestTheGuideShowsWhatLintPrints"},
	{commands: `kubectl rollouts( .*)?`, test: byPlugin},
	{commands: `kubectl argo rollouts`, test: byPlugin},
	{commands: `kubectl rollout( history deploy/cart)?`, cannot: "it is named to be told apart, not to be run"},
	{commands: `kubectl (apply -f config/samples/workload-ref.yaml|wait deployment web .*|set image deployment web .*|scale deployment web .*)`, test: byReferer},
	{commands: `kubectl rollout status deployment web`, test: byReferer},
	{commands: `kubectl delete (deployment|rollout) web( --cascade=orphan)?`, test: byMover},
	{commands: `kubectl (patch (rollout|service)|annotate service) web.*`, test: byMover},
	{commands: `kubectl -n headway-system logs .*`, cannot: "the simulated nodes run no containers, so there is no log"},
	{commands: `kubectl plugin list`, cannot: "it lists what is on the PATH of the reader"},
	{commands: `kubectl apply`, cannot: "it is only named"},
	{commands: `kubectl apply --server-side -f web.yaml`, test: "test/docs: TestTroubleIsReportedAsThePageShows"},
	{commands: `kubectl .*`, test: byKubectl},
	{commands: `docker .*`, cannot: "the tests need no Docker; test/install checks the Dockerfile, test/e2e builds the same binary"},
	{commands: `\(cd config/controller && kustomize edit .*`, cannot: "the tests need no kustomize binary; test/install renders what it edits"},
	{commands: `make help`, test: "test/docs: TestEveryMakeTargetExists"},
	{commands: `make (test|verify)`, test: ".ci/run"},
	{commands: `make generate`, test: ".ci/run"},
	{commands: `make demo`, test: "test/demo: TestDemo"},
	{commands: `make cluster`, test: "test/kube: TestDeploymentBecomesAvailable"},
	{commands: `make bench( .*)?`, test: "test/bench: TestCanaryStaysNearTheFloorOfWrites"},
	{commands: `make build`, cannot: "the same two go builds as in the tests, with a version for the linker"},
	{commands: `make test-long`, cannot: "two hours; its parts are those of make test with more seeds"},
	{commands: `go test ./test/bench`, test: ".ci/run"},
	{commands: `go test ./that/package -update`, cannot: "a placeholder"},
	{commands: `headway --(help|version)`, test: "test/docs: TestTheFlagsOfThePageAreThoseOfTheBinary"},
	{commands: `echo \$\?`, cannot: "the shell's"},
}

// programs are what the lines begin with that a reader may type.
var programs = []string{"kubectl", "docker", "(cd", "make", "go", "headway", "echo", "kustomize", "git", "curl", "helm"}

func TestEveryCommandIsRunSomewhere(t *testing.T) {
	used := map[string]bool{}
	for _, p := range pages(t) {
		for _, program := range programs {
			for _, c := range p.commands(program) {
				if c.line == program {
					continue // the name of the program, not a command
				}
				i := slices.IndexFunc(runs, func(r run) bool { return r.has(c.line) })
				if i < 0 {
					t.Errorf("%s: no test runs %q, and nothing says why none can", p.name, c.line)
					continue
				}
				used[runs[i].commands] = true
			}
		}
	}
	for _, r := range runs {
		if !used[r.commands] {
			t.Errorf("no page has a command like %q any more", r.commands)
		}
		if (r.test == "") == (r.cannot == "") {
			t.Errorf("%q needs a test, or a reason why there is none", r.commands)
		}
		if problem := r.testMissing(t); problem != "" {
			t.Errorf("%q: %s", r.commands, problem)
		}
	}
}

func (r run) has(line string) bool {
	return regexp.MustCompile("^(" + r.commands + ")$").MatchString(line)
}

// testMissing says that the test which is named is not there.
func (r run) testMissing(t *testing.T) string {
	t.Helper()
	folder, name, isTest := strings.Cut(r.test, ": ")
	if !isTest {
		return ""
	}
	for _, file := range repository(t) {
		if strings.HasPrefix(file, folder+"/") && strings.HasSuffix(file, "_test.go") && strings.Contains(read(t, file), "func "+name+"(") {
			return ""
		}
	}
	return fmt.Sprintf("%s has no test %s", folder, name)
}

// The commands of the plugin, page by page, against the sample under way. Any
// end is fine but an error of the command itself.
func TestEveryPluginCommandRuns(t *testing.T) {
	w := newWalk(t)
	w.apply(w.sample())
	w.apply(companions)
	w.does("kubectl rollouts status web --timeout 60s")
	ran := map[string]bool{}
	for _, p := range pages(t) {
		for _, c := range p.commands("kubectl rollouts") {
			line := runnable(c.line)
			if line == "" || ran[line] {
				continue
			}
			ran[line] = true
			w.settles()
			code, out := w.plugin(line)
			if fails := strings.HasPrefix(c.below, "error:"); fails != !slices.Contains([]int{0, 3, 4, 5}, code) {
				t.Errorf("%s: %s: exit code %d\n%s", p.name, c.line, code, out)
			}
			if says := strings.ReplaceAll(c.below, "cart", "web"); strings.HasPrefix(says, "rollout ") && !strings.Contains(out, says) {
				t.Errorf("%s: %s prints %q, not %q", p.name, c.line, out, says)
			}
		}
	}
	if len(ran) < 15 {
		t.Errorf("only %d commands were run: %v", len(ran), ran)
	}
}

// companions are what else the pages speak of: an Experiment and an AnalysisRun.
const companions = `
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: service}]
  metrics:
    - {name: rate, interval: 1h, provider: {prometheus: {address: "http://127.0.0.1:1", query: "up{service='{{args.service}}'}"}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: web-ab}
spec:
  duration: 1h
  templates:
    - name: candidate
      replicas: 1
      selector: {matchLabels: {app: web-ab}}
      template:
        metadata: {labels: {app: web-ab}}
        spec: {containers: [{name: web, image: "quay.io/brancz/prometheus-example-app:v0.5.0"}]}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata: {name: web-6d9f-42}
spec:
  metrics:
    - {name: rate, interval: 1h, provider: {prometheus: {address: "http://127.0.0.1:1", query: up}}}
`

// runnable is a command of a page for the Rollout of the sample, and empty for one that is only named.
func runnable(line string) string {
	line, _, _ = strings.Cut(line, " | ")
	for _, change := range [][2]string{
		{"NAME", "web"},
		{"cart app=shop/cart:2.8.0", "web web=quay.io/brancz/prometheus-example-app:v0.5.0"},
		{"cart", "web"},
		{" --context prod", ""},
		{" --timeout 30m", ""},
	} {
		line = strings.ReplaceAll(line, change[0], change[1])
	}
	words := strings.Fields(line)
	switch {
	case slices.Contains(words, "-f"): // its files are those of the reader
		return ""
	case !strings.Contains(line, "web") && !strings.Contains(line, " list ") && !strings.Contains(line, " version"):
		return ""
	case slices.Contains(words, "status"), slices.Contains(words, "-w"), slices.Contains(words, "--watch"):
		line += " --timeout 2s"
	}
	return line
}

// settles waits until the Rollout is not under way, so that a command is not refused for what the controller just wrote.
func (w walk) settles() {
	w.Helper()
	kube.Eventually(w, within, func() error {
		code, out := w.plugin("kubectl rollouts status web --watch=false")
		if code == 0 && strings.HasPrefix(out, "Progressing") {
			return fmt.Errorf("still under way: %s", out)
		}
		return nil
	})
}
