package datadog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

const (
	// defaultAddress is the site of accounts that name none.
	defaultAddress = "https://api.datadoghq.com"
	// defaultSecret is the Secret of metrics that name none.
	defaultSecret = "datadog"
)

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

// account is where to ask, and as whom.
type account struct{ address, apiKey, appKey string }

func (a account) header() http.Header {
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("DD-API-KEY", a.apiKey)
	header.Set("DD-APPLICATION-KEY", a.appKey)
	return header
}

// account finds the account of a metric: the Secret that it names, else the
// environment of the controller, else the Secret datadog beside the controller.
// A metric that names a Secret never falls back on the account of others.
func (p *Provider) account(ctx context.Context, ref v1alpha1.SecretRef, q analysis.Query) (account, error) {
	switch e := p.environment; {
	case ref.Namespaced && ref.Name == "":
		return account{}, errors.New("a namespaced secretRef needs a name; give one, or leave secretRef out")
	case ref.Namespaced:
		return read(ctx, q.Secrets, q.Owner.Namespace, ref.Name)
	case ref.Name != "":
		return read(ctx, q.Secrets, "", ref.Name)
	case e.APIKey != "" && e.AppKey != "" && e.Address != "":
		return account{address: e.Address, apiKey: e.APIKey, appKey: e.AppKey}, nil
	default:
		a, err := read(ctx, q.Secrets, "", defaultSecret)
		if err != nil {
			return account{}, fmt.Errorf("%w; create it, name another one in secretRef, "+
				"or set DD_API_KEY, DD_APP_KEY and DD_ADDRESS for the controller", err)
		}
		return a, nil
	}
}

func read(ctx context.Context, secrets analysis.SecretReader, namespace, name string) (account, error) {
	values, err := secrets(ctx, namespace, name)
	if err != nil {
		return account{}, err // it says which Secret could not be read
	}
	a := account{
		address: cmp.Or(strings.TrimSpace(values["address"]), defaultAddress),
		apiKey:  strings.TrimSpace(values["api-key"]),
		appKey:  strings.TrimSpace(values["app-key"]),
	}
	if a.apiKey == "" || a.appKey == "" {
		return account{}, fmt.Errorf("secret %q needs the keys api-key and app-key", name)
	}
	return a, nil
}
