package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/kubectl-plugin/lint"
)

// check is the findings of one text, a line each.
func check(texts ...string) []string {
	var files []lint.File
	for i, text := range texts {
		files = append(files, lint.File{Name: fmt.Sprintf("%d.yaml", i+1), Text: []byte(text)})
	}
	return shown(lint.Check(files, lint.Options{}))
}

func shown(result lint.Result) []string {
	var lines []string
	for _, f := range result.Findings {
		lines = append(lines, fmt.Sprintf("%s:%d %s %s %s: %s", f.File, f.Line, f.Severity, f.Rule, f.Path, f.Message))
	}
	return lines
}

func expect(t *testing.T, want []string, texts ...string) {
	t.Helper()
	if diff := cmp.Diff(want, check(texts...)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// template is an AnalysisTemplate with one metric; the metric begins on line 8.
func template(metric string, more ...string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata:\n  name: errors\nspec:\n" +
		strings.Join(more, "") + "  metrics:\n" + indented("    - name: ratio\n      provider: {prometheus: {query: up}}\n", metric)
}

func indented(head, lines string) string {
	for line := range strings.Lines(lines) {
		head += "      " + line
	}
	return head + "\n"
}

// rollout is a Rollout whose strategy is on line 11.
func rollout(strategy string) string {
	return `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers: [{name: app, image: "cart:1"}]
  strategy:
` + strategy
}

const canaryWithTemplate = `    canary:
      steps:
        - analysis:
            templates: [{templateName: errors}]
`

func TestAFileWithoutMistakesHasNoFindings(t *testing.T) {
	expect(t, nil, rollout(canaryWithTemplate), template("successCondition: result[0] < 0.05"))
}

func TestWhatTheAPIRefusesIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a value": {
			rollout("    canary:\n      steps:\n        - setWeight: 120\n"),
			"1.yaml:13 error validation spec.strategy.canary.steps[0].setWeight: Invalid value: 120: must be between 0 and 100, the total of all weights",
		},
		"a type": {
			rollout("    canary:\n      steps: 5\n"),
			"1.yaml:12 error validation spec.strategy.canary.steps: a list is needed, not a number",
		},
		"no strategy": {
			rollout("    {}\n"), "1.yaml:10 error validation spec.strategy: Required value: set canary or blueGreen",
		},
		"no name": {
			strings.Replace(rollout("    canary: {}\n"), "name: cart, ", "", 1), "1.yaml:3 error validation metadata.name: Required value: name the object",
		},
		"a name of capitals": {
			strings.Replace(rollout("    canary: {}\n"), "name: cart,", "name: Cart,", 1),
			"1.yaml:3 error validation metadata.name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
		},
		"a version": {
			"apiVersion: argoproj.io/v1\nkind: Rollout\nmetadata: {name: cart}\n",
			"1.yaml:1 error validation apiVersion: there is no Rollout of argoproj.io/v1: write argoproj.io/v1alpha1",
		},
		"a metric without an interval": {
			template("successCondition: result[0] < 0.05\ncount: 5"),
			"1.yaml:7 error validation spec.metrics[0].interval: Required value: interval must be specified when count > 1",
		},
		"a condition that does not parse": {
			template("successCondition: result[0] <"),
			"1.yaml:9 error validation spec.metrics[0].successCondition: expression does not parse: unexpected token EOF (1:11)",
		},
		"an Experiment without pods": {
			"apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: ab}\nspec: {templates: []}\n",
			"1.yaml:4 error validation spec.templates: Required value: an Experiment needs pods to run",
		},
		"YAML that cannot be read": {
			"a: [", "1.yaml:1 error syntax : the YAML cannot be read: did not find expected node content",
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, []string{c.want}, c.text) })
	}
}

