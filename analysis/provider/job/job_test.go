package job

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headway-rollouts/headway/analysis"
	"github.com/headway-rollouts/headway/analysis/provider/job/manifest"
	"github.com/headway-rollouts/headway/analysis/provider/job/place"
	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const uid = "0b1f5e6c-1111-4222-8333-123456789abc"

func query(t *testing.T, verb analysis.Verb, spec string) analysis.Query {
	t.Helper()
	metric := v1alpha1.Metric{Name: "pass", Provider: v1alpha1.MetricProvider{Job: &v1alpha1.JobMetric{
		Metadata: v1alpha1.JobMetadata{Labels: map[string]string{"team": "a"}},
	}}}
	if err := json.Unmarshal([]byte(spec), &metric.Provider.Job.Spec); err != nil {
		t.Fatal(err)
	}
	return analysis.Query{
		Verb: verb, Owner: analysis.Owner{Namespace: "ns", Name: "run", UID: uid}, Metric: metric, Number: 1, Now: noon,
	}
}

const spec = `{"backoffLimit":0,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}`

func read(t *testing.T, c client.Client, name string) *batchv1.Job {
	t.Helper()
	var job batchv1.Job
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: name}, &job); err != nil {
		t.Fatal(err)
	}
	return &job
}

func TestTakeMakesTheJobOnce(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	p := New(place.Place{Client: c, Reader: c})
	q := query(t, analysis.Take, spec)
	want := analysis.Reply{
		Phase:    v1alpha1.AnalysisPhaseRunning,
		Metadata: map[string]string{JobName: uid + ".pass.1", JobNamespace: "ns", Log: "kubectl logs -n ns job/" + uid + ".pass.1"},
		ResumeAt: noon.Add(time.Second),
	}
	if diff := cmp.Diff(want, p.Measure(t.Context(), q)); diff != "" {
		t.Error(diff)
	}
	job := read(t, c, uid+".pass.1")
	labels := map[string]string{"team": "a", manifest.UIDLabel: uid}
	annotations := map[string]string{manifest.NameAnnotation: "run", manifest.NamespaceAnnotation: "ns", manifest.MetricNameAnnotation: "pass"}
	if diff := cmp.Diff(labels, job.Labels) + cmp.Diff(annotations, job.Annotations); diff != "" {
		t.Error(diff)
	}
	if owner := metav1.GetControllerOf(job); owner == nil || owner.UID != uid || owner.Kind != "AnalysisRun" {
		t.Errorf("owner is %v", owner)
	}
	if got := p.Measure(t.Context(), q); got.Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("taken again it is %+v", got)
	}
}

func TestAJobMayRunInAnotherNamespaceOrCluster(t *testing.T) {
	for name, c := range map[string]struct {
		place     place.Place
		namespace string
		owned     bool
	}{
		"beside its run":       {place.Place{}, "ns", true},
		"in another namespace": {place.Place{Namespace: "jobs"}, "jobs", false},
		"in the same, by name": {place.Place{Namespace: "ns"}, "ns", true},
		"in another cluster":   {place.Place{Elsewhere: true}, "ns", false},
	} {
		job, err := c.place.Build(query(t, analysis.Take, spec))
		if err != nil {
			t.Fatal(err)
		}
		if owned := metav1.GetControllerOf(job) != nil; job.Namespace != c.namespace || owned != c.owned || (job.Spec.TTLSecondsAfterFinished == nil) != owned {
			t.Errorf("%s: in %s, owned %t, deleted after %v", name, job.Namespace, owned, job.Spec.TTLSecondsAfterFinished)
		}
	}
	own := query(t, analysis.Take, `{"ttlSecondsAfterFinished":60}`)
	if job, err := (place.Place{Namespace: "jobs"}).Build(own); err != nil || *job.Spec.TTLSecondsAfterFinished != 60 {
		t.Errorf("the time that the user gives is lost: %v %v", job.Spec.TTLSecondsAfterFinished, err)
	}
}

func TestResume(t *testing.T) {
	condition := func(kind batchv1.JobConditionType) batchv1.JobStatus {
		return batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Message: "why"}}}
	}
	waiting := func(reason string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: map[string]string{batchv1.JobNameLabel: uid + ".pass.1"}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "no"}},
			}}},
		}
	}
	cases := []struct {
		name    string
		status  batchv1.JobStatus
		pod     *corev1.Pod
		phase   v1alpha1.AnalysisPhase
		message string
	}{
		{"a complete Job is good", condition(batchv1.JobComplete), nil, v1alpha1.AnalysisPhaseSuccessful, ""},
		{"a failed Job is bad", condition(batchv1.JobFailed), nil, v1alpha1.AnalysisPhaseFailed, "why; its log: kubectl logs -n ns job/" + uid + ".pass.1"},
		{"a suspended Job goes on", condition(batchv1.JobSuspended), nil, v1alpha1.AnalysisPhaseRunning, ""},
		{"an active Job goes on", batchv1.JobStatus{Active: 1}, waiting("ContainerCreating"), v1alpha1.AnalysisPhaseRunning, ""},
		{"a Job without its image is inconclusive", batchv1.JobStatus{Active: 1}, waiting("ImagePullBackOff"), v1alpha1.AnalysisPhaseInconclusive, "container c of job " + uid + ".pass.1: ImagePullBackOff: no"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := query(t, analysis.Resume, spec)
			job, err := place.Place{}.Build(q)
			if err != nil {
				t.Fatal(err)
			}
			job.CreationTimestamp = metav1.NewTime(noon.Add(-time.Minute))
			job.Status = c.status
			objects := []client.Object{job}
			if c.pod != nil {
				objects = append(objects, c.pod)
			}
			cl := fake.NewClientBuilder().WithObjects(objects...).Build()
			got := New(place.Place{Client: cl, Reader: cl}).Measure(t.Context(), q)
			if got.Phase != c.phase || got.Message != c.message {
				t.Errorf("got %+v", got)
			}
			if c.phase == v1alpha1.AnalysisPhaseRunning && !got.ResumeAt.Equal(noon.Add(6*time.Second)) {
				t.Errorf("resumes at %s", got.ResumeAt)
			}
		})
	}
}

