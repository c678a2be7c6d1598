package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/headway-rollouts/headway/analysis/egress"
	"github.com/headway-rollouts/headway/trafficrouting/alb/elbv2"
)

// portOff is the value of a port flag that serves nothing; 0 takes any free port.
const portOff = -1

// controllersAnalysis is the one subset that --controllers can name: AnalysisRuns without Rollouts and Experiments.
const controllersAnalysis = "analysis"

// options is what the command line says.
type options struct {
	kubeconfig string
	overrides  clientcmd.ConfigOverrides
	namespaced bool
	instanceID string

	logLevel, logFormat string
	klogLevel           int

	metricsPort, healthzPort int
	pprofAddress             string

	qps   float32
	burst int

	rolloutThreads, experimentThreads, analysisThreads int

	rolloutResync int
	controllers   []string
	// addressPolicy is what --metric-address-policy says, and addresses what it means.
	addressPolicy []string
	addresses     egress.Policy

	// verifyTargets asks AWS what load balancers serve, by the tag of their target groups.
	verifyTargets bool
	tagKey        string

	leaderElect                               bool
	leaseDuration, renewDeadline, retryPeriod time.Duration

	showVersion bool
	unserved    []unservedFlag
}

func defaultOptions() *options {
	return &options{
		logLevel: "info", logFormat: formatText,
		metricsPort: 8090, healthzPort: 8080,
		qps: -1, burst: 80,
		rolloutThreads: 10, experimentThreads: 10, analysisThreads: 30, rolloutResync: 900,
		leaderElect: true, leaseDuration: 15 * time.Second, renewDeadline: 10 * time.Second, retryPeriod: 2 * time.Second,
	}
}

// bind declares the flags. Their names and defaults are those of the incumbent controller, except
// --qps and --burst: the API server has priority and fairness, so there is no client limit unless asked for.
func (o *options) bind(fs *pflag.FlagSet) {
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "metricsport" { // how earlier versions of the served API spell it
			name = "metricsPort"
		}
		return pflag.NormalizedName(name)
	})
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "path of a kubeconfig; default: $KUBECONFIG, ~/.kube/config, or the pod's service account")
	clientcmd.BindOverrideFlags(&o.overrides, fs, clientcmd.RecommendedConfigOverrideFlags(""))
	fs.BoolVar(&o.namespaced, "namespaced", o.namespaced, "serve one namespace: that of --namespace, the kubeconfig or the pod")
	fs.StringVar(&o.instanceID, "instance-id", "", "serve only objects whose label argo-rollouts.argoproj.io/controller-instance-id has this value; "+
		"without it, only objects without the label")
	fs.StringVar(&o.logLevel, "loglevel", o.logLevel, "trace, debug, info, warn or error")
	fs.StringVar(&o.logFormat, "logformat", o.logFormat, "text or json")
	fs.IntVar(&o.klogLevel, "kloglevel", 0, "verbosity of the Kubernetes client library, 0 to 10")
	fs.IntVar(&o.metricsPort, "metricsPort", o.metricsPort, "port of /metrics; 0 takes any free port, -1 serves none")
	fs.IntVar(&o.healthzPort, "healthzPort", o.healthzPort, "port of /healthz and /readyz; 0 takes any free port, -1 serves none")
	fs.StringVar(&o.pprofAddress, "enable-pprof-address", "", "address of /debug/pprof, for example 127.0.0.1:6060; empty serves none")
	fs.Float32Var(&o.qps, "qps", o.qps, "requests to the API server per second; -1 is no limit")
	fs.IntVar(&o.burst, "burst", o.burst, "requests to the API server in a burst, when --qps is set")
	fs.IntVar(&o.rolloutThreads, "rollout-threads", o.rolloutThreads, "Rollouts handled at once")
	fs.IntVar(&o.experimentThreads, "experiment-threads", o.experimentThreads, "Experiments handled at once")
	fs.IntVar(&o.analysisThreads, "analysis-threads", o.analysisThreads, "AnalysisRuns handled at once")
	fs.IntVar(&o.rolloutResync, "rollout-resync", o.rolloutResync, "seconds after which every Rollout is looked at again; 0 is never")
	fs.StringSliceVar(&o.controllers, "controllers", nil, "what to run: analysis, or nothing for everything")
	fs.StringSliceVar(&o.addressPolicy, "metric-address-policy", nil, "addresses that metrics may reach, the first rule that fits decides: "+
		"allow: or deny: and a prefix such as 10.0.0.0/8, or loopback, link-local, metadata, private, all; "+
		"without a rule that fits, all but the node's own, metadata services and the API server")
	fs.BoolVar(&o.verifyTargets, "aws-verify-target-group", false, "ask AWS whether its load balancers serve what Ingresses say, and wait until they do; needs rights to describe them")
	fs.BoolVar(&o.verifyTargets, "alb-verify-weight", false, "earlier name of --aws-verify-target-group")
	fs.StringVar(&o.tagKey, "alb-tag-key-resource-id", elbv2.DefaultTagKey, "tag of target groups that names the Ingress and the Service they are for")
	fs.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "act only while holding the Lease, so that several replicas can run")
	fs.DurationVar(&o.leaseDuration, "leader-election-lease-duration", o.leaseDuration, "how long a Lease that is not renewed keeps the others waiting")
	fs.DurationVar(&o.renewDeadline, "leader-election-renew-deadline", o.renewDeadline, "how long the leader tries to renew before it gives up")
	fs.DurationVar(&o.retryPeriod, "leader-election-retry-period", o.retryPeriod, "time between tries to take or renew the Lease")
	fs.BoolVar(&o.showVersion, "version", false, "print the version and exit")
	bindUnserved(fs)
}

