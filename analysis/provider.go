package analysis

import (
	"context"
	"time"

	"github.com/headway-rollouts/headway/apis/rollouts/v1alpha1"
)

// Provider takes measurements from one kind of source.
type Provider interface {
	// Measure takes one measurement, or looks again at one that is under way.
	// It waits no longer than the context, changes nothing of the query, and
	// may be called for many queries at once. Asking the same query twice has
	// the effect of asking once. A failure is a Reply with phase Error: its
	// message says what failed and holds nothing of the source's reply beyond
	// 200 characters.
	Measure(ctx context.Context, q Query) Reply
}

// Verb says what to do with a measurement.
type Verb string

// The verbs of a query.
const (
	// Take starts a new measurement.
	Take Verb = "take"
	// Resume looks again at a measurement that is under way.
	Resume Verb = "resume"
	// Terminate ends a measurement that is under way.
	Terminate Verb = "terminate"
)

// Owner is the run a measurement is taken for.
type Owner struct {
	Namespace, Name, UID string
}

// Query is one measurement to take.
type Query struct {
	Verb  Verb
	Owner Owner
	// Metric has every argument filled in, secrets included.
	Metric v1alpha1.Metric
	// Number of the measurement within its metric, from 1.
	Number int32
	// UnderWay is the measurement to resume or terminate; nil when one is taken.
	UnderWay *v1alpha1.Measurement
	// Now is the time of the question.
	Now time.Time
	// Started is when the run began; zero when that is not known.
	Started time.Time
	// Secrets reads the Secrets that a provider has its credentials in; what they
	// hold is kept out of messages.
	Secrets SecretReader
}

// SecretReader reads a Secret. An empty namespace is that of the controller.
type SecretReader func(ctx context.Context, namespace, name string) (map[string]string, error)

// Reply is what a provider saw.
type Reply struct {
	// Phase is Running while the measurement is under way, and final where the
	// provider judges. It is empty where the conditions of the metric judge Result.
	Phase v1alpha1.AnalysisPhase
	// Result is what the conditions see: a number, a text, a list, a map, or nil
	// for no value.
	Result any
	// NoData says that an Error means nothing but that there is no value.
	NoData bool
	// Ignored says that the measurement does not count, for want of data.
	Ignored bool
	// Message says why; empty when the value says it.
	Message string
	// Value is what was measured, as text.
	Value string
	// Metadata is kept with the measurement.
	Metadata map[string]string
	// MetricMetadata is kept with the metric, for example the resolved query.
	MetricMetadata map[string]string
	// ResumeAt is when to look again; zero when the measurement is final.
	ResumeAt time.Time
}

// Failure is the reply for a measurement that could not be taken.
func Failure(err error) Reply {
	return Reply{Phase: v1alpha1.AnalysisPhaseError, Message: err.Error()}
}
