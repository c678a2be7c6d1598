package docs

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/kube"
)

// around is what the commands of the pages expect beside the sample.
const around = `
apiVersion: v1
kind: Namespace
metadata: {name: headway-system}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: argo-rollouts-controller-lock, namespace: headway-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: argo-rollouts}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: argo-rollouts, namespace: argo-rollouts}
spec:
  selector: {matchLabels: {app: argo-rollouts}}
  template:
    metadata: {labels: {app: argo-rollouts}}
    spec: {containers: [{name: controller, image: "argo-rollouts:v1"}]}
`

// The commands of kubectl itself, page by page and in their order, with the
// sample applied before each page.
func TestEveryKubectlCommandRuns(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("NOT CHECKED: that the kubectl commands of the pages run: there is no kubectl on the PATH")
	}
	w := newWalk(t)
	kubeconfig := w.kubeconfig()
	ran := 0
	for _, p := range pages(t) {
		commands := kubectlCommands(p)
		if len(commands) == 0 {
			continue
		}
		w.apply(w.sample(), w.deployment(), around, exampleOf(t, "docs/analysis.md", "AnalysisRun"), exampleOf(t, "docs/experiments.md", "Experiment"))
		w.phaseIs(v1alpha1.RolloutPhaseHealthy)
		for _, line := range commands {
			ran++
			command := exec.CommandContext(t.Context(), "sh", "-c", line)
			command.Dir = kube.Root()
			command.Env = append(command.Environ(), "KUBECONFIG="+kubeconfig)
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", p.name, line, err, out)
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands were run", ran)
	}
}

// kubectlCommands are the commands of a page that this test runs.
func kubectlCommands(p page) []string {
	var all []string
	for _, c := range p.commands("kubectl") {
		for _, r := range runs {
			if r.has(c.line) {
				if r.test == byKubectl {
					all = append(all, c.line)
				}
				break
			}
		}
	}
	return all
}

// kubeconfig is one whose namespace is that of the walk.
func (w walk) kubeconfig() string {
	w.Helper()
	config, err := clientcmd.LoadFromFile(w.cluster.Kubeconfig)
	w.must(err)
	config.Contexts[config.CurrentContext].Namespace = w.namespace
	path := filepath.Join(w.TempDir(), "kubeconfig")
	w.must(clientcmd.WriteToFile(*config, path))
	return path
}

// exampleOf is the first whole object of a kind that a page shows.
func exampleOf(t *testing.T, name, kind string) string {
	t.Helper()
	for _, b := range (page{text: read(t, name)}).blocks() {
		if strings.Contains(b.text, "kind: "+kind+"\n") {
			return b.text
		}
	}
	t.Fatalf("%s shows no %s", name, kind)
	return ""
}