// validate reports every value that cannot be used.
func (o *options) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.logFormat != formatText && o.logFormat != formatJSON, "--logformat %q: use text or json", o.logFormat)
	bad(o.klogLevel < 0 || o.klogLevel > 10, "--kloglevel %d: use 0 to 10", o.klogLevel)
	bad(!isPort(o.metricsPort), "--metricsPort %d: use 1 to 65535, 0 for any free port, or -1 for none", o.metricsPort)
	bad(!isPort(o.healthzPort), "--healthzPort %d: use 1 to 65535, 0 for any free port, or -1 for none", o.healthzPort)
	bad(o.rolloutThreads < 1, "--rollout-threads %d: use 1 or more", o.rolloutThreads)
	bad(o.experimentThreads < 1, "--experiment-threads %d: use 1 or more", o.experimentThreads)
	bad(o.analysisThreads < 1, "--analysis-threads %d: use 1 or more", o.analysisThreads)
	bad(o.rolloutResync < 0, "--rollout-resync %d: use seconds, or 0 for never", o.rolloutResync)
	bad(o.qps == 0, "--qps 0 would send nothing: use a rate, or -1 for no limit")
	bad(o.qps > 0 && o.burst < 1, "--burst %d: use 1 or more with --qps", o.burst)
	policy, err := egress.ParsePolicy(o.addressPolicy)
	bad(err != nil, "--metric-address-policy: %w", err)
	o.addresses = policy
	for _, c := range o.controllers {
		bad(c != controllersAnalysis, "--controllers %q: use analysis, or leave the flag out to run everything", c)
	}
	for _, why := range validation.IsValidLabelValue(o.instanceID) {
		bad(true, "--instance-id %q: it is the value of a label: %s", o.instanceID, why)
	}
	return errors.Join(append(errs, o.validateLease()...)...)
}

// validateLease says early, and by the flags' names, what the leader election would refuse later.
func (o *options) validateLease() []error {
	if !o.leaderElect {
		return nil
	}
	var errs []error
	if o.retryPeriod <= 0 {
		errs = append(errs, fmt.Errorf("--leader-election-retry-period %s: use more than 0s", o.retryPeriod))
	}
	if o.leaseDuration <= o.renewDeadline {
		errs = append(errs, fmt.Errorf("--leader-election-lease-duration %s: use more than --leader-election-renew-deadline, %s",
			o.leaseDuration, o.renewDeadline))
	}
	// client-go waits up to 1.2 retry periods between two tries, and needs one within the deadline.
	if o.renewDeadline <= o.retryPeriod*12/10 {
		errs = append(errs, fmt.Errorf("--leader-election-renew-deadline %s: use more than 1.2 times --leader-election-retry-period, %s",
			o.renewDeadline, o.retryPeriod))
	}
	return errs
}

// runsRollouts reports whether the controllers of Rollouts and Experiments are to run; that of AnalysisRuns always is.
func (o *options) runsRollouts() bool {
	return !slices.Contains(o.controllers, controllersAnalysis)
}

// resync is how often an object is looked at without an event; 0 is never.
func (o *options) resync() time.Duration { return time.Duration(o.rolloutResync) * time.Second }

// leaseName is the incumbent's, so that the two never act at once in one namespace.
func (o *options) leaseName() string {
	return strings.TrimSuffix("argo-rollouts-controller-lock-"+o.instanceID, "-")
}

func isPort(n int) bool { return n >= portOff && n <= 65535 }
