package newrelic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/headway-rollouts/headway/analysis"
)

// defaultProfile is the Secret of metrics that name none.
const defaultProfile = "newrelic"

// regions are where New Relic serves NerdGraph.
var regions = map[string]string{
	"us": "https://api.newrelic.com/graphql",
	"eu": "https://api.eu.newrelic.com/graphql",
}

// account is where to ask, and as whom.
type account struct {
	url, key string
	id       int
}

// read reads the account of a profile, a Secret beside the controller. Its
// base-url-rest is accepted and not used: queries go to NerdGraph alone.
func read(ctx context.Context, secrets analysis.SecretReader, profile string) (account, error) {
	profile = cmp.Or(profile, defaultProfile)
	values, err := secrets(ctx, "", profile)
	if err != nil {
		return account{}, err // it says which Secret could not be read
	}
	region := strings.ToLower(strings.TrimSpace(values["region"]))
	a := account{
		url: cmp.Or(strings.TrimSpace(values["base-url-nerdgraph"]), regions[cmp.Or(region, "us")]),
		key: strings.TrimSpace(values["personal-api-key"]),
	}
	id := strings.TrimSpace(values["account-id"])
	switch {
	case a.key == "" || id == "":
		return account{}, fmt.Errorf("secret %q needs the keys personal-api-key and account-id", profile)
	case a.url == "":
		return account{}, fmt.Errorf("secret %q: region must be us or eu; for another one set base-url-nerdgraph", profile)
	}
	if a.id, err = strconv.Atoi(id); err != nil {
		return account{}, errors.New("account-id is not a number; it is in the address of New Relic's pages")
	}
	return a, nil
}
