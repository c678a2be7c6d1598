package plan

import "k8s.io/apimachinery/pkg/util/intstr"

// share is the part of replicas that a weight stands for, rounded up, so that a
// side with any traffic has a pod: 20 of 100 of 4 replicas is 1, of 6 is 2.
func share(replicas, weight, maxWeight int32) int32 {
	if maxWeight <= 0 {
		return 0
	}
	return int32((int64(replicas)*int64(weight) + int64(maxWeight) - 1) / int64(maxWeight))
}

// fullShare is share rounded down: the pods that a weight keeps wholly busy.
// 80 of 100 of 4 replicas is 3. The side that traffic leaves is held to it, so
// that one pending pod does not stop a rollout.
func fullShare(replicas, weight, maxWeight int32) int32 {
	if maxWeight <= 0 {
		return 0
	}
	return int32(int64(replicas) * int64(weight) / int64(maxWeight))
}

// carriedWeight is the largest weight that pods can carry when replicas of them
// carry maxWeight: 3 pods of 4 carry 75 of 100.
func carriedWeight(pods, replicas, maxWeight int32) int32 {
	if replicas <= 0 || pods >= replicas {
		return maxWeight
	}
	return int32(int64(pods) * int64(maxWeight) / int64(replicas))
}

// tolerated is how many of the replicas may be missing: maxUnavailable, rounded
// down, 25 percent by default. 25 percent of 4 is 1, of 3 is 0.
func tolerated(maxUnavailable *intstr.IntOrString, replicas int32) int32 {
	return min(scaled(maxUnavailable, replicas, false), replicas)
}
