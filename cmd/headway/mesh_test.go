package main

import (
	"strings"
	"testing"
)

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: primary
contexts: [{name: primary, context: {cluster: primary, user: headway}}]
clusters: [{name: primary, cluster: {server: "https://mesh.example.com"}}]
users: [{name: headway, user: {token: secret}}]
`

func TestAKubeconfigOfThePrimaryClusterHoldsItsCredentials(t *testing.T) {
	t.Parallel()
	cfg, err := primaryConfig(map[string][]byte{"primary": []byte(kubeconfig)})
	if err != nil || cfg.Host != "https://mesh.example.com" || cfg.BearerToken != "secret" {
		t.Fatalf("read %+v, error %v", cfg, err)
	}
	for name, c := range map[string]struct{ was, is, want string }{
		"a program":               {"token: secret", "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh}", "from a program"},
		"a provider":              {"token: secret", "auth-provider: {name: gcp}", "from a program"},
		"a token in a file":       {"token: secret", "tokenFile: /etc/shadow", "from a file"},
		"a certificate in a file": {"token: secret", "client-certificate: /a, client-key: /b", "from a file"},
		"an authority in a file":  {`server: "https`, `certificate-authority: /a, server: "https`, "certificate authority in a file"},
		"no context":              {"current-context: primary", "current-context: other", "other"},
		"no kubeconfig":           {"apiVersion: v1", "apiVersion: [", "no kubeconfig"},
	} {
		text := strings.Replace(kubeconfig, c.was, c.is, 1)
		if _, err := primaryConfig(map[string][]byte{"primary": []byte(text)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	for name, data := range map[string]map[string][]byte{
		"none": nil, "two": {"a": []byte(kubeconfig), "b": []byte(kubeconfig)}, "a large one": {"a": make([]byte, largestKubeconfig+1)},
	} {
		if _, err := primaryConfig(data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
