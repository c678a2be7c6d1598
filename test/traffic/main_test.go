package traffic

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/headway-rollouts/headway/test/e2e/headway"
	"github.com/headway-rollouts/headway/test/kube"
	"github.com/headway-rollouts/headway/test/traffic/kubelet"
	"github.com/headway-rollouts/headway/test/traffic/netns"
	"github.com/headway-rollouts/headway/test/traffic/parts"
)

// notChecked is why the live tests do not run; empty when they do.
var notChecked string

func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case os.Getenv("HEADWAY_TRAFFIC") == "":
		notChecked = "NOT CHECKED: live requests through rollouts; run make test-traffic"
		os.Exit(m.Run())
	case netns.Inside():
		os.Exit(live(m))
	default:
		os.Exit(again(m))
	}
}

// again builds the parts, where there is a network, and runs the tests in a namespace.
func again(m *testing.M) int {
	if _, err := parts.Build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code, err := netns.Run()
	switch {
	case errors.Is(err, netns.ErrRefused):
		notChecked = fmt.Sprintf("NOT CHECKED: live requests through rollouts: %v", err)
		return m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// live runs the tests inside of the namespace.
func live(m *testing.M) int {
	log.SetLogger(logr.Discard()) // Otherwise the clients complain after 30 s that there is none.
	besideEachOther(6)
	if err := netns.Prepare(kubelet.Range); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the network:", err)
		return 1
	}
	code := kube.Main(m)
	if shared.world != nil {
		shared.world.stop(code != 0)
	}
	headway.Clean()
	return code
}

// besideEachOther sets how many tests run at once, unless the command line does.
// They wait most of the time, for pods and metrics.
func besideEachOther(tests int) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(tests)) // It exists and takes a number.
	}
}