func TestTerminateDeletesTheJob(t *testing.T) {
	q := query(t, analysis.Terminate, spec)
	job, err := place.Place{}.Build(q)
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithObjects(job).Build()
	for range 2 {
		if got := New(place.Place{Client: c, Reader: c}).Measure(t.Context(), q); got.Phase != v1alpha1.AnalysisPhaseInconclusive {
			t.Errorf("got %+v", got)
		}
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), job); !apierrors.IsNotFound(err) {
		t.Errorf("the Job is still there: %v", err)
	}
}

func TestJobsOfOthersAreLeftAlone(t *testing.T) {
	own := query(t, analysis.Terminate, spec)
	job, err := place.Place{}.Build(own)
	if err != nil {
		t.Fatal(err)
	}
	job.UID = "job-1"
	named := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "nightly-backup"}}
	taken := job.DeepCopy()
	taken.Labels[manifest.UIDLabel] = "another-run"
	misled := own
	misled.UnderWay = &v1alpha1.Measurement{Phase: v1alpha1.AnalysisPhaseRunning, Metadata: map[string]string{JobName: named.Name}}
	late := query(t, analysis.Take, spec)
	late.Number = place.Kept + 1
	cases := []struct {
		name  string
		query analysis.Query
		job   *batchv1.Job
		stays bool
	}{
		{"one that the status names", misled, named, true},
		{"one that has the name of ours", own, taken, true},
		{"one that has the name of an old one of ours", late, taken, true},
		{"ours is ended", own, job, false},
		{"an old one of ours is tidied away", late, job, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cl := fake.NewClientBuilder().WithObjects(c.job.DeepCopy()).Build()
			New(place.Place{Client: cl, Reader: cl}).Measure(t.Context(), c.query)
			err := cl.Get(t.Context(), client.ObjectKeyFromObject(c.job), &batchv1.Job{})
			if client.IgnoreNotFound(err) != nil || (err == nil) != c.stays {
				t.Errorf("the Job stays is %v, want %v (%v)", err == nil, c.stays, err)
			}
		})
	}
}

func TestAJobThatTookTheNameMeanwhileIsLeftAlone(t *testing.T) {
	q := query(t, analysis.Terminate, spec)
	job, err := place.Place{}.Build(q)
	if err != nil {
		t.Fatal(err)
	}
	job.UID = "job-1"
	var seen *types.UID
	c := interceptor.NewClient(fake.NewClientBuilder().WithObjects(job).Build(), interceptor.Funcs{
		Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, opts ...client.DeleteOption) error {
			seen = (&client.DeleteOptions{}).ApplyOptions(opts).Preconditions.UID
			return apierrors.NewConflict(batchv1.Resource("jobs"), job.Name, errors.New("the UID is another"))
		},
	})
	if got := New(place.Place{Client: c, Reader: c}).Measure(t.Context(), q); got.Phase != v1alpha1.AnalysisPhaseError {
		t.Errorf("got %+v", got)
	}
	if seen == nil || *seen != "job-1" {
		t.Errorf("deleted whatever its UID is: %v", seen)
	}
}

func TestAFailedTidyLosesNoMeasurement(t *testing.T) {
	old, err := place.Place{}.Build(query(t, analysis.Take, spec))
	if err != nil {
		t.Fatal(err)
	}
	tried := false
	c := interceptor.NewClient(fake.NewClientBuilder().WithObjects(old).Build(), interceptor.Funcs{
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			tried = true
			return errors.New("etcdserver: request timed out")
		},
	})
	q := query(t, analysis.Take, spec)
	q.Number = place.Kept + 1
	if got := New(place.Place{Client: c, Reader: c}).Measure(t.Context(), q); got.Phase != v1alpha1.AnalysisPhaseRunning {
		t.Errorf("the Job runs, but the measurement is %+v", got)
	}
	if !tried {
		t.Error("nothing was tidied")
	}
}

func TestWhatCannotBeMeasured(t *testing.T) {
	foreign := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: uid + ".pass.1"}}
	cases := []struct {
		name, spec string
		verb       analysis.Verb
		objects    []client.Object
		want       string
	}{
		{"a malformed spec", `{"template":3}`, analysis.Take, nil, "not a Job spec"},
		{"a Job that is gone", spec, analysis.Resume, nil, "not found"},
		{"a Job of somebody else", spec, analysis.Take, []client.Object{foreign}, "belongs to somebody else"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cl := fake.NewClientBuilder().WithObjects(c.objects...).Build()
			got := New(place.Place{Client: cl, Reader: cl}).Measure(t.Context(), query(t, c.verb, c.spec))
			if got.Phase != v1alpha1.AnalysisPhaseError || !strings.Contains(got.Message, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}

func TestOldJobsAreRemoved(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	p := New(place.Place{Client: c, Reader: c})
	for n := range int32(12) {
		q := query(t, analysis.Take, spec)
		q.Number = n + 1
		p.Measure(t.Context(), q)
	}
	var jobs batchv1.JobList
	if err := c.List(t.Context(), &jobs); err != nil || len(jobs.Items) != place.Kept {
		t.Errorf("%d jobs, %v", len(jobs.Items), err)
	}
}
