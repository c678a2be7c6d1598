package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"the version is printed without a cluster", []string{"--version"}, exitOK, "headway dev (commit "},
		{"an unknown flag is named", []string{"--rollout-thread=3"}, exitUsage, "unknown flag: --rollout-thread"},
		{"a flag with a value of the wrong type is named", []string{"--rollout-threads=many"}, exitUsage, `invalid argument "many" for "--rollout-threads"`},
		{"an accepted flag without effect still needs its type", []string{"--service-threads=many"}, exitUsage, `invalid argument "many" for "--service-threads"`},
		{"an argument is refused", []string{"run", "now"}, exitUsage, `unexpected argument "run now"`},
		{"no workers is refused", []string{"--rollout-threads=0"}, exitUsage, "--rollout-threads 0: use 1 or more"},
		{"no workers for experiments is refused", []string{"--experiment-threads=0"}, exitUsage, "--experiment-threads 0: use 1 or more"},
		{"no workers for analyses is refused", []string{"--analysis-threads=0"}, exitUsage, "--analysis-threads 0: use 1 or more"},
		{"the spelling of earlier versions is understood", []string{"--metricsport=65536"}, exitUsage, "--metricsPort 65536: use 1 to 65535"},
		{"a port that does not exist is refused", []string{"--metricsPort=65536"}, exitUsage, "--metricsPort 65536: use 1 to 65535"},
		{"a negative health port is refused", []string{"--healthzPort=-2"}, exitUsage, "--healthzPort -2: use 1 to 65535"},
		{"an unknown level is refused", []string{"--loglevel=loud"}, exitUsage, `--loglevel "loud": use trace, debug, info, warn or error`},
		{"an unknown format is refused", []string{"--logformat=xml"}, exitUsage, `--logformat "xml": use text or json`},
		{"an unknown verbosity is refused", []string{"--kloglevel=11"}, exitUsage, "--kloglevel 11: use 0 to 10"},
		{"an unknown controller is refused", []string{"--controllers=ingress"}, exitUsage, `--controllers "ingress": use analysis`},
		{"an id that is no label value is refused", []string{"--instance-id=a/b"}, exitUsage, `--instance-id "a/b": it is the value of a label`},
		{"a rate of nothing is refused", []string{"--qps=0"}, exitUsage, "--qps 0 would send nothing"},
		{"a rate without a burst is refused", []string{"--qps=5", "--burst=0"}, exitUsage, "--burst 0: use 1 or more with --qps"},
		{"a resync in the past is refused", []string{"--rollout-resync=-1"}, exitUsage, "--rollout-resync -1"},
		{"a lease shorter than its renewal is refused", []string{"--leader-election-lease-duration=5s"}, exitUsage, "--leader-election-lease-duration 5s: use more than --leader-election-renew-deadline, 10s"},
		{"a renewal shorter than a retry is refused", []string{"--leader-election-retry-period=9s"}, exitUsage, "--leader-election-renew-deadline 10s: use more than 1.2 times"},
		{"a retry of no time is refused", []string{"--leader-election-retry-period=0s"}, exitUsage, "--leader-election-retry-period 0s"},
		{"every mistake is reported at once", []string{"--kloglevel=-1", "--qps=0"}, exitUsage, "--kloglevel -1: use 0 to 10\n--qps 0"},
		{"a kubeconfig that is not there is named", []string{"--kubeconfig=nowhere/config"}, exitError, "nowhere/config: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			code := execute(context.Background(), c.args, &out, &out)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("output does not say %q:\n%s", c.says, out.String())
			}
			if hint := strings.Contains(out.String(), "--help"); hint != (c.code == exitUsage) {
				t.Errorf("points to --help: %t:\n%s", hint, out.String())
			}
		})
	}
}

func TestFlagsWithoutEffectAreLogged(t *testing.T) {
	var out bytes.Buffer
	args := []string{"--kubeconfig=nowhere/config", "--istio-api-version=v1beta1", "--alb-ingress-classes=a,b", "--logformat=json"}
	execute(context.Background(), args, &out, &out)
	for _, want := range []string{`"flag":"--istio-api-version","reason":"the version that the cluster serves is found by itself"`, `"flag":"--alb-ingress-classes"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not logged: %s\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "--service-threads") {
		t.Errorf("a flag that was not given is logged:\n%s", out.String())
	}
}

// The names are those of the contract; a deployment of the incumbent starts with its flags unchanged.
func TestEveryFlagOfTheIncumbentIsAccepted(t *testing.T) {
	flags := strings.Fields(`
		--rollout-resync=900 --namespaced --namespace=a --kubeconfig=nowhere/config --context=c --loglevel=info --logformat=text
		--kloglevel=0 --metricsPort=8090 --healthzPort=8080 --instance-id=i --qps=40 --burst=80 --rollout-threads=10
		--experiment-threads=10 --analysis-threads=30 --service-threads=10 --ingress-threads=10 --ephemeral-metadata-threads=10
		--ephemeral-metadata-update-pod-retries=3 --aws-target-group-binding-api-version=elbv2.k8s.aws/v1beta1
		--alb-tag-key-resource-id=x --istio-api-version=v1alpha3 --ambassador-api-version=v2 --traffic-split-api-version=v1alpha1
		--traefik-api-group=traefik.io --traefik-api-version=traefik.io/v1alpha1 --ingress-api-version=networking.k8s.io/v1
		--appmesh-crd-version=v1beta2 --alb-ingress-classes=alb --nginx-ingress-classes=nginx,internal --aws-verify-target-group
		--alb-verify-weight --leader-elect=true --leader-election-lease-duration=15s --leader-election-renew-deadline=10s
		--leader-election-retry-period=2s --self-service-notification-enabled --controllers=analysis --enable-pprof-address=127.0.0.1:0
		--cluster=c --user=u --server=https://127.0.0.1:1 --request-timeout=5s --as=somebody`)
	var out bytes.Buffer
	if code := execute(context.Background(), flags, &out, &out); code != exitError || !strings.Contains(out.String(), "nowhere/config") {
		t.Errorf("exit code %d, want %d for the missing kubeconfig alone:\n%s", code, exitError, out.String())
	}
}
