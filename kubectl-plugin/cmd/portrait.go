package cmd

import (
	"time"

	"github.com/headway-rollouts/headway/kubectl-plugin/view"
)

// portrait is an object as it is shown, in every format.
type portrait struct {
	noun    noun
	name    string
	summary string
	// model is the document of -o json and -o yaml; still is the same without
	// the time, so that two of them differ only when something changed.
	model, still any
	tree         func(view.Style) string
}

func rolloutPortrait(v view.RolloutView) portrait {
	still := v
	still.ObservedAt = time.Time{}
	return portrait{
		noun: rolloutNoun, name: v.Name, summary: view.Summary(v), model: v, still: still,
		tree: func(s view.Style) string { return view.Tree(v, s) },
	}
}

func experimentPortrait(v view.ExperimentView) portrait {
	still := v
	still.ObservedAt = time.Time{}
	return portrait{
		noun: experimentNoun, name: v.Name, summary: view.ExperimentSummary(v), model: v, still: still,
		tree: func(s view.Style) string { return view.ExperimentTree(v, s) },
	}
}

// resource is the object for -o name.
func (p portrait) resource() string { return p.noun.resourceName(p.name) }

// resourceName is the name of an object with its kind, as kubectl writes it.
func (n noun) resourceName(name string) string { return n.word + ".argoproj.io/" + name }
