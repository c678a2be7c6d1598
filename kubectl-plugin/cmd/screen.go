package cmd

import "strings"

// Sequences every terminal of the last decades knows.
const (
	screenEnter = "\x1b[?1049h\x1b[?25l"
	screenLeave = "\x1b[?25h\x1b[?1049l"
	cursorHome  = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// screen shows a watch on a terminal: in its alternate screen and in place,
// so that nothing fills the scroll-back. It leaves the last picture behind.
type screen struct {
	app  *app
	wide bool
	last string
}

func (s *screen) enter() { _ = s.app.printf(screenEnter) }

func (s *screen) leave() { _ = s.app.printf("%s%s", screenLeave, s.last) }

// draw writes every line over the old one; erasing the whole screen first would flicker.
func (s *screen) draw(p portrait) error {
	style, err := s.app.style()
	if err != nil {
		return err
	}
	size, _ := s.app.terminal(s.app.streams.Out)
	if s.wide {
		style.Width = 0
	}
	s.last = p.tree(style)
	style.Height = size.height - 1
	rows := strings.Split(strings.TrimSuffix(p.tree(style), "\n"), "\n")
	rows = rows[:min(len(rows), max(size.height-1, 1))]
	return s.app.printf("%s", cursorHome+strings.Join(rows, eraseLine+"\r\n")+eraseLine+eraseBelow)
}
