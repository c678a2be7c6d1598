package traffic

import (
	"fmt"
	"testing"
)

// blueGreen switches web-stable at once, and measures it afterwards. The route leads
// to web-stable whatever its kind: what is tested is the switch behind it.
const blueGreen = "{blueGreen: {activeService: web-stable, previewService: web-canary, scaleDownDelaySeconds: 3, abortScaleDownDelaySeconds: 3, " +
	"autoPromotionEnabled: %t, postPromotionAnalysis: " + judged + "}}"

func TestASwitchLosesNoRequestNorDoesItsAbort(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r.withoutCanary(), options{strategy: fmt.Sprintf(blueGreen, true), service: stable})
		s.release("v2")
		s.until(alone)
		s.only("v2", 300)
		// The third release is switched to, measured and switched back from.
		s.release("v3-bad30")
		s.until(aborted)
		s.measuredAbove(0.1)
		s.only("v2", 300)
		s.until(withoutCanary)
		s.only("v2", 300)
		s.failedOnPurpose(s.lostNothing(), "v3-bad30")
	})
}

func TestAPreviewThatIsAbortedGetsNoRequest(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r.withoutCanary(), options{strategy: fmt.Sprintf(blueGreen, false), service: stable})
		s.release("v2")
		s.until(paused)
		s.only("v1", 300)
		s.abort()
		s.until(withoutCanary)
		s.only("v1", 300)
		if got := s.lostNothing(); got.Versions["v2"] > 0 {
			t.Errorf("the preview answered %d requests", got.Versions["v2"])
		}
	})
}
