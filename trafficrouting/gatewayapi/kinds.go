package gatewayapi

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// group is the API group of all routes.
const group = "gateway.networking.k8s.io"

// kind is one of the four kinds of routes. Weights are the same in all of them.
type kind struct {
	name string
	// versions are the served ones, the newest first.
	versions []string
	// matches tells that requests can be told apart by headers, so that managed routes can be made.
	matches bool
	// paths tells that requests have HTTP paths and methods.
	paths bool
}

var (
	httpRoutes = kind{name: "HTTPRoute", versions: []string{"v1", "v1beta1"}, matches: true, paths: true}
	grpcRoutes = kind{name: "GRPCRoute", versions: []string{"v1", "v1alpha2"}, matches: true}
	tcpRoutes  = kind{name: "TCPRoute", versions: []string{"v1", "v1alpha2"}}
	tlsRoutes  = kind{name: "TLSRoute", versions: []string{"v1", "v1alpha3", "v1alpha2"}}

	kinds = []kind{httpRoutes, grpcRoutes, tcpRoutes, tlsRoutes}
)

func (k kind) groupKind() schema.GroupKind { return schema.GroupKind{Group: group, Kind: k.name} }

// Reason is the reason of the Event that tells of a changed route of a kind, for example UpdatedHTTPRoute.
func Reason(kind string) string { return "Updated" + kind }
