package main

import (
	"bytes"
	"fmt"
	"text/template"
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
