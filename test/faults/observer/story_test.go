package observer

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The Rollout of the histories: v1 is stable, v2 is tried at weight 50, then by
// an analysis, then at weight 100.
const rolloutYAML = `
metadata: {name: web, uid: rollout-uid, managedFields: [%s]}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy:
    canary:
      stableService: web-stable
      canaryService: web-canary
      trafficRouting: {nginx: {stableIngress: web}}
      steps: [{setWeight: 50}, {analysis: {templates: [{templateName: ok}]}}, {setWeight: 100}]
status: {stableRS: %s, currentPodHash: %s, currentStepHash: s, currentStepIndex: %d%s}
`

// Ends of a status, and who wrote a step index.
const (
	asked       = ", abort: true"
	toldAborted = ", abort: true, conditions: [{type: Progressing, status: 'False', reason: RolloutAborted}]"
	allTheWay   = ", promoteFull: true"

	stepIndex = "fieldsType: FieldsV1, fieldsV1: {'f:status': {'f:currentStepIndex': {}}}"
	byHeadway = "{manager: headway, operation: Update, subresource: status, " + stepIndex + "}"
	bySomeone = "{manager: kubectl-rollouts, operation: Update, subresource: status, " + stepIndex + "}"
)

// story builds histories change by change.
type story struct {
	*testing.T

	changes []Change
}

func (s *story) add(kind Kind, text string) *story {
	s.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		s.Fatalf("%v:\n%s", err, text)
	}
	s.changes = append(s.changes, Change{Version: uint64(len(s.changes) + 1), Kind: kind, Name: object.GetName(), Object: object})
	return s
}

func (s *story) gone(kind Kind, name string) *story {
	s.changes = append(s.changes, Change{Version: uint64(len(s.changes) + 1), Kind: kind, Name: name, Deleted: true, Object: &unstructured.Unstructured{}})
	return s
}

// rollout is the Rollout with a status that the controller wrote.
func (s *story) rollout(stable, current string, step int, more ...string) *story {
	s.Helper()
	return s.add(Rollout, fmt.Sprintf(rolloutYAML, byHeadway, stable, current, step, strings.Join(more, "")))
}

// promote is the Rollout after a person moved the step.
func (s *story) promote(stable, current string, step int) *story {
	s.Helper()
	return s.add(Rollout, fmt.Sprintf(rolloutYAML, bySomeone, stable, current, step, ""))
}

// scaled is the Rollout at rest with another spec.replicas.
func (s *story) scaled(replicas int) *story {
	s.Helper()
	text := fmt.Sprintf(rolloutYAML, byHeadway, "v2", "v2", 3, "")
	return s.add(Rollout, strings.Replace(text, "replicas: 4", fmt.Sprintf("replicas: %d", replicas), 1))
}

const ofWeb = "ownerReferences: [{kind: Rollout, name: web, uid: rollout-uid, controller: true, apiVersion: argoproj.io/v1alpha1}]"

func (s *story) replicaSet(hash string, replicas int) *story {
	s.Helper()
	return s.add(ReplicaSet, fmt.Sprintf(`
metadata: {name: web-%[1]s, labels: {rollouts-pod-template-hash: %[1]s}, %[2]s}
spec: {replicas: %[3]d}
`, hash, ofWeb, replicas))
}

// pods are ready pods of a revision, by number.
func (s *story) pods(hash string, from, to int) *story {
	s.Helper()
	for i := from; i <= to; i++ {
		s.add(Pod, fmt.Sprintf(`
metadata: {name: %[1]s-%[2]d, labels: {app: web, rollouts-pod-template-hash: %[1]s}}
status: {conditions: [{type: Ready, status: "True"}]}
`, hash, i))
	}
	return s
}

func (s *story) podsGone(hash string, from, to int) *story {
	for i := from; i <= to; i++ {
		s.gone(Pod, fmt.Sprintf("%s-%d", hash, i))
	}
	return s
}

func (s *story) service(role, hash string) *story {
	s.Helper()
	return s.add(Service, fmt.Sprintf(`
metadata: {name: web-%s}
spec: {ports: [{port: 80}], selector: {app: web, rollouts-pod-template-hash: %s}}
`, role, hash))
}

func (s *story) weight(weight string) *story {
	s.Helper()
	return s.add(Ingress, fmt.Sprintf(`
metadata: {name: web-web-canary, %s, annotations: {nginx.ingress.kubernetes.io/canary-weight: %q}}
`, ofWeb, weight))
}

func (s *story) stableIngress(class string) *story {
	s.Helper()
	return s.add(Ingress, fmt.Sprintf("metadata: {name: web}\nspec: {ingressClassName: %s}\n", class))
}

// run is an AnalysisRun of v2: of step 1 or beside the steps.
func (s *story) run(name, kind, phase string) *story {
	s.Helper()
	labels := "rollouts-pod-template-hash: v2, rollout-type: " + kind
	if kind == "Step" {
		labels += ", step-index: '1'"
	}
	return s.add(AnalysisRun, fmt.Sprintf("metadata: {name: %s, labels: {%s}, %s}\nstatus: {phase: %s}\n", name, labels, ofWeb, phase))
}

// first is a first deployment of v1, with four pods and both Services on it.
func first(t *testing.T) *story {
	t.Helper()
	s := &story{T: t}
	return s.rollout("''", "v1", 3).stableIngress("nginx").
		replicaSet("v1", 4).pods("v1", 1, 4).service("stable", "v1").service("canary", "v1").weight("0").rollout("v1", "v1", 3)
}

// halfway is a sound history of an update up to weight 50, on two pods of v2.
func halfway(t *testing.T) *story {
	t.Helper()
	return first(t).replicaSet("v2", 2).rollout("v1", "v2", 0).
		pods("v2", 1, 2).service("canary", "v2").weight("50").rollout("v1", "v2", 1)
}

// analysed is halfway with a good analysis.
func analysed(t *testing.T) *story {
	t.Helper()
	return halfway(t).run("a", "Step", "Running").run("a", "Step", "Successful").rollout("v1", "v2", 2)
}

// whole is all steps done, with all traffic still split by the weight.
func whole(t *testing.T) *story {
	t.Helper()
	return analysed(t).replicaSet("v2", 4).pods("v2", 3, 4).weight("100").rollout("v1", "v2", 3)
}

// promoted is a sound history to its end.
func promoted(t *testing.T) *story {
	t.Helper()
	return whole(t).service("stable", "v2").weight("0").rollout("v2", "v2", 3).replicaSet("v1", 0).podsGone("v1", 1, 4)
}
