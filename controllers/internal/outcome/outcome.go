// Package outcome turns what a reconcile came to into what the queue does next.
package outcome

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Soon is how soon to look again when the cache has not seen our own writes
// yet, or somebody else wrote first.
const Soon = 20 * time.Millisecond

// Stale is the outcome of a reconcile that decided on something that is no more.
func Stale() ctrl.Result { return ctrl.Result{RequeueAfter: Soon} }

// Of is the outcome of a plan that was carried out with err. It asks to be
// looked at again after wake, or after resync where it asked for nothing; 0
// means never. An error that is no conflict is told, and repeated with back-off.
func Of(wake, resync time.Duration, err error) (ctrl.Result, error) {
	switch {
	case err != nil && !ConflictsOnly(err):
		return ctrl.Result{}, err
	case err != nil:
		return Stale(), nil //nolint:nilerr // Somebody else wrote first, which is no failure.
	case wake == 0:
		return ctrl.Result{RequeueAfter: resync}, nil
	}
	return ctrl.Result{RequeueAfter: wake}, nil
}

// ConflictsOnly reports whether nothing failed but preconditions. It looks at
// every error that was joined: a quota must not hide behind a conflict.
func ConflictsOnly(err error) bool {
	switch e := err.(type) { //nolint:errorlint // It walks the tree itself.
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if !ConflictsOnly(one) {
				return false
			}
		}
		return true
	case interface{ Unwrap() error }:
		return ConflictsOnly(e.Unwrap())
	default:
		return apierrors.IsConflict(err)
	}
}
