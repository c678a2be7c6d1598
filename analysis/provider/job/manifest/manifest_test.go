package manifest

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const uid = "5d4b4b6c-2b3a-4ba3-9a0d-6c3e7b1a9f10"

func TestJobNamesAreValidAndDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, metric := range []string{
		"pass", "Pass", "pa_ss", "pa.ss", "-", strings.Repeat("x", 300), strings.Repeat("x", 301), "ü", strings.Repeat("-", 80) + "a",
	} {
		name := Name(analysis.Query{Owner: analysis.Owner{UID: uid}, Metric: v1alpha1.Metric{Name: metric}, Number: 123})
		if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 || len(name) > maxName {
			t.Errorf("%q gives %q: %v", metric, name, errs)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q give %q", metric, other, name)
		}
		seen[name] = metric
	}
}