func TestUnknownFieldsAreFoundAlsoInPodTemplates(t *testing.T) {
	text := strings.Replace(rollout("    canary: {step: []}\n"), `image: "cart:1"}`, `image: "cart:1", imagePulPolicy: Always}`, 1)
	const message = "there is no such field, so the API server refuses or drops it: correct its name or its place"
	expect(t, []string{
		"1.yaml:9 warning unknown-field spec.template.spec.containers[0].imagePulPolicy: " + message,
		"1.yaml:11 warning unknown-field spec.strategy.canary.step: " + message,
	}, text)
	result := lint.Check([]lint.File{{Name: "a", Text: []byte(text)}}, lint.Options{UnknownFieldsFail: true})
	for _, f := range result.Findings {
		if f.Severity != lint.Error {
			t.Errorf("%+v is no error", f)
		}
	}
	experiment := "apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: ab}\nspec:\n  templates:\n    - name: a\n      selector: {matchLabels: {app: a}}\n" +
		"      template:\n        metadata: {labels: {app: a}}\n        spec:\n          containers: [{name: app, image: a}]\n          restart: no\n"
	expect(t, []string{"1.yaml:12 warning unknown-field spec.templates[0].template.spec.restart: " + message}, experiment)
}

func TestGatesThatAreContentWithoutDataAreFound(t *testing.T) {
	const end = ", which a service that nobody calls gives: set noData or minSamples to say what that means, or add a successCondition"
	const alone = "1.yaml:7 warning no-data spec.metrics[0]: a failureCondition alone finds nothing wrong with "
	for name, c := range map[string]struct {
		metric string
		want   []string
	}{
		"a success condition needs data":                {"successCondition: result[0] < 0.05", nil},
		"both conditions leave it open":                 {"successCondition: result[0] < 0.05\nfailureCondition: result[0] > 0.1", nil},
		"a failure condition alone is content with NaN": {"failureCondition: result[0] > 0.05", []string{alone + "NaN" + end}},
		"a failure condition of any value":              {`failureCondition: "any(result, # > 5)"`, []string{alone + "an empty list or NaN" + end}},
		"a scalar":                                      {"failureCondition: result > 0.05", []string{alone + "NaN" + end}},
		"noData says what it means":                     {"failureCondition: result[0] > 0.05\nnoData: fail", nil},
		"minSamples says what it means":                 {"failureCondition: result[0] > 0.05\nminSamples: {least: 100}", nil},
		"the condition provides for it":                 {"failureCondition: len(result) == 0 or isNaN(result[0]) or result[0] > 0.05", nil},
		"no condition": {
			"", []string{"1.yaml:7 warning no-data spec.metrics[0]: the metric has no condition, so every value is good: add a successCondition"},
		},
		"no condition, and data is asked for": {"noData: fail", nil},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, template(c.metric)) })
	}
	expect(t, nil, strings.Replace(template(""), "{prometheus: {query: up}}", "{job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}}", 1))
}

func TestArgumentsAreComparedWithTheirUse(t *testing.T) {
	const good = "successCondition: result[0] < {{args.limit}}"
	for name, c := range map[string]struct {
		args string
		want []string
	}{
		"declared":              {"  args: [{name: limit}]\n", nil},
		"declared with a value": {"  args: [{name: limit, value: \"0.05\"}]\n", nil},
		"never used": {
			"  args: [{name: limit}, {name: lmit}]\n",
			[]string{"1.yaml:6 warning argument spec.args[1]: no metric uses {{args.lmit}}: remove the argument, or use it"},
		},
		"never given": {
			"",
			[]string{"1.yaml:7 warning argument spec.metrics[0]: {{args.limit}} is never given: declare it in spec.args, or the run ends in Error unless a template that runs with this one declares it"},
		},
		"declared twice": {
			"  args: [{name: limit}, {name: limit}]\n",
			[]string{`1.yaml:6 error validation spec.args[1].name: the argument "limit" is declared twice: remove one`},
		},
		"without a name": {
			"  args: [{name: limit}, {value: a}]\n",
			[]string{"1.yaml:6 error validation spec.args[1].name: Required value: name the argument"},
		},
		"with two values": {
			"  args: [{name: limit, value: \"1\", valueFrom: {secretKeyRef: {name: a, key: b}}}]\n",
			[]string{"1.yaml:6 error validation spec.args[0].valueFrom: an argument has one value: remove value or valueFrom"},
		},
		"with an empty source": {
			"  args: [{name: limit, valueFrom: {}}]\n",
			[]string{"1.yaml:6 error validation spec.args[0].valueFrom: set exactly one of secretKeyRef and fieldRef"},
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, template(good, c.args)) })
	}
	expect(t, []string{"1.yaml:7 error argument spec.metrics[0]: {{inputs.x}} cannot be filled in: write {{args.NAME}}"},
		template(`successCondition: result == "{{inputs.x}}"`))
	expect(t, []string{"1.yaml:7 warning argument spec.args[0]: no metric uses {{args.q}}: remove the argument, or use it"},
		strings.Replace(template("successCondition: result[0] < 1", "  templates: []\n  args: [{name: q}]\n"), "{{args.q}}", "", 1))
}

