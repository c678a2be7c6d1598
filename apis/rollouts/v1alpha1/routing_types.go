package v1alpha1

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RolloutTrafficRouting names the mesh or ingress that splits traffic. Several may be set; all are kept equal.
type RolloutTrafficRouting struct {
	// Istio VirtualServices and DestinationRules.
	// +optional
	Istio *IstioTrafficRouting `json:"istio,omitempty"`
	// NGINX canary Ingresses.
	// +optional
	Nginx *NginxTrafficRouting `json:"nginx,omitempty"`
	// AWS Load Balancer Controller Ingresses.
	// +optional
	ALB *ALBTrafficRouting `json:"alb,omitempty"`
	// SMI TrafficSplits.
	// +optional
	SMI *SMITrafficRouting `json:"smi,omitempty"`
	// Ambassador Mappings.
	// +optional
	Ambassador *AmbassadorTrafficRouting `json:"ambassador,omitempty"`
	// AWS App Mesh virtual services.
	// +optional
	AppMesh *AppMeshTrafficRouting `json:"appMesh,omitempty"`
	// Traefik TraefikServices.
	// +optional
	Traefik *TraefikTrafficRouting `json:"traefik,omitempty"`
	// Apache APISIX routes.
	// +optional
	Apisix *ApisixTrafficRouting `json:"apisix,omitempty"`
	// Gateway API HTTPRoutes, GRPCRoutes, TCPRoutes and TLSRoutes. The plugin argoproj-labs/gatewayAPI with the
	// same settings means the same. Additive to the served API.
	// +optional
	GatewayAPI *GatewayAPITrafficRouting `json:"gatewayAPI,omitempty"`
	// Routes that steps may add, in the order they are matched.
	// +optional
	ManagedRoutes []MangedRoutes `json:"managedRoutes,omitempty"`
	// Router plugins by name, with their settings.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Plugins map[string]json.RawMessage `json:"plugins,omitempty"`
	// Total of all weights. Default 100. Only with nginx and plugins.
	// +optional
	MaxTrafficWeight *int32 `json:"maxTrafficWeight,omitempty"`
}

// MangedRoutes names a route that steps may add. The spelling is that of the served Go API.
type MangedRoutes struct {
	// Name of the route.
	Name string `json:"name"`
}

// NginxTrafficRouting splits traffic by cloning an Ingress with canary annotations.
type NginxTrafficRouting struct {
	// Prefix of the annotations. Default nginx.ingress.kubernetes.io.
	// +optional
	AnnotationPrefix string `json:"annotationPrefix,omitempty"`
	// The Ingress whose rules lead to stableService. Exactly one of stableIngress and stableIngresses.
	// +optional
	StableIngress string `json:"stableIngress,omitempty"`
	// Several such Ingresses.
	// +optional
	StableIngresses []string `json:"stableIngresses,omitempty"`
	// Annotations of the canary Ingress; keys without the prefix get it.
	// +optional
	AdditionalIngressAnnotations map[string]string `json:"additionalIngressAnnotations,omitempty"`
	// Annotations of the canary Ingress, keys as they are.
	// +optional
	CanaryIngressAnnotations map[string]string `json:"canaryIngressAnnotations,omitempty"`
}

// IstioTrafficRouting splits traffic by the weights of a VirtualService.
type IstioTrafficRouting struct {
	// The VirtualService. Exactly one of virtualService and virtualServices.
	// +optional
	VirtualService *IstioVirtualService `json:"virtualService,omitempty"`
	// Several VirtualServices.
	// +optional
	VirtualServices []IstioVirtualService `json:"virtualServices,omitempty"`
	// A DestinationRule whose subsets select the revisions.
	// +optional
	DestinationRule *IstioDestinationRule `json:"destinationRule,omitempty"`
}

// IstioVirtualService names routes of a VirtualService.
type IstioVirtualService struct {
	// Name, or name.namespace.
	Name string `json:"name"`
	// HTTP routes by name. Default the only one.
	// +optional
	Routes []string `json:"routes,omitempty"`
	// TLS routes.
	// +optional
	TLSRoutes []TLSRoute `json:"tlsRoutes,omitempty"`
	// TCP routes.
	// +optional
	TCPRoutes []TCPRoute `json:"tcpRoutes,omitempty"`
}

