package view

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Glyphs is a set of signs.
type Glyphs string

// The sets of signs.
const (
	// GlyphsUnicode is the default set.
	GlyphsUnicode Glyphs = "unicode"
	// GlyphsASCII is for terminals without UTF-8.
	GlyphsASCII Glyphs = "ascii"
	// GlyphsPlain has no tree and no signs, one fact a line, for screen readers.
	GlyphsPlain Glyphs = "plain"
)

// Style is how text is drawn. The zero value is Unicode without colour and
// without a limit of width or height.
type Style struct {
	// Width in columns; 0 is unlimited.
	Width int
	// Height in lines; 0 is unlimited. A tree that is higher is folded.
	Height int
	// Colour switches the 16 colours of the terminal on.
	Colour bool
	// Glyphs to use; empty is GlyphsUnicode.
	Glyphs Glyphs
	// Signs adds a glyph to the words of a list. It is off where programs read the words.
	Signs bool
}

// span is a length of time as kubectl prints ages.
func span(d time.Duration) string { return duration.HumanDuration(d) }

// age is how old something is; a dash when that is not known.
func age(created, now time.Time) string {
	if created.IsZero() {
		return "-"
	}
	return span(max(now.Sub(created), 0))
}

// signs holds each health's sign, Unicode and ASCII, and its colour. All
// colours are among the 16 that a terminal's theme defines.
var signs = map[Health]struct{ unicode, ascii, colour string }{
	Healthy:     {"✔", "+", "32"},
	Progressing: {"◌", "~", "36"},
	Paused:      {"॥", "=", "33"},
	Degraded:    {"✖", "x", "31"},
	Warning:     {"⚠", "!", "33"},
	Unknown:     {"?", "?", "35"},
	ScaledDown:  {"•", "-", "90"},
}

// kindSigns holds the sign of each kind of object.
var kindSigns = map[string]struct{ unicode, ascii string }{
	kindRollout:    {"⟳", "ro"},
	kindRevision:   {"#", "#"},
	kindReplicaSet: {"⧉", "rs"},
	kindPod:        {"□", "po"},
	kindExperiment: {"Σ", "ex"},
	kindTemplate:   {"⧉", "rs"},
	kindRun:        {"α", "ar"},
	kindMetric:     {"μ", "me"},
}

func (s Style) sign(h Health) string {
	if s.Glyphs == GlyphsASCII {
		return signs[h].ascii
	}
	return signs[h].unicode
}

func (s Style) kindSign(kind string) string {
	if s.Glyphs == GlyphsASCII {
		return kindSigns[kind].ascii
	}
	return kindSigns[kind].unicode
}

// state is the sign and the word of a state; only the word without signs.
func (s Style) state(h Health, word string) string {
	if s.Glyphs == GlyphsPlain {
		return word
	}
	return s.sign(h) + " " + word
}

// paint colours a text by a health.
func (s Style) paint(h Health, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + signs[h].colour + "m" + text + "\x1b[0m"
}

func (s Style) bold(text string) string {
	if !s.Colour {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

func phaseHealth(phase v1alpha1.RolloutPhase) Health {
	switch phase {
	case v1alpha1.RolloutPhaseHealthy:
		return Healthy
	case v1alpha1.RolloutPhaseDegraded:
		return Degraded
	case v1alpha1.RolloutPhaseProgressing:
		return Progressing
	case v1alpha1.RolloutPhasePaused:
		return Paused
	}
	return Unknown
}

func analysisHealth(phase v1alpha1.AnalysisPhase) Health {
	switch phase {
	case v1alpha1.AnalysisPhaseSuccessful:
		return Healthy
	case v1alpha1.AnalysisPhaseFailed:
		return Degraded
	case v1alpha1.AnalysisPhaseError:
		return Warning
	case v1alpha1.AnalysisPhaseInconclusive:
		return Unknown
	case v1alpha1.AnalysisPhasePending, v1alpha1.AnalysisPhaseRunning:
		return Progressing
	}
	return Unknown
}

// bars are the eighths of a sparkline, low to high.
var bars = map[Glyphs][]rune{
	GlyphsUnicode: []rune("▁▂▃▄▅▆▇█"),
	GlyphsASCII:   []rune("_.-=*#"),
}

// sparkLength is the number of measurements a sparkline shows; the default retention.
const sparkLength = 10

// spark draws the latest measurements; empty with fewer than two numbers.
func (s Style) spark(measurements []MeasurementView) string {
	values := numbers(measurements)
	ramp := bars[s.glyphs()]
	if len(values) < 2 || len(ramp) == 0 {
		return ""
	}
	values = values[max(0, len(values)-sparkLength):]
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(ramp[level(v, low, high, len(ramp))])
	}
	return b.String()
}

// level is the bar of a value. A flat line is drawn at the bottom. The range
// is halved first because the distance of two finite numbers can overflow.
func level(v, low, high float64, steps int) int {
	if high <= low {
		return 0
	}
	share := (v/2 - low/2) / (high/2 - low/2)
	return min(max(int(share*float64(steps-1)+0.5), 0), steps-1)
}

func numbers(measurements []MeasurementView) []float64 {
	var out []float64
	for _, m := range measurements {
		if m.Number != nil {
			out = append(out, *m.Number)
		}
	}
	return out
}

func (s Style) glyphs() Glyphs {
	if s.Glyphs == "" {
		return GlyphsUnicode
	}
	return s.Glyphs
}
