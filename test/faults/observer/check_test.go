package observer

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The history under test: v1 is stable, v2 is tried by steps 50 and 100.
const rolloutYAML = `
metadata: {name: web, uid: rollout-uid}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy:
    canary:
      stableService: web-stable
      canaryService: web-canary
      trafficRouting: {nginx: {stableIngress: web}}
      steps: [{setWeight: 50}, {setWeight: 100}]
status: {stableRS: %s, currentPodHash: %s, currentStepHash: s, currentStepIndex: %d, abort: %t}
`

// story builds histories line by line.
type story struct {
	*testing.T
	changes []Change
}

func (s *story) add(kind Kind, text string) *story {
	s.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		s.Fatal(err)
	}
	s.changes = append(s.changes, Change{Version: uint64(len(s.changes) + 1), Kind: kind, Name: object.GetName(), Object: object})
	return s
}

func (s *story) gone(kind Kind, name string) *story {
	s.changes = append(s.changes, Change{Version: uint64(len(s.changes) + 1), Kind: kind, Name: name, Deleted: true, Object: &unstructured.Unstructured{}})
	return s
}

func (s *story) rollout(stable, current string, step int, abort bool) *story {
	s.Helper()
	return s.add(Rollout, fmt.Sprintf(rolloutYAML, stable, current, step, abort))
}

func (s *story) replicaSet(hash string, replicas int) *story {
	s.Helper()
	return s.add(ReplicaSet, fmt.Sprintf(`
metadata:
  name: web-%[1]s
  labels: {rollouts-pod-template-hash: %[1]s}
  ownerReferences: [{kind: Rollout, name: web, uid: rollout-uid, controller: true, apiVersion: argoproj.io/v1alpha1}]
spec: {replicas: %[2]d}
`, hash, replicas))
}

func (s *story) pods(hash string, n int) *story {
	s.Helper()
	for i := range n {
		s.add(Pod, fmt.Sprintf(`
metadata: {name: %[1]s-%[2]d, labels: {app: web, rollouts-pod-template-hash: %[1]s}}
status: {conditions: [{type: Ready, status: "True"}]}
`, hash, i))
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
metadata: {name: web-web-canary, annotations: {nginx.ingress.kubernetes.io/canary-weight: %q}}
`, weight))
}

func (s *story) stableIngress(class string) *story {
	s.Helper()
	return s.add(Ingress, fmt.Sprintf("metadata: {name: web}\nspec: {ingressClassName: %s}\n", class))
}

// halfway is a sound history up to weight 50 on two pods of v2.
func halfway(t *testing.T) *story {
	t.Helper()
	s := &story{T: t}
	return s.rollout("v1", "v1", 2, false).stableIngress("nginx").
		replicaSet("v1", 2).pods("v1", 2).service("stable", "v1").service("canary", "v1").weight("0").
		replicaSet("v2", 1).rollout("v1", "v2", 0, false).
		pods("v2", 2).service("canary", "v2").weight("50").rollout("v1", "v2", 1, false).replicaSet("v2", 2)
}

func TestASoundHistoryIsAccepted(t *testing.T) {
	s := halfway(t).weight("100").rollout("v1", "v2", 2, false).
		service("stable", "v2").weight("0").rollout("v2", "v2", 2, false).replicaSet("v1", 0)
	if broken := Check(ordered(s.changes), "web"); len(broken) > 0 {
		t.Errorf("it complains:\n%s", strings.Join(broken, "\n"))
	}
}

func TestEveryBrokenInvariantIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		want  string
		spoil func(*story)
	}{
		"a weight above the total":                    {"S1", func(s *story) { s.weight("101") }},
		"a weight that is no number":                  {"S1", func(s *story) { s.weight("much") }},
		"traffic to a revision whose pods are gone":   {"S2", func(s *story) { s.gone(Pod, "v2-0").gone(Pod, "v2-1") }},
		"more weight than there are pods":             {"S5", func(s *story) { s.gone(Pod, "v2-1").weight("100") }},
		"the stable Service moved too early":          {"S5", func(s *story) { s.gone(Pod, "v2-1").service("stable", "v2") }},
		"the canary shrank under its traffic":         {"S6", func(s *story) { s.replicaSet("v2", 0) }},
		"the stable revision shrank during an update": {"S6", func(s *story) { s.replicaSet("v1", 1) }},
		"a revision was deleted with its pods":        {"S6", func(s *story) { s.gone(ReplicaSet, "web-v1") }},
		"more pods than were asked for":               {"S4", func(s *story) { s.replicaSet("v2", 3) }},
		"the canary Service moved under weight":       {"S8", func(s *story) { s.service("canary", "v1") }},
		"a step was skipped":                          {"S9", func(s *story) { s.rollout("v1", "v2", 1, false).rollout("v1", "v2", 3, false) }},
		"a step went back":                            {"S9", func(s *story) { s.rollout("v1", "v2", 0, false) }},
		"it became stable without its traffic":        {"S10", func(s *story) { s.rollout("v2", "v2", 2, false) }},
		"weight rose after an abort":                  {"S12", func(s *story) { s.rollout("v1", "v2", 0, true).weight("60") }},
		"a Service that goes back and forth": {"S13", func(s *story) {
			s.weight("0").service("canary", "v1").service("canary", "v2").service("canary", "v1")
		}},
		"a ReplicaSet that was made twice": {"S14", func(s *story) {
			s.weight("0").service("canary", "v1").replicaSet("v2", 0).gone(ReplicaSet, "web-v2").replicaSet("v2", 1)
		}},
		"the stable Ingress was changed": {"S15", func(s *story) { s.stableIngress("other") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := halfway(t)
			c.spoil(s)
			broken := Check(ordered(s.changes), "web")
			for _, line := range broken {
				if strings.Contains(line, ": "+c.want+" ") {
					return
				}
			}
			t.Errorf("it does not see %s:\n%s", c.want, strings.Join(broken, "\n"))
		})
	}
}

func TestChangesAreOrderedOverAllKinds(t *testing.T) {
	s := halfway(t)
	shuffled := append([]Change(nil), s.changes[5:]...)
	shuffled = append(shuffled, s.changes[:7]...) // two of them twice
	got := ordered(shuffled)
	if len(got) != len(s.changes) {
		t.Fatalf("%d changes became %d", len(s.changes), len(got))
	}
	for i := range got {
		if got[i].Version != s.changes[i].Version {
			t.Errorf("change %d has version %d", i, got[i].Version)
		}
	}
}
