package analysis

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// precision is what a status loses of a time.
const precision = time.Second

// pace is how a source and a controller behave, by the number of a measurement.
type pace struct {
	// late is how long after it was due it is started, takes how long it takes.
	late, takes func(n int) time.Duration
	// letter is its phase.
	letter func(n int) byte
}

func steady(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
func always(letter byte) func(int) byte              { return func(int) byte { return letter } }

// taking is one measurement of many.
type taking struct {
	due, started, finished time.Time
	letter                 byte
}

// measureOften takes n measurements of a run with one metric that does not end.
// The clock has fractions of a second, a status has none.
func measureOften(run *v1alpha1.AnalysisRun, n int, p pace) []taking {
	var out []taking
	now := noon
	status, schedule := Next(run, nil, now)
	for len(out) < n {
		run.Status = status
		if len(schedule.Tasks) == 0 {
			due := schedule.Wake
			now = due.Add(p.late(len(out)))
			_, schedule = Next(run, nil, now)
			out = append(out, taking{due: due})
		} else {
			out = append(out, taking{due: now})
		}
		last := &out[len(out)-1]
		last.started, last.finished, last.letter = now, now.Add(p.takes(len(out)-1)), p.letter(len(out)-1)
		now = last.finished
		result := Result{Task: schedule.Tasks[0], Started: last.started, Finished: now, Reply: Reply{Phase: phases[last.letter]}}
		status, schedule = Next(run, []Result{result}, now)
	}
	return out
}

// endless is a run of a metric that nothing ends.
func endless(uid, interval, delay string) *v1alpha1.AnalysisRun {
	m := metric("rate", every(interval), after(delay), failures(-1), passes(1<<30), inconcl(1<<30), errorsMax(1<<30))
	run := runOf(m)
	run.UID = types.UID(uid)
	run.Spec.MeasurementRetention = []v1alpha1.MeasurementRetention{{MetricName: "*", Limit: 1}}
	return run
}

// jitter is different for each number, below a most, and always the same.
func jitter(most time.Duration) func(int) time.Duration {
	return func(n int) time.Duration { return time.Duration(uint64(n) * 7919 * uint64(most/101) % uint64(most)) }
}

func TestOverAThousandMeasurementsNoneDrifts(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		interval, delay string
		most            time.Duration // of being late
	}{
		{"0s", "0s", 90 * time.Millisecond},
		{"1s", "0s", 90 * time.Millisecond},
		{"1s", "900ms", 90 * time.Millisecond},
		{"1500ms", "300ms", 140 * time.Millisecond},
		{"2s", "1s", 190 * time.Millisecond},
		{"3s", "2500ms", 290 * time.Millisecond},
		{"10s", "0s", 900 * time.Millisecond},
		{"30s", "5m", 2900 * time.Millisecond},
		{"1m", "100ms", 5900 * time.Millisecond},
		{"1h", "0s", 5 * time.Minute},
		{"24h", "12h", time.Hour},
	} {
		t.Run("every "+c.interval+" after "+c.delay, func(t *testing.T) {
			run := endless("5f3c", c.interval, c.delay)
			metrics, err := judgements(&run.Spec)
			if err != nil {
				t.Fatal(err)
			}
			shift(metrics, string(run.UID))
			if metrics[0].phase == 0 {
				t.Fatal("this uid has no phase, so the test shows less")
			}
			interval := max(metrics[0].interval, time.Second)
			for k, taken := range measureOften(run, n, pace{jitter(c.most), steady(time.Millisecond), always('S')}) {
				slot := noon.Add(metrics[0].delay)
				if k > 0 {
					slot = slot.Add(time.Second - 1).Truncate(time.Second).Add(time.Duration(k)*interval + metrics[0].phase)
				}
				if !taken.due.Equal(slot) {
					t.Fatalf("measurement %d was due %s, want %s", k, taken.due.Sub(noon), slot.Sub(noon))
				}
			}
		})
	}
}

