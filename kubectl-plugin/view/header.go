package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
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
	h.why(v.Why, v.ObservedAt)
	h.strategy(v)
	h.images(v.Images)
	h.replicas(v.Replicas)
	for _, note := range v.Notes {
		h.prose("Note:", note)
	}
	return h.lines
}

func (h *header) images(images []ImageView) {
	for i, image := range images {
		name := ""
		if i == 0 {
			name = "Images:"
		}
		h.row(name, image.text(h.style))
	}
}

func (h *header) why(why *WhyView, now time.Time) {
	if why == nil {
		return
	}
	h.prose("Why:", why.Message)
	if next := why.next(now); next != "" {
		h.prose("  Next:", next)
	}
	if why.Unblock != "" {
		h.prose("  To go on:", why.Unblock)
	}
}

// next is the next automatic event; empty when nothing happens by itself.
func (w *WhyView) next(now time.Time) string {
	switch {
	case w == nil:
		return ""
	case w.NextAt == nil:
		return w.NextEvent
	case w.NextEvent == "":
		return moment(*w.NextAt, now)
	}
	return fmt.Sprintf("%s at %s", w.NextEvent, moment(*w.NextAt, now))
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

// text is the image and who runs it: revisions by their roles, an Experiment by its templates.
func (i ImageView) text(s Style) string {
	who := slices.Clone(i.Roles)
	for _, template := range i.Templates {
		who = append(who, s.templateTag(template))
	}
	if len(who) == 0 {
		return i.Image
	}
	return fmt.Sprintf("%s (%s)", i.Image, strings.Join(who, ", "))
}

// templateTag marks what belongs to a template of an Experiment.
func (s Style) templateTag(name string) string {
	if s.Glyphs == GlyphsPlain {
		return "template " + name
	}
	return s.kindSign(kindExperiment) + ":" + name
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
