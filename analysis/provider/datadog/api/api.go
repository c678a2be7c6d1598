// Package api is where Datadog is asked and as whom, whichever version of its API
// the question is for. It knows no queries.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/egress"
)

const (
	// defaultAddress is the site of accounts that name none.
	defaultAddress = "https://api.datadoghq.com"
	// defaultSecret is the Secret of metrics that name none.
	defaultSecret = "datadog"
	// checkAccount is what to do when the account is refused.
	checkAccount = "check api-key, the rights of app-key, and that address is the site of the account"
)

// ErrForeign says that something else than Datadog answers.
var ErrForeign = errors.New("querying datadog: the reply is not one of Datadog; check the address")

// Environment is what the environment of the controller says of Datadog. It
// counts only when all of it is there, so that a key that is meant for others,
// such as an agent, is not taken for the account of the metrics.
type Environment struct {
	// APIKey is the value of DD_API_KEY.
	APIKey string
	// AppKey is the value of DD_APP_KEY.
	AppKey string
	// Address is the value of DD_ADDRESS, such as https://api.datadoghq.eu.
	Address string
}

// Account finds the account of a metric: the Secret that it names, else that of
// the environment, else the Secret datadog beside the controller. A metric that
// names a Secret never falls back on the account of others.
func (e Environment) Account(ctx context.Context, q analysis.Query) (Account, error) {
	switch ref := q.Metric.Provider.Datadog.SecretRef; {
	case ref.Namespaced && ref.Name == "":
		return Account{}, errors.New("a namespaced secretRef needs a name; give one, or leave secretRef out")
	case ref.Namespaced:
		return read(ctx, q.Secrets, q.Owner.Namespace, ref.Name)
	case ref.Name != "":
		return read(ctx, q.Secrets, "", ref.Name)
	case e.APIKey != "" && e.AppKey != "" && e.Address != "":
		return Account{address: e.Address, apiKey: e.APIKey, appKey: e.AppKey}, nil
	}
	account, err := read(ctx, q.Secrets, "", defaultSecret)
	if err != nil {
		return Account{}, fmt.Errorf("%w; create it, name another one in secretRef, "+
			"or set DD_API_KEY, DD_APP_KEY and DD_ADDRESS for the controller", err)
	}
	return account, nil
}

func read(ctx context.Context, secrets analysis.SecretReader, namespace, name string) (Account, error) {
	values, err := secrets(ctx, namespace, name)
	if err != nil {
		return Account{}, err // it says which Secret could not be read
	}
	account := Account{
		address: cmp.Or(strings.TrimSpace(values["address"]), defaultAddress),
		apiKey:  strings.TrimSpace(values["api-key"]),
		appKey:  strings.TrimSpace(values["app-key"]),
	}
	if account.apiKey == "" || account.appKey == "" {
		return Account{}, fmt.Errorf("secret %q needs the keys api-key and app-key", name)
	}
	return account, nil
}

// Account is where to ask, and as whom.
type Account struct{ address, apiKey, appKey string }

// Site is an account and who reaches it.
type Site struct {
	Client  *egress.Client
	Account Account
}

// Ask sends a request, whose URL is the path at the site, and decodes the reply.
// The error is a short sentence, with what Datadog says and what to do about it.
func (s Site) Ask(ctx context.Context, request egress.Request, into any) error {
	request.URL = strings.TrimRight(s.Account.address, "/") + request.URL
	request.Header = http.Header{}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("DD-API-KEY", s.Account.apiKey)
	request.Header.Set("DD-APPLICATION-KEY", s.Account.appKey)
	err := s.Client.AskJSON(ctx, request, into)
	if err == nil {
		return nil
	}
	return egress.ExplainStatus("datadog", err, &Complaint{}, map[int]string{
		http.StatusUnauthorized: checkAccount, http.StatusForbidden: checkAccount,
		http.StatusTooManyRequests: "measure less often, or have Datadog raise the limit",
	})
}

// Complaint is what Datadog says is wrong: a text in version 1, a text or a
// list in version 2, also where the status is a success.
type Complaint struct {
	Error  string `json:"error"`
	Errors any    `json:"errors"`
}

// Rejection is the complaint as an error; nil when there is none.
func (c Complaint) Rejection() error {
	if text := c.Text(); text != "" {
		return fmt.Errorf("datadog rejects the query: %s", text)
	}
	return nil
}

// Text is the complaint on one line; empty when there is none.
func (c Complaint) Text() string {
	list, ok := c.Errors.([]any)
	if !ok && c.Errors != nil {
		list = []any{c.Errors}
	}
	for _, item := range list {
		c.Error = strings.TrimSpace(c.Error + " " + fmt.Sprint(item))
	}
	return egress.Brief(c.Error)
}
