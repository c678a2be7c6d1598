package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/e2e/manifest"
	"github.com/headway-rollouts/headway/test/faults/network"
	"github.com/headway-rollouts/headway/test/kube"
)

// foreignHash is one that Headway never makes: its hashes have no vowels.
const foreignHash = "made-elsewhere"

// leftReplicaSet is the ReplicaSet that another controller left; it owns the pods.
const leftReplicaSet = `---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-%[1]s
  labels: {app: web, rollouts-pod-template-hash: %[1]s}
  annotations: {rollout.argoproj.io/revision: "7", rollout.argoproj.io/desired-replicas: "4"}
  ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: %[2]s, controller: true, blockOwnerDeletion: true}]
spec:
  replicas: 4
  selector: {matchLabels: {app: web, rollouts-pod-template-hash: %[1]s}}
  template:
    metadata: {labels: {app: web, rollouts-pod-template-hash: %[1]s}}
    spec:
      containers: [{name: web, image: "example.com/web:v1"}]
`

// leftRoutes are the Services and the canary Ingress that it left.
const leftRoutes = `---
apiVersion: v1
kind: Service
metadata: {name: web-stable, annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: web}}
spec: {selector: {app: web, rollouts-pod-template-hash: %[1]s}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-canary, annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: web}}
spec: {selector: {app: web, rollouts-pod-template-hash: %[1]s}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web-web-canary
  annotations: {nginx.ingress.kubernetes.io/canary: "true", nginx.ingress.kubernetes.io/canary-weight: "0"}
  ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: %[2]s, controller: true, blockOwnerDeletion: true}]
spec:
  ingressClassName: nginx
  rules:
  - host: web.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web-canary, port: {number: 80}}}}
`

// leftStatus is its last status. The hash of the steps is foreign too.
const leftStatus = `{"status":{
  "currentPodHash": %[1]q, "stableRS": %[1]q, "currentStepHash": "made-elsewhere-too", "currentStepIndex": 3,
  "observedGeneration": %[2]q, "phase": "Healthy", "selector": "app=web",
  "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4, "availableReplicas": 4, "HPAReplicas": 4,
  "canary": {"weights": {
    "canary": {"weight": 0, "serviceName": "web-canary", "podTemplateHash": %[1]q},
    "stable": {"weight": 100, "serviceName": "web-stable", "podTemplateHash": %[1]q}}},
  "conditions": [
    {"type": "Available", "status": "True", "reason": "AvailableReason", "message": "Rollout has minimum availability",
     "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"},
    {"type": "Completed", "status": "True", "reason": "RolloutCompleted", "message": "RolloutCompleted",
     "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"}]}}`

// leave makes a Rollout at rest as another controller leaves it, with its pods running.
func (w *world) leave(observedGeneration string) (pods []string) {
	w.Helper()
	canary := manifest.Canary{Steps: half, Strategy: []string{quickEnd}, InstanceID: w.namespace}
	w.apply(canary.Ingress() + strings.Replace(canary.Rollout(), "metadata:", "metadata:\n  annotations: {rollout.argoproj.io/revision: \"7\"}", 1))
	ro, err := w.rollout("web")
	if err != nil {
		w.Fatal(err)
	}
	w.apply(fmt.Sprintf(leftReplicaSet, foreignHash, ro.UID), fmt.Sprintf(leftRoutes, foreignHash, ro.UID))
	w.patchStatus("web", fmt.Sprintf(leftStatus, foreignHash, observedGeneration))
	kube.Eventually(w, within, func() error {
		for _, rs := range w.replicaSets("web") {
			if rs.Status.AvailableReplicas != 4 {
				return fmt.Errorf("ReplicaSet %s has %d pods", rs.Name, rs.Status.AvailableReplicas)
			}
		}
		return nil
	})
	return w.podsOf(foreignHash)
}

func TestAnotherControllersLeavingsAreTakenOverUntouched(t *testing.T) {
	t.Parallel()
	for name, observedGeneration := range map[string]string{
		"of the present spec":   "1",
		"of a spec before that": "0",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pods := w.leave(observedGeneration)
			watch := w.watch("web")
			before := watch.History(t).Last()
			meddler, _ := w.countedController()
			w.until("web", healthy, because("Healthy"), current(foreignHash))

			onlyRollouts(t, watch.History(t).Since(before))
			for _, write := range meddler.Writes() {
				if !strings.HasSuffix(write.Path, "/rollouts/web/status") {
					t.Errorf("it wrote %s", write)
				}
			}
			if got := w.podsOf(foreignHash); !cmp.Equal(pods, got) {
				t.Errorf("pods were replaced (-before +after):\n%s", cmp.Diff(pods, got))
			}

			w.release("web", "v2") // A change is an update of what was taken over.
			ro := w.until("web", phase(v1alpha1.RolloutPhasePaused), atStep(1), because("PausedByStep"))
			if ro.Status.StableRS != foreignHash || ro.Annotations[v1alpha1.RevisionAnnotation] != "8" {
				t.Errorf("revision %s: %s", ro.Annotations[v1alpha1.RevisionAnnotation], brief(ro))
			}
			w.run("promote", "web")
			w.until("web", healthy)
			w.madeOnce(watch, 2)
		})
	}
}

// countedController is ownController behind a proxy that counts its writes.
func (w *world) countedController() (*network.Meddler, *headway.Process) {
	w.Helper()
	meddler := network.NewMeddler(w, w.cluster.Config)
	meddler.Lose(w.namespace, 0, network.Unsent)
	return meddler, headway.Start(w, headway.Options{
		Kubeconfig: network.Kubeconfig(w, w.cluster.Kubeconfig, meddler.Address), Args: []string{"--instance-id", w.namespace},
	})
}
