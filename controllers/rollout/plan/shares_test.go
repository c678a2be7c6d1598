package plan

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	for name, c := range map[string]struct{ replicas, weight, total, up, down int32 }{
		"nothing of nothing":                   {0, 50, 100, 0, 0},
		"a fifth of four is one pod":           {4, 20, 100, 1, 0},
		"three fifths of four are three":       {4, 60, 100, 3, 2},
		"three quarters of eight are six":      {8, 75, 100, 6, 6},
		"one percent has a pod":                {10, 1, 100, 1, 0},
		"weight 0 has none":                    {10, 0, 100, 0, 0},
		"all of it":                            {10, 100, 100, 10, 10},
		"of a total of 1000":                   {4, 25, 1000, 1, 0},
		"no total, no share":                   {4, 25, 0, 0, 0},
		"the product does not overflow 32 bit": {1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			if up, down := share(c.replicas, c.weight, c.total), fullShare(c.replicas, c.weight, c.total); up != c.up || down != c.down {
				t.Errorf("share %d and fullShare %d, want %d and %d", up, down, c.up, c.down)
			}
		})
	}
}

func TestSharesOfBothSidesCoverTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas, total := rapid.Int32Range(0, 10_000).Draw(t, "replicas"), rapid.Int32Range(1, 10_000).Draw(t, "total")
		weight := rapid.Int32Range(0, total).Draw(t, "weight")
		up, down := share(replicas, weight, total), fullShare(replicas, total-weight, total)
		if up+down != replicas {
			t.Errorf("share %d and fullShare of the rest %d are not %d", up, down, replicas)
		}
		if carried := carriedWeight(up, replicas, total); replicas > 0 && carried < weight {
			t.Errorf("%d pods carry %d, less than the weight %d they are for", up, carried, weight)
		}
	})
}

func TestTolerated(t *testing.T) {
	for name, c := range map[string]struct {
		max      *intstr.IntOrString
		replicas int32
		want     int32
	}{
		"a quarter by default":                   {nil, 4, 1},
		"rounded down":                           {nil, 3, 0},
		"a number":                               {ptr.To(intstr.FromInt32(2)), 10, 2},
		"never more than there are":              {ptr.To(intstr.FromInt32(20)), 10, 10},
		"never negative":                         {ptr.To(intstr.FromInt32(-1)), 10, 0},
		"a percentage":                           {ptr.To(intstr.FromString("50%")), 10, 5},
		"a string without a percent sign is one": {ptr.To(intstr.FromString("50")), 10, 5},
		"nonsense tolerates nothing":             {ptr.To(intstr.FromString("many")), 10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tolerated(c.max, c.replicas); got != c.want {
				t.Errorf("tolerated = %d, want %d", got, c.want)
			}
		})
	}
}
