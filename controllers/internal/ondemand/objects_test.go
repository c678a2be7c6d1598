package ondemand

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/test/kube"
)

func TestMain(m *testing.M) { os.Exit(kube.Main(m)) }

const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]ss.example.com}
spec:
  group: example.com
  names: {kind: %[2]s, plural: %[1]ss, singular: %[1]s, listKind: %[2]sList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func kindOf(name string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: name}
}

// scene is a client of the shared cluster, with the cache that it fills.
type scene struct {
	*Objects

	t       *testing.T
	cluster *kube.Cluster
	watches atomic.Int32
	heard   atomic.Int32
}

func newScene(t *testing.T, config func(*rest.Config)) *scene {
	t.Helper()
	s := &scene{t: t, cluster: kube.Shared(t)}
	cfg := rest.CopyConfig(s.cluster.Config)
	if config != nil {
		config(cfg)
	}
	direct, err := client.New(cfg, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	held, err := cache.New(cfg, cache.Options{Mapper: direct.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = held.Start(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	s.Objects = New(Options{
		Client: direct, Cache: held, Live: direct,
		Indexes:          map[string]func(metav1.Object) []string{"team": func(o metav1.Object) []string { return []string{o.GetLabels()["team"]} }},
		Watch:            func(schema.GroupVersionKind) error { s.watches.Add(1); return nil },
		WatchDefinitions: func() error { s.heard.Add(1); return nil },
		Now:              time.Now,
	})
	return s
}

func (s *scene) define(name, kind string) {
	s.t.Helper()
	if err := s.cluster.Apply(s.t.Context(), "", fmt.Appendf(nil, definition, name, kind)); err != nil {
		s.t.Fatal(err)
	}
	s.Welcome(schema.GroupResource{Group: "example.com", Resource: name + "s"})
}

func (s *scene) make(namespace, kind string) {
	s.t.Helper()
	obj := empty(kindOf(kind))
	obj.SetNamespace(namespace)
	obj.SetName("web")
	obj.SetLabels(map[string]string{"team": "shop"})
	kube.Eventually(s.t, 20*time.Second, func() error { return s.Create(s.t.Context(), obj.DeepCopy()) })
}

func (s *scene) get(namespace, kind string) error {
	return s.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: "web"}, empty(kindOf(kind)))
}

func (s *scene) matching(kind, team string) (int, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kindOf(kind + "List"))
	err := s.List(s.t.Context(), list, client.MatchingFields{"team": team})
	return len(list.Items), err
}

func TestAKindIsReadFromTheCacheOnceSomebodyAsksForIt(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	ns := s.cluster.Namespace(t)
	s.define("mesh", "Mesh")
	s.make(ns, "Mesh")
	if n, err := s.matching("Mesh", "shop"); n != 0 || err != nil || s.watches.Load() != 0 {
		t.Errorf("before anybody asked: %d objects, error %v, %d watches; want a list of what is known", n, err, s.watches.Load())
	}
	kube.Eventually(t, 20*time.Second, func() error { return s.get(ns, "Mesh") })
	if n, err := s.matching("Mesh", "shop"); n != 1 || err != nil {
		t.Errorf("%d objects, error %v, want one", n, err)
	}
	if n, err := s.matching("Mesh", "other"); n != 0 || err != nil {
		t.Errorf("%d objects of another team, error %v, want none", n, err)
	}
	if s.watches.Load() != 1 || s.heard.Load() != 1 {
		t.Errorf("%d watches of the kind and %d of definitions, want one each", s.watches.Load(), s.heard.Load())
	}
}

func TestUntilTheCacheIsFilledItIsBehind(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	ns := s.cluster.Namespace(t)
	s.define("slow", "Slow")
	s.make(ns, "Slow")
	if err := s.get(ns, "Slow"); err != nil && !errors.Is(err, ErrBehind) {
		t.Errorf("the first question: %v, want ErrBehind or an answer", err)
	}
}

func TestAKindThatComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	ns := s.cluster.Namespace(t)
	if err := s.get(ns, "Fleet"); !meta.IsNoMatchError(err) {
		t.Fatalf("before its definition: %v, want no match", err)
	}
	s.define("fleet", "Fleet")
	s.make(ns, "Fleet")
	kube.Eventually(t, 20*time.Second, func() error { return s.get(ns, "Fleet") })

	resource := schema.GroupResource{Group: "example.com", Resource: "fleets"}
	if !s.Drop(t.Context(), resource) {
		t.Error("nobody is said to have asked for it")
	}
	if err := s.get(ns, "Fleet"); !meta.IsNoMatchError(err) {
		t.Errorf("after its definition went: %v, want no match", err)
	}
	s.Welcome(resource)
	kube.Eventually(t, 20*time.Second, func() error { return s.get(ns, "Fleet") })
	if n, err := s.matching("Fleet", "shop"); n != 1 || err != nil {
		t.Errorf("after it came back: %d objects, error %v, want one", n, err)
	}
}

func TestAKindThatMayNotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *rest.Config) { c.Impersonate = rest.ImpersonationConfig{UserName: "nobody"} })
	s.define("secretmesh", "Secretmesh")
	kube.Eventually(t, 20*time.Second, func() error {
		if err := s.get("default", "Secretmesh"); !apierrors.IsForbidden(err) {
			return fmt.Errorf("%w, want forbidden", err)
		}
		return nil
	})
	if s.watches.Load() != 0 {
		t.Error("it is watched, and would be for ever")
	}
}

func TestAnotherNamespaceThanTheOnlyOneIsForbidden(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.options.Namespace = "shop"
	if err := s.get("bank", "Mesh"); !apierrors.IsForbidden(err) {
		t.Errorf("error %v, want forbidden", err)
	}
}

// asking counts how often the API server is asked for a kind.
type asking struct {
	meta.RESTMapper

	asked *int
}

func (a asking) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	*a.asked++
	return nil, &meta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions}
}

type mapped struct {
	client.Client

	mapper meta.RESTMapper
}

func (m mapped) RESTMapper() meta.RESTMapper { return m.mapper }

func TestAMissingKindIsLookedForOnceUntilItsDefinitionComes(t *testing.T) {
	t.Parallel()
	for name, heard := range map[string]bool{"where definitions are heard of": true, "where they are not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, now := 0, time.Unix(1_000_000, 0)
			options := Options{Client: mapped{mapper: asking{asked: &asked}}, Now: func() time.Time { return now }}
			if heard {
				options.WatchDefinitions = func() error { return nil }
			}
			o := New(options)
			look := func(want int, when string) {
				t.Helper()
				for range 3 {
					if _, err := o.RESTMapper().RESTMapping(kindOf("Mesh").GroupKind(), "v1"); !meta.IsNoMatchError(err) {
						t.Fatalf("%s: error %v", when, err)
					}
				}
				if asked != want {
					t.Errorf("%s it was looked for %d times, want %d", when, asked, want)
				}
			}
			look(1, "at first")
			now = now.Add(forgotten + time.Second)
			afterAWhile := 2
			if heard {
				afterAWhile = 1
			}
			look(afterAWhile, "after a while")
			o.Welcome(schema.GroupResource{Group: "example.com", Resource: "meshes"})
			look(afterAWhile+3, "just after its definition came")
			now = now.Add(unsettled + time.Second)
			look(afterAWhile+4, "later")
		})
	}
}

// silence is an API server that does not answer.
type silence struct {
	meta.RESTMapper

	asked *int
}

var errSilence = errors.New("no route to host")

func (s silence) RESTMapping(schema.GroupKind, ...string) (*meta.RESTMapping, error) {
	*s.asked++
	return nil, errSilence
}

// Whoever does not need a kind of a cluster that does not answer is not held up: it is asked once in a while.
func TestAClusterThatDoesNotAnswerServesNothingForAWhile(t *testing.T) {
	t.Parallel()
	asked, now := 0, time.Unix(1_000_000, 0)
	o := New(Options{
		Client: mapped{mapper: silence{asked: &asked}}, Now: func() time.Time { return now },
		WatchDefinitions: func() error { return nil },
	})
	for _, want := range []int{1, 1, 2} {
		_, err := o.RESTMapper().RESTMapping(kindOf("Mesh").GroupKind(), "v1")
		if !meta.IsNoMatchError(err) || !errors.Is(err, errSilence) {
			t.Errorf("error %v, want one that says both", err)
		}
		if asked != want {
			t.Errorf("asked %d times, want %d", asked, want)
		}
		now = now.Add(forgotten/2 + time.Second)
	}
}

// Without the right to hear of definitions a missing kind is looked for again after a while.
func TestWithoutTheRightToHearOfDefinitionsAMissIsForgotten(t *testing.T) {
	t.Parallel()
	asked, now := 0, time.Unix(1_000_000, 0)
	o := New(Options{
		Client: mapped{mapper: asking{asked: &asked}}, Now: func() time.Time { return now },
		WatchDefinitions: func() error { return errors.New("forbidden") },
	})
	for range 2 {
		_, _ = o.RESTMapper().RESTMapping(kindOf("Mesh").GroupKind(), "v1")
		now = now.Add(forgotten + time.Second)
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
}
