package docs

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/analysisrun"
)

// What the planner refuses is found by setting each field alone, so that the
// page names neither too little nor too much.
func TestThePageNamesExactlyWhatIsRefused(t *testing.T) {
	want := refusedFields()
	if len(want) < 3 {
		t.Fatalf("only %d fields are refused: %q", len(want), want)
	}
	_, section, _ := strings.Cut(read(t, "docs/compatibility.md"), "\n### Refused fields of a Rollout\n")
	section, _, _ = strings.Cut(section, "\n#")
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(spec\\.[^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("docs/compatibility.md names other fields than the planner refuses (-planner +page):\n%s", diff)
	}
}

func TestThePageNamesExactlyTheProvidersThatAreNotServed(t *testing.T) {
	var want []string
	fields := reflect.TypeFor[v1alpha1.MetricProvider]()
	for i := range fields.NumField() {
		name := jsonName(fields.Field(i))
		if _, served := providers()[name]; !served && name != "" {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	_, section, _ := strings.Cut(read(t, "docs/compatibility.md"), "\n### Metric providers\n")
	section, _, _ = strings.Cut(section, "\n#")
	line := regexp.MustCompile(`(?m)^Not served: (.*)\.$`).FindStringSubmatch(section)
	if line == nil {
		t.Fatal(`docs/compatibility.md has no line "Not served: …." below "### Metric providers"`)
	}
	var got []string
	for _, m := range span.FindAllStringSubmatch(line[1], -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("providers that are not served (-controller +page):\n%s", diff)
	}
}

func providers() map[string]analysis.Provider {
	return analysisrun.New(analysisrun.Options{}).Providers
}

// refusedFields are the paths of the fields that the planner refuses today, sorted.
func refusedFields() []string {
	var out []string
	note := func(ro *v1alpha1.Rollout) {
		message := refused(ro)
		if !strings.Contains(message, "does not serve it") {
			return
		}
		path, _, _ := strings.Cut(message, ": ")
		out = append(out, strings.ReplaceAll(path, "[0]", "[]"))
	}
	each(servedBlueGreen, func(ro *v1alpha1.Rollout) reflect.Value { return reflect.ValueOf(ro.Spec.Strategy.BlueGreen).Elem() }, note)
	each(served, func(ro *v1alpha1.Rollout) reflect.Value { return reflect.ValueOf(&ro.Spec).Elem() }, note)
	each(served, func(ro *v1alpha1.Rollout) reflect.Value { return reflect.ValueOf(ro.Spec.Strategy.Canary).Elem() }, note)
	each(served, func(ro *v1alpha1.Rollout) reflect.Value {
		return reflect.ValueOf(ro.Spec.Strategy.Canary.TrafficRouting).Elem()
	}, note)
	each(served, func(ro *v1alpha1.Rollout) reflect.Value {
		ro.Spec.Strategy.Canary.Steps = make([]v1alpha1.CanaryStep, 1)
		return reflect.ValueOf(&ro.Spec.Strategy.Canary.Steps[0]).Elem()
	}, note)
	slices.Sort(out)
	return slices.Compact(out)
}

// servedBlueGreen is a Rollout of the other strategy that the planner follows.
func servedBlueGreen() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{
		BlueGreen: &v1alpha1.BlueGreenStrategy{ActiveService: "web"},
	}}}
}

// served is a Rollout that the planner follows.
func served() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Strategy: v1alpha1.RolloutStrategy{Canary: &v1alpha1.CanaryStrategy{
		TrafficRouting: &v1alpha1.RolloutTrafficRouting{Nginx: &v1alpha1.NginxTrafficRouting{StableIngress: "web"}},
	}}}}
}

// each sets every field of one struct of a Rollout, one at a time, where it is not set.
func each(fresh func() *v1alpha1.Rollout, within func(*v1alpha1.Rollout) reflect.Value, try func(*v1alpha1.Rollout)) {
	for i := range within(fresh()).NumField() {
		ro := fresh()
		at := within(ro)
		if jsonName(at.Type().Field(i)) != "" && at.Field(i).IsZero() && fill(at.Field(i)) {
			try(ro)
		}
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}

// fill sets a value to something that is not empty; false for a kind that has nothing of the sort here.
func fill(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x").Convert(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.String:
		v.SetString("x")
	default:
		return false
	}
	return true
}
