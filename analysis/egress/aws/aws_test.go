package aws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/analysis/egress/aws/awstest"
)

const (
	otherID     = "ASIAOTHER"
	otherSecret = "another-secret"
	token       = "a-session"
	role        = "arn:aws:iam::123456789012:role/metrics"
)

// amazon gives credentials in all the ways that AWS has.
type amazon struct {
	*httptest.Server
	// expires is when they end.
	expires time.Time

	mu    sync.Mutex
	asked []string
}

func newAmazon(t *testing.T) *amazon {
	a := &amazon{expires: time.Now().Add(time.Hour)}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *amazon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	asked := r.Method + " " + r.URL.Path
	for _, name := range []string{"Action", "RoleArn", "RoleSessionName", "WebIdentityToken"} {
		if value := r.PostForm.Get(name); value != "" {
			asked += " " + value
		}
	}
	a.mu.Lock()
	a.asked = append(a.asked, asked)
	a.mu.Unlock()
	expires := a.expires.UTC().Format(time.RFC3339)
	keys := fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, otherID, otherSecret, token, expires)
	switch {
	case r.PostForm.Get("Action") != "":
		action := r.PostForm.Get("Action")
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult>
<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>
</%[1]sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`, action, otherID, otherSecret, token, expires)
	case r.URL.Path == "/pod" && r.Header.Get("Authorization") == "token-of-the-pod":
		fmt.Fprint(w, keys)
	case r.URL.Path == "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		fmt.Fprint(w, "token-of-the-node")
	case strings.HasSuffix(r.URL.Path, "/security-credentials/") && r.Header.Get("X-Aws-Ec2-Metadata-Token") == "token-of-the-node":
		fmt.Fprint(w, "node-role")
	case strings.HasSuffix(r.URL.Path, "/security-credentials/node-role"):
		fmt.Fprint(w, keys)
	default:
		http.NotFound(w, r)
	}
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentialsAreFoundWhereAWSPutsThem(t *testing.T) {
	keysOf := func(id, secret string) string {
		return fmt.Sprintf("[metrics]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret)
	}
	cases := []struct {
		name  string
		who   Identity
		env   func(address string) []string
		id    string
		token string
		asked []string
	}{
		{"the environment", Identity{}, func(string) []string { return awstest.WithKeys() }, awstest.KeyID, "", nil},
		{"a profile", Identity{Profile: "metrics"}, func(string) []string {
			return awstest.WithKeys("AWS_SHARED_CREDENTIALS_FILE", fileOf(t, keysOf(otherID, otherSecret)))
		}, otherID, "", nil},
		{"a service account", Identity{}, func(address string) []string {
			return []string{"AWS_ROLE_ARN", role, "AWS_WEB_IDENTITY_TOKEN_FILE", fileOf(t, "jwt"), "AWS_ENDPOINT_URL_STS", address}
		}, otherID, token, []string{"POST / AssumeRoleWithWebIdentity " + role + " SESSION jwt"}},
		{"a pod identity", Identity{}, func(address string) []string {
			return []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI", address + "/pod", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", fileOf(t, "token-of-the-pod")}
		}, otherID, token, []string{"GET /pod"}},
		{"a node", Identity{}, func(address string) []string {
			return []string{"AWS_EC2_METADATA_DISABLED", "", "AWS_EC2_METADATA_SERVICE_ENDPOINT", address}
		}, otherID, token, []string{"PUT /latest/api/token", "GET /latest/meta-data/iam/security-credentials/", "GET /latest/meta-data/iam/security-credentials/node-role"}},
		{"a role to assume", Identity{RoleARN: role}, func(address string) []string {
			return awstest.WithKeys("AWS_ENDPOINT_URL_STS", address)
		}, otherID, token, []string{"POST / AssumeRole " + role + " headway-analysis"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := newAmazon(t)
			awstest.Isolate(t, append(c.env(a.URL), "AWS_REGION", "eu-west-1")...)
			request := signed(t, New(), c.who)
			secret := otherSecret
			if c.id == awstest.KeyID {
				secret = awstest.Secret
			}
			got, err := awstest.Verify(request, secret)
			if err != nil {
				t.Fatal(err)
			}
			if got.KeyID != c.id || got.Region != "eu-west-1" || got.Service != "aps" || request.Header.Get("X-Amz-Security-Token") != c.token {
				t.Errorf("signed with %+v and token %q", got, request.Header.Get("X-Amz-Security-Token"))
			}
			for i, asked := range a.asked {
				if strings.Contains(asked, "WithWebIdentity") { // the name of its session has the time in it
					parts := strings.Fields(asked)
					parts[4] = "SESSION"
					a.asked[i] = strings.Join(parts, " ")
				}
			}
			if diff := cmp.Diff(c.asked, a.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// signed is a request that was signed, as its server sees it.
func signed(t *testing.T, c *Credentials, who Identity) *http.Request {
	t.Helper()
	signer, err := c.Signer(t.Context(), "aps", who)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, "http://metrics.example.com/a%20b/api?z=1&a=x%20y&a=", strings.NewReader("query=up%2Bdown"))
	if err := signer.Sign(request); err != nil {
		t.Fatal(err)
	}
	return request
}

func TestTheWholeRequestIsSigned(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	cases := []struct {
		name   string
		change func(*http.Request)
		fine   bool
	}{
		{"as it is", func(*http.Request) {}, true},
		{"another body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("query=up%2Bdone")) }, false},
		{"another query", func(r *http.Request) { r.URL.RawQuery = "z=2" }, false},
		{"another path", func(r *http.Request) { r.URL.Path = "/b" }, false},
		{"another method", func(r *http.Request) { r.Method = http.MethodPut }, false},
		{"another host", func(r *http.Request) { r.Host = "other.example.com" }, false},
		{"another time", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			request := signed(t, New(), Identity{})
			c.change(request)
			if _, err := awstest.Verify(request, awstest.Secret); (err == nil) != c.fine {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEveryRequestOfAQuestionIsSigned(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := awstest.Verify(r, awstest.Secret)
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, fmt.Sprintf("%s %s %s %v", r.Method, r.URL.Path, body, err))
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	policy, err := egress.ParsePolicy([]string{"allow:loopback"})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := New().Signer(t.Context(), "monitoring", Identity{})
	if err != nil {
		t.Fatal(err)
	}
	question := egress.Request{Method: http.MethodPost, URL: server.URL, Body: []byte("a=b"), Options: egress.Options{Signer: signer}}
	if _, err := egress.New(policy).Ask(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"POST / a=b <nil>", "POST /there a=b <nil>"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsAreAskedForOnce(t *testing.T) {
	a := newAmazon(t)
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_STS", a.URL)...)
	c := New()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			signer, err := c.Signer(t.Context(), "aps", Identity{RoleARN: role})
			if err != nil {
				t.Error(err)
				return
			}
			if err := signer.Sign(httptest.NewRequest(http.MethodGet, "http://a", nil)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(a.asked) != 1 {
		t.Errorf("asked %d times", len(a.asked))
	}
	signed(t, c, Identity{RoleARN: role, Region: "eu-west-2"})
	if len(a.asked) != 2 {
		t.Errorf("another region was not asked: %d", len(a.asked))
	}
}

func TestTheFirstOfTwoWhoLoadWins(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	c := New()
	load := func() *Signer {
		signer, err := c.Signer(t.Context(), "aps", Identity{})
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	var first *Signer
	c.Now = func() time.Time { // asked at the end of a load
		c.Now = time.Now
		first = load()
		return time.Now()
	}
	if second := load(); first == nil || second.chain != first.chain {
		t.Error("two who load at the same time wait for different credentials")
	}
}

func TestCredentialsThatEndSoonAreAskedForAgain(t *testing.T) {
	a := newAmazon(t)
	a.expires = time.Now().Add(30 * time.Second)
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_STS", a.URL)...)
	c := New()
	signed(t, c, Identity{RoleARN: role})
	signed(t, c, Identity{RoleARN: role})
	if len(a.asked) != 2 {
		t.Errorf("asked %d times", len(a.asked))
	}
}

func TestKeysInAFileAreReadAgain(t *testing.T) {
	write := func(path, id string) {
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, awstest.Secret)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := fileOf(t, "")
	write(path, "FIRST")
	awstest.Isolate(t, "AWS_REGION", "eu-west-1", "AWS_SHARED_CREDENTIALS_FILE", path)
	c := New()
	now := time.Now()
	c.Now = func() time.Time { return now }
	var got []string
	for _, passed := range []time.Duration{0, time.Minute, freshFor, time.Second} {
		now = now.Add(passed)
		found, err := awstest.Verify(signed(t, c, Identity{}), awstest.Secret)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, found.KeyID)
		write(path, "SECOND")
	}
	if diff := cmp.Diff([]string{"FIRST", "FIRST", "FIRST", "SECOND"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRejectedCredentialsAreAskedForAgain(t *testing.T) {
	a := newAmazon(t)
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_STS", a.URL)...)
	c := New()
	now := time.Now()
	c.Now = func() time.Time { return now }
	for _, step := range []struct {
		passed time.Duration
		asked  int
	}{{0, 1}, {30 * time.Second, 1}, {time.Minute, 1}, {0, 2}, {0, 2}} {
		now = now.Add(step.passed)
		signed(t, c, Identity{RoleARN: role})
		if len(a.asked) != step.asked {
			t.Errorf("asked %d times, want %d", len(a.asked), step.asked)
		}
		signer, err := c.Signer(t.Context(), "aps", Identity{RoleARN: role})
		if err != nil {
			t.Fatal(err)
		}
		signer.Rejected()
	}
}

func TestFewIdentitiesAreKept(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys()...)
	c := New()
	for i := range maxChains + 1 {
		if _, err := c.Signer(t.Context(), "aps", Identity{Region: fmt.Sprintf("eu-%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.chains) != 1 {
		t.Errorf("%d are kept", len(c.chains))
	}
}

func TestNobodyWaitsLongForCredentials(t *testing.T) {
	stop := make(chan struct{})
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-stop
	}))
	defer server.Close()
	defer close(stop)
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_STS", server.URL)...)
	signer, err := New().Signer(t.Context(), "aps", Identity{RoleARN: role})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = signer.Sign(httptest.NewRequestWithContext(ctx, http.MethodGet, "http://a", nil))
	if err == nil || !strings.HasPrefix(err.Error(), "AWS did not give the controller credentials in time") {
		t.Errorf("got %v", err)
	}
	if signer.room.kept(signer.who) != signer.chain {
		t.Error("others would have to start again")
	}
}

func TestWhyThereAreNoCredentials(t *testing.T) {
	denied := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>User: me is not authorized to perform: sts:AssumeRole on resource: %s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, role)
	}))
	defer denied.Close()
	cases := []struct {
		name string
		who  Identity
		env  []string
		want string
	}{
		{"a role that may not be assumed", Identity{RoleARN: role}, awstest.WithKeys("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL_STS", denied.URL), "AWS gives the controller no credentials: AccessDenied: User: me is not authorized to perform: sts:AssumeRole on resource: " + role},
		{"no credentials anywhere", Identity{}, []string{"AWS_REGION", "eu-west-1"}, "AWS gives the controller no credentials; check that it has a role or keys: "},
		{"no region", Identity{}, awstest.WithKeys(), "no AWS region is set; set AWS_REGION for the controller"},
		{"a profile that does not exist", Identity{Profile: "metrics"}, awstest.WithKeys("AWS_REGION", "eu-west-1"), "reading the AWS configuration of the controller: failed to get shared config profile, metrics"},
		{"a region that leads elsewhere", Identity{Region: "evil.example.com/"}, awstest.WithKeys(), "the AWS region should be a name such as eu-west-1"},
		{"a profile that is too long", Identity{Profile: strings.Repeat("x", 300)}, awstest.WithKeys(), "the AWS profile or role is too long to be one"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			awstest.Isolate(t, c.env...)
			room := New()
			signer, err := room.Signer(t.Context(), "aps", c.who)
			if err == nil {
				err = signer.Sign(httptest.NewRequest(http.MethodGet, "http://a", nil))
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), awstest.Secret) || len(room.chains) > 0 {
				t.Errorf("got %v with %d kept", err, len(room.chains))
			}
		})
	}
}

func TestARequestWithoutABodyIsSigned(t *testing.T) {
	awstest.Isolate(t, awstest.WithKeys("AWS_REGION", "eu-west-1")...)
	signer, err := New().Signer(t.Context(), "aps", Identity{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := signer.Sign(request); err != nil {
		t.Fatal(err)
	}
	request.Host, request.Body = "a", io.NopCloser(&bytes.Buffer{})
	if _, err := awstest.Verify(request, awstest.Secret); err != nil {
		t.Error(err)
	}
}

func TestTheRegionIsFound(t *testing.T) {
	file := fileOf(t, "[profile metrics]\nregion = eu-north-1\naws_access_key_id = a\naws_secret_access_key = b\n")
	cases := []struct {
		name string
		who  Identity
		env  []string
		want string
	}{
		{"in the environment", Identity{}, []string{"AWS_REGION", "eu-west-1"}, "eu-west-1"},
		{"in the older variable", Identity{}, []string{"AWS_DEFAULT_REGION", "eu-west-1"}, "eu-west-1"},
		{"in the profile", Identity{Profile: "metrics"}, []string{"AWS_CONFIG_FILE", file}, "eu-north-1"},
		{"in the metric first", Identity{Region: "us-east-1", Profile: "metrics"}, []string{"AWS_CONFIG_FILE", file, "AWS_REGION", "eu-west-1"}, "us-east-1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			awstest.Isolate(t, c.env...)
			signer, err := New().Signer(t.Context(), "aps", c.who)
			if err != nil {
				t.Fatal(err)
			}
			if got := signer.Region(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	cases := []struct {
		name, region string
		env          []string
		want         string
	}{
		{"a region", "eu-west-1", nil, "https://monitoring.eu-west-1.amazonaws.com"},
		{"China", "cn-north-1", nil, "https://monitoring.cn-north-1.amazonaws.com.cn"},
		{"an isolated region", "us-isob-east-1", nil, "https://monitoring.us-isob-east-1.sc2s.sgov.gov"},
		{"FIPS", "us-east-1", []string{"AWS_USE_FIPS_ENDPOINT", "true"}, "https://monitoring-fips.us-east-1.amazonaws.com"},
		{"FIPS in GovCloud", "us-gov-west-1", []string{"AWS_USE_FIPS_ENDPOINT", "true"}, "https://monitoring.us-gov-west-1.amazonaws.com"},
		{"IPv6", "us-east-1", []string{"AWS_USE_DUALSTACK_ENDPOINT", "true"}, "https://monitoring.us-east-1.api.aws"},
		{"an address for all services", "us-east-1", []string{"AWS_ENDPOINT_URL", "http://proxy:1"}, "http://proxy:1"},
		{"an address for this service", "us-east-1", []string{"AWS_ENDPOINT_URL", "http://proxy:1", "AWS_ENDPOINT_URL_CLOUDWATCH", "http://proxy:2"}, "http://proxy:2"},
		{"addresses that are ignored", "us-east-1", []string{"AWS_ENDPOINT_URL_CLOUDWATCH", "http://proxy:2", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}, "https://monitoring.us-east-1.amazonaws.com"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			awstest.Isolate(t, c.env...)
			signer, err := New().Signer(t.Context(), "monitoring", Identity{Region: c.region})
			if err != nil {
				t.Fatal(err)
			}
			if got := signer.Endpoint(t.Context(), "CloudWatch", "monitoring"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
