package resources

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

// Service builds the Service of a template: it selects the pods by all their
// labels, and has every port of their containers.
func Service(e *v1alpha1.Experiment, t *v1alpha1.TemplateSpec, set plan.Set, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: e.Namespace,
			Annotations:     partOf(e.Name, t.Name),
			OwnerReferences: owned(e),
		},
		Spec: corev1.ServiceSpec{
			Selector: withHash(t.Template.Labels, set.Hash),
			Ports:    ports(t.Template.Spec.Containers),
		},
	}
}

// ports are the ports of containers, each once. Several ports need names, so
// those that have none, or one that is taken, get one.
func ports(containers []corev1.Container) []corev1.ServicePort {
	var out []corev1.ServicePort
	seen, named := map[string]bool{}, map[string]bool{}
	for i := range containers {
		for _, port := range containers[i].Ports {
			protocol := port.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			number := fmt.Sprintf("%s-%d", strings.ToLower(string(protocol)), port.ContainerPort)
			if seen[number] {
				continue
			}
			seen[number] = true
			name := port.Name
			if name == "" || named[name] {
				name = number
			}
			named[name] = true
			out = append(out, corev1.ServicePort{
				Name: name, Protocol: protocol, Port: port.ContainerPort, TargetPort: intstr.FromInt32(port.ContainerPort),
			})
		}
	}
	if len(out) == 1 {
		out[0].Name = firstName(containers)
	}
	return out
}

// firstName is the name of the first port; it may be empty.
func firstName(containers []corev1.Container) string {
	for i := range containers {
		for _, port := range containers[i].Ports {
			return port.Name
		}
	}
	return ""
}
