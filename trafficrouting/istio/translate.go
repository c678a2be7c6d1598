package istio

import (
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// translate is the patch that makes a VirtualService equal to the split; empty when it is.
func (in intent) translate(n named, split trafficrouting.Split) patch.Patch {
	var p patch.Patch
	w := in.wishOf(split)
	w.bare = in.bare(n)
	var f frame
	var entries []string
	for _, id := range w.bare {
		entries = append(entries, barePrefix+id)
	}
	for _, r := range n.weighted {
		shared := n.vs.reweigh(&p, r, w)
		entries = append(entries, r.id())
		if r.section == http && f.canary == nil {
			f = frameOf(in.sides, r, shared)
		}
	}
	n.vs.bringHome(&p, n.dropped(), n.rec)
	var wanted []map[string]any
	for _, route := range split.Routes {
		if f.canary != nil { // Only beside an HTTP route that carries weights.
			wanted = append(wanted, f.write(route))
			entries = append(entries, managedPrefix+route.Name)
		}
	}
	n.vs.placeManaged(&p, in.ours(n.rec), n.rec.theirs(), wanted)
	for _, side := range split.Additional {
		entries = append(entries, addedPrefix+side.Service)
	}
	if n.rec.marked || split.Canary.Weight > 0 || len(split.Routes)+len(split.Additional) > 0 {
		annotate(&p, n.vs.obj, map[string]string{v1alpha1.RoutedByAnnotation: in.mark(n.vs.obj, entries)})
	}
	return p
}

// dropped are the routes that carried weights for an earlier spec and that this one does not mean.
func (n named) dropped() []route {
	var some []route
	for _, r := range n.rec.routes(n.vs.routes) {
		kept := slices.ContainsFunc(n.weighted, func(w route) bool { return w.id() == r.id() })
		if !kept {
			some = append(some, r)
		}
	}
	return some
}

// ours are the names of the managed routes that this Rollout may add or has added.
func (in intent) ours(rec record) []string { return slices.Concat(in.managed, rec.managed) }

// reweigh gives the destinations of a route their weights, and returns them as they stand then.
func (vs virtualService) reweigh(p *patch.Patch, r route, w wish) []any {
	weights, missing := w.weights(r)
	place := func(more ...any) []any {
		return slices.Concat([]any{"spec", r.section, r.index, "route"}, more)
	}
	var after []any
	for i, d := range r.to {
		if weights[i] == gone {
			continue
		}
		stands, _ := raw(vs.obj, place(i)...).(map[string]any)
		switch {
		case weights[i] == d.weight:
		case weights[i] == 0 && w.of(d) == canarySide && slices.Contains(w.bare, r.id()):
			p.Remove(place(i, "weight")...)
			stands = with(stands, "weight", nil)
		default:
			p.Set(weights[i], place(i, "weight")...)
			stands = with(stands, "weight", int64(weights[i]))
		}
		after = append(after, stands)
	}
	for i := range slices.Backward(r.to) {
		if weights[i] == gone {
			p.Remove(place(i)...)
		}
	}
	for _, side := range missing {
		made := map[string]any{"destination": w.destination(r, side.Service), "weight": int64(side.Weight)}
		p.Insert(made, place(len(after))...)
		after = append(after, made)
	}
	return after
}

// bare are the ids of the routes whose canary has no weight at rest: it has none now, or has more
// than nothing now and had none before.
func (in intent) bare(n named) []string {
	var ids []string
	for _, r := range n.weighted {
		i := slices.IndexFunc(r.to, func(d destination) bool { return in.sides.of(d) == canarySide })
		if i < 0 {
			continue
		}
		written := raw(n.vs.obj, "spec", r.section, r.index, "route", i, "weight") != nil
		if !written || r.to[i].weight > 0 && slices.Contains(n.rec.bare, r.id()) {
			ids = append(ids, r.id())
		}
	}
	return ids
}

// with is a copy with another member, or without it for nil: what was read belongs to the cache.
func with(members map[string]any, name string, value any) map[string]any {
	changed := map[string]any{}
	for other, stands := range members {
		changed[other] = stands
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

// destination is that of an Experiment's side in a route, beside the canary's: another subset of the
// same host, or a Service in the same domain. The ports of such a Service are those of its pods, not
// those of the canary's, so none is named.
func (w wish) destination(r route, service string) map[string]any {
	i := slices.IndexFunc(r.to, func(d destination) bool { return w.of(d) == canarySide })
	if i < 0 {
		return destinationFor(service, "", 0)
	}
	beside := r.to[i]
	if w.bySubset {
		return destinationFor(beside.host, service, beside.port)
	}
	return destinationFor(service+strings.TrimPrefix(beside.host, beside.service()), "", 0)
}

// homecoming is the patch that gives the stable side all the traffic which a mark remembers; empty
// when it has it. It needs no spec.
func (vs virtualService) homecoming(rec record) patch.Patch {
	var p patch.Patch
	vs.bringHome(&p, rec.routes(vs.routes), rec)
	vs.placeManaged(&p, rec.managed, nil, nil)
	return p
}

// bringHome gives the stable side the traffic of routes. One that somebody took its stable side from
// is left to them: there is no home.
func (vs virtualService) bringHome(p *patch.Patch, routes []route, rec record) {
	for _, r := range routes {
		if rec.sides.has(r, stableSide) {
			vs.reweigh(p, r, home(rec))
		}
	}
}

// release is a homecoming that takes the mark of a Rollout away.
func (vs virtualService) release(rec record, ro *v1alpha1.Rollout) patch.Patch {
	p := vs.homecoming(rec)
	annotate(&p, vs.obj, map[string]string{v1alpha1.RoutedByAnnotation: trafficrouting.Without(vs.obj, ro)})
	return p
}
