// Package place is where the Jobs of measurements run: it makes them, finds them
// again and removes them there. What a Job means is not for it.
package place

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/job/manifest"
)

// Kept is how many Jobs of a metric are kept for a look at their logs.
const Kept = 10

// Place is where Jobs run.
type Place struct {
	// Client writes Jobs.
	Client client.Client
	// Reader reads Jobs and pods from the API server, so that those of others are
	// not cached.
	Reader client.Reader
	// Namespace of all Jobs; empty is that of the run each.
	Namespace string
	// Elsewhere says that the Jobs run in another cluster than the runs.
	Elsewhere bool
}

// noImage are the reasons for which a container waits for its image for ever.
var noImage = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}

// NamespaceOf is the namespace of the Job of a measurement.
func (p Place) NamespaceOf(q analysis.Query) string { return cmp.Or(p.Namespace, q.Owner.Namespace) }

// Build makes the Job of a measurement, for this place.
func (p Place) Build(q analysis.Query) (*batchv1.Job, error) {
	namespace := p.NamespaceOf(q)
	return manifest.Of(q, namespace, !p.Elsewhere && namespace == q.Owner.Namespace)
}

// Create makes the Job of a measurement at the place; nil when it is there already.
func (p Place) Create(ctx context.Context, q analysis.Query) (*batchv1.Job, error) {
	job, err := p.Build(q)
	if err != nil {
		return nil, err
	}
	err = p.Client.Create(ctx, job)
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil, nil //nolint:nilnil // It was made before the measurement was stored.
	case err != nil:
		return nil, fmt.Errorf("creating job %s: %w", job.Name, err)
	}
	return job, nil
}

// Read reads the Job of a measurement. Its name follows from the measurement
// alone: users may write the status of a run, but not whose Jobs are ended.
func (p Place) Read(ctx context.Context, q analysis.Query) (*batchv1.Job, error) {
	var job batchv1.Job
	key := client.ObjectKey{Namespace: p.NamespaceOf(q), Name: manifest.Name(q)}
	if err := p.Reader.Get(ctx, key, &job); err != nil {
		return nil, fmt.Errorf("reading job %s: %w", key.Name, err)
	}
	if job.Labels[manifest.UIDLabel] != q.Owner.UID {
		return nil, fmt.Errorf("job %s belongs to somebody else", job.Name)
	}
	return &job, nil
}

// Tidy removes the Job that is too old to be kept. The measurement is under
// way, whatever comes of it: a Job that stays goes with the run.
func (p Place) Tidy(ctx context.Context, q analysis.Query) {
	if q.Number <= Kept {
		return
	}
	old := q
	old.Number -= Kept
	job, err := p.Read(ctx, old)
	if err == nil {
		err = p.Remove(ctx, job)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		log.FromContext(ctx).Error(err, "Removing an old Job failed",
			"namespace", q.Owner.Namespace, "name", q.Owner.Name, "metric", q.Metric.Name)
	}
}

// Stuck says why a pod of the Job cannot start; empty when none is stuck.
func (p Place) Stuck(ctx context.Context, job *batchv1.Job) (string, error) {
	if job.Status.Active == 0 {
		return "", nil
	}
	var pods corev1.PodList
	err := p.Reader.List(ctx, &pods, client.InNamespace(job.Namespace),
		client.MatchingLabels{batchv1.JobNameLabel: job.Name}, client.Limit(10))
	if err != nil {
		return "", fmt.Errorf("listing the pods of job %s: %w", job.Name, err)
	}
	for i := range pods.Items {
		for _, status := range pods.Items[i].Status.ContainerStatuses {
			if w := status.State.Waiting; w != nil && slices.Contains(noImage, w.Reason) {
				return fmt.Sprintf("container %s of job %s: %s: %s", status.Name, job.Name, w.Reason, w.Message), nil
			}
		}
	}
	return "", nil
}

// Remove deletes a Job that was read, and none that took its name since.
func (p Place) Remove(ctx context.Context, job *batchv1.Job) error {
	err := p.Client.Delete(ctx, job,
		client.Preconditions{UID: &job.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting job %s: %w", job.Name, err)
	}
	return nil
}
