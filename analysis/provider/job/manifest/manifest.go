// Package manifest makes the Job of a measurement. It is pure.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Labels and annotations of the Jobs. They are served API.
const (
	UIDLabel             = "analysisrun.argoproj.io/uid"
	NameAnnotation       = "analysisrun.argoproj.io/name"
	NamespaceAnnotation  = "analysisrun.argoproj.io/namespace"
	MetricNameAnnotation = "analysisrun.argoproj.io/metric-name"
)

// maxName is how long a name may be that becomes a label of the pods.
const maxName = 63

// strayTTL is how long a Job stays, in seconds, that no run can own.
const strayTTL = 24 * 60 * 60

// Of is the Job of a measurement in a namespace. Where the run can own it, it goes
// with the run; elsewhere it goes a day after its end, unless its spec says when.
func Of(q analysis.Query, namespace string, owned bool) (*batchv1.Job, error) {
	metric := q.Metric.Provider.Job
	if metric.Spec.Malformed != "" {
		return nil, errors.New("not a Job spec: " + metric.Spec.Malformed)
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   namespace,
			Name:        Name(q),
			Labels:      maps.Clone(metric.Metadata.Labels),
			Annotations: maps.Clone(metric.Metadata.Annotations),
		},
		Spec: *metric.Spec.JobSpec.DeepCopy(),
	}
	switch {
	case owned:
		job.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&metav1.ObjectMeta{
			Name: q.Owner.Name, UID: types.UID(q.Owner.UID),
		}, v1alpha1.GroupVersion.WithKind("AnalysisRun"))}
	case job.Spec.TTLSecondsAfterFinished == nil:
		job.Spec.TTLSecondsAfterFinished = new(int32(strayTTL))
	}
	metav1.SetMetaDataLabel(&job.ObjectMeta, UIDLabel, q.Owner.UID)
	metav1.SetMetaDataAnnotation(&job.ObjectMeta, NameAnnotation, q.Owner.Name)
	metav1.SetMetaDataAnnotation(&job.ObjectMeta, NamespaceAnnotation, q.Owner.Namespace)
	metav1.SetMetaDataAnnotation(&job.ObjectMeta, MetricNameAnnotation, q.Metric.Name)
	return job, nil
}

// Name is the same for the same measurement, so a Job is never made twice. A
// metric whose name does not fit in a name is shortened and told apart by a hash.
func Name(q analysis.Query) string {
	uid, metric := q.Owner.UID, q.Metric.Name
	end := fmt.Sprintf(".%d", q.Number)
	name := uid + "." + plain(metric)
	if name != uid+"."+metric || len(name)+len(end) > maxName {
		sum := sha256.Sum256([]byte(metric))
		end = "-" + hex.EncodeToString(sum[:4]) + end
		name = strings.TrimRight(name[:min(len(name), maxName-len(end))], "-.")
	}
	return name + end
}

// plain replaces what a name of Kubernetes may not hold.
func plain(name string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-':
			return r
		case 'A' <= r && r <= 'Z':
			return r + ('a' - 'A')
		default:
			return '-'
		}
	}, name)
	return strings.Trim(out, "-")
}
