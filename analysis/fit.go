package analysis

import (
	"maps"
	"slices"
	"strings"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// A status is one object in etcd together with its spec, and etcd takes no more
// than 1.5 MiB at once.
const (
	// maxStatus is how many bytes a status may have, about.
	maxStatus = 512 << 10
	// maxMessage and maxValue are how much is kept of one text.
	maxMessage = 1 << 10
	maxValue   = 2 << 10
	// maxOld is how much is kept of each where that is too much: the name of a
	// Job fits.
	maxOld = 64
)

// Shortest is a status as small as it can be without losing what counts: the
// phases, the counters, and the last measurement of each metric. It is for an
// API server that takes no more.
func Shortest(status v1alpha1.AnalysisRunStatus) v1alpha1.AnalysisRunStatus {
	out := *status.DeepCopy()
	fit(&out, 0)
	return out
}

// fit makes a status smaller until it has no more than most bytes, the oldest
// measurements first: it shortens their texts, then drops them, then shortens
// the last ones. A status that fits stays as it is.
func fit(status *v1alpha1.AnalysisRunStatus, most int) {
	over, oldest := -most, 0
	for i := range status.MetricResults {
		over += weightOf(&status.MetricResults[i])
		oldest = max(oldest, len(status.MetricResults[i].Measurements)-1)
	}
	for _, shrink := range []func(*v1alpha1.MetricResult, int) int{shortenOld, dropOld} {
		for age := oldest; age > 0 && over > 0; age-- {
			over -= eachUntil(status, over, func(r *v1alpha1.MetricResult) int { return shrink(r, age) })
		}
	}
	eachUntil(status, over, shortenLast)
}

// eachUntil does something to metrics until it has saved what is asked for.
func eachUntil(status *v1alpha1.AnalysisRunStatus, saving int, do func(*v1alpha1.MetricResult) int) int {
	saved := 0
	for i := range status.MetricResults {
		if saved >= saving {
			break
		}
		saved += do(&status.MetricResults[i])
	}
	return saved
}

// shortenOld shortens the measurement of an age, the last one having age 0, and
// returns how many bytes that saves.
func shortenOld(result *v1alpha1.MetricResult, age int) int {
	i := len(result.Measurements) - 1 - age
	if i < 0 {
		return 0
	}
	return shortenOne(&result.Measurements[i])
}

func shortenOne(m *v1alpha1.Measurement) int {
	before := weigh(m)
	m.Value, m.Message, m.Metadata = shortText(m.Value), shortText(m.Message), shortTexts(m.Metadata)
	return before - weigh(m)
}

// dropOld drops the measurement of an age. Those that are older are gone.
func dropOld(result *v1alpha1.MetricResult, age int) int {
	if len(result.Measurements) <= age {
		return 0
	}
	saved := weigh(&result.Measurements[0])
	result.Measurements = slices.Clone(result.Measurements[1:])
	return saved
}

func shortenLast(result *v1alpha1.MetricResult) int {
	before := weightOf(result)
	if last := latest(*result); last != nil {
		shortenOne(last)
	}
	result.Message, result.Metadata = shortText(result.Message), shortTexts(result.Metadata)
	return before - weightOf(result)
}

// weightOf is how many bytes a result takes as JSON, at most.
func weightOf(result *v1alpha1.MetricResult) int {
	const names = 300
	bytes := names + weighText(result.Name) + weighText(result.Message) + weighAll(result.Metadata)
	for i := range result.Measurements {
		bytes += weigh(&result.Measurements[i])
	}
	return bytes
}

func weigh(m *v1alpha1.Measurement) int {
	const names = 250
	return names + weighText(m.Value) + weighText(m.Message) + weighAll(m.Metadata)
}

func weighAll(texts map[string]string) int {
	bytes := 0
	for key, text := range texts {
		bytes += weighText(key) + weighText(text) + len(`"":"",`)
	}
	return bytes
}

// weighText counts what JSON may escape with six bytes.
func weighText(text string) int {
	bytes := 0
	for i := range len(text) {
		bytes += weighByte(text[i])
	}
	return bytes
}

func weighByte(c byte) int {
	switch {
	case c < ' ', c == '"', c == '\\', c == '<', c == '>', c == '&':
		return 6
	case c > '~':
		return 2 // of three
	default:
		return 1
	}
}

// shortText keeps as much of a text as takes maxOld bytes in JSON.
func shortText(text string) string {
	bytes := 0
	for i := range len(text) {
		if bytes += weighByte(text[i]); bytes > maxOld {
			return clip(text, i)
		}
	}
	return text
}

func shortTexts(in map[string]string) map[string]string {
	out := maps.Clone(in)
	for key, text := range out {
		out[key] = shortText(text)
	}
	return out
}

// clip cuts a text that is too long for a status, and shows that it did.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func clipAll(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for key, value := range in {
		out[key] = clip(value, maxValue)
	}
	return out
}
