package main

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
)

// sink is an API server that takes Events; it sends what it is asked for.
type sink chan string

func (s sink) take(e *corev1.Event) (*corev1.Event, error) {
	s <- e.Reason + ": " + e.Message
	return e, nil
}

func (s sink) Create(e *corev1.Event) (*corev1.Event, error)          { return s.take(e) }
func (s sink) Update(e *corev1.Event) (*corev1.Event, error)          { return s.take(e) }
func (s sink) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) { return s.take(e) }

// tell records n Events of one object, of few reasons as a rollout does, then one of another object,
// and returns what arrived before that.
func tell(b record.EventBroadcaster, n int) ([]string, error) {
	arrived := make(sink, 2*n)
	b.StartRecordingToSink(arrived)
	defer b.Shutdown()
	r := b.NewRecorder(clientgoscheme.Scheme, corev1.EventSource{Component: eventComponent})
	for i := range n {
		r.Event(&corev1.Service{}, corev1.EventTypeNormal, reason(i), fmt.Sprint("event ", i))
	}
	last := &corev1.Service{}
	last.Name = "other"
	r.Event(last, corev1.EventTypeNormal, "Last", "")
	var got []string
	for {
		select {
		case e := <-arrived:
			if e == "Last: " {
				return got, nil
			}
			got = append(got, e)
		case <-time.After(10 * time.Second):
			return got, errors.New("the last Event did not arrive within 10 s")
		}
	}
}

func reason(i int) string {
	return []string{"ScalingReplicaSet", "RolloutStepCompleted", "Updated VirtualService"}[i%3]
}

func TestFortyEventsOfOneObjectArriveInOrder(t *testing.T) {
	const n = 40
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("%s: event %d", reason(i), i))
	}
	got, err := tell(newBroadcaster(), n)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d Events: %q", len(got), got)
	}
	// The control: with the defaults of the library some are dropped, so the options are what helps.
	got, err = tell(record.NewBroadcaster(), n)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(got, want) {
		t.Error("the library's defaults deliver them all: eventCorrelation is not needed any more")
	}
}
