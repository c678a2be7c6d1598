// Package nerdgraph asks NerdGraph, the GraphQL API of New Relic, for the rows of
// a query. It knows no metrics.
package nerdgraph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
)

// defaultProfile is the Secret of metrics that name none.
const defaultProfile = "newrelic"

// regions are where New Relic serves NerdGraph.
var regions = map[string]string{
	"us": "https://api.newrelic.com/graphql",
	"eu": "https://api.eu.newrelic.com/graphql",
}

// Account is where to ask, and as whom.
type Account struct {
	url, key string
	id       int
}

// Read reads the account of a profile, a Secret beside the controller. Its
// base-url-rest is accepted and not used: queries go to NerdGraph alone.
func Read(ctx context.Context, secrets analysis.SecretReader, profile string) (Account, error) {
	profile = cmp.Or(profile, defaultProfile)
	values, err := secrets(ctx, "", profile)
	if err != nil {
		return Account{}, err // it says which Secret could not be read
	}
	region := strings.ToLower(strings.TrimSpace(values["region"]))
	a := Account{
		url: cmp.Or(strings.TrimSpace(values["base-url-nerdgraph"]), regions[cmp.Or(region, "us")]),
		key: strings.TrimSpace(values["personal-api-key"]),
	}
	id := strings.TrimSpace(values["account-id"])
	switch {
	case a.key == "" || id == "":
		return Account{}, fmt.Errorf("secret %q needs the keys personal-api-key and account-id", profile)
	case a.url == "":
		return Account{}, fmt.Errorf("secret %q: region must be us or eu; for another one set base-url-nerdgraph", profile)
	}
	if a.id, err = strconv.Atoi(id); err != nil {
		return Account{}, errors.New("account-id is not a number; it is in the address of New Relic's pages")
	}
	return a, nil
}

// Question is the question of GraphQL that carries a query.
const Question = `query($accountId: Int!, $query: Nrql!, $timeout: Seconds!) {` +
	` actor { account(id: $accountId) { nrql(query: $query, timeout: $timeout) { results } } } }`

// Rows asks for the rows of a query of NRQL, for which New Relic may take so long.
// The error is a short sentence, with what New Relic says and what to do about it.
func (a Account) Rows(ctx context.Context, client *egress.Client, query string, timeout time.Duration) ([]any, error) {
	var reply struct {
		complaint
		Data struct {
			Actor struct {
				Account struct {
					NRQL *struct {
						Results []any `json:"results"`
					} `json:"nrql"`
				} `json:"account"`
			} `json:"actor"`
		} `json:"data"`
	}
	request := egress.Request{Method: http.MethodPost, URL: a.url, Header: http.Header{}, JSON: map[string]any{
		"query": Question, "variables": map[string]any{"accountId": a.id, "query": query, "timeout": int64(timeout / time.Second)},
	}}
	request.Header.Set("Api-Key", a.key)
	err := client.AskJSON(ctx, request, &reply)
	switch {
	case err != nil:
		return nil, egress.ExplainStatus("newrelic", err, &reply.complaint, advice)
	case reply.Text() != "":
		return nil, fmt.Errorf("newrelic rejects the query: %s", reply.Text())
	case reply.Data.Actor.Account.NRQL == nil:
		return nil, errors.New("querying newrelic: the reply is not one of NerdGraph; check base-url-nerdgraph")
	}
	return reply.Data.Actor.Account.NRQL.Results, nil
}

// complaint is what NerdGraph says is wrong, also where the status is a success.
type complaint struct {
	Errors []struct {
		Message string `json:"message"`
	} `json:"errors"`
}

// Text is the complaint on one line; empty when there is none.
func (c complaint) Text() string {
	var texts []string
	for _, e := range c.Errors {
		// NerdGraph warns of fields to come to an end, and answers all the same.
		if !strings.HasPrefix(e.Message, "This field is deprecated!") {
			texts = append(texts, e.Message)
		}
	}
	return egress.Brief(strings.Join(texts, "; "))
}

const checkAccount = "check personal-api-key, account-id and region"

var advice = map[int]string{
	http.StatusUnauthorized: checkAccount, http.StatusForbidden: checkAccount,
	http.StatusTooManyRequests: "measure less often",
}
