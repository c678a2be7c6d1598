package smi

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	// thousandths of a weight are what version v1alpha1 counts in: its weights are quantities.
	thousandths = 1000
	// maxWeight is the largest weight that is read, and maxDigits what it takes to write it. With it
	// the sum of as many backends as fit into an object, times 100 and 1000, has less than 63 bits.
	maxWeight = 1_000_000
	maxDigits = len("1000000000m")
)

// backend is an element of the list of a TrafficSplit.
type backend struct {
	at      int
	service string
	// weight is in thousandths; known is false when it cannot be understood.
	weight int64
	known  bool
	// text says that the weight is written as a text, which only v1alpha1 allows.
	text bool
}

// listed is the list of a TrafficSplit, as far as it can be read.
type listed struct {
	backends []backend
	// odd are the positions of what is no backend.
	odd []int
	// absent says that there is no list.
	absent bool
}

func listOf(obj *unstructured.Unstructured) listed {
	value, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "backends")
	elements, ok := value.([]any)
	list := listed{absent: !ok}
	for i, element := range elements {
		fields, _ := element.(map[string]any)
		service, _ := fields["service"].(string)
		if service == "" {
			list.odd = append(list.odd, i)
			continue
		}
		b := backend{at: i, service: service}
		b.weight, b.known = weightOf(fields["weight"])
		_, b.text = fields["weight"].(string)
		list.backends = append(list.backends, b)
	}
	return list
}

// weightOf reads a weight of any version: a number, or in v1alpha1 a quantity such as "5" or "500m".
// Quantities with another unit are not written by anybody, and not understood.
func weightOf(value any) (int64, bool) {
	switch value := value.(type) {
	case int64:
		return value * thousandths, value >= 0 && value <= maxWeight
	case float64:
		return int64(value) * thousandths, value >= 0 && value <= maxWeight && value == math.Trunc(value)
	case string:
		digits, milli := strings.CutSuffix(value, "m")
		number, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || len(value) > maxDigits {
			return 0, false
		}
		weight := int64(number)
		if !milli {
			weight *= thousandths
		}
		return weight, weight <= maxWeight*thousandths
	}
	return 0, false
}

// has reports whether a Service is in the list.
func (l listed) has(service string) bool {
	return slices.ContainsFunc(l.backends, func(b backend) bool { return b.service == service })
}

// sum is that of all weights; false when some of them cannot be understood, or there is no weight to
// share by.
func (l listed) sum() (int64, bool) {
	var sum int64
	for _, b := range l.backends {
		if !b.known {
			return 0, false
		}
		sum += b.weight
	}
	return sum, sum > 0 && len(l.odd) == 0
}

// shares are those of the canary and of the sides that are neither canary nor stable, rounded up. A list
// that cannot be understood counts as all of the traffic on the canary: the planner must assume the worst.
func (l listed) shares(stable, canary string) (int32, []trafficrouting.Backend) {
	sum, ok := l.sum()
	if !ok {
		return total, nil
	}
	by := map[string]int64{}
	for _, b := range l.backends {
		by[b.service] += b.weight
	}
	var additional []trafficrouting.Backend
	for service, weight := range by {
		if service != stable && service != canary {
			additional = append(additional, trafficrouting.Backend{Service: service, Weight: share(weight, sum)})
		}
	}
	slices.SortFunc(additional, func(a, b trafficrouting.Backend) int { return cmp.Compare(a.Service, b.Service) })
	return share(by[canary], sum), additional
}

func share(weight, sum int64) int32 { return int32((weight*int64(total) + sum - 1) / sum) }

// home is the position in backends of the one that serves what no other does: that of the stable Service,
// or the last, which is where a TrafficSplit of an earlier spec has it; -1 in an empty list.
func (l listed) home(stable string) int {
	at := slices.IndexFunc(l.backends, func(b backend) bool { return b.service == stable })
	if at < 0 {
		at = len(l.backends) - 1
	}
	return at
}

// away is the share of everything but home.
func (l listed) away(stable string) int32 {
	at := l.home(stable)
	if at < 0 {
		return 0 // There is no Service that gets anything.
	}
	sum, ok := l.sum()
	if !ok {
		return total
	}
	return share(sum-l.backends[at].weight, sum)
}
