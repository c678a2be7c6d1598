package analysis

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// hidden is what every Secret of a fuzzed run holds.
	hidden = "fr0m-a-Secret"
	// maxInput keeps one input from taking minutes; a status of it fits.
	maxInput = 16 << 10
)

// answers are what a provider may say, by the letter of a story.
var answers = map[byte]Reply{
	'S': {Phase: v1alpha1.AnalysisPhaseSuccessful},
	'F': {Phase: v1alpha1.AnalysisPhaseFailed, Value: "0", Message: "job failed"},
	'I': {Phase: v1alpha1.AnalysisPhaseInconclusive},
	'E': {Phase: v1alpha1.AnalysisPhaseError, Message: "querying: no route to host with " + hidden},
	'D': {Phase: v1alpha1.AnalysisPhaseError, NoData: true},
	'R': {Phase: v1alpha1.AnalysisPhaseRunning, Metadata: map[string]string{"job-name": "j"}},
	'N': {},
	'n': {Result: math.NaN(), Value: "NaN"},
	'1': {Result: 1.0, Value: "1"},
	'V': {Result: []float64{0.99}, Value: "[0.99]"},
	'B': {Result: []float64{0.1, math.Inf(1)}, Value: "[0.1,+Inf]"},
	'e': {Result: []float64{}, Value: "[]"},
	't': {Result: "ok", Value: "ok"},
	'm': {Result: map[string]any{"a": 1.0, "b": []any{"x", nil, math.NaN()}}, Value: `{"a":1}`, MetricMetadata: map[string]string{"query": "x"}},
	'L': {Result: []any{1.0, "a"}, Value: strings.Repeat("1\u2028<\x01", 2000), Message: strings.Repeat("m\"\n", 2000), Metadata: map[string]string{"long": strings.Repeat("é", 5000)}},
}

// FuzzTemplate makes a run of templates and arguments and plays a story with it.
// Whatever they say, nothing panics, every open run goes on, and a status says
// what was measured, in the space that a status has.
func FuzzTemplate(f *testing.F) {
	stories := []string{"SSSSSSSSSSSS", "VVBBVeNnVV", "EEEEE", "1FIDRSEm", "RRRtTS", "LLLLLLLLLLLLLLL", "xVyVzVTTT", "ENDXXS1"}
	for _, text := range append(documented(f), hostileTemplates()...) {
		for i, story := range stories {
			f.Add(text, []string{givenArgs, "[]", `[{"name":"limit"}]`}[i%3], story)
		}
	}
	f.Fuzz(func(t *testing.T, templates, args, story string) {
		if len(templates)+len(args) > maxInput || len(story) > 60 || strings.Contains(templates+args, hidden) {
			t.Skip()
		}
		run := runOfTemplates(t, templates, args)
		if run == nil {
			return
		}
		p := player{T: t, run: run, now: noon, story: story, most: maxStatus + 12*len(templates)}
		p.play()
	})
}

// givenArgs gives values to the arguments that templates of the manual have.
const givenArgs = `[{"name":"service","value":"web"},{"name":"limit","value":"0.95"},{"name":"host","value":"h"},{"name":"revision","value":"r"},
{"name":"baseline","value":"a"},{"name":"candidate","value":"b"},{"name":"namespace","value":"n"},{"name":"prometheus","value":"http://p"},
{"name":"count","value":"3"},{"name":"password","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]`

// documented are the templates and runs of the manual, the samples and the demo.
func documented(f *testing.F) []string {
	var out []string
	for _, pattern := range []string{"../docs/*.md", "../config/samples/*.yaml", "../test/demo/manifests/*.yaml", "../test/e2e/testdata/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: no files: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			text := string(data)
			for _, block := range strings.Split(strings.NewReplacer("```yaml\n", "\n---\n", "```\n", "\n---\n").Replace(text), "\n---\n") {
				if strings.Contains(block, "metrics:") && strings.Contains(block, "provider:") && strings.Contains(block, "spec:") {
					out = append(out, block)
				}
			}
		}
	}
	if len(out) < 6 {
		f.Fatalf("only %d templates are documented", len(out))
	}
	return out
}

