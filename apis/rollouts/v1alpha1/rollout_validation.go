package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Caps that no real Rollout comes near. They keep arithmetic within its types
// and an object from occupying its controller.
const (
	// MaxReplicas is the largest number of pods, above what a cluster can run.
	MaxReplicas = 1_000_000
	// MaxSteps is the largest number of steps.
	MaxSteps = 1000
	// MaxTrafficWeightLimit is the largest maxTrafficWeight.
	MaxTrafficWeightLimit = 1_000_000
)

// ValidateRollout lists what is wrong with a Rollout as far as the object
// alone can tell, in the order of the spec. Objects it refers to are checked
// by its controller.
func ValidateRollout(ro *Rollout) field.ErrorList {
	spec, at := &ro.Spec, field.NewPath("spec")
	errs := validateStrategyChoice(&spec.Strategy, at.Child("strategy"))
	errs = append(errs, validateWorkload(spec, at)...)
	errs = append(errs, validateCounts(ro, at)...)
	errs = append(errs, validateDeadline(ro, at)...)
	errs = append(errs, validateAdditions(spec, at)...)
	if canary := spec.Strategy.Canary; canary != nil {
		errs = append(errs, validateCanary(canary, spec.Selector, at.Child("strategy", "canary"))...)
	}
	if blueGreen := spec.Strategy.BlueGreen; blueGreen != nil {
		errs = append(errs, validateBlueGreen(blueGreen, ro, at.Child("strategy", "blueGreen"))...)
	}
	return errs
}

// validateAdditions checks the fields that the served API does not have.
func validateAdditions(spec *RolloutSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch spec.OnFailure {
	case "", FailureRollback, FailureFreeze:
	default:
		errs = append(errs, field.NotSupported(at.Child("onFailure"), spec.OnFailure, []FailurePolicy{FailureRollback, FailureFreeze}))
	}
	accounting, canary := at.Child("scaleAccounting"), spec.Strategy.Canary
	switch spec.ScaleAccounting {
	case "", ScaleAll:
	case ScaleStable:
		if canary != nil && (canary.TrafficRouting == nil || canary.DynamicStableScale) {
			errs = append(errs, field.Forbidden(accounting, "the stable revision shrinks during the update, and an autoscaler would shrink it further: "+
				"use it with trafficRouting and without dynamicStableScale"))
		}
	default:
		errs = append(errs, field.NotSupported(accounting, spec.ScaleAccounting, []ScaleAccounting{ScaleAll, ScaleStable}))
	}
	return append(errs, validateRolloutAnalysis(spec.InitialAnalysis, at.Child("initialAnalysis"))...)
}

func validateStrategyChoice(strategy *RolloutStrategy, at *field.Path) field.ErrorList {
	switch {
	case strategy.Canary == nil && strategy.BlueGreen == nil:
		return field.ErrorList{field.Required(at, "set canary or blueGreen")}
	case strategy.Canary != nil && strategy.BlueGreen != nil:
		return field.ErrorList{field.Invalid(at, "canary, blueGreen", "only one strategy can be used: remove one of them")}
	}
	return nil
}

// validateWorkload checks where the pods come from: the template or a workload.
func validateWorkload(spec *RolloutSpec, at *field.Path) field.ErrorList {
	if spec.WorkloadRef == nil {
		errs := validateSelector(spec.Selector, at.Child("selector"))
		errs = append(errs, validatePodTemplate(&spec.Template, at.Child("template"))...)
		return append(errs, validateSelected(spec.Selector, &spec.Template, at)...)
	}
	errs := validateObjectRef(spec.WorkloadRef, at.Child("workloadRef"))
	if spec.Selector != nil {
		errs = append(errs, validateSelector(spec.Selector, at.Child("selector"))...)
	}
	if !spec.Template.Empty() {
		errs = append(errs, field.Invalid(at.Child("template"), "not empty",
			"the pods come from workloadRef: remove the template or workloadRef"))
	}
	return errs
}

// ValidateResolved is what is wrong with the template and the selector that a
// Rollout has from its workload; nil when nothing is. The path is that of the
// reference, since the rest is not in the Rollout.
func ValidateResolved(ro *Rollout) *field.Error {
	spec := ro.Spec
	spec.WorkloadRef = nil
	errs := validateWorkload(&spec, field.NewPath("spec"))
	if len(errs) == 0 {
		return nil
	}
	ref, own := ro.Spec.WorkloadRef, errs[0]
	if own.Field == "spec.selector" {
		return own
	}
	return field.Invalid(field.NewPath("spec", "workloadRef"), ref.Kind+" "+ref.Name,
		"its "+strings.TrimPrefix(own.Field, "spec.")+" cannot be used: "+own.ErrorBody())
}

