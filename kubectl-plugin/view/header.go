package view

import (
	"fmt"
	"strings"
)

// label is the width of the labels of the header; scripts cut at it.
const label = 17

// header writes the rows above the tree.
type header struct {
	style Style
	lines []string
}

// row adds one line that is cut when it is too wide.
func (h *header) row(name, value string) {
	value = h.style.middle(value, h.room())
	h.lines = append(h.lines, fmt.Sprintf("%-*s%s", label, name, value))
}

// prose adds a sentence, broken into lines when it is too wide.
func (h *header) prose(name, text string) {
	for _, line := range wrap(text, h.room()) {
		h.lines = append(h.lines, fmt.Sprintf("%-*s%s", label, name, line))
		name = ""
	}
}

func (h *header) room() int {
	if h.style.Width <= 0 {
		return 0
	}
	return max(h.style.Width-label, 20)
}

func headerOf(v RolloutView, s Style) []string {
	h := &header{style: s}
	h.row("Name:", v.Name)
	h.row("Namespace:", v.Namespace)
	health := phaseHealth(v.Phase)
	h.lines = append(h.lines, fmt.Sprintf("%-*s%s", label, "Status:", s.paint(health, s.state(health, string(v.Phase)))))
	if v.Message != "" {
		h.prose("Message:", v.Message)
	}
	h.why(v)
	h.strategy(v)
	for i, image := range v.Images {
		name := ""
		if i == 0 {
			name = "Images:"
		}
		h.row(name, image.text())
	}
	h.replicas(v.Replicas)
	for _, note := range v.Notes {
		h.prose("Note:", note)
	}
	return h.lines
}

func (h *header) why(v RolloutView) {
	if v.Why == nil {
		return
	}
	h.prose("Why:", v.Why.Message)
	if next := v.next(); next != "" {
		h.prose("  Next:", next)
	}
	if v.Why.Unblock != "" {
		h.prose("  To go on:", v.Why.Unblock)
	}
}

// next is the next automatic event; empty when nothing happens by itself.
func (v RolloutView) next() string {
	switch {
	case v.Why == nil:
		return ""
	case v.Why.NextAt == nil:
		return v.Why.NextEvent
	case v.Why.NextEvent == "":
		return moment(*v.Why.NextAt, v.ObservedAt)
	}
	return fmt.Sprintf("%s at %s", v.Why.NextEvent, moment(*v.Why.NextAt, v.ObservedAt))
}

func (h *header) strategy(v RolloutView) {
	h.row("Strategy:", string(v.Strategy))
	if v.Step != nil {
		text := fmt.Sprintf("%d/%d", v.Step.Index, v.Step.Count)
		h.row("  Step:", text)
	}
	if v.Weight != nil {
		h.row("  SetWeight:", fmt.Sprint(v.Weight.Set))
		h.row("  ActualWeight:", v.Weight.text())
	}
}

func (w WeightView) text() string {
	text := fmt.Sprint(w.Actual)
	if w.Verified != nil && !*w.Verified {
		text += " (not confirmed yet)"
	}
	return text
}

func (i ImageView) text() string {
	if len(i.Roles) == 0 {
		return i.Image
	}
	return fmt.Sprintf("%s (%s)", i.Image, strings.Join(i.Roles, ", "))
}

func (h *header) replicas(r ReplicasView) {
	h.lines = append(h.lines, "Replicas:")
	for _, count := range []struct {
		name string
		n    int32
	}{
		{"  Desired:", r.Desired},
		{"  Current:", r.Current},
		{"  Updated:", r.Updated},
		{"  Ready:", r.Ready},
		{"  Available:", r.Available},
	} {
		h.row(count.name, fmt.Sprint(count.n))
	}
}