func TestAConditionThatAnArgumentCompletesIsNotJudged(t *testing.T) {
	expect(t, nil, template("successCondition: result[0] {{args.rule}}", "  args: [{name: rule}]\n"))
	expect(t, []string{"1.yaml:10 error validation spec.metrics[0].successCondition: expression does not parse: unexpected token EOF (1:11)"},
		template("successCondition: result[0] {{args.rule}}", "  args: [{name: rule, value: \"<\"}]\n"))
}

func TestTemplatesOfOneRunMustFitTogether(t *testing.T) {
	nested := func(name, other string) string {
		return strings.Replace(template("successCondition: result[0] < 1", "  templates: [{templateName: "+other+"}]\n"), "name: errors", "name: "+name, 1)
	}
	expect(t, []string{
		"1.yaml:6 error template spec.templates: templates name each other in a circle: AnalysisTemplate 'a' -> AnalysisTemplate 'b' -> AnalysisTemplate 'a'",
		"2.yaml:6 error template spec.templates: templates name each other in a circle: AnalysisTemplate 'b' -> AnalysisTemplate 'a' -> AnalysisTemplate 'b'",
	}, nested("a", "b"), nested("b", "a"))
	expect(t, []string{"1.yaml:6 error template spec.templates: two metrics have the same name 'ratio'"}, nested("a", "errors"), template("successCondition: result[0] < 1"))
	expect(t, nil, nested("a", "elsewhere"))
	expect(t, []string{"1.yaml:5 warning template spec: the template has neither metrics nor templates, so there is nothing to measure: add metrics"},
		"apiVersion: argoproj.io/v1alpha1\nkind: ClusterAnalysisTemplate\nmetadata: {name: none}\n\nspec: {}\n")
	expect(t, []string{"1.yaml:4 error validation spec.templates[0].templateName: Required value: name the template whose metrics are added"},
		"apiVersion: argoproj.io/v1alpha1\nkind: ClusterAnalysisTemplate\nmetadata: {name: none}\nspec: {templates: [{clusterScope: true}]}\n")
}

