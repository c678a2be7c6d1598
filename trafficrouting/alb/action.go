package alb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	forward = "forward"
	// maxText is the longest annotation that is read. A forward action has at most five target groups.
	maxText = 16 << 10
	// maxShare is the largest weight of a target group.
	maxShare = 999
)

// action is the value of an actions annotation. The names and the order of its fields are those of
// the served API; the AWS Load Balancer Controller reads them in any case.
type action struct {
	Type          string
	ForwardConfig forwardConfig
}

type forwardConfig struct {
	TargetGroups                []targetGroup
	TargetGroupStickinessConfig *stickiness `json:",omitempty"`
}

type targetGroup struct {
	ServiceName string
	ServicePort port
	// Weight is written also when it is 0; without one the action is invalid.
	Weight *int64 `json:",omitempty"`
}

type stickiness struct {
	Enabled         bool
	DurationSeconds int64
}

// port is written as text and read as text or as a number.
type port string

// UnmarshalJSON reads both forms that the AWS Load Balancer Controller reads.
func (p *port) UnmarshalJSON(text []byte) error {
	var name string
	if err := json.Unmarshal(text, &name); err == nil {
		*p = port(name)
		return nil
	}
	var number uint16
	if err := json.Unmarshal(text, &number); err != nil {
		return fmt.Errorf("reading a port: %w", err)
	}
	*p = port(strconv.Itoa(int(number)))
	return nil
}

// condition is one element of a conditions annotation.
type condition struct {
	Field            string           `json:"field"`
	HTTPHeaderConfig httpHeaderConfig `json:"httpHeaderConfig"`
}

type httpHeaderConfig struct {
	HTTPHeaderName string   `json:"httpHeaderName"`
	Values         []string `json:"values"`
}

const httpHeader = "http-header"

// forwardTo is the action that shares requests between Services.
func forwardTo(sticky *v1alpha1.StickinessConfig, groups ...targetGroup) action {
	a := action{Type: forward, ForwardConfig: forwardConfig{TargetGroups: groups}}
	if sticky != nil && sticky.Enabled {
		a.ForwardConfig.TargetGroupStickinessConfig = &stickiness{Enabled: true, DurationSeconds: sticky.DurationSeconds}
	}
	return a
}

func group(service string, p port, weight int32) targetGroup {
	share := int64(weight)
	return targetGroup{ServiceName: service, ServicePort: p, Weight: &share}
}

// share is the weight of a target group. The only one of an action needs none.
func (g targetGroup) share() int64 {
	if g.Weight == nil {
		return 1
	}
	return *g.Weight
}

// readAction understands an action that shares requests between Services, with weights of which one
// is above zero. It is false for anything else.
func readAction(text string) (action, bool) {
	var a action
	if len(text) > maxText || json.Unmarshal([]byte(text), &a) != nil || a.Type != forward {
		return action{}, false
	}
	groups, total := a.ForwardConfig.TargetGroups, int64(0)
	for _, g := range groups {
		if g.ServiceName == "" || g.Weight == nil && len(groups) > 1 || g.share() < 0 || g.share() > maxShare {
			return action{}, false
		}
		total += g.share()
	}
	return a, total > 0
}

// shareOf is the share of the total of 100 that some Services get together, rounded up: a canary that
// gets anything is never taken for one that gets nothing.
func (a action) shareOf(counts func(service string) bool) int32 {
	some, all := int64(0), int64(0)
	for _, g := range a.ForwardConfig.TargetGroups {
		all += g.share()
		if counts(g.ServiceName) {
			some += g.share()
		}
	}
	return int32((some*total + all - 1) / all)
}

// portOf is the port that a Service is forwarded to at; false for one that the action does not name.
func (a action) portOf(service string) (port, bool) {
	for _, g := range a.ForwardConfig.TargetGroups {
		if g.ServiceName == service {
			return g.ServicePort, true
		}
	}
	return "", false
}

// conditionsOf lists the headers, with one element for each header, in the order in which the
// headers come first. A load balancer asks for all of the headers, each with any of its values.
func conditionsOf(headers []v1alpha1.HeaderRoutingMatch) []condition {
	var list []condition
	for _, match := range headers {
		value := ""
		if match.HeaderValue != nil {
			value = match.HeaderValue.Exact
		}
		list = withHeader(list, match.HeaderName, value)
	}
	return list
}

func withHeader(list []condition, name, value string) []condition {
	for i := range list {
		if config := &list[i].HTTPHeaderConfig; strings.EqualFold(config.HTTPHeaderName, name) {
			config.Values = append(config.Values, value)
			return list
		}
	}
	return append(list, condition{httpHeader, httpHeaderConfig{name, []string{value}}})
}

// readConditions is the reverse of conditionsOf; false for conditions that it would not write.
func readConditions(text string) ([]v1alpha1.HeaderRoutingMatch, bool) {
	var list []condition
	if strict(text, &list) != nil {
		return nil, false
	}
	var headers []v1alpha1.HeaderRoutingMatch
	for _, c := range list {
		if c.Field != httpHeader {
			return nil, false
		}
		for _, value := range c.HTTPHeaderConfig.Values {
			headers = append(headers, v1alpha1.HeaderRoutingMatch{
				HeaderName: c.HTTPHeaderConfig.HTTPHeaderName, HeaderValue: &v1alpha1.StringMatch{Exact: value},
			})
		}
	}
	return headers, len(headers) > 0
}

// same reports whether an annotation means exactly what the wanted value says, however it is spaced.
// A field that the value does not have makes it another one.
func same[T any](text string, wanted T) bool {
	var has T
	return strict(text, &has) == nil && encode(has) == encode(wanted)
}

// strict reads one JSON value with no unknown field and nothing after it.
func strict(text string, into any) error {
	if len(text) > maxText {
		return errors.New("it is too long")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("reading an annotation: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// encode is the text of a value that is made of strings, numbers and lists of them.
func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encoding %T: %v", value, err)) // cannot be
	}
	return string(text)
}
