// Package routertest holds the duties of a trafficrouting.Router as tests. Every router's own
// tests call Run; nothing but tests imports it.
package routertest

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
	"github.com/headway-rollouts/headway/trafficrouting"
)

// Harness says what the suite must know of one router. Every function returns new values.
type Harness struct {
	// Kinds are all that the router touches.
	Kinds

	// Lists returns one empty list for each kind with Go types that the router touches.
	Lists func() []client.ObjectList
	// Router makes the router under test.
	Router func(client.Client) trafficrouting.Router
	// Rollout returns a Rollout that the router serves, always with the same UID. Its
	// maxTrafficWeight is total; nil leaves it unset.
	Rollout func(total *int32) *v1alpha1.Rollout
	// Totals lists the totals that the router serves besides the default one.
	Totals []int32
	// Given returns the objects that a user makes for that Rollout. Without any one of them
	// the router must refuse to work.
	Given func() []client.Object
	// Odd returns worlds that are legal but strange, or that nobody should make, by a sentence.
	// The router may fail in them; it may not panic.
	Odd func() map[string][]client.Object
	// Managed reports whether the router writes this object.
	Managed func(client.Object) bool
	// Strip takes everything that is the router's from a managed object: what is left may never change.
	Strip func(client.Object)
	// Weights reads the weights that a managed object asks for.
	Weights func(client.Object) ([]int32, error)
	// Spoil holds edits of what is the router's in a managed object, by a sentence.
	Spoil map[string]func(client.Object)
	// Unname holds edits of the Rollout after which its spec no longer asks for a route that was made
	// for it, by a sentence.
	Unname map[string]func(*v1alpha1.Rollout)
	// Routes are managed routes that the router can make for the Rollout, by a sentence; nil for one that
	// makes none. The router finds them under their names in spec.strategy.canary.trafficRouting.managedRoutes.
	Routes map[string][]trafficrouting.ManagedRoute
	// Additional says that the router gives the sides of Experiments their weights.
	Additional bool
	// Rests says that the router makes objects only while the canary has a weight, and takes two calls to
	// take them away: the first takes their traffic, the second deletes them.
	Rests bool
	// Selects says that the router selects revisions by the hashes of their pods.
	Selects bool
	// Share is a second Rollout, with Services of its own, and the objects with routes for it and for the
	// first; nil for a router whose objects are each for one Rollout.
	Share func() (other *v1alpha1.Rollout, given []client.Object)
	// Steal makes a managed object somebody else's; nil for a router that owns no object.
	Steal func(client.Object)
}

// Run checks every duty of the router.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, duty := range []struct {
		name  string
		check func(*testing.T, Harness)
	}{
		{"it has a name", hasName},
		{"before the first split nothing exists and observing writes nothing", beforeTheFirst},
		{"a split is observed as it was applied, and applying it again writes nothing", roundTrip},
		{"a split whose weights are no shares of the total is refused", refusesBadSplits},
		{"what is not the router's stays byte for byte", keepsTheRest},
		{"a missing object is a field error and nothing is written", missingObject},
		{"an object of somebody else is refused and left alone", somebodyElses},
		{"a route that the spec no longer names is seen, and its traffic comes home", unnamed},
		{"a weight decided before another instance aborted is refused", staleWeight},
		{"an edit of what is the router's is seen and repaired", repairs},
		{"what somebody adds between read and write survives", survives},
		{"an object that took the place of the one read is not written", replaced},
		{"a write that the API server refuses is an error", refusedWrite},
		{"managed routes are observed as they were applied, and go when they are no longer asked for", managedRoutes},
		{"the sides of an Experiment get their weights, and lose them", additionalSides},
		{"the routes select the revisions that the split names", selectsRevisions},
		{"what was made for a Rollout that is gone is released", releasesOfTheGone},
		{"two Rollouts share an object, and neither disturbs the other", shares},
		{"a kind that the cluster does not serve is a field error", unserved},
		{"a Rollout that does not name the router has no route and causes no write", namesAnother},
		{"odd objects cause no panic", oddObjects},
	} {
		t.Run(duty.name, func(t *testing.T) { duty.check(t, h) })
	}
}
