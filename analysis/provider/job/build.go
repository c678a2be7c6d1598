package job

import (
	"cmp"
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

// of is the namespace of the Job of a measurement.
func (p Place) of(q analysis.Query) string { return cmp.Or(p.Namespace, q.Owner.Namespace) }

// owns reports whether the run can own its Jobs, so that they go with it.
func (p Place) owns(q analysis.Query) bool { return !p.Elsewhere && p.of(q) == q.Owner.Namespace }

// build makes the Job of a measurement.
func (p *Provider) build(q analysis.Query) (*batchv1.Job, error) {
	metric := q.Metric.Provider.Job
	if metric.Spec.Malformed != "" {
		return nil, errors.New("not a Job spec: " + metric.Spec.Malformed)
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   p.place.of(q),
			Name:        jobName(q.Owner.UID, q.Metric.Name, q.Number),
			Labels:      maps.Clone(metric.Metadata.Labels),
			Annotations: maps.Clone(metric.Metadata.Annotations),
		},
		Spec: *metric.Spec.JobSpec.DeepCopy(),
	}
	switch {
	case p.place.owns(q):
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

// jobName is the same for the same measurement, so a Job is never made twice. A
// metric whose name does not fit in a name is shortened and told apart by a hash.
func jobName(uid, metric string, number int32) string {
	end := fmt.Sprintf(".%d", number)
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