func TestAnalysesOfARolloutAreComparedWithTheirTemplates(t *testing.T) {
	const at = "spec.strategy.canary.steps[0].analysis."
	step := func(more string) string { return rollout(canaryWithTemplate + more) }
	withLimit := template("successCondition: result[0] < {{args.limit}}", "  args: [{name: limit}]\n")
	for name, c := range map[string]struct {
		rollout, template string
		want              []string
	}{
		"an argument is given": {step("            args: [{name: limit, value: \"0.05\"}]\n"), withLimit, nil},
		"an argument is read":  {step("            args: [{name: limit, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\n"), withLimit, nil},
		"an argument is not given": {
			step(""), withLimit,
			[]string{"1.yaml:14 error template " + at + "templates: args.limit was not resolved: give it in args, or give a default in the template"},
		},
		"an argument nobody has": {
			step("            args: [{name: limit, value: \"1\"}, {name: lmit, value: \"1\"}]\n"), withLimit,
			[]string{"1.yaml:15 warning argument " + at + `args[1]: no template declares the argument "lmit", so it is ignored: correct its name, or remove it`},
		},
		"an argument that makes no condition": {
			step("            args: [{name: limit, value: \"<\"}]\n"), withLimit,
			[]string{"1.yaml:14 error template " + at + `templates: metrics[0].successCondition: Invalid value: "result[0] < <": expression does not parse: unexpected token Operator("<") (1:13)`},
		},
		"a rule that matches no metric": {
			step("            dryRun: [{metricName: other}]\n"), template("successCondition: result[0] < 1"),
			[]string{"1.yaml:14 error template " + at + "templates: dryRun[0]: Rule didn't match any metric name(s)"},
		},
		"a metric that never ends": {
			step(""), template("successCondition: result[0] < 1\ninterval: 1m"),
			[]string{"1.yaml:14 warning endless " + at + "templates: metric ratio of template errors has an interval and no count, so it never ends, and neither does the step: give it a count"},
		},
		"a metric with a count":                       {step(""), template("successCondition: result[0] < 1\ninterval: 1m\ncount: 3"), nil},
		"a metric that ends with successes":           {step(""), template("successCondition: result[0] < 1\ninterval: 1m\nconsecutiveSuccessLimit: 3"), nil},
		"a template that is in another namespace":     {step(""), strings.Replace(withLimit, "name: errors", "name: errors\n  namespace: pay", 1), nil},
		"a template that has mistakes says it alone":  {step(""), template("successCondition: result["), []string{"2.yaml:9 error validation spec.metrics[0].successCondition: expression does not parse: unexpected token EOF (1:7)"}},
		"a metric that never ends beside the steps":   {rollout("    canary:\n      analysis: {templates: [{templateName: errors}]}\n"), template("successCondition: result[0] < 1\ninterval: 1m"), nil},
		"a ClusterAnalysisTemplate is another object": {strings.Replace(step(""), "errors}", "errors, clusterScope: true}", 1), withLimit, nil},
		"a metric that never ends before a promotion": {rollout("    blueGreen:\n      activeService: cart\n      prePromotionAnalysis: {templates: [{templateName: errors}]}\n"), template("successCondition: result[0] < 1\ninterval: 1m"), []string{"1.yaml:13 warning endless spec.strategy.blueGreen.prePromotionAnalysis.templates: metric ratio of template errors has an interval and no count, so it never ends, and neither does the update: give it a count"}},
		"a provider that needs what nobody declares":  {step(""), strings.Replace(template("successCondition: result[0] < 1"), "query: up", `query: "{{args.q}}"`, 1), []string{"1.yaml:14 error template " + at + "templates: metric \"ratio\": failed to resolve {{args.q}}: only {{args.NAME}} of an argument that is declared is filled in", "2.yaml:7 warning argument spec.metrics[0]: {{args.q}} is never given: declare it in spec.args, or the run ends in Error unless a template that runs with this one declares it"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, c.rollout, c.template) })
	}
}

func TestAnExperimentThatIsAStepMustEnd(t *testing.T) {
	step := func(more string) string {
		return rollout("    canary:\n      steps:\n        - experiment:\n            templates: [{name: a, specRef: canary}]\n" + more)
	}
	const endless = "1.yaml:13 warning endless spec.strategy.canary.steps[0].experiment: the experiment has no duration and requires no analysis, so the step ends only when an analysis fails: give it a duration, or set requiredForCompletion"
	expect(t, []string{endless}, step(""))
	expect(t, nil, step("            duration: 5m\n"))
	expect(t, nil, step("            analyses: [{name: a, templateName: errors, requiredForCompletion: true}]\n"))
	expect(t, []string{"1.yaml:15 warning endless spec.strategy.canary.steps[0].experiment.analyses[0].templateName: metric ratio of template errors has an interval and no count, so it never ends, and neither does the step: give it a count"},
		step("            analyses: [{name: a, templateName: errors, requiredForCompletion: true}]\n"), template("successCondition: result[0] < 1\ninterval: 1m"))
}

func TestAnExperimentIsComparedWithItsTemplates(t *testing.T) {
	experiment := func(analyses string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: ab}\nspec:\n  templates:\n    - name: candidate\n      selector: {matchLabels: {app: a}}\n" +
			"      template: {metadata: {labels: {app: a}}, spec: {containers: [{name: app, image: a}]}}\n  analyses:\n" + analyses
	}
	withHash := template("successCondition: result[0] < 1", "  args: [{name: hash}]\n")
	withHash = strings.Replace(withHash, "query: up", `query: "x{hash='{{args.hash}}'}"`, 1)
	expect(t, nil, experiment("    - {name: a, templateName: errors, args: [{name: hash, value: \"{{templates.candidate.podTemplateHash}}\"}]}\n"), withHash)
	expect(t, []string{"1.yaml:10 error argument spec.analyses[0].args[0].value: {{templates.canary.podTemplateHash}} is not known: it may be experiment.availableAt, templates.candidate.podTemplateHash, templates.candidate.replicaset.name"},
		experiment("    - {name: a, templateName: errors, args: [{name: hash, value: \"{{templates.canary.podTemplateHash}}\"}]}\n"), withHash)
	expect(t, []string{"1.yaml:10 error template spec.analyses[0].templateName: args.hash was not resolved: give it in args, or give a default in the template"},
		experiment("    - {name: a, templateName: errors}\n"), withHash)
	expect(t, []string{"1.yaml:10 warning endless spec.analyses[0].templateName: metric ratio of template errors has an interval and no count, so it never ends, and neither does the Experiment: give it a count"},
		experiment("    - {name: a, templateName: errors, requiredForCompletion: true}\n"), template("successCondition: result[0] < 1\ninterval: 1m"))
}

