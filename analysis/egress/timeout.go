package egress

import (
	"fmt"
	"time"
)

// maxTimeout is the longest that a metric may have a source take.
const maxTimeout = time.Hour

// Timeout is how long a source may take when a field of a metric says so many
// seconds: at most an hour, and the default for none.
func Timeout(field string, seconds int64, byDefault time.Duration) (time.Duration, error) {
	switch {
	case seconds < 0:
		return 0, fmt.Errorf("%s should not be negative; give seconds, or nothing for %d", field, byDefault/time.Second)
	case seconds == 0:
		return byDefault, nil
	default:
		return time.Duration(min(seconds, int64(maxTimeout/time.Second))) * time.Second, nil
	}
}
