package gatewayapi

import (
	"fmt"
	"slices"

	"github.com/headway-rollouts/headway/trafficrouting"
	"github.com/headway-rollouts/headway/trafficrouting/patch"
)

// still reports whether a split leaves everything with the stable side.
func still(split trafficrouting.Split) bool {
	return split.Canary.Weight == 0 && len(split.Additional) == 0
}

// wholeOf is what the weights of ours sum to in a rule. That is the total of the Rollout, as with the
// plugin, unless the rule leads to others too, which keep their weights: then it is what ours sum to now,
// so that the others keep their share. Less than the total cannot be shared in as many parts, and more
// than maxWeight may not stand on one backend; both are refused.
func wholeOf(t tally, total int64) (int64, bool) {
	ours := t.ours()
	if t.foreign == 0 {
		return total, true
	}
	return min(ours, maxWeight), ours >= total && ours <= maxWeight
}

// sharesOf are the weights that our sides get in a rule with that tally, by Service; nil when the rule
// is to stay as it is. Rounding goes to the stable side, so that the weights sum to the whole.
func (s sides) sharesOf(t tally, split trafficrouting.Split) (map[string]int64, error) {
	if still(split) && t.stable > 0 && t.canary == 0 && len(t.additional) == 0 && !t.odd {
		return nil, nil
	}
	total := int64(split.MaxWeight)
	whole, shareable := wholeOf(t, total)
	if !shareable && !still(split) {
		return nil, unshareable(s, t, total)
	}
	shares := map[string]int64{}
	for _, service := range s.former {
		shares[service] = 0
	}
	shares[s.canary] = int64(split.Canary.Weight) * whole / total
	left := whole - shares[s.canary]
	for _, side := range split.Additional {
		shares[side.Service] = int64(side.Weight) * whole / total
		left -= shares[side.Service]
	}
	shares[s.stable] = left
	return shares, nil
}

// unshareable says what to do about a rule whose weights cannot be shared.
func unshareable(s sides, t tally, total int64) error {
	return fmt.Errorf("a rule leads to other backends beside `%s` and `%s`, and the weights of these two sum to %d, "+
		"which cannot be shared in %d parts without moving traffic of the others: multiply all weights of the rule, "+
		"so that these two sum to between %d and %d", s.stable, s.canary, t.ours(), total, total, maxWeight)
}

// reweigh gives the sides of a rule their shares, in the patch and in the rule that it returns. The first
// backend of a Service gets its share; another of the same Service gets nothing. A side that is missing
// becomes a copy of the stable one. The sides of an Experiment that have no share go.
func (s sides) reweigh(p *patch.Patch, r rule, shares map[string]int64) rule {
	given := map[string]bool{}
	after := rule{place: r.place}
	var gone []int
	for i, b := range r.backends {
		share, wanted := shares[b.service]
		switch {
		case !s.has(b.service):
			after.backends = append(after.backends, b)
			continue
		case !wanted:
			gone = append(gone, i)
			continue
		case given[b.service]:
			share = 0
		}
		given[b.service] = true
		if b.odd || b.weight != share {
			p.Set(share, "spec", "rules", r.place, "backendRefs", i, "weight")
			b.raw = with(b.raw, map[string]any{"weight": share})
		}
		after.backends = append(after.backends, backend{raw: b.raw, service: b.service, weight: share})
	}
	for _, i := range slices.Backward(gone) {
		p.Remove("spec", "rules", r.place, "backendRefs", i)
	}
	for _, service := range s.missing(given, shares) {
		ref := s.copyOf(r, service, shares[service])
		p.Insert(ref, "spec", "rules", r.place, "backendRefs", len(after.backends))
		after.backends = append(after.backends, backend{raw: ref, service: service, weight: shares[service]})
	}
	after.raw = with(r.raw, map[string]any{"backendRefs": after.refs()})
	return after
}

// missing are the sides that have a share and no backend, in the order they are added.
func (s sides) missing(given map[string]bool, shares map[string]int64) []string {
	var services []string
	for _, service := range append([]string{s.stable, s.canary}, s.additional...) {
		if shares[service] > 0 && !given[service] {
			services = append(services, service)
		}
	}
	return services
}

// copyOf is the backend of one of our sides, which leads to a Service in the same way: the port,
// the namespace and the filters are those of the stable side.
func (s sides) copyOf(r rule, service string, weight int64) map[string]any {
	model := slices.IndexFunc(r.backends, func(b backend) bool { return b.service == s.stable })
	if model < 0 {
		model = slices.IndexFunc(r.backends, func(b backend) bool { return s.has(b.service) })
	}
	return with(r.backends[model].raw, map[string]any{"name": service, "weight": weight})
}

// refs are the backends as a list of the API; elements that were no objects are gone from copies.
func (r rule) refs() []any {
	refs := make([]any, 0, len(r.backends))
	for _, b := range r.backends {
		if b.raw != nil {
			refs = append(refs, b.raw)
		}
	}
	return refs
}