func TestAnAnalysisRunMustBeWhole(t *testing.T) {
	run := func(args, metric string) string {
		return strings.Replace(template(metric, args), "AnalysisTemplate", "AnalysisRun", 1)
	}
	expect(t, nil, run("  args: [{name: limit, value: \"1\"}]\n", "successCondition: result[0] < {{args.limit}}"))
	expect(t, nil, run("  args: [{name: limit, valueFrom: {secretKeyRef: {name: a, key: b}}}]\n", "successCondition: result[0] < {{args.limit}}"))
	expect(t, []string{"1.yaml:5 error template spec: args.limit was not resolved"}, run("  args: [{name: limit}]\n", "successCondition: result[0] < {{args.limit}}"))
	expect(t, []string{`1.yaml:5 error template spec: metric "ratio": failed to resolve {{args.limit}}`}, run("", "successCondition: result[0] < {{args.limit}}"))
	expect(t, []string{"1.yaml:6 warning argument spec.args[0]: no metric uses {{args.lmit}}: remove the argument, or use it"},
		run("  args: [{name: lmit, value: \"1\"}]\n", "successCondition: result[0] < 1"))
}

const services = `---
apiVersion: v1
kind: Service
metadata: {name: cart-canary, annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: %s}}
spec: {selector: {app: %s, role: canary, rollouts-pod-template-hash: abc}, ports: [{port: 80}]}
`

func TestServicesMustSelectThePodsOfTheirRollout(t *testing.T) {
	ro := rollout("    canary:\n      canaryService: cart-canary\n      canaryMetadata: {labels: {role: canary}}\n")
	for name, c := range map[string]struct {
		service string
		want    []string
	}{
		"labels of the template and of the role": {fmt.Sprintf(services, "cart", "cart"), nil},
		"a label that the pods do not have": {
			fmt.Sprintf(services, "cart", "basket"),
			[]string{`1.yaml:12 error reference spec.strategy.canary.canaryService: Service "cart-canary" selects pods by app=basket, and those of the Rollout do not have that label: make them agree`},
		},
		"the Service of another Rollout": {
			fmt.Sprintf(services, "basket", "cart"),
			[]string{`1.yaml:12 error reference spec.strategy.canary.canaryService: Service "cart-canary" is managed by Rollout "basket": use another Service`},
		},
		"a Service of another namespace": {strings.Replace(fmt.Sprintf(services, "basket", "basket"), "name: cart-canary", "name: cart-canary, namespace: pay", 1), nil},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, ro, c.service) })
	}
}

func TestTheTemplateOfADeploymentIsTheRollouts(t *testing.T) {
	ro := "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: cart}\nspec:\n  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: cart}\n" +
		"  selector: {matchLabels: {app: %s}}\n  strategy: {canary: {canaryService: cart-canary, canaryMetadata: {labels: {role: canary}}}}\n"
	deployment := "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  selector: {matchLabels: {app: cart}}\n  template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: a, image: b}]}}\n"
	expect(t, nil, fmt.Sprintf(ro, "cart")+deployment+fmt.Sprintf(services, "cart", "cart"))
	expect(t, nil, fmt.Sprintf(ro, "cart")+fmt.Sprintf(services, "cart", "elsewhere"))
	expect(t, []string{
		`1.yaml:5 error reference spec.workloadRef: Invalid value: "Deployment cart": its template.metadata.labels cannot be used: Invalid value: "app=cart": the selector app=basket does not select these labels: make them agree`,
		`1.yaml:7 error reference spec.strategy.canary.canaryService: Service "cart-canary" selects pods by app=x, and those of the Rollout do not have that label: make them agree`,
	}, fmt.Sprintf(ro, "basket")+deployment+fmt.Sprintf(services, "cart", "x"))
}

