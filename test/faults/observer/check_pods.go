package observer

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// growth is S4: nobody grows above what was asked for.
func (c *checker) growth(was, is state) {
	if c.at.Kind != ReplicaSet {
		return
	}
	for hash, rs := range is.owned() {
		most := is.replicas()
		if rs.Annotations[v1alpha1.RestartSpareAnnotation] != "" {
			most = max(most, 2) // The successor of an only pod.
		}
		if before, now := size(was.owned()[hash]), size(rs); now > before && now > most {
			c.say("%s grew from %d to %d of %d pods", hash, before, now, is.replicas())
		}
	}
}

// shrinking is S6: nobody is shrunk below what the traffic needs, and the stable
// revision stays whole unless dynamicStableScale lets it follow its traffic.
func (c *checker) shrinking(was, is state) {
	if c.at.Kind != ReplicaSet {
		return
	}
	after := is.owned()
	for hash, rs := range was.owned() {
		before, now, need := size(rs), size(after[hash]), is.needs(is.serves(hash))
		switch {
		case after[hash] == nil && (was.serves(hash) > 0 || before > 0):
			c.say("%s was deleted with pods or traffic", hash)
		case now >= before:
		case now < need:
			c.say("%s shrank from %d to %d and needs %d for its traffic", hash, before, now, need)
		case hash == is.rollout.Status.StableRS && now < is.replicas() && !is.canary().DynamicStableScale:
			c.say("%s is stable and shrank from %d to %d of %d", hash, before, now, is.replicas())
		}
	}
}

// once is S14: a template has one ReplicaSet, and a question one AnalysisRun.
func (c *checker) once(was, is state) {
	for hash, rs := range is.owned() {
		if was.replicaSets[rs.Name] != nil {
			continue
		}
		c.created[hash]++
		if c.created[hash] > 1 {
			c.say("the ReplicaSet of %s was created %d times", hash, c.created[hash])
		}
	}
	if c.at.Kind == AnalysisRun && was.runs[c.at.Name] == nil && is.runs[c.at.Name] != nil {
		c.onceAsked(is)
	}
}

func (c *checker) onceAsked(is state) {
	run := is.runs[c.at.Name]
	if !metav1.IsControlledBy(run, is.rollout) {
		return
	}
	for _, other := range is.runs {
		before, known := c.asked[other.Name]
		if known && before == c.attempt && question(other) == question(run) && !superseded(other) {
			c.say("%s asks the same as %s", run.Name, other.Name)
		}
	}
	c.asked[run.Name] = c.attempt
}

// question is what an AnalysisRun is to answer: which revision, and where in the update.
func question(run *v1alpha1.AnalysisRun) string {
	l := run.Labels
	return fmt.Sprint(l[v1alpha1.PodTemplateHashLabel], " ", l[v1alpha1.RolloutTypeLabel], " ", l[v1alpha1.StepIndexLabel])
}

// superseded reports whether another run of the same attempt may ask the same
// again: this one was stopped, or a person goes on where it found nothing out.
func superseded(run *v1alpha1.AnalysisRun) bool {
	return run.Spec.Terminate || run.Status.Phase == v1alpha1.AnalysisPhaseInconclusive
}
