package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	metrics "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

const (
	metricsNamespace = "kube-system"
	metricsService   = "pod-metrics"
	metricsAPI       = "v1beta1.metrics.k8s.io"
	metricsPath      = "/apis/metrics.k8s.io/v1beta1"

	// cpuAnnotation is a pod's reported CPU use in millicores. A pod without it
	// reports nothing.
	cpuAnnotation = "sim/cpu"
)

// startMetrics serves metrics.k8s.io/v1beta1 on the loopback address and registers
// it with the API server, through a service that is a name for that address.
func startMetrics(ctx context.Context, a *api, ca *authority) error {
	serving, err := ca.server(metricsService, metricsService+"."+metricsNamespace+".svc")
	if err != nil {
		return fmt.Errorf("making the serving certificate: %w", err)
	}
	cert, err := serving.tls()
	if err != nil {
		return fmt.Errorf("reading the serving certificate: %w", err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the listener: %w", err)
	}
	server := &http.Server{
		Handler:           metricsHandler(a.client),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = server.ServeTLS(ln, "", "") }()
	port := int32(ln.Addr().(*net.TCPAddr).Port) //nolint:gosec // A port fits.
	return a.registerMetrics(ctx, port, ca.pem)
}

func (a *api) registerMetrics(ctx context.Context, port int32, caBundle []byte) error {
	_, err := a.client.CoreV1().Services(metricsNamespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: metricsService},
		Spec: corev1.ServiceSpec{
			Type:         corev1.ServiceTypeExternalName,
			ExternalName: "127.0.0.1",
			Ports:        []corev1.ServicePort{{Name: "https", Port: port}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating the service: %w", err)
	}
	_, err = a.aggregator.ApiregistrationV1().APIServices().Create(ctx, &apiregistration.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: metricsAPI},
		Spec: apiregistration.APIServiceSpec{
			Group: metrics.GroupName, Version: "v1beta1",
			GroupPriorityMinimum: 100, VersionPriority: 100,
			CABundle: caBundle,
			Service: &apiregistration.ServiceReference{
				Namespace: metricsNamespace, Name: metricsService, Port: &port,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("registering the API: %w", err)
	}
	return nil
}

// metricsServed says why the API server does not serve pod metrics yet. While an
// aggregated API is down, namespaces do not finish deleting.
func (a *api) metricsServed(ctx context.Context) error {
	s, err := a.aggregator.ApiregistrationV1().APIServices().Get(ctx, metricsAPI, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("looking for pod metrics: %w", err)
	}
	for _, c := range s.Status.Conditions {
		if c.Type == apiregistration.Available && c.Status == apiregistration.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("pod metrics not available: %v", s.Status.Conditions)
}

func metricsHandler(client kubernetes.Interface) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, metricsResources())
	})
	list := func(w http.ResponseWriter, r *http.Request) {
		m, err := podMetrics(r.Context(), client, r.PathValue("namespace"), metav1.ListOptions{
			LabelSelector: r.URL.Query().Get("labelSelector"),
			FieldSelector: r.URL.Query().Get("fieldSelector"),
		})
		if err != nil {
			fail(w, apierrors.NewInternalError(err))
			return
		}
		reply(w, http.StatusOK, m)
	}
	mux.HandleFunc("GET "+metricsPath+"/pods", list)
	mux.HandleFunc("GET "+metricsPath+"/namespaces/{namespace}/pods", list)
	mux.HandleFunc("GET "+metricsPath+"/namespaces/{namespace}/pods/{name}", func(w http.ResponseWriter, r *http.Request) {
		m, err := podMetrics(r.Context(), client, r.PathValue("namespace"), metav1.ListOptions{
			FieldSelector: "metadata.name=" + r.PathValue("name"),
		})
		if err != nil {
			fail(w, apierrors.NewInternalError(err))
			return
		}
		if len(m.Items) == 0 {
			fail(w, apierrors.NewNotFound(metrics.Resource("pods"), r.PathValue("name")))
			return
		}
		reply(w, http.StatusOK, m.Items[0])
	})
	return mux
}

func metricsResources() metav1.APIResourceList {
	return metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: metrics.SchemeGroupVersion.String(),
		APIResources: []metav1.APIResource{{
			Name: "pods", SingularName: "pod", Namespaced: true, Kind: "PodMetrics", Verbs: metav1.Verbs{"get", "list"},
		}},
	}
}

// podMetrics reads the simulated use off the annotations of running pods.
func podMetrics(ctx context.Context, client kubernetes.Interface, namespace string, opts metav1.ListOptions) (*metrics.PodMetricsList, error) {
	opts.ResourceVersion = "0"
	pods, err := client.CoreV1().Pods(namespace).List(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	list := &metrics.PodMetricsList{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetricsList", APIVersion: metrics.SchemeGroupVersion.String()},
		Items:    []metrics.PodMetrics{},
	}
	now := time.Now()
	for i := range pods.Items {
		if m, ok := usage(&pods.Items[i], now); ok {
			list.Items = append(list.Items, m)
		}
	}
	return list, nil
}

// usage is what a running pod reports. Its first container uses all of it.
func usage(pod *corev1.Pod, now time.Time) (metrics.PodMetrics, bool) {
	cpu, err := resource.ParseQuantity(strings.TrimSuffix(pod.Annotations[cpuAnnotation], "m") + "m")
	if err != nil || pod.Status.Phase != corev1.PodRunning {
		return metrics.PodMetrics{}, false
	}
	m := metrics.PodMetrics{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetrics", APIVersion: metrics.SchemeGroupVersion.String()},
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, CreationTimestamp: metav1.NewTime(now),
		},
		Timestamp: metav1.NewTime(now),
		Window:    metav1.Duration{Duration: time.Second},
	}
	for _, c := range pod.Spec.Containers {
		m.Containers = append(m.Containers, metrics.ContainerMetrics{Name: c.Name, Usage: corev1.ResourceList{
			corev1.ResourceCPU:    cpu,
			corev1.ResourceMemory: resource.MustParse("64Mi"),
		}})
		cpu = resource.MustParse("0")
	}
	return m, true
}

func fail(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	reply(w, int(status.Code), status)
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