func TestAnIngressMustLeadToTheStableService(t *testing.T) {
	nginx := rollout("    canary:\n      canaryService: a\n      stableService: cart\n      trafficRouting: {nginx: {stableIngress: cart}}\n")
	alb := rollout("    canary:\n      canaryService: a\n      stableService: b\n      trafficRouting: {alb: {ingress: cart, rootService: cart, servicePort: 80}}\n")
	ingress := func(version, backend string) string {
		return "apiVersion: " + version + "\nkind: Ingress\nmetadata: {name: cart}\nspec: {rules: [{host: x}, {http: {paths: [{path: /, backend: " + backend + "}]}}]}\n"
	}
	wrong := func(path string) []string {
		return []string{"1.yaml:14 error reference spec.strategy.canary.trafficRouting." + path + ": ingress `cart` has no rules using service cart backend: add a rule for it, or name the Ingress that has one"}
	}
	for name, c := range map[string]struct {
		rollout, ingress string
		want             []string
	}{
		"by NGINX":                     {nginx, ingress("networking.k8s.io/v1", "{service: {name: cart}}"), nil},
		"by NGINX, of an old version":  {nginx, ingress("networking.k8s.io/v1beta1", "{serviceName: cart}"), nil},
		"by NGINX to another":          {nginx, ingress("networking.k8s.io/v1", "{service: {name: other}}"), wrong("nginx.stableIngress")},
		"by ALB":                       {alb, ingress("extensions/v1beta1", "{serviceName: cart}"), nil},
		"by ALB to another":            {alb, ingress("networking.k8s.io/v1", "{service: {name: b}}"), wrong("alb.ingress")},
		"in another file, or nowhere":  {nginx, "", nil},
		"of a shape that is not known": {nginx, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: cart}\nspec: 5\n", nil},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, c.rollout, c.ingress) })
	}
}

func TestAVirtualServiceMustHaveTheRoutes(t *testing.T) {
	ro := func(istio string) string {
		return rollout("    canary:\n      canaryService: cart-canary\n      stableService: cart-stable\n      trafficRouting:\n        istio: " + istio + "\n")
	}
	virtual := func(spec string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: cart, namespace: shop}\nspec: " + spec + "\n"
	}
	const both = "[{destination: {host: cart-stable}}, {destination: {host: cart-canary.shop.svc.cluster.local}}]"
	const at = "1.yaml:15 error reference spec.strategy.canary.trafficRouting.istio.virtualService."
	for name, c := range map[string]struct {
		istio, spec string
		want        []string
	}{
		"the only route":  {"{virtualService: {name: cart}}", "{http: [{route: " + both + "}]}", nil},
		"a route by name": {"{virtualService: {name: cart.shop, routes: [b]}}", "{http: [{name: a}, {name: b, route: " + both + "}]}", nil},
		"no routes":       {"{virtualService: {name: cart}}", "{hosts: [a]}", []string{at + "name: VirtualService cart has no http, tls or tcp routes: add one to both Services"}},
		"several routes":  {"{virtualService: {name: cart}}", "{http: [{}, {}]}", []string{at + "name: VirtualService cart has 2 http routes: name those that are meant in routes"}},
		"an unknown route": {
			"{virtualService: {name: cart, routes: [c]}}", "{http: [{name: a}]}",
			[]string{at + `routes[0]: VirtualService cart has no http route named "c": correct the name, or add the route`},
		},
		"a route to the stable Service alone": {
			"{virtualService: {name: cart}}", "{http: [{route: [{destination: {host: cart-stable}}]}]}",
			[]string{at + "name: a route of VirtualService cart has no destination Service cart-canary, which is the canary: add it"},
		},
		"subsets": {
			"{virtualService: {name: cart}, destinationRule: {name: d, canarySubsetName: new, stableSubsetName: old}}",
			"{http: [{route: [{destination: {host: cart, subset: old}}, {destination: {host: cart, subset: new}}]}]}", nil,
		},
		"a subset that is missing": {
			"{virtualService: {name: cart}, destinationRule: {name: d, canarySubsetName: new, stableSubsetName: old}}",
			"{http: [{route: [{destination: {host: cart, subset: new}}]}]}",
			[]string{at + "name: a route of VirtualService cart has no destination subset old, which is the stable: add it"},
		},
		"of another namespace": {"{virtualService: {name: cart.pay}}", "{}", nil},
		"tls routes":           {"{virtualService: {name: cart, tlsRoutes: [{port: 443}]}}", "{tls: [{}], http: [{}]}", nil},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, ro(c.istio), virtual(c.spec)) })
	}
	ping := strings.Replace(ro("{virtualServices: [{name: cart}]}"), "canaryService: cart-canary\n      stableService: cart-stable", "pingPong: {pingService: ping, pongService: pong}", 1)
	expect(t, []string{"1.yaml:14 error reference spec.strategy.canary.trafficRouting.istio.virtualServices[0].name: a route of VirtualService cart has no destination Service pong, which is the pong: add it"},
		ping, virtual("{http: [{route: [{destination: {host: ping}}]}]}"))
}

