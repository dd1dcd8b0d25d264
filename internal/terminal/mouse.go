package terminal

import tea "charm.land/bubbletea/v2"

// wheelLines is how far one turn of the wheel goes.
const wheelLines = 3

// wheel takes a turn of the mouse wheel; up is 1 or -1.
func (s *state) wheel(m tea.Mouse, up int) []effect {
	x, _ := s.mainAt()
	switch {
	case s.panel != nil:
		last := max(len(s.panel.rows(s.panel.typed))-1, 0)
		s.panel.at = min(max(s.panel.at-up, 0), last)
	case s.showsList() && (s.narrow() || m.X < x):
		s.moveList(-up)
	case s.open != nil:
		return s.scroll(s.open, up*wheelLines)
	}
	return nil
}

// click takes a click of the left button.
func (s *state) click(m tea.Mouse) []effect {
	x, width := s.mainAt()
	inList := s.showsList() && (s.narrow() || m.X < x-1)
	switch {
	case s.ask != nil:
		return nil
	case s.panel != nil && (m.X >= x):
		return s.clickPanel(m.Y)
	case inList && m.Y == 0:
		s.clickTab(m.X)
	case inList && m.Y >= head:
		l := s.list()
		if i := s.listFrom(l) + (m.Y-head)/perRow; i < len(l) && m.Y < s.height-1 {
			return s.enter(l[i])
		}
	case s.open == nil || !s.showsMain():
		return nil
	default:
		_, y, _, height := s.pane()
		if m.Y >= y && m.Y < y+height {
			return s.clickLine(m.Y-y, width, height)
		}
		if m.Y == y+height {
			return s.end(s.open)
		}
		return s.toward(onCompose)
	}
	return nil
}

func (s *state) clickTab(x int) {
	at := 1
	for f := range folders {
		text := f.String()
		if n := s.unreadIn(f); n > 0 && f != folderAll {
			text += " 0"
		}
		if x >= at && x < at+len(text)+1 {
			s.showFolder(f)
			return
		}
		at += len(text) + 1
	}
}

func (s *state) clickPanel(y int) []effect {
	rows := s.panel.rows(s.panel.typed)
	first := head
	if s.panel.prompt != "" {
		first++
	}
	i := y - first + s.panelFrom(rows)
	if y < first || i >= len(rows) || rows[i].pick == nil {
		return nil
	}
	return s.pick(rows[i])
}

// clickLine selects the message on that line of the timeline; a second click
// goes where a reply points.
func (s *state) clickLine(line, width, height int) []effect {
	c := s.open
	items := s.items(c)
	if len(items) == 0 {
		return nil
	}
	i, below := s.where(c, items)
	bottom := height + below // the line under the item i
	for ; i >= 0; i-- {
		top := bottom - len(s.block(c, items, i, width))
		if line >= top && line < bottom {
			again := c.selected == items[i].key && s.focus == onLines
			c.selected = items[i].key
			s.focus = onLines
			if again && items[i].entry.ReplyTo != 0 {
				return s.jump(c, items[i].entry.ReplyTo)
			}
			return nil
		}
		bottom = top
	}
	return nil
}
