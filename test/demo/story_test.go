package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// moment is what a controller has made of a release: what the story sees of it.
type moment struct {
	weight   string
	measured string // the value of a measurement, empty for none
	stable   bool   // the release is stable
	aborted  bool
}

// Controllers, by what they make of each release.
var (
	promoted   = []moment{{weight: "10"}, {weight: "10", measured: "[0.998]"}, {weight: "50"}, {weight: "0", stable: true}}
	rolledBack = []moment{{weight: "10"}, {weight: "10", measured: "[0.7]"}, {weight: "0", aborted: true}}
	jumped     = []moment{{weight: "50"}, {weight: "50", measured: "[0.998]"}, {weight: "0", stable: true}}
	ignored    = []moment{}
)

func TestStory(t *testing.T) {
	for _, c := range []struct {
		name      string
		good, bad []moment
		why       string
		err       string
		tells     []string
	}{
		{
			"the whole story is told", promoted, rolledBack, "success-rate 0.7, needs 0.95", "",
			[]string{
				"shop/cart 2.7.4 is healthy and gets 120 requests a second",
				"$ kubectl rollouts set image cart cart=shop/cart:2.8.0 -n shop",
				"weight      10 %", "measured   success-rate 0.998, wants result[0] >= 0.95 ✔", "weight      50 %", "weight     100 %",
				"✔ 2.8.0 is promoted by its measurements",
				"weight      10 %", "measured   success-rate 0.700, wants result[0] >= 0.95 ✖", "weight       0 %",
				"✖ 2.9.0 is rolled back by itself",
				"$ kubectl rollouts why cart -n shop", "    success-rate 0.7, needs 0.95",
				"$ kubectl rollouts get rollout cart -n shop", "    cart 2.9.0 Degraded",
			},
		},
		{"a release that nothing happens to is an error", ignored, rolledBack, "", "it took longer than 2s", nil},
		{"a release that jumps is an error", jumped, rolledBack, "", "the weights were [50 100] %", nil},
		{"a good release that is rolled back is an error", rolledBack, rolledBack, "", "good release is promoted by its measurements: the weights were [10 0] %", nil},
		{"a bad release that is promoted is an error", promoted, promoted, "", "the weights were [10 50 100] %", nil},
		{"an answer without the number is an error", promoted, rolledBack, "no idea", `does not mention "success-rate"`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stand := newFakeStage(t, map[string][]moment{"2.8.0": c.good, "2.9.0": c.bad}, c.why)
			err := stand.story().tell(t.Context())
			matches(t, "tell", err, c.err)
			inOrder(t, stand.out.String(), c.tells)
		})
	}
}

func TestStoryEndsWithItsController(t *testing.T) {
	stand := newFakeStage(t, map[string][]moment{"2.8.0": ignored}, "")
	s := stand.story()
	s.broken = func() error { return fmt.Errorf("the controller ended") }
	matches(t, "tell", s.tell(t.Context()), "the controller ended")
}

// inOrder checks that the lines are in the text, one after the other.
func inOrder(t *testing.T, text string, lines []string) {
	t.Helper()
	rest := text
	for _, line := range lines {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("%q is not there, or not in order:\n%s", line, text)
		}
		rest = after
	}
}

// fakeStage has objects that a script moves instead of a controller. It goes on
// to the next moment once the story has told of the one before.
type fakeStage struct {
	t       *testing.T
	client  client.Client
	scripts map[string][]moment
	why     string
	out     *lockedBuffer
	hashes  map[string]string
	stable  string
	play    sync.WaitGroup
}

func newFakeStage(t *testing.T, scripts map[string][]moment, why string) *fakeStage {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var ro v1alpha1.Rollout
	if err := yaml.Unmarshal(bytes.Split(cartYAML, []byte("---\n"))[0], &ro); err != nil {
		t.Fatal(err)
	}
	ro.Namespace = namespace
	ro.Status = v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutPhaseHealthy, ObservedGeneration: "0", StableRS: "a", CurrentPodHash: "a"}
	routes := objects{ingresses("cart-stable", "0"), services("a", "a"), []appsv1.ReplicaSet{replicaSet("a", "2.7.4", 4), replicaSet("b", "2.8.0", 4), replicaSet("c", "2.9.0", 4)}}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&ro)
	for i := range routes.Ingresses {
		builder.WithObjects(&routes.Ingresses[i])
	}
	for i := range routes.Services {
		builder.WithObjects(&routes.Services[i])
	}
	for i := range routes.ReplicaSets {
		builder.WithObjects(&routes.ReplicaSets[i])
	}
	f := &fakeStage{
		t: t, client: builder.Build(), scripts: scripts, why: why, out: &lockedBuffer{},
		hashes: map[string]string{"2.7.4": "a", "2.8.0": "b", "2.9.0": "c"}, stable: "a",
	}
	t.Cleanup(f.play.Wait)
	return f
}

