package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

func TestLeaseName(t *testing.T) {
	for _, c := range []struct{ name, id, want string }{
		{"without an id it is the incumbent's", "", "argo-rollouts-controller-lock"},
		{"an id makes it another", "blue", "argo-rollouts-controller-lock-blue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := defaultOptions()
			o.instanceID = c.id
			if got := o.leaseName(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLeaseNamespace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "namespace")
	if err := os.WriteFile(file, []byte("from-account\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, env, file, want string }{
		{"the environment comes first", "from-env", file, "from-env"},
		{"then the service account", "", file, "from-account"},
		{"then the incumbent's", "", file + ".missing", "argo-rollouts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := leaseNamespace(func(string) string { return c.env }, c.file)
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

const twoContexts = `
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: one, context: {cluster: c, user: u, namespace: ns-one}}
- {name: two, context: {cluster: c, user: u, namespace: ns-two}}
`

func TestNamespaceToServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(twoContexts), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"all of them unless namespaced", []string{"--namespace=a"}, ""},
		{"that of the flag", []string{"--namespaced", "--namespace=a"}, "a"},
		{"that of the current context", []string{"--namespaced"}, "ns-one"},
		{"that of the context asked for", []string{"--namespaced", "--context=two"}, "ns-two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, err := parsed(t, append(c.args, "--kubeconfig="+file)...).connect()
			if err != nil {
				t.Fatal(err)
			}
			if at.namespace != c.want {
				t.Errorf("got %q, want %q", at.namespace, c.want)
			}
			if at.config.QPS != -1 {
				t.Errorf("requests are limited to %v per second by default", at.config.QPS)
			}
		})
	}
}

func parsed(t *testing.T, args ...string) *options {
	t.Helper()
	o := defaultOptions()
	fs := pflag.NewFlagSet("headway", pflag.ContinueOnError)
	o.bind(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}
