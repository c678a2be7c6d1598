package kubelet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestImages(t *testing.T) {
	for image, want := range map[string][2]string{
		"example.com/web:v1":   {"example.com/web", "v1"},
		"example.com/web":      {"example.com/web", "latest"},
		"example.com:5000/web": {"example.com:5000/web", "latest"},
		"web:v1":               {"web", "v1"},
	} {
		if repository, tag := splitImage(image); repository != want[0] || tag != want[1] {
			t.Errorf("%s is %s with tag %s", image, repository, tag)
		}
	}
}

func TestTheEnvironmentHasTheDownwardAPI(t *testing.T) {
	from := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "shop", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Image: "example.com/web:v1",
			Env:   []corev1.EnvVar{{Name: "MODE", Value: "fast"}, from("POD_IP", "status.podIP"), from("APP", "metadata.labels['app']")},
		}}},
	}
	got, err := environment(object, "10.244.0.7")
	want := []string{"IMAGE_TAG=v1", "MODE=fast", "POD_IP=10.244.0.7", "APP=web"}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v: %s", err, cmp.Diff(want, got))
	}
	object.Spec.Containers[0].Env = []corev1.EnvVar{from("X", "status.qosClass")}
	if got, err := environment(object, "10.244.0.7"); err == nil {
		t.Errorf("a field that is not served came to %v", got)
	}
}
