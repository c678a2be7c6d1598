package plan

// adoptions take over ReplicaSets that have the labels of the Rollout and no
// owner: those of a Rollout that was deleted without its pods.
func adoptions(w world) []Action {
	var actions []Action
	for _, r := range sorted(w) {
		if r.Orphan {
			actions = append(actions, Adopt{r.Hash, "it has the labels of the Rollout and no owner"})
		}
	}
	for _, name := range w.Unselected {
		actions = append(actions, Release{name, "the selector does not select its labels any more"})
	}
	return actions
}

// ofOrphan reports whether an action changes a ReplicaSet that is not the
// Rollout's yet. That waits until it was seen to be.
func (w world) ofOrphan(a Action) bool { return w.Revisions[changedBy(a)].Orphan }

// changedBy is the revision whose ReplicaSet an action changes; empty for none, and for one that adopts.
func changedBy(a Action) string {
	switch a := a.(type) {
	case Scale:
		return a.Revision
	case Delay:
		return a.Revision
	case Keep:
		return a.Revision
	case Renumber:
		return a.Revision
	case Sync:
		return a.Revision
	case Label:
		return a.Revision
	case Labelled:
		return a.Revision
	case Avoid:
		return a.Revision
	case DeleteRevision:
		return a.Revision
	default:
		return ""
	}
}
