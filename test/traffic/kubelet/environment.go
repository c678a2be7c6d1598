package kubelet

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// splitImage is the repository and the tag of an image.
func splitImage(image string) (repository, tag string) {
	at := strings.LastIndex(image, ":")
	if at < strings.LastIndex(image, "/") || at < 0 {
		return image, "latest"
	}
	return image[:at], image[at+1:]
}

// environment is what the container's process gets: the image's own variable, which
// is its tag, then those of the spec.
func environment(object *corev1.Pod, ip string) ([]string, error) {
	container := object.Spec.Containers[0]
	_, tag := splitImage(container.Image)
	env := []string{"IMAGE_TAG=" + tag}
	for _, v := range container.Env {
		value := v.Value
		if v.ValueFrom != nil {
			if v.ValueFrom.FieldRef == nil {
				return nil, fmt.Errorf("variable %s: only fieldRef is served", v.Name)
			}
			var err error
			if value, err = field(object, ip, v.ValueFrom.FieldRef.FieldPath); err != nil {
				return nil, fmt.Errorf("variable %s: %w", v.Name, err)
			}
		}
		env = append(env, v.Name+"="+value)
	}
	return env, nil
}

// field is a field of the downward API.
func field(object *corev1.Pod, ip, path string) (string, error) {
	switch path {
	case "metadata.name":
		return object.Name, nil
	case "metadata.namespace":
		return object.Namespace, nil
	case "metadata.uid":
		return string(object.UID), nil
	case "spec.nodeName":
		return object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.podIP":
		return ip, nil
	case "status.hostIP":
		return hostIP, nil
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels['": object.Labels, "metadata.annotations['": object.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			return values[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("field %s is not served", path)
}