// anyPace draws how late and slow measurements are, in parts of the interval.
func anyPace(t *rapid.T, interval time.Duration, late, takes float64, letters string) pace {
	const n = 60
	part := func(most float64, label string) func(int) time.Duration {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0, most)), n, n).Draw(t, label)
		return func(i int) time.Duration { return time.Duration(parts[i] * float64(interval)) }
	}
	story := rapid.SliceOfN(rapid.SampledFrom([]byte(letters)), n, n).Draw(t, "story")
	return pace{part(late, "late"), part(takes, "takes"), func(i int) byte { return story[i] }}
}

func anyEndless(t *rapid.T) (*v1alpha1.AnalysisRun, time.Duration) {
	interval := rapid.SampledFrom([]time.Duration{time.Second, 1500 * time.Millisecond, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15300 * time.Millisecond, time.Minute, time.Hour}).Draw(t, "interval")
	delay := time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, "delay"))
	uid := rapid.StringMatching("[0-9a-f]{8}").Draw(t, "uid")
	return endless(uid, interval.String(), delay.String()), interval
}

// TestMeasurementsAreAnIntervalApart is for a controller that is on time, within
// a twentieth of the interval, and for a source that answers within a quarter.
func TestMeasurementsAreAnIntervalApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run, interval := anyEndless(t)
		taken := measureOften(run, 60, anyPace(t, interval, 0.05, 0.25, "SSSFI"))
		for i := 2; i < len(taken); i++ {
			gap := taken[i].started.Sub(taken[i-1].started)
			late := taken[i].started.Sub(taken[i].due)
			if least, most := interval*9/10, interval*11/10+late; gap < least || gap > most {
				t.Fatalf("measurements %d and %d are %s apart, not %s to %s", i-1, i, gap, least, most)
			}
		}
	})
}

// TestMeasurementsAreNeverClose is for any controller and any source. A status
// has whole seconds, and so a second is lost.
func TestMeasurementsAreNeverClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run, interval := anyEndless(t)
		taken := measureOften(run, 60, anyPace(t, interval, 3, 2, "SSFIEE"))
		for i := 1; i < len(taken); i++ {
			before, now := taken[i-1], taken[i]
			gap, rest := now.started.Sub(before.started), now.started.Sub(before.finished)
			late := now.started.Sub(now.due)
			if before.letter == 'E' {
				if rest <= errorRetry-precision || rest > errorRetry+late {
					t.Fatalf("measurement %d is %s after the end of an error", i, rest)
				}
				continue
			}
			if least := interval*9/10 - precision; gap <= least {
				t.Fatalf("measurements %d and %d are %s apart, not above %s", i-1, i, gap, least)
			}
			if rest <= max(interval/2, time.Second)-precision {
				t.Fatalf("measurement %d comes %s after the end of the one before", i, rest)
			}
			slow := before.finished.Sub(before.started) + max(interval/2, time.Second)
			if most := max(interval*11/10+precision, slow) + late; gap > most {
				t.Fatalf("measurements %d and %d are %s apart, above %s", i-1, i, gap, most)
			}
		}
	})
}

