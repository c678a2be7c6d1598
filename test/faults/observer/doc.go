// Package observer watches what a controller does to a namespace and says which
// invariants were broken.
//
// It has watches of its own, so it does not believe the controller. Every change
// of the objects of Rollouts is kept and, since all of them come from one store,
// put in the order of their resource versions: that is the true history, also
// across kinds. Check replays it and looks at every state there ever was.
//
// It decides nothing and writes nothing. The fault tests and the end-to-end
// tests use it.
package observer
