package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
		v1alpha1.GroupVersion.WithKind("AnalysisRun"),
		appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		appsv1.SchemeGroupVersion.WithKind("Deployment"),
		corev1.SchemeGroupVersion.WithKind("Pod"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	return mapper
}

func (s session) reading(name string) attempt {
	return attempt{doing: fmt.Sprintf("reading rollout '%s'", name), verb: "get", resource: "rollouts.argoproj.io", namespace: s.namespace}
}

// rollout reads one rollout.
func (s session) rollout(ctx context.Context, name string) (*v1alpha1.Rollout, error) {
	var ro v1alpha1.Rollout
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &ro); err != nil {
		return nil, s.reading(name).failed(err)
	}
	return &ro, nil
}

// owned reads what a rollout owns, by labels. What cannot be read becomes a
// note: a person who may see rollouts but no pods still sees the rollout.
func (s session) owned(ctx context.Context, ro *v1alpha1.Rollout) view.Owned {
	var owned view.Owned
	note := func(what string, err error) {
		if err != nil {
			owned.Notes = append(owned.Notes, fmt.Sprintf("%s are not shown: %s", what, reason(err)))
		}
	}
	pods, err := selectorOf(ro)
	if err != nil {
		note("ReplicaSets and pods", err)
		return owned
	}
	in := client.InNamespace(ro.Namespace)
	var replicaSets appsv1.ReplicaSetList
	note("ReplicaSets", s.List(ctx, &replicaSets, in, client.MatchingLabelsSelector{Selector: pods}))
	owned.ReplicaSets = replicaSets.Items
	var podList corev1.PodList
	note("pods", s.List(ctx, &podList, in, client.MatchingLabelsSelector{Selector: pods}))
	owned.Pods = podList.Items
	hashes, ok := ofHashes(hashesOf(ro, owned.ReplicaSets))
	if !ok {
		return owned
	}
	var runs v1alpha1.AnalysisRunList
	note("AnalysisRuns", s.List(ctx, &runs, in, client.MatchingLabelsSelector{Selector: hashes}))
	owned.AnalysisRuns = runs.Items
	return owned
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
	slices.Sort(hashes)
	return slices.DeleteFunc(slices.Compact(hashes), func(h string) bool { return h == "" })
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
