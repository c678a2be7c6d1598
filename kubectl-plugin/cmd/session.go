package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// session is one cluster and the namespace of the command line.
type session struct {
	client.WithWatch
	namespace string
}

// connector makes sessions whose warnings from the API server go to warnings.
func connector(warnings io.Writer) func(*genericclioptions.ConfigFlags) (session, error) {
	return func(flags *genericclioptions.ConfigFlags) (session, error) {
		handler := rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
		return connect(flags, handler)
	}
}

// connect reads the kubeconfig. It sends nothing: the kinds are known, so no
// discovery is needed.
func connect(flags *genericclioptions.ConfigFlags, warnings rest.WarningHandler) (session, error) {
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return session{}, noConfig(err)
	}
	config, err := flags.ToRESTConfig()
	if err != nil {
		return session{}, noConfig(err)
	}
	config.WarningHandler, config.UserAgent = warnings, fieldManager
	scheme, err := newScheme()
	if err != nil {
		return session{}, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: kinds(scheme)})
	if err != nil {
		return session{}, fmt.Errorf("making a client: %w", err)
	}
	return session{WithWatch: c, namespace: namespace}, nil
}

func noConfig(err error) error {
	return &failure{
		code: ExitError, what: "there is no cluster to talk to", why: reason(err),
		next: "name one with --kubeconfig or --context; see: kubectl config get-contexts",
	}
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	return scheme, nil
}

// kinds maps the few kinds the plugin uses to their resources.
func kinds(scheme *runtime.Scheme) meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups())
	for _, kind := range []schema.GroupVersionKind{
		v1alpha1.GroupVersion.WithKind("Rollout"),
		v1alpha1.GroupVersion.WithKind("Experiment"),
		v1alpha1.GroupVersion.WithKind("AnalysisRun"),
		v1alpha1.GroupVersion.WithKind("AnalysisTemplate"),
		appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		appsv1.SchemeGroupVersion.WithKind("Deployment"),
		corev1.SchemeGroupVersion.WithKind("Pod"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	mapper.Add(v1alpha1.GroupVersion.WithKind("ClusterAnalysisTemplate"), meta.RESTScopeRoot)
	return mapper
}

// rollout reads one rollout.
func (s session) rollout(ctx context.Context, name string) (*v1alpha1.Rollout, error) {
	return rollouts.read(ctx, s, name)
}

// owned reads what a rollout owns, by labels. What cannot be read becomes a
// note: a person who may see rollouts but no pods still sees the rollout.
func (s session) owned(ctx context.Context, ro *v1alpha1.Rollout) view.Owned {
	g := gathering{session: s, namespace: ro.Namespace}
	selector, err := selectorOf(ro)
	if err != nil {
		g.note("ReplicaSets and pods", err)
		return g.owned
	}
	g.pods(ctx, selector)
	hashes, ok := ofHashes(hashesOf(ro, g.owned.ReplicaSets))
	if !ok {
		return g.owned
	}
	var found v1alpha1.AnalysisRunList
	g.note("AnalysisRuns", s.List(ctx, &found, client.InNamespace(ro.Namespace), client.MatchingLabelsSelector{Selector: hashes}))
	g.owned.AnalysisRuns = found.Items
	return g.owned
}

// ownedByExperiment reads what an experiment owns: its pods by the hashes and its runs by the names in its status.
func (s session) ownedByExperiment(ctx context.Context, e *v1alpha1.Experiment) view.Owned {
	g := gathering{session: s, namespace: e.Namespace}
	var hashes []string
	for i := range e.Status.TemplateStatuses {
		hashes = append(hashes, e.Status.TemplateStatuses[i].PodTemplateHash)
	}
	if selector, ok := ofHashes(sortedOnce(hashes)); ok {
		g.pods(ctx, selector)
	}
	for _, st := range e.Status.AnalysisRuns {
		if st.AnalysisRun == "" {
			continue
		}
		var run v1alpha1.AnalysisRun
		err := s.Get(ctx, client.ObjectKey{Namespace: e.Namespace, Name: st.AnalysisRun}, &run)
		switch {
		case err == nil:
			g.owned.AnalysisRuns = append(g.owned.AnalysisRuns, run)
		case !apierrors.IsNotFound(err): // One that was tidied up is shown as the status tells of it.
			g.note("details of AnalysisRun "+st.AnalysisRun, err)
		}
	}
	return g.owned
}

// gathering is what an object owns while it is being read.
type gathering struct {
	session
	namespace string
	owned     view.Owned
}

// note says what cannot be shown; nothing when there is no error.
func (g *gathering) note(what string, err error) {
	if err != nil {
		g.owned.Notes = append(g.owned.Notes, fmt.Sprintf("%s are not shown: %s", what, reason(err)))
	}
}

// pods reads ReplicaSets and pods by their labels.
func (g *gathering) pods(ctx context.Context, selector labels.Selector) {
	in, matching := client.InNamespace(g.namespace), client.MatchingLabelsSelector{Selector: selector}
	var replicaSets appsv1.ReplicaSetList
	g.note("ReplicaSets", g.List(ctx, &replicaSets, in, matching))
	var pods corev1.PodList
	g.note("pods", g.List(ctx, &pods, in, matching))
	g.owned.ReplicaSets, g.owned.Pods = replicaSets.Items, pods.Items
}

// selectorOf is the selector of the pods: that of the spec, else, for a
// workload reference, that of the status, else the known hashes.
func selectorOf(ro *v1alpha1.Rollout) (labels.Selector, error) {
	if ro.Spec.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(ro.Spec.Selector)
		if err != nil {
			return nil, fmt.Errorf("spec.selector: %w", err)
		}
		if !selector.Empty() {
			return selector, nil
		}
	}
	if ro.Status.Selector != "" {
		selector, err := labels.Parse(ro.Status.Selector)
		if err != nil {
			return nil, fmt.Errorf("status.selector: %w", err)
		}
		return selector, nil
	}
	if selector, ok := ofHashes(hashesOf(ro, nil)); ok {
		return selector, nil
	}
	return labels.Nothing(), nil
}

func hashesOf(ro *v1alpha1.Rollout, replicaSets []appsv1.ReplicaSet) []string {
	hashes := []string{ro.Status.CurrentPodHash, ro.Status.StableRS}
	for i := range replicaSets {
		if metav1.IsControlledBy(&replicaSets[i], ro) {
			hashes = append(hashes, replicaSets[i].Labels[v1alpha1.PodTemplateHashLabel])
		}
	}
	return sortedOnce(hashes)
}

// sortedOnce are the words that are not empty, each once.
func sortedOnce(words []string) []string {
	slices.Sort(words)
	return slices.DeleteFunc(slices.Compact(words), func(w string) bool { return w == "" })
}

// ofHashes selects objects of some revisions; ok is false without one.
func ofHashes(hashes []string) (selector labels.Selector, ok bool) {
	if len(hashes) == 0 {
		return nil, false
	}
	requirement, err := labels.NewRequirement(v1alpha1.PodTemplateHashLabel, selection.In, hashes)
	if err != nil {
		return nil, false
	}
	return labels.NewSelector().Add(*requirement), true
}