func TestOtherObjectsAreNotJudged(t *testing.T) {
	result := lint.Check([]lint.File{{Name: "a", Text: []byte("apiVersion: argoproj.io/v1alpha1\nkind: Application\n---\napiVersion: v1\nkind: Service\nspec: 5\n")}}, lint.Options{})
	if len(result.Findings) > 0 || result.Checked != 0 {
		t.Errorf("%+v", result)
	}
}

// The examples of the pages and the sample are what people copy.
func TestTheSampleHasNoErrors(t *testing.T) {
	paths, err := filepath.Glob("../../config/samples/*.yaml")
	more, _ := filepath.Glob("../../config/sample/*.yaml")
	if paths = append(paths, more...); err != nil || len(paths) == 0 {
		t.Fatalf("there are no samples: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // The path is of this repository.
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range lint.Check([]lint.File{{Name: path, Text: text}}, lint.Options{}).Findings {
			if f.Severity == lint.Error {
				t.Errorf("%s:%d: %s: %s", f.File, f.Line, f.Path, f.Message)
			}
		}
	}
}

// What takes long must not take for ever: a file is at most four times as long as these.
func TestHostileFilesAreJudgedInTime(t *testing.T) {
	const head = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: a}\nspec:\n"
	const most = 1 << 20
	fill := func(line string) string {
		var b strings.Builder
		for i := 0; b.Len()+len(line)+len(head)+16 < most; i++ {
			fmt.Fprintf(&b, line, i)
		}
		return b.String()
	}
	deep := strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000)
	for name, text := range map[string]string{
		"many keys":            head + fill("  k%d:\n"),
		"many metrics":         head + "  metrics:\n" + fill("  - {name: m%d}\n"),
		"many arguments":       head + "  args:\n" + fill("  - {name: m%d}\n"),
		"many tags":            head + "  metrics: [{name: a, successCondition: \"" + fill("{{args.a%d}}") + "\"}]\n",
		"many templates":       head + "  templates:\n" + fill("  - {templateName: m%d}\n"),
		"deep nesting":         "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: " + deep + "\n",
		"deep nesting in JSON": `{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": ` + deep + "}",
		"a long condition":     head + "  metrics: [{name: a, provider: {web: {url: x}}, failureCondition: \"" + strings.Repeat("(", 2000) + strings.Repeat(")", 2000) + "\"}]\n",
		"a slow condition":     head + "  metrics: [{name: a, provider: {web: {url: x}}, failureCondition: \"len(1..1000000000) > 5\"}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			if got := len(check(text)); got > 1000 {
				t.Errorf("%d findings are kept", got)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it takes %s", took)
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		rollout(canaryWithTemplate) + "---\n" + template("failureCondition: result[0] > {{args.a}}", "  args: [{name: a}]\n"),
		rollout("    blueGreen: {activeService: a}\n") + fmt.Sprintf(services, "a", "b"),
		"apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: ab}\nspec: {templates: [{name: a}], analyses: [{name: b, templateName: c, args: [{name: d, value: \"{{x}}\"}]}]}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) { check(text) })
}
