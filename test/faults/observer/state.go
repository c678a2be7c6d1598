package observer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// state is what exists of one Rollout at one version.
type state struct {
	rollout     *v1alpha1.Rollout
	replicaSets map[string]*appsv1.ReplicaSet
	services    map[string]*corev1.Service
	ingresses   map[string]*networkingv1.Ingress
	pods        map[string]*corev1.Pod
}

func emptyState() state {
	return state{
		replicaSets: map[string]*appsv1.ReplicaSet{},
		services:    map[string]*corev1.Service{},
		ingresses:   map[string]*networkingv1.Ingress{},
		pods:        map[string]*corev1.Pod{},
	}
}

// after is the state after a change. The state itself stays as it is.
func (s state) after(c Change, rollout string) (state, error) {
	switch c.Kind {
	case Rollout:
		return s.withRollout(c, rollout)
	case ReplicaSet:
		s.replicaSets = maps.Clone(s.replicaSets)
		return s, set(s.replicaSets, c)
	case Service:
		s.services = maps.Clone(s.services)
		return s, set(s.services, c)
	case Ingress:
		s.ingresses = maps.Clone(s.ingresses)
		return s, set(s.ingresses, c)
	case Pod:
		s.pods = maps.Clone(s.pods)
		return s, set(s.pods, c)
	case AnalysisRun:
		return s, nil
	}
	return s, fmt.Errorf("unknown kind %q", c.Kind)
}

func (s state) withRollout(c Change, name string) (state, error) {
	if c.Name != name {
		return s, nil
	}
	s.rollout = nil
	if c.Deleted {
		return s, nil
	}
	ro := &v1alpha1.Rollout{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.Object.Object, ro); err != nil {
		return s, fmt.Errorf("reading Rollout %s at version %d: %w", c.Name, c.Version, err)
	}
	s.rollout = ro
	return s, nil
}

func set[T any](objects map[string]*T, c Change) error {
	if c.Deleted {
		delete(objects, c.Name)
		return nil
	}
	object := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.Object.Object, object); err != nil {
		return fmt.Errorf("reading %s %s at version %d: %w", c.Kind, c.Name, c.Version, err)
	}
	objects[c.Name] = object
	return nil
}

// canary is the strategy of the Rollout; nil when it is not the kind that is observed.
func (s state) canary() *v1alpha1.CanaryStrategy {
	if s.rollout == nil {
		return nil
	}
	c := s.rollout.Spec.Strategy.Canary
	if c == nil || c.TrafficRouting == nil || c.TrafficRouting.Nginx == nil {
		return nil
	}
	return c
}

func (s state) replicas() int32 { return ptr.Deref(s.rollout.Spec.Replicas, 1) }

// stableHash and canaryHash are the revisions that the Services select; empty when they select all.
func (s state) stableHash() string { return s.selected(s.canary().StableService) }
func (s state) canaryHash() string { return s.selected(s.canary().CanaryService) }

func (s state) selected(service string) string {
	if svc := s.services[service]; svc != nil {
		return svc.Spec.Selector[v1alpha1.PodTemplateHashLabel]
	}
	return ""
}

// canaryIngress is the Ingress beside the stable one; nil when there is none.
func (s state) canaryIngress() *networkingv1.Ingress {
	return s.ingresses[fmt.Sprintf("%s-%s-canary", s.rollout.Name, s.canary().TrafficRouting.Nginx.StableIngress)]
}

// weightAnnotation carries the weight of a canary Ingress.
const weightAnnotation = "nginx.ingress.kubernetes.io/canary-weight"

// weight is the weight of the canary Service; an error when it is no number.
func (s state) weight() (int32, error) {
	ingress := s.canaryIngress()
	if ingress == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(ingress.Annotations[weightAnnotation], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("reading the weight of Ingress %s: %w", ingress.Name, err)
	}
	return int32(n), nil
}

// serves is the weight that a revision gets.
func (s state) serves(hash string) (sum int32) {
	weight, _ := s.weight() // checked at every change
	if hash == "" {
		return 0
	}
	if s.canaryHash() == hash {
		sum += weight
	}
	if s.stableHash() == hash {
		sum += s.canary().MaxTrafficWeight() - weight
	}
	return sum
}

// needs is the number of pods that a weight keeps wholly busy.
func (s state) needs(weight int32) int32 {
	return int32(int64(s.replicas()) * int64(weight) / int64(s.canary().MaxTrafficWeight()))
}

// owned are the ReplicaSets of the Rollout by hash.
func (s state) owned() map[string]*appsv1.ReplicaSet {
	out := map[string]*appsv1.ReplicaSet{}
	for _, rs := range s.replicaSets {
		if metav1.IsControlledBy(rs, s.rollout) {
			out[rs.Labels[v1alpha1.PodTemplateHashLabel]] = rs
		}
	}
	return out
}

// available counts the pods of a revision that answer: ready and not about to go.
func (s state) available(hash string) (n int32) {
	app := s.rollout.Spec.Selector.MatchLabels
	for _, pod := range s.pods {
		if pod.Labels[v1alpha1.PodTemplateHashLabel] == hash && matches(pod.Labels, app) && pod.DeletionTimestamp == nil && ready(pod) {
			n++
		}
	}
	return n
}

func matches(labels, want map[string]string) bool {
	for key, value := range want {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Summary is where a Rollout has come to, without what differs between two runs
// that end alike: names with random parts, versions and times.
func Summary(h History, rollout string) (string, error) {
	s := emptyState()
	for _, c := range h {
		var err error
		if s, err = s.after(c, rollout); err != nil {
			return "", err
		}
	}
	if s.canary() == nil {
		return "gone", nil
	}
	return s.summary()
}

func (s state) summary() (string, error) {
	st := s.rollout.Status
	weight, err := s.weight()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "phase %s %s\n", st.Phase, st.Message)
	fmt.Fprintf(&out, "step %d of %d, abort %t, pauses %d, mark %t\n", ptr.Deref(st.CurrentStepIndex, -1), len(s.canary().Steps), st.Abort, len(st.PauseConditions), st.ControllerPause)
	fmt.Fprintf(&out, "stable is current %t, revision %s\n", st.StableRS == st.CurrentPodHash, s.rollout.Annotations[v1alpha1.RevisionAnnotation])
	fmt.Fprintf(&out, "pods %d updated %d ready %d available %d\n", st.Replicas, st.UpdatedReplicas, st.ReadyReplicas, st.AvailableReplicas)
	for _, c := range st.Conditions {
		fmt.Fprintf(&out, "condition %s %s %s\n", c.Type, c.Status, c.Reason)
	}
	if st.Why != nil {
		fmt.Fprintf(&out, "why %s: %s\n", st.Why.Code, st.Why.Message)
	}
	fmt.Fprintf(&out, "weight %d\n", weight)
	owned := s.owned()
	for _, hash := range slices.Sorted(maps.Keys(owned)) {
		rs := owned[hash]
		fmt.Fprintf(&out, "revision %s %s: asked %d, available %d, deadline %t\n", rs.Annotations[v1alpha1.RevisionAnnotation], hash,
			ptr.Deref(rs.Spec.Replicas, 1), s.available(hash), rs.Annotations[v1alpha1.ScaleDownDeadlineAnnotation] != "")
	}
	fmt.Fprintf(&out, "services stable %s canary %s\n", s.stableHash(), s.canaryHash())
	return out.String(), nil
}
