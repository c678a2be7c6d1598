package main

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdClientSocket is where the API server finds etcd.
const etcdClientSocket = "etcd-client.sock"

// startEtcd runs a one-member etcd on unix sockets, without fsync: a test cluster's
// data need not outlive its process, and a synced write costs milliseconds.
func startEtcd(ctx context.Context, w *workFolder) error {
	client, err := url.Parse(w.socket(etcdClientSocket))
	if err != nil {
		return fmt.Errorf("naming the client socket: %w", err)
	}
	peer, err := url.Parse(w.socket("etcd-peer.sock"))
	if err != nil {
		return fmt.Errorf("naming the peer socket: %w", err)
	}
	// A lone member advertises what nobody dials; etcd insists on host and port.
	advertised := url.URL{Scheme: "http", Host: "localhost:2380"}

	cfg := embed.NewConfig()
	cfg.Dir = w.path("etcd")
	cfg.ListenClientUrls = []url.URL{*client}
	cfg.ListenPeerUrls = []url.URL{*peer}
	cfg.AdvertisePeerUrls = []url.URL{advertised}
	cfg.AdvertiseClientUrls = []url.URL{advertised}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	cfg.EnableGRPCGateway = false
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{w.path("etcd.log")}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	select {
	case <-e.Server.ReadyNotify():
		return nil
	case err := <-e.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
