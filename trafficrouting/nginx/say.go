package nginx

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// Names below the annotation prefix. NGINX asks for the header first, then for the cookie, then for the weight.
	byHeader        = "canary-by-header"
	byHeaderValue   = "canary-by-header-value"
	byHeaderPattern = "canary-by-header-pattern"
	byCookie        = "canary-by-cookie"
	// byAnything begins all of them, also those that an NGINX to come may have.
	byAnything = "canary-by-"

	// cookieOn is the one value of a cookie for which NGINX sends a request to the canary.
	cookieOn = "=always"
)

// says are the names of the annotations that managed routes are made of.
var says = []string{byHeader, byHeaderValue, byHeaderPattern, byCookie}

// ingress-nginx ignores an annotation with other characters than these, and tells only its log.
var (
	token        = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	plainValue   = regexp.MustCompile(`^[A-Za-z0-9/._~:-]+$`)
	plainPattern = regexp.MustCompile(`^[A-Za-z0-9/._~:^$\[\](){}*+?|&=\\-]+$`)
)

// say is how annotations say routes, by their names below the prefix. There is room for one header and
// one cookie, whichever route asks for them. The error has the path below the route that has no room.
func say(routes []trafficrouting.ManagedRoute) (map[string]string, *field.Error) {
	said := map[string]string{}
	for _, route := range routes {
		if len(route.Headers) == 0 {
			return nil, field.Required(field.NewPath("match"), fmt.Sprintf("route %q names no header, and NGINX copies no requests", route.Name))
		}
		for j, match := range route.Headers {
			at := field.NewPath("match").Index(j)
			more, err := sayMatch(match, at)
			if err != nil {
				return nil, err
			}
			if err := room(said, more, at); err != nil {
				return nil, err
			}
			maps.Copy(said, more)
		}
	}
	return said, nil
}

// room refuses to say more where it would take the place of what is said.
func room(said, more map[string]string, at *field.Path) *field.Error {
	if taken, is := said[byHeader]; is && more[byHeader] != "" {
		return field.Forbidden(at, fmt.Sprintf("NGINX asks for one header at a time, and %q is asked for already: "+
			"remove the route that does in an earlier step, or join the values of one header in a regex", taken))
	}
	if taken, is := said[byCookie]; is && more[byCookie] != "" {
		return field.Forbidden(at, fmt.Sprintf("NGINX asks for one cookie at a time, and %q is asked for already: "+
			"remove the route that does in an earlier step", taken))
	}
	return nil
}

// sayMatch says one match. An exact value that NGINX would not read from its own annotation becomes a pattern.
func sayMatch(match v1alpha1.HeaderRoutingMatch, at *field.Path) (map[string]string, *field.Error) {
	name, value := match.HeaderName, match.HeaderValue
	if cookie, ok := cookieOf(match); ok {
		return map[string]string{byCookie: cookie}, nil
	}
	if !token.MatchString(name) {
		return nil, field.Invalid(at.Child("headerName"), name, "NGINX takes letters, digits, and any of -._~ in the name of a header")
	}
	if at = at.Child("headerValue"); value == nil {
		return nil, field.Required(at, "say which values of the header match")
	}
	if plainValue.MatchString(value.Exact) {
		return map[string]string{byHeader: name, byHeaderValue: value.Exact}, nil
	}
	pattern, err := patternOf(value, at)
	if err != nil {
		return nil, err
	}
	return map[string]string{byHeader: name, byHeaderPattern: pattern}, nil
}

// patternOf is the pattern of the values that match. NGINX finds it anywhere in a value, unless it is anchored.
func patternOf(value *v1alpha1.StringMatch, at *field.Path) (string, *field.Error) {
	switch {
	case value.Exact != "":
		start, err := literal(value.Exact, at.Child("exact"))
		return start + "$", err
	case value.Prefix != "":
		return literal(value.Prefix, at.Child("prefix"))
	case plainPattern.MatchString(value.Regex):
		return value.Regex, nil
	}
	return "", field.Invalid(at.Child("regex"), value.Regex, `ingress-nginx takes letters, digits, and any of `+
		`-._~/:^$[](){}*+?|&=\ in a pattern: write other characters by their code, such as \x3b for a semicolon`)
}

// cookieOf is the cookie that a match asks for in the one way in which NGINX has an annotation for
// it. Everything else about cookies is a pattern of the header Cookie.
func cookieOf(match v1alpha1.HeaderRoutingMatch) (string, bool) {
	if !strings.EqualFold(match.HeaderName, "Cookie") || match.HeaderValue == nil {
		return "", false
	}
	cookie, on := strings.CutSuffix(match.HeaderValue.Exact, cookieOn)
	return cookie, on && token.MatchString(cookie)
}

// literal is the pattern of the values that begin with a text. Codes stand for the characters that
// ingress-nginx refuses in a pattern; both PCRE and the patterns of Traefik read them.
func literal(text string, at *field.Path) (string, *field.Error) {
	var pattern strings.Builder
	pattern.WriteByte('^')
	for _, char := range []byte(text) {
		switch {
		case char < ' ' || char > '~':
			return "", field.Invalid(at, text, "NGINX can be asked for printable ASCII characters only")
		case strings.IndexByte(`.^$[](){}*+?|\`, char) >= 0:
			pattern.WriteString(`\` + string(char))
		case plainPattern.Match([]byte{char}):
			pattern.WriteByte(char)
		default:
			fmt.Fprintf(&pattern, `\x%02x`, char)
		}
	}
	return pattern.String(), nil
}
