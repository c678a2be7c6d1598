// Package istio asks istiod what it makes of the objects that Headway's Istio router writes.
// The golden files of the router say what it writes; this says whether a mesh obeys it.
//
// Each VirtualService and DestinationRule goes through Istio's own validation and its own
// translation to Envoy's configuration. What is read back from there must be what the object
// says and what the router was asked for: the weights, the order, the mirrors, the pods.
//
// There is no Envoy and no cluster here, and nothing of Headway is imported: istiod's code
// needs other versions of Kubernetes' libraries. It is a module of its own for that reason.
// Run it with -count=1: go test does not see that files of another module changed.
package istio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"istio.io/istio/pkg/log"
)

// TestMain silences istiod, which says a thousand things per test.
func TestMain(m *testing.M) {
	silent := log.DefaultOptions()
	silent.SetDefaultOutputLevel(log.OverrideScopeName, log.NoneLevel)
	if err := log.Configure(silent); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestGoldenFilesOfTheRouter checks what the router's own tests say that it writes.
func TestGoldenFilesOfTheRouter(t *testing.T) {
	router := filepath.Join("..", "..", "trafficrouting", "istio")
	if matches, _ := filepath.Glob(filepath.Join(router, "*.go")); len(matches) == 0 {
		t.Skipf("NOT CHECKED: there is no Istio router in %s yet", router)
	}
	objects := 0
	for _, out := range goldenFiles(t, filepath.Join(router, "testdata")) {
		t.Run(caseOf(out), func(t *testing.T) {
			g := readGolden(t, out)
			objects += len(g.After)
			report(t, findings(t, g))
		})
	}
	if objects == 0 {
		t.Errorf("no golden file in %s has objects under after:, so that nothing was checked", router)
	}
}

// TestSamples checks one object of every kind of route that the router can write.
func TestSamples(t *testing.T) {
	for _, out := range goldenFiles(t, "testdata") {
		t.Run(caseOf(out), func(t *testing.T) { report(t, findings(t, readGolden(t, out))) })
	}
}

// TestBrokenSamplesAreFound is the control: each sample has one fault, which must be found.
func TestBrokenSamplesAreFound(t *testing.T) {
	for _, out := range goldenFiles(t, filepath.Join("testdata", "broken")) {
		t.Run(caseOf(out), func(t *testing.T) {
			g := readGolden(t, out)
			found := strings.Join(findings(t, g), "\n")
			if g.Finds == "" || !strings.Contains(found, g.Finds) {
				t.Errorf("want a finding with %q, got:\n%s", g.Finds, found)
			}
		})
	}
}

// TestAnotherSplitIsFound is the second control: no sample passes for weights one off its own.
func TestAnotherSplitIsFound(t *testing.T) {
	for _, out := range goldenFiles(t, "testdata") {
		t.Run(caseOf(out), func(t *testing.T) {
			g := readGolden(t, out)
			g.Split.Stable--
			g.Split.Canary++
			if len(findings(t, g)) == 0 {
				t.Errorf("the routes pass for stable=%v canary=%v, which they do not carry", g.Split.Stable, g.Split.Canary)
			}
		})
	}
}

func goldenFiles(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.out.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no golden files in %s, error %v", folder, err)
	}
	return files
}

func caseOf(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".out.yaml")
}

func report(t *testing.T, findings []string) {
	t.Helper()
	for _, finding := range findings {
		t.Error(finding)
	}
}
