package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// cacheOptions keeps the caches small: what is not ours, or is never read, is not held. An empty
// namespace is all of them.
func cacheOptions(o *options, namespace string) (cache.Options, error) {
	ours, err := instanceSelector(o.instanceID)
	if err != nil {
		return cache.Options{}, err
	}
	hashed, err := requirement(v1alpha1.PodTemplateHashLabel, selection.Exists)
	if err != nil {
		return cache.Options{}, err
	}
	resync := o.resync() // The Rollout controller keeps its own time, beside the pauses it waits for.
	opts := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.Rollout{}:                 {Label: ours},
			&v1alpha1.AnalysisRun{}:             {Label: ours, SyncPeriod: &resync},
			&v1alpha1.Experiment{}:              {Label: ours},
			&v1alpha1.AnalysisTemplate{}:        {Label: ours},
			&v1alpha1.ClusterAnalysisTemplate{}: {Label: ours},
			&appsv1.ReplicaSet{}:                {Label: hashed},
			&corev1.Pod{}:                       {Label: hashed},
			&corev1.Service{}:                   {Transform: stripStatus},
			&networkingv1.Ingress{}:             {Transform: ingressTransform(o)},
		},
	}
	if namespace != "" {
		opts.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return opts, nil
}

// sightOptions are those of a second cache, which holds no bodies at all: that of the workloads that
// Rollouts take their template from. It is apart because the first has ReplicaSets by their label alone.
// It watches nothing until a Rollout refers to a workload.
func sightOptions(namespace string) cache.Options {
	opts := cache.Options{DefaultTransform: sightOnly}
	if namespace != "" {
		opts.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return opts
}

// sightOnly leaves of an object's metadata what tells whether it is another one by now.
func sightOnly(obj any) (any, error) {
	if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
		o.ObjectMeta = metav1.ObjectMeta{
			Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, Generation: o.Generation,
		}
	}
	return obj, nil
}

// uncached is read from the API server each time: Secrets so that no list of them is needed or
// held, ConfigMaps because there may be many and none is ours.
func uncached(o *options) []client.Object {
	objects := []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}
	if o.namespaced {
		// One namespace's rights do not reach objects of the cluster: a read is refused with a
		// sentence, where an informer would retry for ever.
		objects = append(objects, &v1alpha1.ClusterAnalysisTemplate{})
	}
	return objects
}

// warmed are the kinds whose caches are filled before the process is ready, leader or not.
func warmed(o *options) []client.Object {
	objects := []client.Object{&v1alpha1.AnalysisRun{}}
	if !o.runsRollouts() {
		return objects
	}
	objects = append(objects,
		&v1alpha1.Rollout{}, &v1alpha1.Experiment{}, &v1alpha1.AnalysisTemplate{}, &appsv1.ReplicaSet{}, &corev1.Service{}, &networkingv1.Ingress{})
	if !o.namespaced {
		objects = append(objects, &v1alpha1.ClusterAnalysisTemplate{})
	}
	return objects
}

// instanceSelector selects the objects of this instance; without an id those that name none.
func instanceSelector(id string) (labels.Selector, error) {
	if id == "" {
		return requirement(v1alpha1.InstanceIDLabel, selection.DoesNotExist)
	}
	return requirement(v1alpha1.InstanceIDLabel, selection.Equals, id)
}

func requirement(key string, op selection.Operator, values ...string) (labels.Selector, error) {
	r, err := labels.NewRequirement(key, op, values)
	if err != nil {
		return nil, fmt.Errorf("selecting by label %s: %w", key, err)
	}
	return labels.NewSelector().Add(*r), nil
}

// ingressTransform keeps the names of load balancers only where they are asked what they serve.
func ingressTransform(o *options) toolscache.TransformFunc {
	if o.verifyTargets {
		return cache.TransformStripManagedFields()
	}
	return stripStatus
}

// stripStatus leaves out what a load balancer reports, beside what is left out of every object.
func stripStatus(obj any) (any, error) {
	switch o := obj.(type) {
	case *corev1.Service:
		o.Status = corev1.ServiceStatus{}
	case *networkingv1.Ingress:
		o.Status = networkingv1.IngressStatus{}
	case toolscache.DeletedFinalStateUnknown:
		return obj, nil
	}
	return cache.TransformStripManagedFields()(obj)
}
