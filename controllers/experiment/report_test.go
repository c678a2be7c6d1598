package experiment

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/controllers/experiment/plan"
)

func TestWhichStatusesMayWaitForCompany(t *testing.T) {
	status := func() *v1alpha1.ExperimentStatus {
		return &v1alpha1.ExperimentStatus{
			Phase:            v1alpha1.AnalysisPhasePending,
			TemplateStatuses: []v1alpha1.TemplateStatus{{Name: "purple", Status: v1alpha1.TemplateStatusProgressing}},
		}
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.ExperimentStatus)
		waits  bool
	}{
		"pods were counted": {func(st *v1alpha1.ExperimentStatus) {
			st.TemplateStatuses[0].Replicas, st.TemplateStatuses[0].LastTransitionTime = 1, &metav1.Time{Time: time.Unix(1, 0)}
		}, true},
		"pods are all there":       {func(st *v1alpha1.ExperimentStatus) { st.TemplateStatuses[0].Status = v1alpha1.TemplateStatusRunning }, false},
		"a Service is there":       {func(st *v1alpha1.ExperimentStatus) { st.TemplateStatuses[0].ServiceName = "shop" }, false},
		"something was refused":    {func(st *v1alpha1.ExperimentStatus) { st.TemplateStatuses[0].Message = "quota" }, false},
		"the phase changed":        {func(st *v1alpha1.ExperimentStatus) { st.Phase = v1alpha1.AnalysisPhaseRunning }, false},
		"an analysis was recorded": {func(st *v1alpha1.ExperimentStatus) { st.AnalysisRuns = make([]v1alpha1.ExperimentAnalysisRunStatus, 1) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			to := status()
			c.change(to)
			if waits := onlyCounts(status(), to); waits != c.waits {
				t.Errorf("it may wait: %t, want %t", waits, c.waits)
			}
		})
	}
}

func TestWhatIsToldOfARefusal(t *testing.T) {
	sets := schema.GroupResource{Group: "apps", Resource: "replicasets"}
	why := errors.New("because")
	create, start := plan.CreateSet{Template: "purple"}, plan.StartAnalysis{Analysis: "load"}
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, "ab", nil)
	for name, c := range map[string]struct {
		action         plan.Action
		err            error
		refused, final bool
	}{
		"a quota may pass":                      {create, apierrors.NewForbidden(sets, "ab", why), true, false},
		"a name may become free":                {plan.CreateService{Template: "purple"}, apierrors.NewAlreadyExists(sets, "ab"), true, false},
		"a pod template stays wrong":            {create, invalid, true, true},
		"no deadline ends a missing analysis":   {start, apierrors.NewForbidden(sets, "ab", why), true, true},
		"an API server that is away is no no":   {start, apierrors.NewServiceUnavailable("busy"), false, true},
		"a conflict is no no":                   {create, apierrors.NewConflict(sets, "ab", why), false, false},
		"nobody asked for a scale":              {plan.Scale{Set: "ab-purple"}, apierrors.NewForbidden(sets, "ab", why), false, false},
		"a broken connection is an error of us": {create, why, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			refusal, refused := refusalOf(c.action, c.err)
			if refused != c.refused || refused && refusal.Final != c.final {
				t.Errorf("refused %t, %+v", refused, refusal)
			}
		})
	}
}

func TestAVerdictIsToldOnTheRolloutToo(t *testing.T) {
	recorder := record.NewFakeRecorder(10)
	recorder.IncludeObject = true
	r := New(Options{Recorder: recorder})
	e := &v1alpha1.Experiment{ObjectMeta: metav1.ObjectMeta{Name: "ab", Namespace: "shop"}}
	verdict := plan.Event{Type: corev1.EventTypeWarning, Reason: "AnalysisRunFailed", Message: "Analysis load is Failed", Rollout: true}
	count := func() int {
		n := len(recorder.Events)
		for range n {
			<-recorder.Events
		}
		return n
	}
	r.emit(e, verdict)
	if n := count(); n != 1 {
		t.Errorf("%d Events without a Rollout, want 1", n)
	}
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "1"}}
	e.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1alpha1.RolloutKind)}
	r.emit(e, verdict)
	if n := count(); n != 2 {
		t.Errorf("%d Events with a Rollout, want 2", n)
	}
	r.emit(e, plan.Event{Type: corev1.EventTypeNormal, Reason: "ExperimentRunning"})
	if n := count(); n != 1 {
		t.Errorf("%d Events about what is the Experiment's own, want 1", n)
	}
}
