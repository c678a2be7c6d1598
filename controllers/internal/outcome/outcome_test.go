package outcome

import (
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	errConflict = apierrors.NewConflict(schema.GroupResource{Resource: "replicasets"}, "web", errors.New("changed"))
	errQuota    = errors.New("quota exceeded")
)

func TestOnlyConflictsAreRetriedQuietly(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"a conflict":                   {errConflict, true},
		"a wrapped conflict":           {fmt.Errorf("scaling: %w", errConflict), true},
		"two conflicts":                {errors.Join(fmt.Errorf("scaling: %w", errConflict), errConflict), true},
		"another error":                {errQuota, false},
		"a conflict and another error": {errors.Join(errConflict, fmt.Errorf("creating: %w", errQuota)), false},
		"conflicts within a router":    {fmt.Errorf("routing: %w", errors.Join(errConflict, errQuota)), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ConflictsOnly(c.err); got != c.want {
				t.Errorf("ConflictsOnly = %v, want %v", got, c.want)
			}
		})
	}
}

func TestWhatTheQueueDoesNext(t *testing.T) {
	for name, c := range map[string]struct {
		wake, resync time.Duration
		err          error
		after        time.Duration
		told         error
	}{
		"a plan says when":               {time.Minute, time.Hour, nil, time.Minute, nil},
		"a plan that waits for events":   {0, time.Hour, nil, time.Hour, nil},
		"without a resync it is never":   {0, 0, nil, 0, nil},
		"a conflict goes before a plan":  {time.Minute, time.Hour, errConflict, Soon, nil},
		"an error is told and backs off": {time.Minute, time.Hour, errQuota, 0, errQuota},
		"a quota behind a conflict too":  {0, 0, errors.Join(errConflict, errQuota), 0, errQuota},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Of(c.wake, c.resync, c.err)
			if got.RequeueAfter != c.after || !errors.Is(err, c.told) || (err == nil) != (c.told == nil) {
				t.Errorf("Of = %v, %v; want %v, %v", got, err, c.after, c.told)
			}
		})
	}
}