// TLSRoute names a TLS route by port and SNI hosts.
type TLSRoute struct {
	// Port of the route.
	// +optional
	Port int64 `json:"port,omitempty"`
	// SNI hosts of the route, exactly.
	// +optional
	SNIHosts []string `json:"sniHosts,omitempty"`
}

// TCPRoute names a TCP route by port.
type TCPRoute struct {
	// Port of the route.
	// +optional
	Port int64 `json:"port,omitempty"`
}

// IstioDestinationRule names a DestinationRule and its subsets.
type IstioDestinationRule struct {
	// Name of the DestinationRule.
	Name string `json:"name"`
	// Subset of the canary.
	CanarySubsetName string `json:"canarySubsetName"`
	// Subset of the stable revision.
	StableSubsetName string `json:"stableSubsetName"`
	// Other subsets whose weights are left alone.
	// +optional
	AdditionalSubsetNames []string `json:"additionalSubsetNames,omitempty"`
}

// ALBTrafficRouting splits traffic by a forward action of an Ingress.
type ALBTrafficRouting struct {
	// The Ingress. Exactly one of ingress and ingresses.
	// +optional
	Ingress string `json:"ingress,omitempty"`
	// Several Ingresses.
	// +optional
	Ingresses []string `json:"ingresses,omitempty"`
	// Port of the Services.
	ServicePort int32 `json:"servicePort"`
	// Service the Ingress rule names. Default stableService.
	// +optional
	RootService string `json:"rootService,omitempty"`
	// Keeps a client on one target group.
	// +optional
	StickinessConfig *StickinessConfig `json:"stickinessConfig,omitempty"`
	// Prefix of the annotations. Default alb.ingress.kubernetes.io.
	// +optional
	AnnotationPrefix string `json:"annotationPrefix,omitempty"`
}

// StickinessConfig keeps a client on one target group.
type StickinessConfig struct {
	// Whether it does.
	Enabled bool `json:"enabled"`
	// For how many seconds, 1 to 604800.
	DurationSeconds int64 `json:"durationSeconds"`
}

// SMITrafficRouting splits traffic by an SMI TrafficSplit.
type SMITrafficRouting struct {
	// Service clients use. Default stableService.
	// +optional
	RootService string `json:"rootService,omitempty"`
	// Name of the TrafficSplit. Default the name of the Rollout.
	// +optional
	TrafficSplitName string `json:"trafficSplitName,omitempty"`
}

// AmbassadorTrafficRouting splits traffic by cloned Mappings.
type AmbassadorTrafficRouting struct {
	// Names of the Mappings.
	Mappings []string `json:"mappings"`
}

// AppMeshTrafficRouting splits traffic by an App Mesh virtual router.
type AppMeshTrafficRouting struct {
	// The virtual service and its routes.
	// +optional
	VirtualService *AppMeshVirtualService `json:"virtualService,omitempty"`
	// The virtual nodes of the two revisions.
	// +optional
	VirtualNodeGroup *AppMeshVirtualNodeGroup `json:"virtualNodeGroup,omitempty"`
}

// AppMeshVirtualService names a virtual service and routes of its router.
type AppMeshVirtualService struct {
	// Name of the virtual service.
	Name string `json:"name"`
	// Routes by name. Default the only one.
	// +optional
	Routes []string `json:"routes,omitempty"`
}

// AppMeshVirtualNodeGroup names the virtual nodes of the two revisions.
type AppMeshVirtualNodeGroup struct {
	// Virtual node of the canary.
	CanaryVirtualNodeRef *AppMeshVirtualNodeReference `json:"canaryVirtualNodeRef"`
	// Virtual node of the stable revision.
	StableVirtualNodeRef *AppMeshVirtualNodeReference `json:"stableVirtualNodeRef"`
}

// AppMeshVirtualNodeReference names a virtual node.
type AppMeshVirtualNodeReference struct {
	// Name of the virtual node.
	Name string `json:"name"`
}

// TraefikTrafficRouting splits traffic by a weighted TraefikService.
type TraefikTrafficRouting struct {
	// Name of the TraefikService.
	WeightedTraefikServiceName string `json:"weightedTraefikServiceName"`
}

