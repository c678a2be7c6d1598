package netns

import (
	"errors"
	"os"
)

// marker tells the second run of a test binary from the first.
const marker = "HEADWAY_TRAFFIC_NAMESPACE"

// Inside reports whether this process is the second run.
func Inside() bool { return os.Getenv(marker) != "" }

// ErrRefused says that this machine gives no namespace.
var ErrRefused = errors.New("no network namespace can be made here")