func validateObjectRef(ref *ObjectRef, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "name the workload to take the template from"))
	}
	switch group, _, _ := strings.Cut(ref.APIVersion, "/"); {
	case (ref.Kind == "Deployment" || ref.Kind == "ReplicaSet") && group == "apps":
	case ref.Kind == "PodTemplate" && ref.APIVersion == "v1":
	default:
		errs = append(errs, field.Invalid(at, strings.TrimSpace(ref.APIVersion+" "+ref.Kind),
			"only a Deployment or ReplicaSet of apps/v1 or a PodTemplate of v1 has a template to take"))
	}
	switch ref.ScaleDown {
	case "", ScaleDownNever, ScaleDownOnSuccess, ScaleDownProgressively:
	default:
		errs = append(errs, field.NotSupported(at.Child("scaleDown"), ref.ScaleDown, []string{ScaleDownNever, ScaleDownOnSuccess, ScaleDownProgressively}))
	}
	return errs
}

func validateSelector(selector *metav1.LabelSelector, at *field.Path) field.ErrorList {
	if selector == nil {
		return field.ErrorList{field.Required(at, "say which pods belong to it, by labels of the template")}
	}
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return field.ErrorList{field.Invalid(at, "{}", "an empty selector selects every pod of the namespace: add a label of the template")}
	}
	return metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, at)
}

// validateSelected checks that a selector selects the pods of a template.
// What is wrong with either alone is reported elsewhere.
func validateSelected(selector *metav1.LabelSelector, template *PodTemplate, at *field.Path) field.ErrorList {
	if selector == nil || template.Malformed != "" {
		return nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || parsed.Empty() || parsed.Matches(labels.Set(template.Labels)) {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("template", "metadata", "labels"), labels.Set(template.Labels).String(),
		"the selector "+parsed.String()+" does not select these labels: make them agree")}
}

func validateCounts(ro *Rollout, at *field.Path) field.ErrorList {
	spec := &ro.Spec
	errs := nonNegative(spec.Replicas, at.Child("replicas"))
	if ro.DesiredReplicas() > MaxReplicas {
		errs = append(errs, tooLarge(at.Child("replicas"), ro.DesiredReplicas()))
	}
	errs = append(errs, nonNegative(&spec.MinReadySeconds, at.Child("minReadySeconds"))...)
	errs = append(errs, nonNegative(spec.RevisionHistoryLimit, at.Child("revisionHistoryLimit"))...)
	if spec.RollbackWindow != nil {
		errs = append(errs, nonNegative(&spec.RollbackWindow.Revisions, at.Child("rollbackWindow", "revisions"))...)
	}
	if runs := spec.Analysis; runs != nil {
		errs = append(errs, nonNegative(runs.SuccessfulRunHistoryLimit, at.Child("analysis", "successfulRunHistoryLimit"))...)
		errs = append(errs, nonNegative(runs.UnsuccessfulRunHistoryLimit, at.Child("analysis", "unsuccessfulRunHistoryLimit"))...)
	}
	return errs
}

// validateDeadline checks that a pod can become available before the deadline.
func validateDeadline(ro *Rollout, at *field.Path) field.ErrorList {
	deadline, least := ro.ProgressDeadline(), ro.MinReady()
	if least < 0 || deadline > least {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("progressDeadlineSeconds"), int64(deadline.Seconds()), fmt.Sprintf(
		"must be greater than minReadySeconds (%d), or no pod becomes available in time", ro.Spec.MinReadySeconds))}
}

