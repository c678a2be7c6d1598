package nerdgraph

import (
	"context"
	"fmt"
	"testing"
)

const key = "NRAK-0123456789ABCDEFGHIJKLMNOPQ"

// secrets are Secrets beside the controller, by name.
type secrets map[string]map[string]string

func (s secrets) read(_ context.Context, namespace, name string) (map[string]string, error) {
	values, ok := s[name]
	if namespace != "" || !ok {
		return nil, fmt.Errorf("reading secret %q in namespace %q: not found", name, namespace)
	}
	return values, nil
}

func TestProfiles(t *testing.T) {
	with := func(region, address string) map[string]string {
		return map[string]string{"personal-api-key": key, "account-id": "7", "region": region, "base-url-nerdgraph": address, "base-url-rest": "http://unused"}
	}
	all := secrets{
		"newrelic": with("", ""), "us": with("US", ""), "eu": with("eu", ""), "mars": with("mars", ""),
		"proxy": with("eu", "http://proxy/graphql"), "far": with("jp", "http://far/graphql"),
		"half": {"personal-api-key": key}, "named": {"personal-api-key": key, "account-id": key},
	}
	cases := []struct{ profile, url, message string }{
		{"", "https://api.newrelic.com/graphql", ""},
		{"us", "https://api.newrelic.com/graphql", ""},
		{"eu", "https://api.eu.newrelic.com/graphql", ""},
		{"proxy", "http://proxy/graphql", ""},
		{"far", "http://far/graphql", ""},
		{"mars", "", `secret "mars": region must be us or eu; for another one set base-url-nerdgraph`},
		{"half", "", `secret "half" needs the keys personal-api-key and account-id`},
		{"named", "", "account-id is not a number; it is in the address of New Relic's pages"},
		{"none", "", `reading secret "none" in namespace "": not found`},
	}
	for _, c := range cases {
		t.Run(c.profile, func(t *testing.T) {
			got, err := Read(t.Context(), all.read, c.profile)
			want := Account{}
			if c.url != "" {
				want = Account{url: c.url, key: key, id: 7}
			}
			message := ""
			if err != nil {
				message = err.Error()
			}
			if got != want || message != c.message {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
