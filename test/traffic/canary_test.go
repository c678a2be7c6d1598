package traffic

import "testing"

// measured is a canary that is held at two weights, and measured at the second.
const measured = "[{setWeight: 20}, {pause: {}}, {setWeight: 50}, {analysis: " + judged + "}, {pause: {}}]"

func TestACanaryThatIsPromotedLosesNoRequest(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r, options{strategy: r.canary(measured)})
		s.only("v1", 300)
		s.release("v2")
		s.until(pausedAt(1))
		s.shows("v2", 20)
		s.share("v2", 20, enough)
		s.promote()
		s.until(pausedAt(4))
		s.shows("v2", 50)
		s.share("v2", 50, enough)
		s.promote()
		s.until(alone)
		s.only("v2", 300)
		s.failedOnPurpose(s.lostNothing())
	})
}

// A release that fails 30 of 100 requests must not get beyond its first weight.
func TestABadCanaryIsAbortedForTheErrorRateThatWasMeasured(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r, options{strategy: r.canary("[{setWeight: 20}, {analysis: " + judged + "}, {setWeight: 80}, {pause: {}}]")})
		s.release("v2-bad30")
		s.until(aborted)
		s.measuredAbove(0.1)
		s.only("v1", 300)
		s.until(withoutCanary)
		s.only("v1", 300)
		got := s.lostNothing()
		s.failedOnPurpose(got, "v2-bad30")
		if share := float64(got.Versions["v2-bad30"]) / float64(got.Total); share > 0.24 {
			t.Errorf("the bad release answered %.0f %% of all requests; its weight was 20", 100*share)
		}
	})
}

// A person aborts half-way.
func TestACanaryThatAPersonAbortsLosesNoRequest(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r, options{strategy: r.canary("[{setWeight: 50}, {pause: {}}]")})
		s.release("v2")
		s.until(pausedAt(1))
		s.shows("v2", 50)
		s.abort()
		s.until(aborted)
		s.only("v1", 300)
		s.until(withoutCanary)
		s.only("v1", 300)
		s.failedOnPurpose(s.lostNothing())
	})
}

// The second release is at half of the traffic when the third comes.
func TestAThirdReleaseHalfWayLosesNoRequest(t *testing.T) {
	eachRoute(t, func(t *testing.T, r route) {
		s := open(t, r, options{strategy: r.canary("[{setWeight: 20}, {pause: {}}, {setWeight: 50}, {pause: {}}]")})
		s.release("v2")
		s.until(pausedAt(1))
		s.promote()
		s.until(pausedAt(3))
		s.shows("v2", 50)
		s.release("v3")
		s.until(pausedAt(1))
		s.shows("v3", 20)
		s.shows("v2", 0)
		s.share("v3", 20, enough)
		s.promote()
		s.until(pausedAt(3))
		s.promote()
		s.until(alone)
		s.only("v3", 300)
		s.failedOnPurpose(s.lostNothing())
	})
}
