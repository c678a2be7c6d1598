package traffic

import (
	"fmt"
	"regexp"

	"github.com/headway-rollouts/headway/test/traffic/load"
)

// route is a way to share traffic between the Services web-stable and web-canary.
// A new kind is a new entry in routes.
type route struct {
	name     string
	protocol load.Protocol
	// manifest is the route as a user writes it; %[1]s is the host.
	manifest string
	// routing is spec.strategy.canary.trafficRouting.
	routing string
	// all gives all of the traffic to the canary.
	all write
	counted
}

// write is a JSON patch of an object.
type write struct{ apiVersion, kind, name, patch string }

// allOf is that write for a list of two backends, the second of which is the canary.
func allOf(list string) string {
	return fmt.Sprintf(`[{"op":"replace","path":"%[1]s/0/weight","value":0},{"op":"replace","path":"%[1]s/1/weight","value":100}]`, list)
}

// counted is how the answers to requests are counted, for Prometheus.
type counted struct {
	// counter is the name of the metric, failed selects the answers that failed.
	counter, failed string
	// of selects what goes to the stable and to the canary Service; %[1]s is the namespace.
	of map[string]string
}

// byTraefik counts by Traefik's names for the two Services.
func byTraefik(stableName, canaryName string) counted {
	return counted{
		counter: "traefik_service_requests_total", failed: `code=~"5.."`,
		of: map[string]string{stable: fmt.Sprintf("service=~%q", stableName), canary: fmt.Sprintf("service=~%q", canaryName)},
	}
}

// byPods counts by what the pods of the revision say. Traefik cannot tell how a gRPC
// call ended: it looks for the status in the header, and it is in the trailer.
var byPods = counted{
	counter: "app_requests_total", failed: `failed="true"`,
	of: map[string]string{stable: revision, canary: revision},
}

const revision = `namespace="%[1]s",pod=~"web-{{args.revision}}-.+"`

// The roles of Services.
const (
	stable = "stable"
	canary = "canary"
)

var routes = []route{
	{
		name: "nginx", protocol: load.HTTP,
		counted: byTraefik("%[1]s-web-web-stable-80@.+", "%[1]s-web-web-stable-80-canary@.+"),
		routing: "nginx: {stableIngress: web}",
		all: write{
			"networking.k8s.io/v1", "Ingress", "web-web-canary",
			`[{"op":"replace","path":"/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight","value":"100"}]`,
		},
		manifest: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules:
  - host: %[1]s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web-stable, port: {number: 80}}}}]}
`,
	},
	{
		name: "httproute", protocol: load.HTTP,
		counted: byTraefik(".+-svc-%[1]s-web-stable-0@.+", ".+-svc-%[1]s-web-canary-1@.+"),
		routing: "gatewayAPI: {httpRoutes: [{name: web}]}",
		all:     write{"gateway.networking.k8s.io/v1", "HTTPRoute", "web", allOf("/spec/rules/0/backendRefs")},
		manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: traffic, namespace: default}]
  hostnames: [%[1]s]
  rules: [{backendRefs: [{name: web-stable, port: 80, weight: 100}, {name: web-canary, port: 80, weight: 0}]}]
`,
	},
	{
		name: "grpcroute", protocol: load.GRPC, counted: byPods,
		routing: "gatewayAPI: {grpcRoutes: [{name: web}]}",
		all:     write{"gateway.networking.k8s.io/v1", "GRPCRoute", "web", allOf("/spec/rules/0/backendRefs")},
		manifest: `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web}
spec:
  parentRefs: [{name: traffic, namespace: default}]
  hostnames: [%[1]s]
  rules: [{backendRefs: [{name: web-stable, port: 90, weight: 100}, {name: web-canary, port: 90, weight: 0}]}]
`,
	},
	{
		name: "traefikservice", protocol: load.HTTP,
		counted: byTraefik("%[1]s-web-stable-80@.+", "%[1]s-web-canary-80@.+"),
		routing: "traefik: {weightedTraefikServiceName: web}",
		all:     write{"traefik.io/v1alpha1", "TraefikService", "web", allOf("/spec/weighted/services")},
		manifest: `
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: web}
spec: {weighted: {services: [{name: web-stable, port: 80, weight: 100}, {name: web-canary, port: 80, weight: 0}]}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web}
spec:
  entryPoints: [web]
  routes: [{match: Host(` + "`%[1]s`" + `), kind: Rule, services: [{kind: TraefikService, name: web}]}]
`,
	},
}

// services are the Services that every route shares traffic between.
const services = `
apiVersion: v1
kind: Service
metadata: {name: web-stable}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc, port: 90, targetPort: 9090, appProtocol: kubernetes.io/h2c}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-canary}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc, port: 90, targetPort: 9090, appProtocol: kubernetes.io/h2c}]}
`

// withoutCanary is the route for a strategy that does not share traffic: it leads to
// web-stable alone. Traefik serves no TraefikService one of whose Services has no pods.
func (r route) withoutCanary() route {
	r.manifest = canaryBackend.ReplaceAllString(r.manifest, "")
	return r
}

var canaryBackend = regexp.MustCompile(`, \{name: web-canary[^}]*\}`)

// errorRate is an AnalysisTemplate: the part of the requests to a Service in the last
// seconds that failed.
func (r route) errorRate(s *scene, role string) string {
	rate := func(more string) string {
		return fmt.Sprintf("sum(rate(%s{%s%s}[5s]))", r.counter, fmt.Sprintf(r.of[role], s.namespace), more)
	}
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: error-rate}
spec:
  args: [{name: revision}]
  metrics:
  - name: error-rate
    initialDelay: 4s
    interval: 1s
    count: 3
    failureLimit: 1
    successCondition: result[0] < 0.1
    provider:
      prometheus:
        address: %s
        query: '(%s or vector(0)) / %s'
`, s.world.prometheus.Address, rate(","+r.failed), rate(""))
}

// judged asks for a judgement of the newest revision by its error rate.
const judged = "{templates: [{templateName: error-rate}], args: [{name: revision, valueFrom: {podTemplateHashValue: Latest}}]}"
