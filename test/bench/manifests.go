package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"text/template"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// canary is what differs between the Rollouts of the scenarios.
type canary struct {
	Name string
	// Steps and Analysis are YAML in flow style.
	Steps    string
	Analysis string
	// ScaleDownDelay in seconds.
	ScaleDownDelay int
}

// Steps of the scenarios.
const (
	fiveWeights = "[{setWeight: 20}, {setWeight: 40}, {setWeight: 60}, {setWeight: 80}, {setWeight: 100}]"
	pauseFirst  = "[{pause: {}}, {setWeight: 100}]"
	halfAndWait = "[{setWeight: 50}, {pause: {}}]"
)

// tag of the image that a Rollout starts with.
const firstTag = "v1"

var canaryObjects = template.Must(template.New("canary").Parse(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: {{.Name}}}
spec:
  replicas: 2
  selector: {matchLabels: {app: {{.Name}}}}
  template:
    metadata: {labels: {app: {{.Name}}}}
    spec:
      containers: [{name: app, image: "bench/app:` + firstTag + `"}]
  strategy:
    canary:
      stableService: {{.Name}}-stable
      canaryService: {{.Name}}-canary
      scaleDownDelaySeconds: {{.ScaleDownDelay}}
      trafficRouting: {nginx: {stableIngress: {{.Name}}}}
      steps: {{.Steps}}
{{- with .Analysis}}
      analysis: {{.}}
{{- end}}
---
apiVersion: v1
kind: Service
metadata: {name: {{.Name}}-stable}
spec: {selector: {app: {{.Name}}}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: {{.Name}}-canary}
spec: {selector: {app: {{.Name}}}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: {{.Name}}}
spec:
  ingressClassName: nginx
  rules:
  - host: {{.Name}}.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: {{.Name}}-stable, port: {number: 80}}}}
`))

// yaml is the Rollout and all that it needs, without an AnalysisTemplate.
func (c canary) yaml() ([]byte, error) {
	var out bytes.Buffer
	if err := canaryObjects.Execute(&out, c); err != nil {
		return nil, fmt.Errorf("filling in the manifests of %s: %w", c.Name, err)
	}
	return out.Bytes(), nil
}

// measured is the background analysis of the restore scenario: one bad value, read
// within a second, ends it.
const measured = "{templates: [{templateName: measured}]}"

// measuredTemplate is the AnalysisTemplate for a Prometheus at an address.
func measuredTemplate(address string) []byte {
	return fmt.Appendf(nil, `
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: measured}
spec:
  metrics:
  - name: success-rate
    interval: 1s
    failureLimit: 0
    successCondition: result[0] >= 0.95
    provider: {prometheus: {address: %q, query: success_rate}}
`, address)
}

// analysisRun measures the metrics.
func analysisRun(namespace, name string, metrics ...v1alpha1.Metric) *v1alpha1.AnalysisRun {
	return &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.AnalysisRunSpec{Metrics: metrics},
	}
}

// asking is a metric that asks one of several queries once.
func asking(address string, query int) v1alpha1.Metric {
	return v1alpha1.Metric{
		Name:             "success-rate",
		SuccessCondition: "result[0] >= 0.95",
		Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusMetric{
			Address: address, Query: fmt.Sprintf(`sum(rate(requests{app="app-%03d",code!~"5.*"}[1m])) / sum(rate(requests{app="app-%03d"}[1m]))`, query, query),
		}},
	}
}

// hangs is the name of the run that asks a server that hangs.
const hangs = "hangs"

// hangingRun asks a server that hangs for several values at once.
func hangingRun(namespace, address string) *v1alpha1.AnalysisRun {
	run := analysisRun(namespace, hangs)
	for i := range 16 {
		metric := asking(address, i)
		metric.Name = fmt.Sprintf("success-rate-%d", i)
		run.Spec.Metrics = append(run.Spec.Metrics, metric)
	}
	return run
}

// kept is the number of measurements that a status has after a while.
const kept = 10

// patchStatus is the change of a status after a number of measurements.
func patchStatus(taken int32) client.Patch {
	at := metav1.NewTime(time.Unix(1_700_000_000+int64(taken)*10, 0))
	measurement := v1alpha1.Measurement{Phase: v1alpha1.AnalysisPhaseSuccessful, StartedAt: &at, FinishedAt: &at, Value: "[0.999]"}
	status, _ := json.Marshal(v1alpha1.AnalysisRunStatus{ //nolint:errchkjson // it has no type that cannot be encoded
		Phase: v1alpha1.AnalysisPhaseRunning, StartedAt: &at,
		MetricResults: []v1alpha1.MetricResult{{
			Name: "success-rate", Phase: v1alpha1.AnalysisPhaseRunning, Count: taken, Successful: taken, ConsecutiveSuccess: taken,
			Measurements: slices.Repeat([]v1alpha1.Measurement{measurement}, kept),
		}},
	})
	return client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":%s}`, status))
}
