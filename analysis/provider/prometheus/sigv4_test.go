package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress/aws"
	"github.com/headway-rollouts/headway/analysis/egress/aws/awstest"
	"github.com/headway-rollouts/headway/analysis/provider/providertest"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const workspace = "/aps-workspaces.eu-west-1/workspaces/ws-1"

// amazon is a server that takes what is signed well, and says what it took.
func amazon(t *testing.T, took *[]string) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := awstest.Verify(r, awstest.Secret)
		_ = r.ParseForm()
		*took = append(*took, fmt.Sprintf("%s %s?%s for %s in %s: %v", r.Method, r.URL.Path, r.Form.Encode(), found.Service, found.Region, err == nil))
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.Header.Get("X-Scope-OrgID") != "" && !slices.Contains(found.Headers, "x-scope-orgid") {
			t.Error("the headers of the metric are not signed")
		}
		fmt.Fprint(w, vectorOf("2"))
	}))
	t.Cleanup(server.Close)
	return server
}

func sigv4(region string) func(*v1alpha1.Metric) {
	return func(m *v1alpha1.Metric) { m.Provider.Prometheus.Authentication.Sigv4.Region = region }
}

func TestSigv4(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	header := func(m *v1alpha1.Metric) {
		m.Provider.Prometheus.Headers = []v1alpha1.WebMetricHeader{{Key: "X-Scope-OrgID", Value: "tenant"}}
	}
	basic := func(m *v1alpha1.Metric) {
		m.Provider.Prometheus.Authentication.BasicAuth = v1alpha1.BasicAuthConfig{Username: "me", Password: "pass"}
	}
	ranged := func(m *v1alpha1.Metric) {
		m.Provider.Prometheus.RangeQuery = &v1alpha1.PrometheusRangeQueryArgs{Start: "now()", End: "now()", Step: "1m"}
	}
	cases := []struct {
		name  string
		edits []func(*v1alpha1.Metric)
		took  string
	}{
		{"a query is signed", []func(*v1alpha1.Metric){sigv4("us-east-1")}, "query?query=up&time=1772366400 for aps in us-east-1: true"},
		{"a range is signed", []func(*v1alpha1.Metric){sigv4("us-east-1"), ranged}, "query_range?end=1772366400&query=up&start=1772366400&step=60 for aps in us-east-1: true"},
		{"nothing needs to be set", nil, "query?query=up&time=1772366400 for aps in eu-west-1: true"},
		{"headers are signed too", []func(*v1alpha1.Metric){header}, "query?query=up&time=1772366400 for aps in eu-west-1: true"},
		{"a signature wins over a password", []func(*v1alpha1.Metric){basic}, "query?query=up&time=1772366400 for aps in eu-west-1: true"},
	}
	provider := New(providertest.Client(), Home{AWS: aws.New()})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var took []string
			server := amazon(t, &took)
			edits := append(c.edits, func(m *v1alpha1.Metric) { m.SuccessCondition = "result[0] == 2" })
			got := provider.Measure(t.Context(), queryTo(server.URL+workspace, edits...))
			want := analysis.Reply{Result: []float64{2}, Value: "[2]", MetricMetadata: map[string]string{ResolvedQuery: "up"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"POST " + workspace + "/api/v1/" + c.took}, took); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheServerOfTheOperatorIsSignedForToo(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	var took []string
	home := Home{Address: amazon(t, &took).URL + workspace, Client: providertest.Client(), AWS: aws.New()}
	got := New(providertest.Client(), home).Measure(t.Context(), queryTo(""))
	if got.Value != "[2]" {
		t.Errorf("got %+v after %v", got, took)
	}
}

func TestAnAddressOfSomebodyElseIsNotSignedFor(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys()...)
	var sent http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		fmt.Fprint(w, vectorOf("2"))
	}))
	defer server.Close()
	got := New(providertest.Client(), Home{AWS: aws.New()}).Measure(t.Context(), queryTo(server.URL, sigv4("us-east-1")))
	want := analysis.Reply{Result: []float64{2}, Value: "[2]", MetricMetadata: map[string]string{
		ResolvedQuery: "up",
		Sigv4:         "not signed: the address has no aps-workspaces in it, so it is not Amazon Managed Service for Prometheus",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if sent.Get("Authorization") != "" || sent.Get("X-Amz-Date") != "" {
		t.Errorf("sent %v", sent)
	}
}

func TestWhySigv4Fails(t *testing.T) {
	cases := []struct {
		name string
		home Home
		edit func(*v1alpha1.Metric)
		want string
	}{
		{"no region", Home{AWS: aws.New()}, sigv4(""), "authentication.sigv4: no AWS region is set; set AWS_REGION for the controller, or the region of the metric where it has one"},
		{"a region that is none", Home{AWS: aws.New()}, sigv4("a.b"), "authentication.sigv4: the AWS region should be a name such as eu-west-1"},
		{"no room for credentials", Home{}, sigv4("us-east-1"), "authentication.sigv4: the controller has no AWS credentials"},
	}
	awstest.Isolate(t, awstest.WithKeys()...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := New(providertest.Client(), c.home).Measure(t.Context(), queryTo("http://127.0.0.1:1"+workspace, c.edit))
			want := analysis.Reply{Phase: v1alpha1.AnalysisPhaseError, Message: c.want, MetricMetadata: map[string]string{ResolvedQuery: "up"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoCredentialsAreToldShortly(t *testing.T) {
	awstest.Isolate(t)
	got := New(providertest.Client(), Home{AWS: aws.New()}).Measure(t.Context(), queryTo("http://127.0.0.1:1"+workspace, sigv4("us-east-1")))
	want := "querying prometheus: authenticating: AWS gives the controller no credentials; check that it has a role or keys: "
	if got.Phase != v1alpha1.AnalysisPhaseError || len(got.Message) > 300 || got.Message[:min(len(want), len(got.Message))] != want {
		t.Errorf("got %+v", got)
	}
}
