package nginx

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/headway-rollouts/headway/trafficrouting"
)

const (
	classAnnotation = "kubernetes.io/ingress.class"

	// Names below the annotation prefix.
	canaryMark  = "canary"
	weight      = "canary-weight"
	weightTotal = "canary-weight-total"

	// implicitTotal is what NGINX takes weights as shares of when an Ingress does not say, or says less.
	implicitTotal = 100
)

// key is the full name of one of NGINX's annotations.
func (in intent) key(name string) string {
	return in.prefix + "/" + name
}

// prefixed completes a name from additionalIngressAnnotations, which may be written with or without the prefix.
func (in intent) prefixed(name string) string {
	if strings.HasPrefix(name, in.prefix) {
		return name
	}
	return in.key(name)
}

// unit is what one of the Rollout's shares is written as. NGINX takes a smaller total than 100 for
// 100, so that the whole of a total of 10 would be a tenth: then both are written as multiples.
func (in intent) unit() int32 {
	return max(1, (implicitTotal+in.maxWeight-1)/in.maxWeight)
}

// annotations are the ones a canary Ingress must have. Later ones win: the class, what the spec adds,
// what the spec sets verbatim, and last the routes and the weight, which nothing may override.
func (in intent) annotations(stable *networkingv1.Ingress, split trafficrouting.Split) map[string]string {
	wanted := map[string]string{}
	if class, ok := stable.Annotations[classAnnotation]; ok {
		wanted[classAnnotation] = class
	}
	// Sorted, because "x" and "<prefix>/x" name the same annotation.
	for _, name := range slices.Sorted(maps.Keys(in.nginx.AdditionalIngressAnnotations)) {
		wanted[in.prefixed(name)] = in.nginx.AdditionalIngressAnnotations[name]
	}
	maps.Copy(wanted, in.nginx.CanaryIngressAnnotations)
	wanted[in.key(canaryMark)] = "true"
	wanted[in.key(weight)] = strconv.Itoa(int(split.Canary.Weight * in.unit()))
	if in.explicitTotal {
		wanted[in.key(weightTotal)] = strconv.Itoa(int(split.MaxWeight * in.unit()))
	}
	if len(split.Routes) == 0 {
		return wanted
	}
	maps.DeleteFunc(wanted, func(key, _ string) bool { return strings.HasPrefix(key, in.key(byAnything)) })
	said, _ := say(split.Routes) // Apply checked it. Observe asks for what it saw, and that was said or is nothing.
	for name, value := range said {
		wanted[in.key(name)] = value
	}
	wanted[routesAnnotation] = remember(split.Routes)
	return wanted
}

// annotationChanges is the merge patch from what a canary Ingress has to what it must have. What
// is not ours stays. Some keys are ours even when not wanted: a class that the stable Ingress does
// not have, a total that would give the weight another meaning, and what makes managed routes.
func (in intent) annotationChanges(existing, wanted map[string]string) map[string]any {
	changes := map[string]any{}
	for key, value := range wanted {
		if old, ok := existing[key]; !ok || old != value {
			changes[key] = value
		}
	}
	for _, key := range append(in.madeOf(existing, wanted), classAnnotation, in.key(weightTotal)) {
		_, has := existing[key]
		if _, want := wanted[key]; has && !want {
			changes[key] = nil
		}
	}
	return changes
}

// madeOf are the keys that managed routes are made of, where they are this router's: a value that
// somebody left there would win over a pattern.
func (in intent) madeOf(annotations ...map[string]string) []string {
	if !slices.ContainsFunc(annotations, in.ownsSays) {
		return nil
	}
	keys := []string{routesAnnotation}
	for _, name := range says {
		keys = append(keys, in.key(name))
	}
	return keys
}

// under is the intent with the prefix that an Ingress carries its weight under, which is that of an
// earlier spec if the spec changed; false for an Ingress that is no canary by weight.
func (in intent) under(ingress *networkingv1.Ingress) (intent, bool) {
	for _, key := range slices.Sorted(maps.Keys(ingress.Annotations)) {
		prefix, carries := strings.CutSuffix(key, "/"+weight)
		if carries && ingress.Annotations[prefix+"/"+canaryMark] == "true" {
			in.prefix = prefix
			return in, true
		}
	}
	return in, false
}

// observedWeight is the share of maxWeight that a canary Ingress asks for, rounded up. An Ingress
// that does not say so clearly counts as all of the traffic: the planner must assume the worst.
func (in intent) observedWeight(canary *networkingv1.Ingress) int32 {
	share, shareOK := number(canary.Annotations, in.key(weight), 0)
	total, totalOK := number(canary.Annotations, in.key(weightTotal), 1)
	if _, set := canary.Annotations[in.key(weightTotal)]; !set {
		total, totalOK = implicitTotal, true
	}
	marked := canary.Annotations[in.key(canaryMark)] == "true"
	if !marked || !shareOK || !totalOK || share >= total {
		return in.maxWeight
	}
	// Both factors fit in 32 bits and share < total, so the result is at most maxWeight.
	return int32((share*int64(in.maxWeight) + total - 1) / total)
}

// number reads a decimal of at most 32 bits that is at least low.
func number(annotations map[string]string, key string, low int64) (int64, bool) {
	n, err := strconv.ParseInt(annotations[key], 10, 32)
	return n, err == nil && n >= low
}
