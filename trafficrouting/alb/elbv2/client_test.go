package elbv2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/headway-rollouts/headway/trafficrouting/alb"
)

// cloud answers the Query protocol of AWS with a few load balancers.
type cloud struct {
	t *testing.T
	// before are load balancers that are listed before the wanted one.
	before int
	// groups is how many target groups it has.
	groups int
	// fail refuses an action with the code of an error.
	fail map[string]string
	// asked are the actions, in their order.
	asked []string
}

func (c *cloud) client() *Client {
	server := httptest.NewServer(c)
	c.t.Cleanup(server.Close)
	return New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}, "")
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		c.t.Error(err)
	}
	name := r.PostForm.Get("Action")
	c.asked = append(c.asked, name)
	if code, refused := c.fail[name]; refused {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>not now</Message></Error><RequestId>1</RequestId></ErrorResponse>`, code)
		return
	}
	answers := map[string]func(*http.Request) string{
		"DescribeLoadBalancers": c.balancers, "DescribeTargetGroups": c.targetGroups, "DescribeTags": c.tags,
		"DescribeListeners": c.listeners, "DescribeRules": c.rules, "DescribeTargetHealth": c.health,
	}
	answer, known := answers[name]
	if !known {
		c.t.Errorf("asked for %s, which changes something or is not known", name)
		return
	}
	fmt.Fprintf(w, `<%sResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><%sResult>%s</%sResult></%sResponse>`, name, name, answer(r), name, name)
}

// paged writes the elements of one page; the marker is the number of the first.
func paged(r *http.Request, list string, count, size int, element func(int) string) string {
	from, _ := strconv.Atoi(r.PostForm.Get("Marker"))
	to := min(from+size, count)
	var text strings.Builder
	for i := from; i < to; i++ {
		text.WriteString("<member>" + element(i) + "</member>")
	}
	next := ""
	if to < count {
		next = fmt.Sprintf("<NextMarker>%d</NextMarker>", to)
	}
	return "<" + list + ">" + text.String() + "</" + list + ">" + next
}

func (c *cloud) balancers(r *http.Request) string {
	size, _ := strconv.Atoi(r.PostForm.Get("PageSize"))
	return paged(r, "LoadBalancers", c.before+1, size, func(i int) string {
		name := fmt.Sprintf("other-%d", i)
		if i == c.before {
			name = "web"
		}
		return fmt.Sprintf("<LoadBalancerName>%s</LoadBalancerName><LoadBalancerArn>arn:lb/app/%s/1</LoadBalancerArn><DNSName>%s-1.elb.amazonaws.com</DNSName>", name, name, name)
	})
}

func (c *cloud) targetGroups(r *http.Request) string {
	if got := r.PostForm.Get("LoadBalancerArn"); got != "arn:lb/app/web/1" {
		c.t.Errorf("asked for the target groups of %q", got)
	}
	return paged(r, "TargetGroups", c.groups, 15, func(i int) string {
		return fmt.Sprintf("<TargetGroupName>tg-%d</TargetGroupName><TargetGroupArn>arn:tg/%d</TargetGroupArn>", i, i)
	})
}

// tags are those of the resources asked for. The first has none, and every other has two.
func (c *cloud) tags(r *http.Request) string {
	var text strings.Builder
	for i := 1; r.PostForm.Get(fmt.Sprintf("ResourceArns.member.%d", i)) != ""; i++ {
		arn := r.PostForm.Get(fmt.Sprintf("ResourceArns.member.%d", i))
		if i > 20 {
			c.t.Error("asked for the tags of more than 20 resources")
		}
		if arn == "arn:tg/0" {
			continue
		}
		text.WriteString("<member><ResourceArn>" + arn + "</ResourceArn><Tags><member><Key>team</Key><Value>shop</Value></member>" +
			"<member><Key>ingress.k8s.aws/resource</Key><Value>for " + arn + "</Value></member></Tags></member>")
	}
	return "<TagDescriptions>" + text.String() + "</TagDescriptions>"
}

func (c *cloud) listeners(r *http.Request) string {
	return paged(r, "Listeners", 2, 1, func(i int) string { return fmt.Sprintf("<ListenerArn>arn:listener/%d</ListenerArn>", i) })
}

// rules are one that redirects, one without a weight, and one that shares.
func (c *cloud) rules(r *http.Request) string {
	if r.PostForm.Get("ListenerArn") == "arn:listener/1" {
		return "<Rules></Rules>"
	}
	return paged(r, "Rules", 3, 2, func(i int) string {
		return "<Actions>" + []string{
			"<member><Type>redirect</Type></member>",
			"<member><Type>forward</Type><TargetGroupArn>arn:tg/0</TargetGroupArn><ForwardConfig><TargetGroups>" +
				"<member><TargetGroupArn>arn:tg/0</TargetGroupArn></member></TargetGroups></ForwardConfig></member>",
			"<member><Type>forward</Type><ForwardConfig><TargetGroups>" +
				"<member><TargetGroupArn>arn:tg/0</TargetGroupArn><Weight>20</Weight></member>" +
				"<member><TargetGroupArn>arn:tg/1</TargetGroupArn><Weight>80</Weight></member></TargetGroups></ForwardConfig></member>",
		}[i] + "</Actions>"
	})
}

func (c *cloud) health(r *http.Request) string {
	if got := r.PostForm.Get("TargetGroupArn"); got != "arn:tg/1" {
		c.t.Errorf("asked for the targets of %q", got)
	}
	return "<TargetHealthDescriptions>" +
		"<member><Target><Id>10.0.0.1</Id><Port>8080</Port></Target><TargetHealth><State>unhealthy</State></TargetHealth></member>" +
		"<member><Target><Id>10.0.0.2</Id><Port>8080</Port></Target><TargetHealth><State>draining</State></TargetHealth></member>" +
		"<member><Target><Id>10.0.0.3</Id><Port>8080</Port></Target></member>" +
		"</TargetHealthDescriptions>"
}

const hostname = "web-1.elb.amazonaws.com"

func TestALoadBalancerIsDescribedWithItsGroupsAndWhatItsRulesForward(t *testing.T) {
	c := &cloud{t: t, groups: 2}
	client := c.client()
	want := alb.LoadBalancer{
		Name: "web", ARN: "arn:lb/app/web/1",
		Groups: []alb.TargetGroup{{Name: "tg-0", ARN: "arn:tg/0"}, {Name: "tg-1", ARN: "arn:tg/1", Resource: "for arn:tg/1"}},
		Forwards: [][]alb.Share{
			{{TargetGroup: "arn:tg/0"}},
			{{TargetGroup: "arn:tg/0", Weight: 20}, {TargetGroup: "arn:tg/1", Weight: 80}},
		},
	}
	got, err := client.Describe(t.Context(), "WEB-1.elb.amazonaws.com")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load balancer (-want +got):\n%s", diff)
	}
	if _, err := client.Describe(t.Context(), "WEB-1.elb.amazonaws.com"); err != nil {
		t.Fatal(err)
	}
	whole := []string{"DescribeTargetGroups", "DescribeTags", "DescribeListeners", "DescribeListeners", "DescribeRules", "DescribeRules", "DescribeRules"}
	asked := append(append([]string{"DescribeLoadBalancers"}, whole...), whole...)
	if diff := cmp.Diff(asked, c.asked); diff != "" {
		t.Errorf("asked for, the second time without looking the name up (-want +got):\n%s", diff)
	}
}

// The one that is looked for may be on any page.
func TestArgo1963ALoadBalancerBehindThreeHundredOthersIsFound(t *testing.T) {
	c := &cloud{t: t, before: 650}
	got, err := c.client().Describe(t.Context(), hostname)
	if err != nil || got.Name != "web" {
		t.Errorf("found %+v, error %v", got, err)
	}
	if diff := cmp.Diff([]string{"DescribeLoadBalancers", "DescribeLoadBalancers", "DescribeLoadBalancers"}, c.asked[:3]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// AWS tells the tags of twenty resources at a time.
func TestArgo2569ALoadBalancerWithManyTargetGroupsHasAllOfTheirTags(t *testing.T) {
	c := &cloud{t: t, groups: 45}
	got, err := c.client().Describe(t.Context(), hostname)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got.Groups {
		if want := fmt.Sprintf("for arn:tg/%d", i); i > 0 && g.Resource != want {
			t.Errorf("target group %d is for %q, want %q", i, g.Resource, want)
		}
	}
	if len(got.Groups) != 45 {
		t.Errorf("%d target groups, want 45", len(got.Groups))
	}
}

func TestAListThatDoesNotEndIsAnError(t *testing.T) {
	c := &cloud{t: t, before: 300 * 21}
	_, err := c.client().Describe(t.Context(), hostname)
	if err == nil || len(c.asked) != maxPages {
		t.Errorf("error %v after %d pages, want one after %d", err, len(c.asked), maxPages)
	}
}

func TestErrorsSayWhatAWSSaid(t *testing.T) {
	for _, c := range []struct {
		name, action, code, want string
		is                       error
	}{
		{"a load balancer that is not there", "", "", "gone.elb.amazonaws.com: AWS knows no load balancer with this DNS name", alb.ErrNoLoadBalancer},
		{"throttled at once", "DescribeLoadBalancers", "Throttling", "listing the load balancers: Throttling: not now: AWS was asked too often", alb.ErrThrottled},
		{"throttled later", "DescribeTags", "Throttling", "load balancer web: listing the tags of its target groups: Throttling: not now: AWS was asked too often", alb.ErrThrottled},
		{"deleted meanwhile", "DescribeListeners", "LoadBalancerNotFound", "load balancer web: listing its listeners: LoadBalancerNotFound: not now: AWS knows no load balancer with this DNS name", alb.ErrNoLoadBalancer},
		{"without a right", "DescribeRules", "AccessDenied", "load balancer web: listing its rules: AccessDenied: not now", nil},
		{"of the target groups", "DescribeTargetGroups", "AccessDenied", "load balancer web: listing its target groups: AccessDenied: not now", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			aws := &cloud{t: t, groups: 1, fail: map[string]string{c.action: c.code}}
			name := hostname
			if c.action == "" {
				name = "gone.elb.amazonaws.com"
			}
			_, err := aws.client().Describe(t.Context(), name)
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v, want one that wraps %v", err, c.is)
			}
		})
	}
}

func TestALoadBalancerThatIsGoneIsLookedUpAgain(t *testing.T) {
	c := &cloud{t: t, groups: 1}
	client := c.client()
	for _, code := range []string{"", "LoadBalancerNotFound", ""} {
		c.fail, c.asked = map[string]string{}, nil
		if code != "" {
			c.fail["DescribeTargetGroups"] = code
		}
		if _, err := client.Describe(t.Context(), hostname); (err != nil) != (code != "") {
			t.Errorf("%q: error %v", code, err)
		}
	}
	if c.asked[0] != "DescribeLoadBalancers" {
		t.Errorf("asked for %v, want it looked up by its name", c.asked)
	}
}

func TestWhatIsRememberedDoesNotGrow(t *testing.T) {
	client := (&cloud{t: t}).client()
	for i := range maxFound {
		client.found[strconv.Itoa(i)] = found{}
	}
	if _, err := client.Describe(t.Context(), hostname); err != nil || len(client.found) > maxFound {
		t.Errorf("%d load balancers are remembered, error %v", len(client.found), err)
	}
}

func TestTargetsAreThoseThatAreNotBeingTakenOut(t *testing.T) {
	got, err := (&cloud{t: t}).client().Targets(t.Context(), "arn:tg/1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]alb.Target{{ID: "10.0.0.1", Port: 8080}, {ID: "10.0.0.3", Port: 8080}}, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	refused := &cloud{t: t, fail: map[string]string{"DescribeTargetHealth": "TargetGroupNotFound"}}
	if _, err := refused.client().Targets(t.Context(), "arn:tg/1"); err == nil {
		t.Error("no error, want one")
	}
}

func TestADeadlineEndsTheQuestion(t *testing.T) {
	block := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer server.Close()
	defer close(block)
	client := New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}, "other/tag")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := client.Describe(ctx, hostname); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one that wraps %v", err, context.DeadlineExceeded)
	}
}

func TestAReplyThatIsTooLongIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat(" ", maxReply+1))
	}))
	defer server.Close()
	client := New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}, "")
	if _, err := client.Describe(t.Context(), hostname); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v, want one about the length", err)
	}
}

func TestTheEnvironmentGivesTheRegion(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	client, err := FromEnvironment(t.Context(), "")
	if err != nil || client.api.Options().Region != "eu-central-1" || client.tagKey != DefaultTagKey {
		t.Errorf("client %+v, error %v", client, err)
	}
}
