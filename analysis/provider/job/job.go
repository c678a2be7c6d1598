package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Keys of the metadata of a measurement. They are served API.
const (
	JobName      = "job-name"
	JobNamespace = "job-namespace"
	// Log is the command that shows the log of the Job's pods. It is an addition
	// of Headway.
	Log = "log"
)

// kept is how many Jobs of a metric are kept for a look at their logs.
const kept = 10

// Provider measures by running Jobs.
type Provider struct {
	place Place
}

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

// New makes a provider whose Jobs run at a place.
func New(place Place) *Provider {
	return &Provider{place: place}
}

// Measure starts the Job of a measurement, looks at it, or ends it.
func (p *Provider) Measure(ctx context.Context, q analysis.Query) analysis.Reply {
	if q.Metric.Provider.Job == nil {
		return analysis.Failure(errors.New("the metric has no job"))
	}
	reply, err := p.measure(ctx, q)
	if err != nil {
		return analysis.Failure(err)
	}
	return reply
}

func (p *Provider) measure(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	switch q.Verb {
	case analysis.Take:
		return p.start(ctx, q)
	case analysis.Resume:
		return p.look(ctx, q)
	case analysis.Terminate:
		return p.end(ctx, q)
	}
	return analysis.Reply{}, fmt.Errorf("unknown verb %q", q.Verb)
}

// start makes the Job. One that is there already was made by us, before the
// measurement was stored.
func (p *Provider) start(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	job, err := p.build(q)
	if err != nil {
		return analysis.Reply{}, err
	}
	if err := p.place.Client.Create(ctx, job); err != nil {
		if !apierrors.IsAlreadyExists(err) {
			return analysis.Reply{}, fmt.Errorf("creating job %s: %w", job.Name, err)
		}
		return p.look(ctx, q)
	}
	p.tidy(ctx, q)
	return running(job, q, q.Now), nil
}

// tidy removes the Job that is too old to be kept. The measurement is under
// way, whatever comes of it: a Job that stays goes with the run.
func (p *Provider) tidy(ctx context.Context, q analysis.Query) {
	if q.Number <= kept {
		return
	}
	old := q
	old.Number -= kept
	job, err := p.read(ctx, old)
	if err == nil {
		err = p.remove(ctx, job)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		log.FromContext(ctx).Error(err, "Removing an old Job failed",
			"namespace", q.Owner.Namespace, "name", q.Owner.Name, "metric", q.Metric.Name)
	}
}

// read reads the Job of a measurement. Its name follows from the measurement
// alone: users may write the status of a run, but not whose Jobs are ended.
func (p *Provider) read(ctx context.Context, q analysis.Query) (*batchv1.Job, error) {
	var job batchv1.Job
	key := client.ObjectKey{Namespace: p.place.of(q), Name: jobName(q.Owner.UID, q.Metric.Name, q.Number)}
	if err := p.place.Reader.Get(ctx, key, &job); err != nil {
		return nil, fmt.Errorf("reading job %s: %w", key.Name, err)
	}
	if job.Labels[UIDLabel] != q.Owner.UID {
		return nil, fmt.Errorf("job %s belongs to somebody else", job.Name)
	}
	return &job, nil
}

func (p *Provider) look(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	job, err := p.read(ctx, q)
	if err != nil {
		return analysis.Reply{}, err
	}
	for _, condition := range job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type { //nolint:exhaustive // All other conditions are not final.
		case batchv1.JobComplete:
			return ended(job, v1alpha1.AnalysisPhaseSuccessful, ""), nil
		case batchv1.JobFailed:
			return ended(job, v1alpha1.AnalysisPhaseFailed, toldBy(job, condition.Message)), nil
		}
	}
	stuck, err := p.stuck(ctx, job)
	if err != nil {
		return analysis.Reply{}, err
	}
	if stuck == "" {
		return running(job, q, job.CreationTimestamp.Time), nil
	}
	// The Job would wait for its image for ever, and says nothing of the canary.
	if err := p.remove(ctx, job); err != nil {
		return analysis.Reply{}, err
	}
	return ended(job, v1alpha1.AnalysisPhaseInconclusive, stuck), nil
}

// stuck says why a pod of the Job cannot start; empty when none is stuck.
func (p *Provider) stuck(ctx context.Context, job *batchv1.Job) (string, error) {
	if job.Status.Active == 0 {
		return "", nil
	}
	var pods corev1.PodList
	err := p.place.Reader.List(ctx, &pods, client.InNamespace(job.Namespace),
		client.MatchingLabels{batchv1.JobNameLabel: job.Name}, client.Limit(10))
	if err != nil {
		return "", fmt.Errorf("listing the pods of job %s: %w", job.Name, err)
	}
	for i := range pods.Items {
		for _, status := range pods.Items[i].Status.ContainerStatuses {
			if w := status.State.Waiting; w != nil && noImage(w.Reason) {
				return fmt.Sprintf("container %s of job %s: %s: %s", status.Name, job.Name, w.Reason, w.Message), nil
			}
		}
	}
	return "", nil
}

func noImage(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName":
		return true
	default:
		return false
	}
}

func (p *Provider) end(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	job, err := p.read(ctx, q)
	switch {
	case apierrors.IsNotFound(err):
		job = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: p.place.of(q), Name: jobName(q.Owner.UID, q.Metric.Name, q.Number),
		}}
	case err != nil:
		return analysis.Reply{}, err
	default:
		if err := p.remove(ctx, job); err != nil {
			return analysis.Reply{}, err
		}
	}
	return ended(job, v1alpha1.AnalysisPhaseInconclusive, "the job was terminated with the run"), nil
}

// remove deletes a Job that was read, and none that took its name since.
func (p *Provider) remove(ctx context.Context, job *batchv1.Job) error {
	err := p.place.Client.Delete(ctx, job,
		client.Preconditions{UID: &job.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting job %s: %w", job.Name, err)
	}
	return nil
}

// running is the reply for a Job that goes on. A young Job is looked at every
// second, an old one after a tenth of its age.
func running(job *batchv1.Job, q analysis.Query, since time.Time) analysis.Reply {
	wait := min(max(q.Now.Sub(since)/10, time.Second), 30*time.Second)
	return analysis.Reply{Phase: v1alpha1.AnalysisPhaseRunning, Metadata: metadata(job), ResumeAt: q.Now.Add(wait)}
}

func ended(job *batchv1.Job, phase v1alpha1.AnalysisPhase, message string) analysis.Reply {
	return analysis.Reply{Phase: phase, Message: message, Metadata: metadata(job)}
}

func metadata(job *batchv1.Job) map[string]string {
	return map[string]string{JobName: job.Name, JobNamespace: job.Namespace, Log: logOf(job)}
}

// toldBy says why a Job failed, and where to read on.
func toldBy(job *batchv1.Job, why string) string {
	return strings.TrimPrefix(fmt.Sprintf("%s; its log: %s", why, logOf(job)), "; ")
}

func logOf(job *batchv1.Job) string {
	return fmt.Sprintf("kubectl logs -n %s job/%s", job.Namespace, job.Name)
}
