package v1alpha1

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Empty reports whether the template says nothing.
func (t *PodTemplate) Empty() bool {
	return t.Malformed == "" && equality.Semantic.DeepEqual(t.PodTemplateSpec, corev1.PodTemplateSpec{})
}

// validatePodTemplate finds the mistakes people make in templates, before a
// ReplicaSet is asked for. The API server knows all rules of pods and has the
// last word when the ReplicaSet is created.
func validatePodTemplate(t *PodTemplate, at *field.Path) field.ErrorList {
	if t.Malformed != "" {
		return field.ErrorList{field.Invalid(at, "malformed", t.Malformed)}
	}
	errs := metav1validation.ValidateLabels(t.Labels, at.Child("metadata", "labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(t.Annotations, at.Child("metadata", "annotations"))...)
	pod, path := &t.Spec, at.Child("spec")
	if len(pod.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), "a pod needs a container"))
	}
	errs = append(errs, validateContainers(pod, path)...)
	errs = append(errs, validateVolumes(pod.Volumes, path.Child("volumes"))...)
	return append(errs, validateLongRunning(pod, path)...)
}

// validateLongRunning refuses pods that end: a ReplicaSet does not take them.
func validateLongRunning(pod *corev1.PodSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if pod.RestartPolicy != "" && pod.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(at.Child("restartPolicy"), pod.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if pod.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(at.Child("activeDeadlineSeconds"), "pods of a Rollout run until they are replaced: remove it"))
	}
	if len(pod.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(at.Child("ephemeralContainers"), "they are added to running pods only: remove them"))
	}
	return errs
}

func validateContainers(pod *corev1.PodSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	volumes := map[string]bool{}
	for i := range pod.Volumes {
		volumes[pod.Volumes[i].Name] = true
	}
	for _, list := range []struct {
		name       string
		containers []corev1.Container
	}{{"initContainers", pod.InitContainers}, {"containers", pod.Containers}} {
		for i := range list.containers {
			container, path := &list.containers[i], at.Child(list.name).Index(i)
			errs = append(errs, validateUniqueLabel(container.Name, seen, path.Child("name"))...)
			errs = append(errs, validateContainer(container, volumes, path)...)
		}
	}
	return errs
}

func validateContainer(c *corev1.Container, volumes map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case c.Image == "":
		errs = append(errs, field.Required(at.Child("image"), "name the image to run"))
	case c.Image != strings.TrimSpace(c.Image):
		errs = append(errs, field.Invalid(at.Child("image"), c.Image, "must not have leading or trailing whitespace"))
	}
	for i := range c.Ports {
		if port := c.Ports[i].ContainerPort; port < 1 || port > 65535 {
			errs = append(errs, field.Invalid(at.Child("ports").Index(i).Child("containerPort"), port, "must be between 1 and 65535"))
		}
	}
	for i := range c.Env {
		if c.Env[i].Name == "" {
			errs = append(errs, field.Required(at.Child("env").Index(i).Child("name"), "name the variable"))
		}
	}
	for i := range c.VolumeMounts {
		path := at.Child("volumeMounts").Index(i)
		if name := c.VolumeMounts[i].Name; !volumes[name] {
			errs = append(errs, field.NotFound(path.Child("name"), name))
		}
		if c.VolumeMounts[i].MountPath == "" {
			errs = append(errs, field.Required(path.Child("mountPath"), "say where the volume appears in the container"))
		}
	}
	return append(errs, validateResources(&c.Resources, at.Child("resources"))...)
}

func validateResources(r *corev1.ResourceRequirements, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedKeys(r.Requests) {
		request := r.Requests[name]
		path := at.Child("requests").Key(string(name))
		if request.Sign() < 0 {
			errs = append(errs, field.Invalid(path, request.String(), "must be greater than or equal to 0"))
		}
		if limit, ok := r.Limits[name]; ok && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(path, request.String(), "must not be greater than the limit "+limit.String()))
		}
	}
	return errs
}

func validateVolumes(volumes []corev1.Volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range volumes {
		errs = append(errs, validateUniqueLabel(volumes[i].Name, seen, at.Index(i).Child("name"))...)
	}
	return errs
}

// validateUniqueLabel checks that a name is a DNS label that is not in seen, and adds it.
func validateUniqueLabel(name string, seen map[string]bool, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "give it a name")}
	}
	var errs field.ErrorList
	for _, problem := range validation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(at, name, problem))
	}
	if seen[name] {
		errs = append(errs, field.Duplicate(at, name))
	}
	seen[name] = true
	return errs
}
