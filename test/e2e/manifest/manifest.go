// Package manifest writes the YAML of the Rollouts that tests play with: one
// canary behind an NGINX Ingress with its two Services. It knows no cluster.
package manifest

import (
	"bytes"
	"text/template"
)

// Canary is what differs between the Rollouts of the tests. Fields with YAML are in flow style.
type Canary struct {
	// Name of the Rollout, its Ingress, its container and its label app; default web.
	Name string
	// Replicas as YAML; default 4. "null" leaves them out.
	Replicas string
	// Tag of the image; default v1.
	Tag string
	// Steps is a YAML list; default the weights 20, 40, 60 and 80.
	Steps string
	// Strategy are more fields of the strategy as YAML lines, without indentation.
	Strategy []string
	// Spec are more fields of the spec as YAML lines, without indentation.
	Spec []string
	// Annotations of the pods as a YAML map; default none.
	Annotations string
	// InstanceID is the controller's; default none.
	InstanceID string
}

// Weights are four weights without a pause.
const Weights = "[{setWeight: 20}, {setWeight: 40}, {setWeight: 60}, {setWeight: 80}]"

func (c Canary) filled() Canary {
	for value, otherwise := range map[*string]string{&c.Name: "web", &c.Replicas: "4", &c.Tag: "v1", &c.Steps: Weights} {
		if *value == "" {
			*value = otherwise
		}
	}
	return c
}

// All is the Rollout with its Services and its Ingress.
func (c Canary) All() string {
	return c.Rollout() + c.Service("stable") + c.Service("canary") + c.Ingress()
}

// Rollout is the Rollout alone.
func (c Canary) Rollout() string { return c.fill(rollout) }

// Service is one of the two Services, by its role: stable or canary.
func (c Canary) Service(role string) string { return c.fill(service[role]) }

// Ingress is the stable Ingress.
func (c Canary) Ingress() string { return c.fill(ingress) }

func (c Canary) fill(t *template.Template) string {
	var out bytes.Buffer
	if err := t.Execute(&out, c.filled()); err != nil {
		panic("filling in a manifest: " + err.Error()) // The templates are below.
	}
	return out.String()
}

var rollout = template.Must(template.New("rollout").Parse(`---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: {{.Name}}
{{- if .InstanceID}}
  labels: {argo-rollouts.argoproj.io/controller-instance-id: {{.InstanceID}}}
{{- end}}
spec:
{{- if ne .Replicas "null"}}
  replicas: {{.Replicas}}
{{- end}}
  selector: {matchLabels: {app: {{.Name}}}}
{{- range .Spec}}
  {{.}}
{{- end}}
  strategy:
    canary:
      stableService: {{.Name}}-stable
      canaryService: {{.Name}}-canary
      trafficRouting: {nginx: {stableIngress: {{.Name}}}}
{{- range .Strategy}}
      {{.}}
{{- end}}
      steps: {{.Steps}}
  template:
    metadata:
      labels: {app: {{.Name}}}
{{- if .Annotations}}
      annotations: {{.Annotations}}
{{- end}}
    spec:
      containers: [{name: {{.Name}}, image: "example.com/{{.Name}}:{{.Tag}}"}]
`))

var service = map[string]*template.Template{
	"stable": template.Must(template.New("stable").Parse(serviceText("stable"))),
	"canary": template.Must(template.New("canary").Parse(serviceText("canary"))),
}

func serviceText(role string) string {
	return `---
apiVersion: v1
kind: Service
metadata: {name: {{.Name}}-` + role + `}
spec: {selector: {app: {{.Name}}}, ports: [{port: 80}]}
`
}

var ingress = template.Must(template.New("ingress").Parse(`---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{.Name}}
  annotations: {example.com/owner: somebody}
spec:
  ingressClassName: nginx
  rules:
  - host: {{.Name}}.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: {{.Name}}-stable, port: {number: 80}}}}
`))

// Metric is an AnalysisTemplate with one Prometheus metric.
type Metric struct {
	// Name of the template; default measured.
	Name string
	// Address of Prometheus; empty leaves it out.
	Address string
	// Fields are fields of the metric as YAML lines, without indentation.
	Fields []string
	// Timeout of the query in seconds; 0 is the default of the API.
	Timeout int
	// InstanceID is the controller's; default none.
	InstanceID string
}

// YAML is the template.
func (m Metric) YAML() string {
	if m.Name == "" {
		m.Name = "measured"
	}
	var out bytes.Buffer
	if err := metric.Execute(&out, m); err != nil {
		panic("filling in a template: " + err.Error()) // It is below.
	}
	return out.String()
}

var metric = template.Must(template.New("metric").Parse(`---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: {{.Name}}
{{- if .InstanceID}}
  labels: {argo-rollouts.argoproj.io/controller-instance-id: {{.InstanceID}}}
{{- end}}
spec:
  metrics:
  - name: success-rate
{{- range .Fields}}
    {{.}}
{{- end}}
    provider:
      prometheus:
        query: success_rate
{{- if .Address}}
        address: {{.Address}}
{{- end}}
{{- if .Timeout}}
        timeout: {{.Timeout}}
{{- end}}
`))
