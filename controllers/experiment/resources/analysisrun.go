package resources

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

// AnalysisRun builds the run of an analysis of the Experiment.
func AnalysisRun(e *v1alpha1.Experiment, start plan.StartAnalysis, spec v1alpha1.AnalysisRunSpec) *v1alpha1.AnalysisRun {
	labels := maps.Clone(e.Spec.AnalysisRunMetadata.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if id := e.Labels[v1alpha1.InstanceIDLabel]; id != "" {
		labels[v1alpha1.InstanceIDLabel] = id
	}
	annotations := maps.Clone(e.Spec.AnalysisRunMetadata.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.ExperimentAnalysisAnnotation] = start.Analysis
	annotations[v1alpha1.ExperimentAvailableAnnotation] = stamp(e.Status.AvailableAt)
	return &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: start.Name, Namespace: e.Namespace,
			Labels: labels, Annotations: annotations,
			OwnerReferences: owned(e),
		},
		Spec: spec,
	}
}

// stamp is a time as text; empty when there is none.
func stamp(at *metav1.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// Run reads what matters from an AnalysisRun.
func Run(run *v1alpha1.AnalysisRun) plan.Run {
	out := plan.Run{
		Name:     run.Name,
		Analysis: run.Annotations[v1alpha1.ExperimentAnalysisAnnotation],
		Created:  run.CreationTimestamp.Time,
		Phase:    run.Status.Phase,
		Message:  run.Status.Message,
		Stopping: run.Spec.Terminate,
	}
	// What cannot be parsed was not written by this controller: only its record tells of it.
	out.Attempt, _ = time.Parse(time.RFC3339, run.Annotations[v1alpha1.ExperimentAvailableAnnotation])
	return out
}

// Values are what {{...}} may stand for in the arguments of an Experiment.
// Before all pods are available its times are not known, and stand as the
// present, so that the arguments can be checked early.
func Values(s plan.Snapshot) map[string]string {
	e := s.Experiment
	values := map[string]string{}
	for _, set := range s.Sets {
		values["templates."+set.Template+".podTemplateHash"] = set.Hash
		values["templates."+set.Template+".replicaset.name"] = set.Name
	}
	available := e.Status.AvailableAt
	if available == nil {
		available = &metav1.Time{Time: s.Now}
	}
	values["experiment.availableAt"] = stamp(available)
	if length, timed := e.Length(); timed {
		values["experiment.finishedAt"] = stamp(&metav1.Time{Time: available.Add(length)})
	}
	return values
}

var tag = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// Arguments resolves what an Experiment gives to an analysis. The error names
// the argument and what is wrong with it.
func Arguments(args []v1alpha1.Argument, values map[string]string) ([]v1alpha1.Argument, error) {
	out := make([]v1alpha1.Argument, 0, len(args))
	for _, arg := range args {
		if arg.Value != nil {
			value, err := fill(*arg.Value, values)
			if err != nil {
				return nil, fmt.Errorf("argument %q: %w", arg.Name, err)
			}
			arg = v1alpha1.Argument{Name: arg.Name, Value: &value}
		}
		out = append(out, arg)
	}
	return out, nil
}

func fill(text string, values map[string]string) (string, error) {
	var unknown string
	out := tag.ReplaceAllStringFunc(text, func(whole string) string {
		name := strings.TrimSpace(tag.FindStringSubmatch(whole)[1])
		value, known := values[name]
		if !known && unknown == "" {
			unknown = name
		}
		return value
	})
	switch {
	case unknown == "experiment.finishedAt":
		return "", fmt.Errorf("{{%s}} is not known: the Experiment has no duration", unknown)
	case unknown != "":
		return "", fmt.Errorf("{{%s}} is not known: it may be %s", unknown, strings.Join(slices.Sorted(maps.Keys(values)), ", "))
	}
	return out, nil
}

// Unread is the error of arguments that name a field as their source: an
// Experiment has nobody to read it from.
func Unread(args []v1alpha1.Argument) error {
	for _, arg := range args {
		if arg.Value == nil && arg.ValueFrom != nil && arg.ValueFrom.FieldRef != nil {
			return fmt.Errorf("argument %q: fieldRef is read from a Rollout; give a value in the Experiment", arg.Name)
		}
	}
	return nil
}