func validateBlueGreen(b *BlueGreenStrategy, ro *Rollout, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch b.ActiveService {
	case "":
		errs = append(errs, field.Required(at.Child("activeService"), "name the Service that receives production traffic"))
	case b.PreviewService:
		errs = append(errs, field.Invalid(at.Child("previewService"), b.PreviewService,
			"this Service is the activeService too: use another one, or none"))
	}
	errs = append(errs, nonNegative(b.PreviewReplicaCount, at.Child("previewReplicaCount"))...)
	errs = append(errs, nonNegative(&b.AutoPromotionSeconds, at.Child("autoPromotionSeconds"))...)
	errs = append(errs, validateShare(b.MaxUnavailable, at.Child("maxUnavailable"))...)
	errs = append(errs, nonNegative(b.ScaleDownDelaySeconds, at.Child("scaleDownDelaySeconds"))...)
	errs = append(errs, nonNegative(b.ScaleDownDelayRevisionLimit, at.Child("scaleDownDelayRevisionLimit"))...)
	if limit := b.ScaleDownDelayRevisionLimit; limit != nil && *limit > ro.RevisionsKept() {
		errs = append(errs, field.Invalid(at.Child("scaleDownDelayRevisionLimit"), *limit, fmt.Sprintf(
			"must not be greater than revisionHistoryLimit (%d): older revisions are deleted", ro.RevisionsKept())))
	}
	errs = append(errs, nonNegative(b.AbortScaleDownDelaySeconds, at.Child("abortScaleDownDelaySeconds"))...)
	errs = append(errs, validateRolloutAnalysis(b.PrePromotionAnalysis, at.Child("prePromotionAnalysis"))...)
	errs = append(errs, validateRolloutAnalysis(b.PostPromotionAnalysis, at.Child("postPromotionAnalysis"))...)
	errs = append(errs, validateAntiAffinity(b.AntiAffinity, at.Child("antiAffinity"))...)
	errs = append(errs, validateRoleMetadata(b.PreviewMetadata, ro.Spec.Selector, at.Child("previewMetadata"))...)
	return append(errs, validateRoleMetadata(b.ActiveMetadata, ro.Spec.Selector, at.Child("activeMetadata"))...)
}

func validateAntiAffinity(a *AntiAffinity, at *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	preferred := a.PreferredDuringSchedulingIgnoredDuringExecution
	if (preferred == nil) == (a.RequiredDuringSchedulingIgnoredDuringExecution == nil) {
		return field.ErrorList{field.Invalid(at, "preferred and required", "set exactly one of "+
			"preferredDuringSchedulingIgnoredDuringExecution and requiredDuringSchedulingIgnoredDuringExecution")}
	}
	if preferred != nil && (preferred.Weight < 1 || preferred.Weight > 100) {
		path := at.Child("preferredDuringSchedulingIgnoredDuringExecution", "weight")
		return field.ErrorList{field.Invalid(path, preferred.Weight, "must be between 1 and 100")}
	}
	return nil
}

// validateRoleMetadata checks the labels and annotations pods have while they
// have a role. A label that the selector names would lose the pods.
func validateRoleMetadata(m *PodTemplateMetadata, selector *metav1.LabelSelector, at *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := metav1validation.ValidateLabels(m.Labels, at.Child("labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(m.Annotations, at.Child("annotations"))...)
	if _, ok := m.Labels[PodTemplateHashLabel]; ok {
		errs = append(errs, field.Forbidden(at.Child("labels").Key(PodTemplateHashLabel), "the controller sets this label"))
	}
	if selector == nil {
		return errs
	}
	for _, e := range selector.MatchExpressions {
		if _, ok := m.Labels[e.Key]; ok {
			errs = append(errs, field.Forbidden(at.Child("labels").Key(e.Key), "the selector asks for it: use another label"))
		}
	}
	for _, key := range sortedKeys(selector.MatchLabels) {
		if value, ok := m.Labels[key]; ok && value != selector.MatchLabels[key] {
			errs = append(errs, field.Invalid(at.Child("labels").Key(key), value,
				"the selector asks for "+strconv.Quote(selector.MatchLabels[key])+": use another label"))
		}
	}
	return errs
}

// validateShare checks a number or a percentage of pods. A text is a
// percentage with or without the sign.
func validateShare(value *intstr.IntOrString, at *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	number, err := shareNumber(*value)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, value.String(), "must be a number of pods such as 1 or a percentage such as 25%")}
	case number < 0:
		return field.ErrorList{field.Invalid(at, value.String(), "must be greater than or equal to 0")}
	case number > MaxReplicas:
		return field.ErrorList{tooLarge(at, value.String())}
	}
	return nil
}

func shareNumber(value intstr.IntOrString) (int64, error) {
	if value.Type == intstr.Int {
		return int64(value.IntVal), nil
	}
	number, err := strconv.ParseInt(strings.TrimSuffix(value.StrVal, "%"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading percentage %q: %w", value.StrVal, err)
	}
	return number, nil
}

func nonNegative(value *int32, at *field.Path) field.ErrorList {
	if value == nil || *value >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *value, "must be greater than or equal to 0")}
}

func tooLarge(at *field.Path, value any) *field.Error {
	return field.Invalid(at, value, fmt.Sprintf("must not be greater than %d", MaxReplicas))
}
