package cmd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	rolloutFile    = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: basket}\nspec: {replicas: 1}\n"
	experimentFile = "apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: ab, namespace: pay}\nspec: {templates: []}\n"
	templateFile   = `apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: service}, {name: limit, value: "0.95"}]
  metrics:
    - name: rate
      successCondition: result[0] >= {{args.limit}}
      provider: {prometheus: {address: "http://prometheus", query: "rate{service='{{args.service}}'}"}}
`
	clusterTemplateFile = "apiVersion: argoproj.io/v1alpha1\nkind: ClusterAnalysisTemplate\nmetadata: {name: always}\nspec: {metrics: [{name: up, provider: {web: {url: http://up}}}]}\n"
	runFile             = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nmetadata: {generateName: try-}\nspec: {metrics: [{name: up, provider: {web: {url: http://up}}}]}\n"
)

// file writes a file of a test and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// creations records what is created.
func (r *rig) creations() *[]client.Object {
	var created []client.Object
	r.funcs.Create = func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
		err := c.Create(ctx, object, opts...)
		created = append(created, object)
		return err
	}
	return &created
}

func TestCreateMakesWhatIsInFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, says, namespace string }{
		"a rollout":                 {rolloutFile, "rollout.argoproj.io/basket created\n", "shop"},
		"an experiment":             {experimentFile, "experiment.argoproj.io/ab created\n", "pay"},
		"a template":                {templateFile, "analysistemplate.argoproj.io/success-rate created\n", "shop"},
		"a template of the cluster": {clusterTemplateFile, "clusteranalysistemplate.argoproj.io/always created\n", ""},
		"JSON":                      {`{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "basket"}}`, "rollout.argoproj.io/basket created\n", "shop"},
		"several": {
			rolloutFile + "---\n" + templateFile, "rollout.argoproj.io/basket created\nanalysistemplate.argoproj.io/success-rate created\n", "shop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			created := r.creations()
			code := r.run("kubectl-rollouts create -f " + file(t, c.text))
			if diff := cmp.Diff(c.says, r.out.String()); diff != "" || code != ExitDone {
				t.Fatalf("exit code %d %s:\n%s", code, r.err, diff)
			}
			if got := (*created)[0].GetNamespace(); got != c.namespace {
				t.Errorf("the namespace is %q, want %q", got, c.namespace)
			}
		})
	}
	r := newRig(t)
	if code := r.run("kubectl-rollouts create -f " + file(t, runFile)); code != ExitDone || !strings.HasPrefix(r.out.String(), "analysisrun.argoproj.io/try-") {
		t.Errorf("exit code %d, says %q", code, r.out)
	}
}

func TestCreateReadsStandardInputAndAddresses(t *testing.T) {
	r := newRig(t)
	r.in = rolloutFile
	if code := r.run("kubectl-rollouts create -f - --dry-run=server"); code != ExitDone || r.out.String() != "rollout.argoproj.io/basket created (server dry run)\n" {
		t.Errorf("exit code %d, says %q %s", code, r.out, r.err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/cart.yaml" {
			http.NotFound(w, request)
			return
		}
		_, _ = w.Write([]byte(rolloutFile))
	}))
	defer server.Close()
	r = newRig(t)
	if code := r.run("kubectl-rollouts create -f " + server.URL + "/cart.yaml"); code != ExitDone || r.out.String() != "rollout.argoproj.io/basket created\n" {
		t.Errorf("exit code %d, says %q %s", code, r.out, r.err)
	}
	r = newRig(t)
	if code := r.run("kubectl-rollouts create -f " + server.URL + "/nope"); code != ExitError || !strings.Contains(r.err.String(), "why:  the server answers 404 Not Found") {
		t.Errorf("exit code %d, says %q", code, r.err)
	}
}