func (f *fakeStage) story() *story {
	app := &application{reader: f.client, traffic: traffic{}}
	on := &screen{out: f.out}
	on.start()
	return &story{
		screen: on, reader: f.client, app: app, limit: 2 * time.Second, plugin: f.plugin,
		users:  func() { go app.run(f.t.Context()) },
		broken: func() error { return nil },
	}
}

// plugin answers as kubectl-rollouts does.
func (f *fakeStage) plugin(ctx context.Context, args ...string) (string, error) {
	switch args[0] {
	case "why":
		return f.why + "\n", nil
	case "get":
		return "cart 2.9.0 Degraded\n", nil
	}
	_, tag, _ := strings.Cut(args[3], ":")
	f.change(ctx, func(ro *v1alpha1.Rollout) {
		ro.Spec.Template.Spec.Containers[0].Image = "shop/cart:" + tag
		ro.Status = v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutPhaseProgressing, ObservedGeneration: "0", StableRS: f.stable, CurrentPodHash: f.hashes[tag]}
	})
	f.point(ctx, 1, f.hashes[tag])
	f.play.Go(func() { f.perform(ctx, tag) })
	return "image updated\n", nil
}

// perform plays the script of a release.
func (f *fakeStage) perform(ctx context.Context, tag string) {
	for _, m := range f.scripts[tag] {
		told := f.out.lines()
		if m.measured != "" {
			f.measure(ctx, tag, m.measured)
		}
		if m.stable {
			f.stable = f.hashes[tag]
			f.point(ctx, 0, f.stable)
		}
		f.weigh(ctx, m.weight)
		f.change(ctx, func(ro *v1alpha1.Rollout) { m.mark(ro) })
		for f.out.lines() == told && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
}

// mark says in the status what happened.
func (m moment) mark(ro *v1alpha1.Rollout) {
	switch {
	case m.stable:
		ro.Status.StableRS, ro.Status.Phase = ro.Status.CurrentPodHash, v1alpha1.RolloutPhaseHealthy
	case m.aborted:
		ro.Status.Abort, ro.Status.Phase = true, v1alpha1.RolloutPhaseDegraded
	}
}

func (f *fakeStage) change(ctx context.Context, edit func(*v1alpha1.Rollout)) {
	var ro v1alpha1.Rollout
	f.do(ctx, f.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &ro))
	edit(&ro)
	f.do(ctx, f.client.Update(ctx, &ro))
}

// point makes the stable (0) or the canary (1) Service select a hash.
func (f *fakeStage) point(ctx context.Context, which int, hash string) {
	f.do(ctx, f.client.Patch(ctx, &services(hash, hash)[which], client.Merge))
}

func (f *fakeStage) weigh(ctx context.Context, weight string) {
	f.do(ctx, f.client.Patch(ctx, &ingresses("cart-stable", weight)[1], client.Merge))
}

func (f *fakeStage) measure(ctx context.Context, tag, value string) {
	phase := v1alpha1.AnalysisPhaseSuccessful
	if value < "[0.95]" {
		phase = v1alpha1.AnalysisPhaseFailed
	}
	hash := f.hashes[tag]
	f.do(ctx, f.client.Create(ctx, &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cart-" + hash, Labels: map[string]string{v1alpha1.PodTemplateHashLabel: hash}},
		Spec:       v1alpha1.AnalysisRunSpec{Metrics: []v1alpha1.Metric{{Name: "success-rate", SuccessCondition: "result[0] >= 0.95"}}},
		Status: v1alpha1.AnalysisRunStatus{MetricResults: []v1alpha1.MetricResult{{
			Name: "success-rate", Measurements: []v1alpha1.Measurement{{Phase: phase, Value: value}},
		}}},
	}))
}

func (f *fakeStage) do(ctx context.Context, err error) {
	f.t.Helper()
	if err != nil && ctx.Err() == nil {
		f.t.Error(err)
	}
}

// lockedBuffer is written by the story while the script counts its lines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) lines() int { return strings.Count(b.String(), "\n") }