// hostileTemplates are those that a naive engine stumbles over.
func hostileTemplates() []string {
	metric := func(rules string) string {
		return `{"spec":{"args":[{"name":"count","value":"3"},{"name":"password","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}],` +
			`"metrics":[{"name":"m",` + rules + `,"provider":{"prometheus":{"query":"x{{args.count}}{{args.password}}"}}}]}}`
	}
	two := func(a, b string) string {
		return `{"metadata":{"name":"a"},"spec":{"templates":[{"templateName":"` + b + `"}],"metrics":[{"name":"x","provider":{"web":{"url":"u"}}}]}}` +
			"\n---\n" + `{"metadata":{"name":"b"},"spec":{"templates":[{"templateName":"` + a + `"}],"metrics":[{"name":"y","interval":"1s","provider":{"job":{"spec":[]}}}]}}`
	}
	return []string{
		metric(`"interval":"0s","count":2147483647`),
		metric(`"interval":"2562047h","initialDelay":"2562047h","count":"2"`),
		metric(`"interval":"1ns","failureLimit":-1,"consecutiveSuccessLimit":2147483647`),
		metric(`"interval":"{{args.count}}s","count":"{{args.count}}","successCondition":"result[0] > {{args.password}}"`),
		metric(`"interval":"10s","count":4,"failureLimit":1,"inconclusiveLimit":2,"noData":"ignore","minSamples":{"least":2,"query":"count(x)"}`),
		metric(`"interval":"1500ms","initialDelay":"300ms","noData":"{{args.count}}","minSamples":{"least":"{{args.count}}"}`),
		metric(`"noData":"pass","successCondition":"isNil(result) || result[0] > 0.5","failureCondition":"all(1..100000, # > 0) && result == []"`),
		metric(`"noData":"fail","interval":"1m","successCondition":"{{args.password}}"`),
		metric(`"successCondition":"` + strings.Repeat("(", 70) + `"`),
		metric(`"successCondition":"{{args.count}} {{args.nobody}} {{"`),
		metric(`"count":"-1","failureLimit":"99999999999"`),
		two("a", "b"), two("c", "b"), two("b", "d"),
		`{"spec":{"metrics":[{"name":"m","provider":{}},{"name":"m","provider":{"web":{},"job":{}}}],"dryRun":[{"metricName":"*"},{"metricName":"("}]}}`,
		`{"spec":{"metrics":[{"name":"a1","interval":"1s","provider":{"web":{}}},{"name":"b1","interval":"1s","provider":{"kayenta":{}}}],` +
			`"dryRun":[{"metricName":"a.*"}],"measurementRetention":[{"metricName":".1","limit":2147483647}]}}`,
		"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nspec: {metrics: [*b,*b,*b,*b,*b]}",
		"spec:\n  metrics:\n" + strings.Repeat("  - {interval: 1s, name: m, provider: {web: {url: u}}}\n", 2) + strings.Repeat(" ", 100) + "x",
		"spec: {metrics: [{name: \"\\u2028\\\"<\", provider: {plugin: {a/b: {c: [1, 2]}}}}]}",
		strings.Repeat("[", 1000), "spec: 1", "",
	}
}

// runOfTemplates makes a run of the first of several templates; nil when there
// is none to make.
func runOfTemplates(t *testing.T, templates, args string) *v1alpha1.AnalysisRun {
	byName := map[string]*v1alpha1.AnalysisTemplateSpec{}
	var first *v1alpha1.AnalysisTemplate
	for _, text := range strings.Split(templates, "\n---\n") {
		var template v1alpha1.AnalysisTemplate
		if yaml.Unmarshal([]byte(text), &template) != nil {
			continue
		}
		if first == nil {
			first = &template
		}
		byName[template.Name] = &template.Spec
	}
	var over Overrides
	if first == nil || yaml.Unmarshal([]byte(args), &over.Args) != nil {
		return nil
	}
	lookup := func(ref v1alpha1.AnalysisTemplateRef) (*v1alpha1.AnalysisTemplateSpec, error) {
		if spec := byName[ref.TemplateName]; spec != nil {
			return spec, nil
		}
		return nil, errors.New("there is none")
	}
	refs := []v1alpha1.AnalysisTemplateRef{{TemplateName: first.Name}}
	spec, err := Flatten(refs, lookup, over)
	again, errAgain := Flatten(refs, lookup, over)
	if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(spec, again) {
		t.Fatalf("the same templates give two runs: %v, %v\n%s", err, errAgain, cmp.Diff(spec, again))
	}
	if err != nil {
		return nil
	}
	run := &v1alpha1.AnalysisRun{Spec: spec}
	run.UID = types.UID(first.Name)
	return run
}

// player plays a fuzzed run.
type player struct {
	*testing.T
	run   *v1alpha1.AnalysisRun
	now   time.Time
	story string
	// most is how many bytes a status may have.
	most int
	// judged is how many values were judged: each may take long.
	judged int
}

// play goes from moment to moment until the run or the story ends.
func (p *player) play() {
	var results []Result
	for range 200 {
		status, schedule := p.next(results)
		p.check(&status, schedule)
		if status.Phase.Completed() || p.story == "" || p.judged > 20 || p.now.After(noon.AddDate(100, 0, 0)) {
			return
		}
		p.run.Status = status
		if len(schedule.Tasks) == 0 {
			p.now, results = schedule.Wake.Add(time.Duration(p.story[0]%8)*137*time.Millisecond), nil
			continue
		}
		results = p.take(schedule)
		p.now = p.now.Add(time.Millisecond)
	}
}

// next asks twice, and expects the same answer and an unchanged run.
func (p *player) next(results []Result) (v1alpha1.AnalysisRunStatus, Schedule) {
	p.Helper()
	before := p.run.DeepCopy()
	status, schedule := Next(p.run, results, p.now)
	if !reflect.DeepEqual(before, p.run) {
		p.Fatalf("the run was changed: %s", cmp.Diff(before, p.run))
	}
	again, scheduleAgain := Next(before, results, p.now)
	if !reflect.DeepEqual(status, again) || !reflect.DeepEqual(schedule, scheduleAgain) {
		p.Fatalf("the same facts give another status: %s", cmp.Diff(status, again))
	}
	return status, schedule
}

