package network

import (
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// Kubeconfig copies a kubeconfig and leads it to another address. The
// certificate of the API server is for 127.0.0.1, so TLS still works.
func Kubeconfig(t testing.TB, original, address string) string {
	t.Helper()
	cfg, err := clientcmd.LoadFromFile(original)
	if err != nil {
		t.Fatalf("reading the kubeconfig: %v", err)
	}
	for _, cluster := range cfg.Clusters {
		cluster.Server = address
		if address[:5] == "http:" {
			cluster.CertificateAuthorityData, cluster.CertificateAuthority = nil, ""
		}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatalf("writing the kubeconfig: %v", err)
	}
	return path
}