func TestNothingIsCreatedOfFilesWithMistakes(t *testing.T) {
	folder := t.TempDir()
	large := file(t, strings.Repeat("# a\n", 1<<20+1))
	for name, c := range map[string]struct{ line, text, says string }{
		"a misspelt field":     {"create -f FILE", rolloutFile + "---\n" + strings.Replace(rolloutFile, "replicas", "replica", 1), "error: FILE, line 9: spec.replica: there is no such field, so the API server refuses or drops it: correct its name or its place\n  next: correct the file; check it with: kubectl rollouts lint -f FILE\n"},
		"a wrong type":         {"create -f FILE", strings.Replace(rolloutFile, "replicas: 1", "replicas: one", 1), "error: FILE, line 1: spec.replicas: a whole number is needed, not a text\n  next: correct the file; check it with: kubectl rollouts lint -f FILE\n"},
		"broken YAML":          {"create -f FILE", "a: [\nb: c\n", "error: FILE, line 2: the YAML cannot be read: did not find expected ',' or ']'\n  next: correct the file; check it with: kubectl rollouts lint -f FILE\n"},
		"another kind":         {"create -f FILE", "apiVersion: v1\nkind: Service\n", "error: FILE, line 1: create makes no Service of v1\n  next: kubectl apply -f FILE\n"},
		"an empty file":        {"create -f FILE", "# nothing\n", "error: FILE has no objects\n  next: name another file with -f\n"},
		"a missing file":       {"create -f " + folder + "/nope", "", "error: reading " + folder + "/nope failed\n  why:  open " + folder + "/nope: no such file or directory\n  next: check the name; -f takes files, http addresses and -\n"},
		"a folder":             {"create -f " + folder, "", "error: reading " + folder + " failed\n  why:  read " + folder + ": is a directory\n  next: check the name; -f takes files, http addresses and -\n"},
		"a large file":         {"create -f " + large, "", "error: " + large + " was not read\n  why:  it has more than 4 MiB\n  next: split it; name each part with -f\n"},
		"no file":              {"create", "", "error: create needs a file\n  next: for example: kubectl rollouts create -f cart-ab.yaml\n"},
		"a watch of two":       {"create -w -f FILE", rolloutFile + "---\n" + experimentFile, "error: -w follows one object, and the files have 2\n  next: create them without -w, then: kubectl rollouts get rollout NAME -w\n"},
		"a watch of a run":     {"create -w -f FILE", runFile, "error: -w follows a Rollout or an Experiment, and this is an AnalysisRun\n  next: create it without -w\n"},
		"a watch of a dry run": {"create -w --dry-run=server -f FILE", rolloutFile, "error: -w and --dry-run=server exclude each other\n  next: nothing is created that could be watched\n"},
		"two namespaces":       {"create -n shop -f FILE", experimentFile, "error: experiment 'ab' is of namespace pay, and -n says shop\n  next: give -n pay, or leave it out\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			created := r.creations()
			path := file(t, c.text)
			code := r.run("kubectl-rollouts " + strings.ReplaceAll(c.line, "FILE", path))
			if diff := cmp.Diff(strings.ReplaceAll(c.says, "FILE", path), r.err.String()); diff != "" || code == ExitDone || len(*created) > 0 {
				t.Errorf("exit code %d, %d objects:\n%s", code, len(*created), diff)
			}
		})
	}
}

func TestCreateWatchesWhatItMade(t *testing.T) {
	for text, want := range map[string]string{rolloutFile: "basket Progressing", experimentFile: "ab Pending"} {
		r := newRig(t)
		ctx, stop := context.WithCancel(t.Context())
		code := r.start(ctx, "kubectl-rollouts create -w -f "+file(t, text))
		r.eventually("the first line", func() bool { return strings.Contains(r.out.String(), want) })
		stop()
		if got := <-code; got != ExitInterrupted {
			t.Errorf("exit code %d: %s", got, r.err)
		}
	}
}

func TestWhatTheClusterRefusesIsSaid(t *testing.T) {
	r := newRig(t, cart(func(ro *v1alpha1.Rollout) { ro.Name = "basket" }))
	if code := r.run("kubectl-rollouts create -f " + file(t, rolloutFile)); code != ExitError || !strings.HasPrefix(r.err.String(), "error: creating rollout 'basket' failed\n  why:  rollouts.argoproj.io \"basket\" already exists\n") {
		t.Errorf("exit code %d: %s", code, r.err)
	}
}

func successRate(change ...func(*v1alpha1.AnalysisTemplateSpec)) *v1alpha1.AnalysisTemplate {
	template := &v1alpha1.AnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: "success-rate", Namespace: "shop"}}
	template.Spec = v1alpha1.AnalysisTemplateSpec{
		Args:    []v1alpha1.Argument{{Name: "service"}, {Name: "limit", Value: ptr("0.95")}},
		Metrics: []v1alpha1.Metric{{Name: "rate", SuccessCondition: "result[0] >= {{args.limit}}", Provider: v1alpha1.MetricProvider{Web: &v1alpha1.WebMetric{URL: "http://{{args.service}}"}}}},
	}
	for _, f := range change {
		f(&template.Spec)
	}
	return template
}

func always() *v1alpha1.ClusterAnalysisTemplate {
	return &v1alpha1.ClusterAnalysisTemplate{ObjectMeta: metav1.ObjectMeta{Name: "always"}, Spec: v1alpha1.AnalysisTemplateSpec{
		Metrics: []v1alpha1.Metric{{Name: "up", Provider: v1alpha1.MetricProvider{Web: &v1alpha1.WebMetric{URL: "http://up"}}}},
		Args:    []v1alpha1.Argument{{Name: "region"}},
	}}
}

