package plan

import "k8s.io/apimachinery/pkg/util/intstr"

// pair is how many pods the two revisions of a canary have.
type pair struct{ stable, canary int32 }

// byWeight is the pair that comes closest to a weight when pods are all there
// is to split traffic by. With surge it may have one pod more than replicas, and
// of two revisions that both get traffic neither is left without a pod.
//
//	10 replicas, weight 10            9 + 1    10 %
//	 4 replicas, weight 10, surge     4 + 1    20 %, nearer than 3 + 1
//	 1 replica,  weight 10, surge     1 + 1    50 %, since none would test nothing
//	 1 replica,  weight 10            1 + 0     0 %, nearer than 0 + 1
func byWeight(replicas, weight int32, surge bool) pair {
	if replicas == 0 {
		return pair{}
	}
	switch weight {
	case 0:
		return pair{stable: replicas}
	case 100:
		return pair{canary: replicas}
	}
	best := pair{stable: replicas}
	found := false
	for _, p := range candidates(replicas, weight, surge) {
		if !found || p.offBy(weight)*int64(best.total()) < best.offBy(weight)*int64(p.total()) {
			best, found = p, true
		}
	}
	return best
}

// candidates are the pairs that come near a weight, in the order of preference
// for equals: the larger canary, since it tests more, and no surge.
func candidates(replicas, weight int32, surge bool) []pair {
	up, down := share(replicas, weight, 100), fullShare(replicas, weight, 100)
	alone := replicas == 1 && !surge // then one of the two has to do without a pod
	var list []pair
	for total := replicas; total == replicas || surge && total == replicas+1; total++ {
		larger := up < total || alone
		if larger {
			list = append(list, pair{total - up, up})
		}
		tied := int64(total)*int64(weight)%100 == 50 && larger
		if (down > 0 || alone) && !tied {
			list = append(list, pair{total - down, down})
		}
	}
	return list
}

func (p pair) total() int32 { return p.stable + p.canary }

// offBy is how far the pair is from the weight, in hundredths of a pod.
func (p pair) offBy(weight int32) int64 {
	off := int64(p.canary)*100 - int64(weight)*int64(p.total())
	if off < 0 {
		return -off
	}
	return off
}

// surge is how many pods there may be above the replicas: maxSurge, rounded up,
// 25 percent by default. 25 percent of 4 is 1, of 5 is 2.
func surge(maxSurge *intstr.IntOrString, replicas int32) int32 {
	return scaled(maxSurge, replicas, true)
}

// scaled is a number or a percentage of the replicas, 25 percent by default,
// at least 0. A string without a percent sign means percent in the served API.
func scaled(given *intstr.IntOrString, replicas int32, up bool) int32 {
	value := intstr.FromString("25%")
	if given != nil {
		value = *given
	}
	if value.Type == intstr.String && len(value.StrVal) > 0 && value.StrVal[len(value.StrVal)-1] != '%' {
		value.StrVal += "%"
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, int(replicas), up)
	if err != nil {
		return 0 // validation has reported it
	}
	return max(0, int32(min(n, maxInt32)))
}

const maxInt32 = 1<<31 - 1
