package observer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// state is what exists of one Rollout at one version, and beside it.
type state struct {
	rollout     *v1alpha1.Rollout
	rollouts    map[string]*v1alpha1.Rollout
	runs        map[string]*v1alpha1.AnalysisRun
	replicaSets map[string]*appsv1.ReplicaSet
	services    map[string]*corev1.Service
	ingresses   map[string]*networkingv1.Ingress
	pods        map[string]*corev1.Pod
}

func emptyState() state {
	return state{
		rollouts:    map[string]*v1alpha1.Rollout{},
		runs:        map[string]*v1alpha1.AnalysisRun{},
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
		s.rollouts = maps.Clone(s.rollouts)
		err := set(s.rollouts, c)
		if c.Name != rollout { // whatever it is, it only has names of its own
			return s, nil
		}
		s.rollout = s.rollouts[rollout]
		return s, err
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
		s.runs = maps.Clone(s.runs)
		return s, set(s.runs, c)
	}
	return s, fmt.Errorf("unknown kind %q", c.Kind)
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

// spare is how many pods may be missing: maxUnavailable, rounded down.
func (s state) spare() int32 {
	most := intstr.FromString("25%")
	if value := s.canary().MaxUnavailable; value != nil {
		most = *value
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&most, int(s.replicas()), false)
	if err != nil {
		return 0
	}
	return int32(min(max(0, n), int(s.replicas())))
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

// size is how many pods a ReplicaSet asks for; nil asks for none.
func size(rs *appsv1.ReplicaSet) int32 {
	if rs == nil {
		return 0
	}
	return ptr.Deref(rs.Spec.Replicas, 1)
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

// carrying counts the pods that answer for the traffic and stay: those of every
// revision that gets some, or of all while the stable Service selects them all.
func (s state) carrying() (n int32) {
	for hash, rs := range s.owned() {
		if s.stableHash() == "" || s.serves(hash) > 0 {
			n += min(s.available(hash), size(rs))
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