func TestCreateAnalysisRunFillsInATemplate(t *testing.T) {
	nested := func(spec *v1alpha1.AnalysisTemplateSpec) {
		spec.Templates = []v1alpha1.AnalysisTemplateRef{{TemplateName: "always", ClusterScope: true}}
	}
	type run struct {
		Name, Labels string
		Metrics      []string
		Args         map[string]string
	}
	for name, c := range map[string]struct {
		line string
		want run
	}{
		"of the cluster": {
			"--from success-rate -a service=cart", run{"success-rate-", "map[]", []string{"rate"}, map[string]string{"service": "cart", "limit": "0.95"}},
		},
		"with another default": {
			"--from success-rate -a service=cart -a limit=a=b --name try", run{"try", "map[]", []string{"rate"}, map[string]string{"service": "cart", "limit": "a=b"}},
		},
		"of a wide template": {
			"--global --from always --argument region=eu --generate-name x-", run{"x-", "map[]", []string{"up"}, map[string]string{"region": "eu"}},
		},
		"of an instance": {
			"--from success-rate -a service=cart --instance-id blue", run{"success-rate-", "map[argo-rollouts.argoproj.io/controller-instance-id:blue]", []string{"rate"}, map[string]string{"service": "cart", "limit": "0.95"}},
		},
		"with nested templates": {
			"--from all -a service=cart -a region=eu", run{"all-", "map[]", []string{"rate", "up"}, map[string]string{"service": "cart", "limit": "0.95", "region": "eu"}},
		},
		"of a file": {
			"--from-file FILE -a service=cart", run{"success-rate-", "map[]", []string{"rate"}, map[string]string{"service": "cart", "limit": "0.95"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := successRate(nested)
			all.Name = "all"
			r := newRig(t, successRate(), always(), all)
			created := r.creations()
			code := r.run("kubectl-rollouts create analysisrun " + strings.ReplaceAll(c.line, "FILE", file(t, templateFile)))
			if code != ExitDone || len(*created) != 1 || !strings.HasPrefix(r.out.String(), "analysisrun.argoproj.io/"+c.want.Name) || !strings.HasSuffix(r.out.String(), " created\n") {
				t.Fatalf("exit code %d, said %q %s", code, r.out, r.err)
			}
			made := (*created)[0].(*v1alpha1.AnalysisRun)
			got := run{Name: made.GenerateName, Labels: strings.ReplaceAll(strings.Join(labelsOf(made), ","), "=", ":"), Args: map[string]string{}}
			if got.Name == "" {
				got.Name = made.Name
			}
			got.Labels = "map[" + got.Labels + "]"
			for _, metric := range made.Spec.Metrics {
				got.Metrics = append(got.Metrics, metric.Name)
			}
			for _, arg := range made.Spec.Args {
				got.Args[arg.Name] = *arg.Value
			}
			if diff := cmp.Diff(c.want, got); diff != "" || made.Namespace != "shop" {
				t.Errorf("namespace %s:\n%s", made.Namespace, diff)
			}
		})
	}
}

func labelsOf(object client.Object) []string {
	var out []string
	for key, value := range object.GetLabels() {
		out = append(out, key+"="+value)
	}
	return out
}

func TestATemplateOfTheFileComesBeforeThatOfTheCluster(t *testing.T) {
	text := strings.Replace(templateFile, "spec:\n", "spec:\n  templates: [{templateName: other}]\n", 1) +
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\n" + strings.Replace(strings.Replace(templateFile, "success-rate", "other", 1), "name: rate", "name: of-the-file", 1)
	r := newRig(t)
	created := r.creations()
	code := r.run("kubectl-rollouts create ar --from-file " + file(t, text) + " -a service=cart")
	if code != ExitDone || len((*created)[0].(*v1alpha1.AnalysisRun).Spec.Metrics) != 2 {
		t.Errorf("exit code %d: %s", code, r.err)
	}
}

func TestAnAnalysisRunThatCannotBeMadeSaysWhatToDo(t *testing.T) {
	two := func(spec *v1alpha1.AnalysisTemplateSpec) {
		spec.Args = append(spec.Args, v1alpha1.Argument{Name: "zone"})
	}
	circle := func(spec *v1alpha1.AnalysisTemplateSpec) {
		spec.Templates = []v1alpha1.AnalysisTemplateRef{{TemplateName: "success-rate"}}
	}
	gone := func(spec *v1alpha1.AnalysisTemplateSpec) {
		spec.Templates = []v1alpha1.AnalysisTemplateRef{{TemplateName: "gone", ClusterScope: true}}
	}
	field := func(spec *v1alpha1.AnalysisTemplateSpec) {
		spec.Args[0].ValueFrom = &v1alpha1.ValueFrom{FieldRef: &v1alpha1.FieldRef{FieldPath: "metadata.name"}}
	}
	invalid := func(spec *v1alpha1.AnalysisTemplateSpec) { spec.Metrics[0].Provider = v1alpha1.MetricProvider{} }
	for name, c := range map[string]struct {
		line   string
		change func(*v1alpha1.AnalysisTemplateSpec)
		says   string
		code   int
	}{
		"an argument is missing": {
			"--from success-rate", nil, "error: argument service has no value\n  why:  the template gives no default\n  next: give it with -a service=VALUE\n", ExitError,
		},
		"arguments are missing": {
			"--from success-rate", two, "error: arguments service, zone have no value\n  why:  the templates give no defaults\n  next: give them with -a service=VALUE -a zone=VALUE\n", ExitError,
		},
		"a field of a Rollout is asked for": {
			"--from success-rate", field, "error: argument service has no value\n  why:  the template reads it from the field metadata.name of a Rollout, and there is none\n  next: give it with -a service=VALUE\n", ExitError,
		},
		"the template is not there": {
			"--from nope", nil, "error: reading analysistemplate 'nope' failed\n  why:  analysistemplates.argoproj.io \"nope\" not found\n  next: kubectl get analysistemplates -n shop, or name another namespace with -n\n", ExitError,
		},
		"a nested template is not there": {
			"--from success-rate -a service=cart", gone, "error: reading clusteranalysistemplate 'gone' failed\n  why:  clusteranalysistemplates.argoproj.io \"gone\" not found\n  next: kubectl get clusteranalysistemplates\n", ExitError,
		},
		"templates go in a circle": {
			"--from success-rate", circle, "error: template 'success-rate' cannot be run\n  why:  templates name each other in a circle: AnalysisTemplate 'success-rate' -> AnalysisTemplate 'success-rate'\n  next: correct the template\n", ExitError,
		},
		"the template is invalid": {
			"--from success-rate -a service=cart", invalid, "error: template 'success-rate' cannot be run\n  why:  spec.metrics[0].provider: Required value: no provider specified\n  next: correct the template\n", ExitError,
		},
		"no template": {
			"", nil, "error: one of --from or --from-file must be specified\n  next: for example: kubectl rollouts create analysisrun --from success-rate\n", ExitUsage,
		},
		"two templates": {
			"--from a --from-file b", nil, "error: one of --from or --from-file must be specified\n  next: for example: kubectl rollouts create analysisrun --from success-rate\n", ExitUsage,
		},
		"two names":                 {"--from a --name b --generate-name c", nil, "error: --name and --generate-name exclude each other\n  next: give one of them\n", ExitUsage},
		"an argument without value": {"--from a -a service", nil, "error: \"service\" is no argument: arguments must be in the form NAME=VALUE\n  next: for example -a service=cart\n", ExitUsage},
		"a file without a template": {
			"--from-file FILE", nil, "error: FILE has no AnalysisTemplate or ClusterAnalysisTemplate with a name\n  next: name another file with --from-file\n", ExitError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*v1alpha1.AnalysisTemplateSpec) {}
			}
			r := newRig(t, successRate(c.change))
			created := r.creations()
			path := file(t, rolloutFile)
			code := r.run("kubectl-rollouts create analysisrun " + strings.ReplaceAll(c.line, "FILE", path))
			if diff := cmp.Diff(strings.ReplaceAll(c.says, "FILE", path), r.err.String()); diff != "" || code != c.code || len(*created) > 0 {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, diff)
			}
		})
	}
}

