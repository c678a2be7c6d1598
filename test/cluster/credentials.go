package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	authorityCert     = "ca.crt"
	servingCert       = "apiserver.crt"
	servingKey        = "apiserver.key"
	serviceAccountKey = "service-account.key"
	frontProxyCert    = "front-proxy.crt"
	frontProxyKey     = "front-proxy.key"

	// frontProxyName is who the API server is when it speaks for a user to an
	// aggregated API.
	frontProxyName = "front-proxy"
)

// authority signs the certificates of one cluster.
type authority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	pem    []byte
	serial int64
}

// credentials are the kubeconfigs of the cluster's users.
type credentials struct {
	authority         *authority
	admin             string
	controllerManager string
	scheduler         string
}

// pair is a certificate and its key, PEM encoded.
type pair struct{ cert, key []byte }

// writeCredentials makes the authority, the certificates and the kubeconfigs.
func writeCredentials(w *workFolder, server string) (*credentials, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("making the authority: %w", err)
	}
	serving, err := ca.server("kube-apiserver", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	proxy, err := ca.client(frontProxyName)
	if err != nil {
		return nil, fmt.Errorf("making the front proxy's certificate: %w", err)
	}
	_, saKey, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("making the service account key: %w", err)
	}
	for name, data := range map[string][]byte{
		authorityCert:     ca.pem,
		servingCert:       serving.cert,
		servingKey:        serving.key,
		frontProxyCert:    proxy.cert,
		frontProxyKey:     proxy.key,
		serviceAccountKey: saKey,
	} {
		if err := os.WriteFile(w.path(name), data, 0o600); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	c := &credentials{authority: ca}
	for _, user := range []struct {
		name, group string
		path        *string
	}{
		{"admin", "system:masters", &c.admin},
		// A master too: one certificate stands for the service account of every
		// controller, and all start with one client.
		{"system:kube-controller-manager", "system:masters", &c.controllerManager},
		{"system:kube-scheduler", "", &c.scheduler},
	} {
		*user.path, err = ca.kubeconfig(w, server, user.name, user.group)
		if err != nil {
			return nil, fmt.Errorf("writing the kubeconfig of %s: %w", user.name, err)
		}
	}
	return c, nil
}

func newAuthority() (*authority, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "cluster-ca"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate back: %w", err)
	}
	return &authority{cert: cert, key: key, pem: encode("CERTIFICATE", der), serial: 1}, nil
}

// server makes a serving certificate for the names and the loopback address.
func (a *authority) server(commonName string, names ...string) (pair, error) {
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
	})
}

// client makes a client certificate; groups are the user's groups.
func (a *authority) client(user string, groups ...string) (pair, error) {
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) sign(template *x509.Certificate) (pair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return pair{}, err
	}
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.NotBefore, template.NotAfter = a.cert.NotBefore, a.cert.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return pair{}, fmt.Errorf("signing: %w", err)
	}
	return pair{cert: encode("CERTIFICATE", der), key: keyPEM}, nil
}

func (a *authority) kubeconfig(w *workFolder, server, user, group string) (string, error) {
	var groups []string
	if group != "" {
		groups = []string{group}
	}
	p, err := a.client(user, groups...)
	if err != nil {
		return "", err
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: a.pem}
	cfg.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: p.cert, ClientKeyData: p.key}
	cfg.Contexts["cluster"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "user"}
	cfg.CurrentContext = "cluster"
	name := "kubeconfig"
	if user != "admin" {
		name += "-" + user[len("system:"):]
	}
	path := w.path(name)
	return path, clientcmd.WriteToFile(*cfg, path)
}

// tls is the certificate as a server uses it.
func (p pair) tls() (tls.Certificate, error) {
	return tls.X509KeyPair(p.cert, p.key)
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return key, encode("EC PRIVATE KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
