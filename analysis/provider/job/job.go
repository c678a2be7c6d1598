// Package job measures by running a Kubernetes Job: the measurement is good
// when the Job completes and bad when it fails. It is asked by the controller
// of AnalysisRuns; it knows nothing of runs but who owns the Jobs.
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

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/job/manifest"
	"github.com/headway-rollouts/headway/analysis/provider/job/place"
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

// Place is where Jobs run.
type Place = place.Place

// Provider measures by running Jobs.
type Provider struct{ place Place }

// New makes a provider whose Jobs run at a place.
func New(at Place) *Provider {
	return &Provider{place: at}
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
	job, err := p.place.Create(ctx, q)
	switch {
	case err != nil:
		return analysis.Reply{}, err
	case job == nil:
		return p.look(ctx, q)
	}
	p.place.Tidy(ctx, q)
	return running(job, q, q.Now), nil
}

func (p *Provider) look(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	job, err := p.place.Read(ctx, q)
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
	stuck, err := p.place.Stuck(ctx, job)
	switch {
	case err != nil:
		return analysis.Reply{}, err
	case stuck == "":
		return running(job, q, job.CreationTimestamp.Time), nil
	}
	// The Job would wait for its image for ever, and says nothing of the canary.
	if err := p.place.Remove(ctx, job); err != nil {
		return analysis.Reply{}, err
	}
	return ended(job, v1alpha1.AnalysisPhaseInconclusive, stuck), nil
}

func (p *Provider) end(ctx context.Context, q analysis.Query) (analysis.Reply, error) {
	job, err := p.place.Read(ctx, q)
	switch {
	case apierrors.IsNotFound(err):
		job = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: p.place.NamespaceOf(q), Name: manifest.Name(q)}}
	case err != nil:
		return analysis.Reply{}, err
	default:
		if err := p.place.Remove(ctx, job); err != nil {
			return analysis.Reply{}, err
		}
	}
	return ended(job, v1alpha1.AnalysisPhaseInconclusive, "the job was terminated with the run"), nil
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
