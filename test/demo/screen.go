package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// screen is where the story is told: lines of text and nothing else, so that a
// terminal, a pipe and a file read the same.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	clock time.Time
}

// start sets the clock of the story to 0:00.
func (s *screen) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = time.Now()
}

// elapsed is the time on the story's clock.
func (s *screen) elapsed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.clock)
}

// line prints a line.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintln(s.out, text)
}

// at prints a line with the time in front of it.
func (s *screen) at(text string) { s.line(stamp(s.elapsed()) + "  " + text) }

// block prints indented text.
func (s *screen) block(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		s.line(strings.TrimRight("    "+line, " \n"))
	}
}

// stamp is a time of the story as m:ss.
func stamp(d time.Duration) string {
	seconds := int(d.Seconds())
	return fmt.Sprintf("%2d:%02d", seconds/60, seconds%60)
}

// barWidth is the number of cells of a bar.
const barWidth = 10

// bar draws a percentage; what is not nothing has a cell.
func bar(percent int) string {
	full := min((percent*barWidth+99)/100, barWidth)
	return "▕" + strings.Repeat("█", full) + strings.Repeat("░", barWidth-full) + "▏"
}

// count writes a number with its thousands apart.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s %03d", count(n/1000), n%1000)
}