func TestAnArgumentThatNoTemplateHasIsAWarning(t *testing.T) {
	r := newRig(t, successRate())
	code := r.run("kubectl-rollouts create analysisrun --from success-rate -a service=cart -a servce=x")
	if want := "warning: no template has an argument servce, so it is ignored; there are: service, limit\n"; code != ExitDone || r.err.String() != want {
		t.Errorf("exit code %d, says %q", code, r.err)
	}
}

func TestACreationThatIsForbiddenSaysWhichRightIsMissing(t *testing.T) {
	r := newRig(t, always())
	r.funcs.Create = func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
		return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("x").GroupResource(), "", nil)
	}
	for line, want := range map[string]string{
		"create analysisrun --global --from always -a region=eu": `ask an administrator for "create" on "analysisruns.argoproj.io" in namespace shop; check with: kubectl auth can-i create analysisruns.argoproj.io -n shop`,
		"create -f " + file(t, clusterTemplateFile):              `ask an administrator for "create" on "clusteranalysistemplates.argoproj.io"; check with: kubectl auth can-i create clusteranalysistemplates.argoproj.io`,
	} {
		r.err = &buffer{}
		if code := r.run("kubectl-rollouts " + line); code != ExitForbidden || !strings.Contains(r.err.String(), "  next: "+want+"\n") {
			t.Errorf("%s: exit code %d: %s", line, code, r.err)
		}
	}
}