// ApisixTrafficRouting splits traffic by the weights of an ApisixRoute.
type ApisixTrafficRouting struct {
	// The ApisixRoute and its rules.
	// +optional
	Route *ApisixRoute `json:"route,omitempty"`
}

// ApisixRoute names rules of an ApisixRoute.
type ApisixRoute struct {
	// Name of the ApisixRoute.
	Name string `json:"name"`
	// Names of its HTTP rules. Default the one named like the route.
	// +optional
	Rules []string `json:"rules,omitempty"`
}

// GatewayAPITrafficRouting splits traffic by the weights of Gateway API routes. At least one route is
// named or selected.
type GatewayAPITrafficRouting struct {
	// Namespace of the routes. Default that of the Rollout.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// One HTTPRoute, which gets the header and mirror routes of steps.
	// +optional
	HTTPRoute string `json:"httpRoute,omitempty"`
	// One GRPCRoute, which gets the header routes of steps.
	// +optional
	GRPCRoute string `json:"grpcRoute,omitempty"`
	// One TCPRoute.
	// +optional
	TCPRoute string `json:"tcpRoute,omitempty"`
	// One TLSRoute.
	// +optional
	TLSRoute string `json:"tlsRoute,omitempty"`
	// Several HTTPRoutes.
	// +optional
	HTTPRoutes []GatewayAPIRoute `json:"httpRoutes,omitempty"`
	// Several GRPCRoutes.
	// +optional
	GRPCRoutes []GatewayAPIRoute `json:"grpcRoutes,omitempty"`
	// Several TCPRoutes.
	// +optional
	TCPRoutes []GatewayAPIRoute `json:"tcpRoutes,omitempty"`
	// Several TLSRoutes.
	// +optional
	TLSRoutes []GatewayAPIRoute `json:"tlsRoutes,omitempty"`
	// HTTPRoutes by label; they get no header or mirror routes.
	// +optional
	HTTPRouteSelector *metav1.LabelSelector `json:"httpRouteSelector,omitempty"`
	// GRPCRoutes by label; they get no header routes.
	// +optional
	GRPCRouteSelector *metav1.LabelSelector `json:"grpcRouteSelector,omitempty"`
	// TCPRoutes by label.
	// +optional
	TCPRouteSelector *metav1.LabelSelector `json:"tcpRouteSelector,omitempty"`
	// TLSRoutes by label.
	// +optional
	TLSRouteSelector *metav1.LabelSelector `json:"tlsRouteSelector,omitempty"`
	// Name of the plugin's ConfigMap. Accepted and not used: the routes tell what was added to them.
	// +optional
	ConfigMap string `json:"configMap,omitempty"`
	// Leaves out the label that routes carry while traffic is shared.
	// +optional
	DisableInProgressLabel bool `json:"disableInProgressLabel,omitempty"`
	// Key of that label. Default rollouts.argoproj.io/gatewayapi-canary.
	// +optional
	InProgressLabelKey string `json:"inProgressLabelKey,omitempty"`
	// Value of that label. Default in-progress.
	// +optional
	InProgressLabelValue string `json:"inProgressLabelValue,omitempty"`
}

// GatewayAPIRoute names a route.
type GatewayAPIRoute struct {
	// Name of the route.
	Name string `json:"name"`
	// Whether it gets the header and mirror routes of steps. Default false.
	// +optional
	UseHeaderRoutes bool `json:"useHeaderRoutes,omitempty"`
}

// GatewayAPIPlugin is the name under which the settings of the Gateway API plugin stand.
const GatewayAPIPlugin = "argoproj-labs/gatewayAPI"

// Gateway is the Gateway API routing of the spec, whether it stands in its own field or in that of
// the plugin; nil without any. Its error says why the settings of the plugin cannot be read.
func (t *RolloutTrafficRouting) Gateway() (*GatewayAPITrafficRouting, error) {
	raw, named := t.Plugins[GatewayAPIPlugin]
	if t.GatewayAPI != nil || !named {
		return t.GatewayAPI, nil
	}
	var settings GatewayAPITrafficRouting
	if err := json.Unmarshal(raw, &settings); err != nil {
		return nil, fmt.Errorf("reading the settings of plugin %s: %w", GatewayAPIPlugin, err)
	}
	return &settings, nil
}