// take tells the next letter for each task, and everything twice. Letters that
// are no answer terminate the run, or lose the result.
func (p *player) take(schedule Schedule) []Result {
	var results []Result
	for _, task := range schedule.Tasks {
		if p.story == "" {
			break
		}
		letter := p.story[0]
		p.story = p.story[1:]
		answer, known := answers[letter]
		switch letter {
		case 'T':
			p.run.Spec.Terminate = true
		case 'X':
			answer, known = Reply{Phase: v1alpha1.AnalysisPhaseInconclusive, Ignored: true}, true
		case 'R':
			answer.ResumeAt = p.now.Add(time.Second)
		}
		if !known {
			continue
		}
		result := Result{Task: task, Started: p.now, Finished: p.now.Add(time.Duration(letter) * time.Millisecond), Reply: p.judge(task, answer)}
		results = append(results, result, result)
	}
	return results
}

// judge judges an answer as it is judged when it was measured.
func (p *player) judge(task Task, answer Reply) Reply {
	p.judged++
	QuestionOf(p.run, task)
	values, secrets, err := ArgValues(p.run.Spec.Args)
	if err != nil {
		p.Fatalf("a run without its arguments is measured: %v", err)
	}
	for _, secret := range secrets {
		values[secret.Name] = hidden
	}
	metric, err := ResolveMetric(p.run.Spec.Metrics[task.Index], values)
	if err != nil {
		return RedactReply(Failure(err), []string{hidden})
	}
	samples := float64(task.Number)
	if metric.MinSamples == nil || metric.MinSamples.Query == "" {
		return RedactReply(Decide(&metric, answer, nil, p.now), []string{hidden})
	}
	return RedactReply(Decide(&metric, answer, &samples, p.now), []string{hidden})
}

// check checks what holds for every status.
func (p *player) check(status *v1alpha1.AnalysisRunStatus, schedule Schedule) {
	p.Helper()
	text, err := json.Marshal(status)
	if err != nil {
		p.Fatal(err)
	}
	if len(text) > p.most || strings.Contains(string(text), hidden) {
		p.Fatalf("a status of %d bytes, or with a secret: %.2000s", len(text), text)
	}
	if status.Phase.Completed() != (status.CompletedAt != nil) || status.StartedAt == nil {
		p.Fatalf("%s at %v", status.Phase, status.CompletedAt)
	}
	idle := len(schedule.Tasks) == 0 && schedule.Wake.IsZero()
	if status.Phase.Completed() != idle || len(schedule.Tasks) == 0 && !idle && !schedule.Wake.After(p.now) {
		p.Fatalf("%s at %s has the schedule %+v", status.Phase, p.now, schedule)
	}
	for i := range status.MetricResults {
		p.checkResult(&status.MetricResults[i])
	}
	for _, task := range schedule.Tasks {
		result := find(status.MetricResults, task.Metric)
		if p.run.Spec.Metrics[task.Index].Name != task.Metric || result != nil && (result.Phase.Completed() || task.Number != taken(result)+1) {
			p.Fatalf("task %+v is not of %+v", task, result)
		}
	}
	p.checkPass(status)
}

// checkPass checks that a run passes only when all that decides has passed.
func (p *player) checkPass(status *v1alpha1.AnalysisRunStatus) {
	p.Helper()
	if status.Phase != v1alpha1.AnalysisPhaseSuccessful || p.run.Spec.Terminate {
		return
	}
	for _, m := range p.run.Spec.Metrics {
		result := find(status.MetricResults, m.Name)
		if result != nil && result.DryRun {
			continue
		}
		if result == nil || result.Phase != v1alpha1.AnalysisPhaseSuccessful || result.Successful == 0 {
			p.Fatalf("the run passed without %s: %+v", m.Name, result)
		}
	}
}

func (p *player) checkResult(r *v1alpha1.MetricResult) {
	p.Helper()
	if r.Count != r.Successful+r.Failed+r.Inconclusive || r.ConsecutiveError > r.Error || r.ConsecutiveSuccess > r.Successful ||
		len(r.Measurements) > maxRetention || int32(len(r.Measurements)) > taken(r)+1 {
		p.Fatalf("the counters do not add up: %+v", r)
	}
	for i, m := range r.Measurements {
		if len(m.Message) > maxMessage+len(ellipsis) || len(m.Value) > maxValue+len(ellipsis) || m.StartedAt == nil {
			p.Fatalf("a measurement with a message of %d bytes and a value of %d, started at %v", len(m.Message), len(m.Value), m.StartedAt)
		}
		if m.Phase.Completed() != (m.FinishedAt != nil) || !m.Phase.Completed() && i != len(r.Measurements)-1 {
			p.Fatalf("measurement %d of %d is %s, finished at %v", i, len(r.Measurements), m.Phase, m.FinishedAt)
		}
	}
}
