package istio

import (
	"slices"
)

// rollout is what the check needs of a Rollout: where its routes are, and what they name.
type rollout struct {
	Spec struct {
		Strategy struct {
			Canary canary `json:"canary"`
		} `json:"strategy"`
	} `json:"spec"`
	Status struct {
		Canary struct {
			StablePingPong string `json:"stablePingPong"`
		} `json:"canary"`
	} `json:"status"`
}

type canary struct {
	StableService string `json:"stableService"`
	CanaryService string `json:"canaryService"`
	PingPong      *struct {
		PingService string `json:"pingService"`
		PongService string `json:"pongService"`
	} `json:"pingPong"`
	TrafficRouting struct {
		ManagedRoutes []struct {
			Name string `json:"name"`
		} `json:"managedRoutes"`
		Istio struct {
			VirtualService  *reference           `json:"virtualService"`
			VirtualServices []reference          `json:"virtualServices"`
			DestinationRule *destinationRuleName `json:"destinationRule"`
		} `json:"istio"`
	} `json:"trafficRouting"`
}

// services are those of stable and canary, which a ping-pong Rollout swaps.
func (c canary) services(stablePingPong string) (stable, canary string) {
	switch {
	case c.PingPong == nil:
		return c.StableService, c.CanaryService
	case stablePingPong == "pong":
		return c.PingPong.PongService, c.PingPong.PingService
	default:
		return c.PingPong.PingService, c.PingPong.PongService
	}
}

// references lists the VirtualServices that the Rollout names.
func (c canary) references() []reference {
	refs := slices.Clone(c.TrafficRouting.Istio.VirtualServices)
	if one := c.TrafficRouting.Istio.VirtualService; one != nil {
		refs = append(refs, *one)
	}
	return refs
}

type destinationRuleName struct {
	Name                  string   `json:"name"`
	CanarySubsetName      string   `json:"canarySubsetName"`
	StableSubsetName      string   `json:"stableSubsetName"`
	AdditionalSubsetNames []string `json:"additionalSubsetNames"`
}

// A reference names a VirtualService, and the routes in it that carry the weights.
type reference struct {
	Name      string     `json:"name"`
	Routes    []string   `json:"routes"`
	TLSRoutes []tlsRoute `json:"tlsRoutes"`
	TCPRoutes []tcpRoute `json:"tcpRoutes"`
}

type tlsRoute struct {
	Port     int      `json:"port"`
	SNIHosts []string `json:"sniHosts"`
}

type tcpRoute struct {
	Port int `json:"port"`
}

// named picks the lines that the reference means. One that lists none means the only route, or
// the one without a name.
func (r reference) named(at seat, lines []line) []line {
	var some []line
	for _, l := range lines {
		if r.names(at, l) {
			some = append(some, l)
		}
	}
	if len(some) == 0 && r.listsNone(at.Kind) {
		return lines
	}
	return some
}

func (r reference) listsNone(k kind) bool {
	switch k {
	case kindHTTP:
		return len(r.Routes) == 0
	case kindTLS:
		return len(r.TLSRoutes) == 0
	case kindTCP:
		return len(r.TCPRoutes) == 0
	default:
		panic("unknown kind " + k)
	}
}

func (r reference) names(at seat, l line) bool {
	if r.listsNone(at.Kind) {
		return at.Kind == kindHTTP && l.Name == ""
	}
	switch at.Kind {
	case kindHTTP:
		return slices.Contains(r.Routes, l.Name)
	case kindTLS:
		return slices.ContainsFunc(r.TLSRoutes, func(route tlsRoute) bool {
			return concerns(route.Port, at.Port) &&
				(len(route.SNIHosts) == 0 || slices.Equal(serverNames(route.SNIHosts), l.When))
		})
	case kindTCP:
		return slices.ContainsFunc(r.TCPRoutes, func(route tcpRoute) bool { return concerns(route.Port, at.Port) })
	default:
		panic("unknown kind " + at.Kind)
	}
}