func TestWhenTheNextMeasurementIsDue(t *testing.T) {
	cases := []struct {
		name                     string
		interval, phase          string
		first, started, finished string // seconds after noon, as a status has them
		want                     string
	}{
		{"the first was in time", "10s", "0s", "0s", "0s", "0s", "10s"},
		{"the first is before its phase", "10s", "400ms", "0s", "0s", "0s", "10.4s"},
		{"the second was in time", "10s", "400ms", "0s", "10s", "10s", "20.4s"},
		{"one that was late by a second keeps its place", "10s", "400ms", "0s", "11s", "11s", "20.4s"},
		{"one that was later begins a row of its own", "10s", "400ms", "0s", "12s", "12s", "22s"},
		{"one that was late by most of the interval begins a row of its own", "10s", "400ms", "0s", "18s", "18s", "28s"},
		{"a row of its own goes on", "10s", "400ms", "0s", "28s", "28s", "38s"},
		{"after hours it is the same", "10s", "400ms", "0s", "2h0m10s", "2h0m10s", "2h0m20.4s"},
		{"a slow answer within half an interval delays nothing", "10s", "0s", "0s", "10s", "15s", "20s"},
		{"a slower answer leaves half an interval", "10s", "0s", "0s", "10s", "18s", "23s"},
		{"an answer after many intervals leaves half of one", "10s", "0s", "0s", "10s", "1m18s", "1m23s"},
		{"once a second there is a second after the answer", "1s", "0s", "0s", "5s", "6s", "7s"},
		{"no interval is one of a second", "0s", "50ms", "0s", "5s", "5s", "6.05s"},
		{"a start whose second began before its slot is in it", "1500ms", "100ms", "0s", "4s", "4s", "6.1s"},
		{"slots begin with a second", "10s", "400ms", "700ms", "11s", "11s", "21.4s"},
		{"a start before the first slot is in it", "10s", "900ms", "700ms", "0s", "0s", "11.9s"},
		{"a tenth of a minute is late enough", "1m", "0s", "0s", "6s", "6s", "1m0s"},
		{"above a tenth is too late", "1m", "0s", "0s", "7s", "7s", "1m7s"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			since := func(text string) time.Time { return noon.Add(durationOf(t, text)) }
			j := judgement{interval: durationOf(t, c.interval), phase: durationOf(t, c.phase)}
			last := v1alpha1.Measurement{Phase: v1alpha1.AnalysisPhaseSuccessful, StartedAt: stamp(since(c.started)), FinishedAt: stamp(since(c.finished))}
			if diff := cmp.Diff(since(c.want), j.after(&last, since(c.first), noon)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func durationOf(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// phaseOf is when within its interval a metric of a run is measured.
func phaseOf(uid, name string, interval time.Duration) time.Duration {
	metrics := []judgement{{name: name, interval: interval}}
	shift(metrics, uid)
	return metrics[0].phase
}

func TestAPhaseIsSmallAndAlwaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uid, name := rapid.String().Draw(t, "uid"), rapid.String().Draw(t, "name")
		interval := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "interval"))
		phase := phaseOf(uid, name, interval)
		if phase < 0 || phase >= time.Second || phase >= max(interval, time.Second)/10 {
			t.Fatalf("the phase is %s", phase)
		}
		if uid == "" && phase != 0 {
			t.Fatalf("a run without a uid has a phase of %s", phase)
		}
		beside := []judgement{{name: "other", interval: time.Minute}, {name: name, interval: interval}}
		shift(beside, uid)
		if again := phaseOf(uid, name, interval); again != phase || beside[1].phase != phase {
			t.Fatalf("the phase is %s, then %s, and %s beside another metric", phase, again, beside[1].phase)
		}
	})
}

func TestPhasesAreSpreadEvenly(t *testing.T) {
	const runs, parts = 5000, 20
	uid := func(i int) string {
		sum := sha256.Sum256(fmt.Append(nil, i))
		return fmt.Sprintf("%x-%x-4%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	}
	kinds := map[string]func(i int) time.Duration{
		"the metric of many runs":   func(i int) time.Duration { return phaseOf(uid(i), "success-rate", time.Minute) },
		"a short interval":          func(i int) time.Duration { return 5 * phaseOf(uid(i), "success-rate", 2*time.Second) },
		"many metrics of one run":   func(i int) time.Duration { return phaseOf(uid(1), fmt.Sprint("metric-", i), time.Minute) },
		"uids that differ a little": func(i int) time.Duration { return phaseOf(fmt.Sprintf("%08x", i), "success-rate", time.Minute) },
	}
	for name, phase := range kinds {
		t.Run(name, func(t *testing.T) {
			var counts [parts]int
			for i := range runs {
				counts[phase(i)*parts/time.Second]++
			}
			for part, count := range counts {
				if expected := runs / parts; count < expected*2/3 || count > expected*4/3 {
					t.Errorf("%d of %d are in part %d of %d: %v", count, runs, part, parts, counts)
				}
			}
		})
	}
}
