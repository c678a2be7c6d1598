package main

import (
	"strconv"

	"github.com/spf13/pflag"
)

// unservedFlag is a flag of the incumbent that is accepted so that its command lines keep working, but
// that changes nothing. The type of its default is the type of the flag.
type unservedFlag struct {
	name string
	def  any
	why  string
}

const (
	oneController = "its work is part of the Rollout controller; see --rollout-threads"
	discovered    = "the version that the cluster serves is found by itself"
)

var unservedFlags = []unservedFlag{
	{"service-threads", 10, oneController},
	{"ingress-threads", 10, oneController},
	{"ephemeral-metadata-threads", 10, oneController},
	{"ephemeral-metadata-update-pod-retries", 3, oneController},
	{"nginx-ingress-classes", []string{"nginx"}, "an Ingress that a Rollout names is routed whatever its class"},
	{"alb-ingress-classes", []string{"alb"}, "an Ingress that a Rollout names is routed whatever its class"},
	{"aws-target-group-binding-api-version", "elbv2.k8s.aws/v1beta1", discovered},
	{"ambassador-api-version", "getambassador.io/v2", discovered},
	{"appmesh-crd-version", "v1beta2", "AWS App Mesh has reached its end of life and is not served"},
	{"istio-api-version", "v1alpha3", discovered},
	{"traefik-api-group", "traefik.io", discovered},
	{"traefik-api-version", "traefik.io/v1alpha1", discovered},
	{"traffic-split-api-version", "v1alpha1", discovered},
	{"ingress-api-version", "", "Ingresses are always networking.k8s.io/v1"},
	{"self-service-notification-enabled", false, "notifications are not served yet"},
}

// bindUnserved declares them with their type, so that a malformed value is still an error.
func bindUnserved(fs *pflag.FlagSet) {
	for _, f := range unservedFlags {
		usage := "accepted, no effect: " + f.why
		switch def := f.def.(type) {
		case int:
			fs.Int(f.name, def, usage)
		case bool:
			fs.Bool(f.name, def, usage)
		case string:
			fs.String(f.name, def, usage)
		case []string:
			fs.StringSlice(f.name, def, usage)
		default:
			panic("flag " + strconv.Quote(f.name) + " has a default of no flag type") // A mistake in the table above; a test binds them all.
		}
	}
}

// changedUnserved lists those that the command line sets.
func changedUnserved(fs *pflag.FlagSet) []unservedFlag {
	var set []unservedFlag
	for _, f := range unservedFlags {
		if fs.Changed(f.name) {
			set = append(set, f)
		}
	}
	return set
}
