package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// primaryClusterLabel marks the Secret with the kubeconfig of the cluster that has Istio's objects. It is served API.
const primaryClusterLabel = "istio.argoproj.io/primary-cluster"

// meshCluster is the cluster that has the VirtualServices and DestinationRules, when a Secret in the
// controller's namespace names another one than that of the Rollouts; nil when none does. It is looked
// for once, at the start.
func meshCluster(ctx context.Context, mgr manager.Manager, namespace string, log logr.Logger) (cluster.Cluster, error) {
	var secrets corev1.SecretList
	err := mgr.GetAPIReader().List(ctx, &secrets,
		client.InNamespace(leaseNamespace(os.Getenv, serviceAccountNamespace)), client.MatchingLabels{primaryClusterLabel: "true"})
	if apierrors.IsForbidden(err) {
		log.V(1).Info("Istio's objects are those of this cluster: a Secret that names another one may not be read", "reason", err.Error())
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the Secret of Istio's primary cluster: %w", err)
	}
	switch len(secrets.Items) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, fmt.Errorf("%d Secrets have the label %s: keep one", len(secrets.Items), primaryClusterLabel)
	}
	secret := &secrets.Items[0]
	cfg, err := primaryConfig(secret.Data)
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s/%s of Istio's primary cluster: %w", secret.Namespace, secret.Name, err)
	}
	mesh, err := cluster.New(cfg, func(o *cluster.Options) {
		o.Scheme, o.Logger = mgr.GetScheme(), log
		o.Cache.DefaultTransform = cache.TransformStripManagedFields()
		if namespace != "" {
			o.Cache.DefaultNamespaces = map[string]cache.Config{namespace: {}}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to Istio's primary cluster: %w", err)
	}
	if err := mgr.Add(mesh); err != nil {
		return nil, fmt.Errorf("adding Istio's primary cluster: %w", err)
	}
	log.Info("Istio's objects are those of its primary cluster", "host", cfg.Host, "secret", secret.Name)
	return mesh, nil
}

// largestKubeconfig is more than any that people write.
const largestKubeconfig = 1 << 20

// primaryConfig reads the one kubeconfig of a Secret. It has to hold its credentials: a program that
// it names would be run, and a file that it names would be read, with the controller's rights.
func primaryConfig(data map[string][]byte) (*rest.Config, error) {
	if len(data) != 1 {
		return nil, fmt.Errorf("it has %d keys: keep the one with the kubeconfig", len(data))
	}
	for key, text := range data {
		if len(text) > largestKubeconfig {
			return nil, fmt.Errorf("key %s has %d bytes, more than %d", key, len(text), largestKubeconfig)
		}
		config, err := clientcmd.Load(text)
		if err != nil {
			return nil, fmt.Errorf("key %s is no kubeconfig: %w", key, err)
		}
		if err := selfContained(config); err != nil {
			return nil, fmt.Errorf("the kubeconfig of key %s: %w", key, err)
		}
		cfg, err := clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("the kubeconfig of key %s: %w", key, err)
		}
		cfg.UserAgent, cfg.QPS, cfg.WarningHandler = "headway/"+version, -1, rest.NoWarnings{}
		return cfg, nil
	}
	return nil, errors.New("it has no key")
}

func selfContained(config *clientcmdapi.Config) error {
	for name, user := range config.AuthInfos {
		switch {
		case user.Exec != nil || user.AuthProvider != nil:
			return fmt.Errorf("user %s gets its credentials from a program: write a token or a certificate into the kubeconfig", name)
		case user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "":
			return fmt.Errorf("user %s gets its credentials from a file: write them into the kubeconfig", name)
		}
	}
	for name, of := range config.Clusters {
		if of.CertificateAuthority != "" {
			return fmt.Errorf("cluster %s has its certificate authority in a file: write it into the kubeconfig", name)
		}
	}
	return nil
}
