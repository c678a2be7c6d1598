package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// listen opens the API server's port. An open listener on port 0 cannot lose its
// port to another process, as a port picked first and opened later can.
func listen(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// startAPIServer runs the API server on the listener.
func startAPIServer(ctx context.Context, w *workFolder, ln net.Listener, failed chan<- error) error {
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	opts := options.NewServerRunOptions()
	if err := parse(opts.Flags(), apiServerFlags(w)); err != nil {
		return err
	}
	opts.SecureServing.Listener = ln
	opts.SecureServing.BindPort = ln.Addr().(*net.TCPAddr).Port
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("setting feature gates: %w", err)
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return fmt.Errorf("completing options: %w", err)
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return fmt.Errorf("validating options: %w", utilerrors.NewAggregate(errs))
	}
	go func() {
		if err := app.Run(ctx, completed); err != nil {
			failed <- fmt.Errorf("running the API server: %w", err)
		}
	}()
	return nil
}

func apiServerFlags(w *workFolder) []string {
	file := func(name string) string { return filepath.Join(w.dir, name) }
	return []string{
		"--etcd-servers=unix://" + filepath.Join(w.sockets, etcdClientSocket),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--client-ca-file=" + file(authorityCert),
		"--tls-cert-file=" + file(servingCert),
		"--tls-private-key-file=" + file(servingKey),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + file(serviceAccountKey),
		"--service-account-signing-key-file=" + file(serviceAccountKey),
		"--enable-aggregator-routing=false",
		"--requestheader-client-ca-file=" + file(authorityCert),
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + file(frontProxyCert),
		"--proxy-client-key-file=" + file(frontProxyKey),
		"--profiling=false",
		"--event-ttl=1h",
	}
}

// parse sets a component's options from flags, as its command line would.
func parse(sets cliflag.NamedFlagSets, flags []string) error {
	fs := pflag.NewFlagSet("component", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(flags); err != nil {
		return fmt.Errorf("parsing flags: %w", err)
	}
	return nil
}
