package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/test/kube"
)

// installation is what config/default made of the cluster.
type installation struct {
	// Namespace and ServiceAccount are those of the controller's Deployment.
	Namespace, ServiceAccount string
	CRDs, Others              int
}

// install applies config/default to the cluster. The Deployment gets no replicas:
// pods are simulated here, and the controller is to be real.
func install(ctx context.Context, cluster *kube.Cluster) (installation, error) {
	objects, err := render(filepath.Join(kube.Root(), "config", "default"))
	if err != nil {
		return installation{}, err
	}
	in, manifests, err := plan(objects)
	if err != nil {
		return installation{}, err
	}
	if err := cluster.InstallCRDs(ctx, filepath.Join(kube.Root(), "config", "crd")); err != nil {
		return installation{}, err
	}
	if err := cluster.Apply(ctx, in.Namespace, manifests); err != nil {
		return installation{}, fmt.Errorf("applying config/default: %w", err)
	}
	return in, nil
}

// render builds a kustomization as kubectl apply -k does.
func render(dir string) ([]map[string]any, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", dir, err)
	}
	var out []map[string]any
	for _, r := range resources.Resources() {
		object, err := r.Map()
		if err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", r.CurId(), dir, err)
		}
		out = append(out, object)
	}
	return out, nil
}

// plan finds the controller among the objects, and gives all but the CRDs, which go
// first and need a moment, as one YAML.
func plan(objects []map[string]any) (installation, []byte, error) {
	var in installation
	var manifests []byte
	for _, object := range objects {
		switch object["kind"] {
		case "CustomResourceDefinition":
			in.CRDs++
			continue
		case "Deployment":
			if err := in.readController(object); err != nil {
				return in, nil, err
			}
		}
		in.Others++
		data, err := yaml.Marshal(object)
		if err != nil {
			return in, nil, fmt.Errorf("writing a manifest: %w", err)
		}
		manifests = append(manifests, append([]byte("---\n"), data...)...)
	}
	if in.ServiceAccount == "" {
		return in, nil, errors.New("config/default has no Deployment with a service account")
	}
	return in, manifests, nil
}

// readController notes who the controller is, and takes its replicas away.
func (in *installation) readController(object map[string]any) error {
	var deployment appsv1.Deployment
	data, err := yaml.Marshal(object)
	if err == nil {
		err = yaml.Unmarshal(data, &deployment)
	}
	if err != nil {
		return fmt.Errorf("reading the Deployment of config/default: %w", err)
	}
	in.Namespace = deployment.Namespace
	in.ServiceAccount = deployment.Spec.Template.Spec.ServiceAccountName
	spec, ok := object["spec"].(map[string]any)
	if !ok {
		return errors.New("the Deployment of config/default has no spec")
	}
	spec["replicas"] = 0
	return nil
}

// tokenSeconds is how long the controller's token is valid; the story takes two minutes.
const tokenSeconds = 3600

// writeTokenKubeconfig mints a token for the installed ServiceAccount and writes a
// kubeconfig that holds nothing else.
func writeTokenKubeconfig(ctx context.Context, cfg *rest.Config, in installation, path string) error {
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	token, err := clients.CoreV1().ServiceAccounts(in.Namespace).CreateToken(ctx, in.ServiceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("minting a token for ServiceAccount %s/%s: %w", in.Namespace, in.ServiceAccount, err)
	}
	authority, err := authorityOf(cfg)
	if err != nil {
		return err
	}
	out := clientcmdapi.NewConfig()
	out.Clusters["demo"] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: authority}
	out.AuthInfos["headway"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	out.Contexts["demo"] = &clientcmdapi.Context{Cluster: "demo", AuthInfo: "headway"}
	out.CurrentContext = "demo"
	if err := clientcmd.WriteToFile(*out, path); err != nil {
		return fmt.Errorf("writing the controller's kubeconfig: %w", err)
	}
	return nil
}

func authorityOf(cfg *rest.Config) ([]byte, error) {
	if len(cfg.CAData) > 0 {
		return cfg.CAData, nil
	}
	data, err := os.ReadFile(filepath.Clean(cfg.CAFile))
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's certificate authority: %w", err)
	}
	return data, nil
}
