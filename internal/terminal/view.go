package terminal

import (
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

func keysOf[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }

// narrowBelow is the width under which list and timeline take turns.
const narrowBelow = 64

// head is how many lines stand above the list and the timeline.
const head = 2

func (s *state) narrow() bool { return s.width < narrowBelow }

// listWidth is how wide the list is, while it is shown.
func (s *state) listWidth() int {
	if s.narrow() {
		return s.width
	}
	return min(max(s.width*3/10, 24), 36)
}

// showsList and showsMain report which columns are on the screen.
func (s *state) showsList() bool {
	return !s.narrow() || s.open == nil && s.panel == nil || s.focus == onList && s.panel == nil
}
func (s *state) showsMain() bool { return !s.narrow() || !s.showsList() }

// mainAt is where the right column begins, and how wide it is.
func (s *state) mainAt() (x, width int) {
	if s.narrow() {
		return 0, s.width
	}
	x = s.listWidth() + 1
	return x, s.width - x
}

// foot is how many lines stand under the timeline: who types, what is answered,
// the composer, the status.
func (s *state) foot() int {
	n := 1 + s.compose.Height() + 1
	if s.context() != "" {
		n++
	}
	return n
}

// pane is where the timeline stands.
func (s *state) pane() (x, y, width, height int) {
	x, width = s.mainAt()
	return x, head, max(width, 1), max(s.height-head-s.foot(), 1)
}

// view returns the screen, and where its cursor stands, if it has one.
func (s *state) view() (string, *tea.Cursor) {
	if s.width < 16 || s.height < 6 {
		return s.fit("too small", s.width), nil
	}
	var rows []string
	list, main := s.listView(), []string(nil)
	var cursor *tea.Cursor
	if s.showsMain() || s.panel != nil {
		main, cursor = s.mainView()
	}
	for y := range s.height - 1 {
		switch {
		case s.narrow() && s.showsList():
			rows = append(rows, list[y])
		case s.narrow():
			rows = append(rows, main[y])
		default:
			rows = append(rows, list[y]+s.theme.divider.Render("│")+main[y])
		}
	}
	if s.narrow() && s.showsList() && s.focus == onCompose {
		rows = rows[:s.height-1-s.compose.Height()]
		cursor = s.cursorAt(0, len(rows))
		rows = append(rows, strings.Split(s.compose.View(), "\n")...)
	}
	return strings.Join(append(rows, s.status()), "\n"), cursor
}

// mainView returns the lines of the right column.
func (s *state) mainView() ([]string, *tea.Cursor) {
	x, width := s.mainAt()
	if s.panel != nil {
		return s.panelView(x, width)
	}
	_, _, _, height := s.pane()
	out := []string{s.title(width), s.theme.divider.Render(strings.Repeat("─", width))}
	if s.open == nil {
		out = append(out, s.welcome(width, height)...)
	} else {
		out = append(out, s.timeline(s.open, width, height)...)
	}
	out = append(out, s.below(width))
	if text := s.context(); text != "" {
		out = append(out, s.theme.accent.Render(s.fit(text, width)))
	}
	out = s.overlay(out, width)
	var cursor *tea.Cursor
	if s.focus == onCompose {
		cursor = s.cursorAt(x, len(out))
	}
	for _, line := range strings.Split(s.compose.View(), "\n") {
		out = append(out, s.fit(line, width))
	}
	return out, cursor
}

// cursorAt is the composer's cursor, if the composer stands at x and y.
func (s *state) cursorAt(x, y int) *tea.Cursor {
	c := s.compose.Cursor()
	if c == nil || s.ask != nil {
		return nil
	}
	c.X, c.Y = c.X+x, c.Y+y
	return c
}

// title is the first line of the right column.
func (s *state) title(width int) string {
	c := s.open
	if c == nil {
		return s.fit("", width)
	}
	return s.sides(s.theme.title.Render(s.name(c)), s.theme.faint.Render(s.presenceOf(c)), width)
}

// presenceOf says who of c is there.
func (s *state) presenceOf(c *chat) string {
	if c.row.Until != 0 {
		return "no longer a member"
	}
	if c.isGroup() {
		text := plural(len(c.members), "member", "members")
		if len(c.members) == 0 {
			text = ""
		}
		n := 0
		for _, m := range c.members {
			if m.User != s.me.ID && s.presence[parley.UserID(m.User)].Online {
				n++
			}
		}
		if n > 0 {
			text += fmt.Sprintf(", %d online", n)
		}
		return text
	}
	if c.row.With == nil || c.row.With.ID == s.me.ID {
		return ""
	}
	u := parley.UserID(c.row.With.ID)
	p, known := s.presence[u]
	switch {
	case s.blocked(u):
		return "blocked"
	case !known:
		return "@" + c.row.With.Handle
	case p.Online:
		return "online"
	}
	if at, err := wire.ParseTime(p.LastSeen); err == nil {
		return "last seen " + s.moment(at)
	}
	return "@" + c.row.With.Handle
}

// moment is a time as short as it can be told.
func (s *state) moment(at time.Time) string {
	at, now := at.In(s.zone), s.now.In(s.zone)
	switch {
	case at.Format(time.DateOnly) == now.Format(time.DateOnly):
		return at.Format("15:04")
	case now.Sub(at) < 6*24*time.Hour && now.After(at):
		return at.Format("Mon")
	case at.Year() == now.Year():
		return at.Format("2 Jan")
	}
	return at.Format("Jan 2006")
}

// timeline returns the lines of what is said in c.
func (s *state) timeline(c *chat, width, height int) []string {
	items := s.items(c)
	var out []string
	if len(items) > 0 {
		i, below := s.where(c, items)
		for ; i >= 0 && len(out) < height+below; i-- {
			out = append(s.block(c, items, i, width), out...)
		}
		out = out[:max(len(out)-below, 0)]
	}
	switch {
	case len(out) >= height:
		out = out[len(out)-height:]
	case len(items) == 0 && c.row.Request:
	case c.busy:
		out = append([]string{s.theme.faint.Render("· reading…")}, out...)
	case len(items) == 0 && c.whole:
		out = []string{s.theme.faint.Render("· nothing was said yet")}
	}
	for i := range out {
		out[i] = s.fit(out[i], width)
	}
	for len(out) < height {
		out = append([]string{strings.Repeat(" ", width)}, out...)
	}
	return out
}

// below is the line under the timeline: who types, or what is out of sight.
func (s *state) below(width int) string {
	c := s.open
	if c == nil {
		return strings.Repeat(" ", width)
	}
	if !c.bottom.none() {
		text := "↓ the newest is further down; End goes there"
		if n := c.row.Unread; n > 0 {
			text = fmt.Sprintf("↓ %d new; End goes there", n)
		}
		return s.theme.accent.Render(s.fit(text, width))
	}
	if c.row.Request && c.row.With != nil {
		text := "A stranger wrote: answer, or :block them"
		if s.contacts[parley.UserID(c.row.With.ID)].State == "pending" {
			text = "A stranger wrote: answer, :accept, :reject or :block them"
		}
		return s.theme.accent.Render(s.fit(text, width))
	}
	return s.theme.faint.Render(s.fit(s.whoTypes(c), width))
}

// whoTypes says who is typing in c, if somebody is.
func (s *state) whoTypes(c *chat) string {
	var who []string
	for _, m := range c.members { // in their order
		if _, ok := c.typing[parley.UserID(m.User)]; ok {
			who = append(who, s.person(parley.UserID(m.User)))
		}
	}
	switch {
	case len(who) == 0 && len(c.typing) > 0:
		return "typing…"
	case len(who) == 0:
		return ""
	case len(who) == 1:
		return who[0] + " is typing…"
	case len(who) == 2:
		return who[0] + " and " + who[1] + " are typing…"
	}
	return "several people are typing…"
}

// context says what the composer's text is about.
func (s *state) context() string {
	c := s.open
	if c == nil {
		return ""
	}
	switch d := c.draft; {
	case !d.editing.none():
		return "Editing your message; Esc leaves it as it is"
	case d.replyTo != 0:
		return "Reply to " + s.quote(c, d.replyTo)
	}
	return ""
}

// welcome is what stands where no conversation is open.
func (s *state) welcome(width, height int) []string {
	text := []string{"", "Choose a conversation on the left, or begin one:", "", "  :to @handle         with a person", "  :new Title @a @b    with several", "  :join CODE          by a link", "", "? shows every key and command"}
	out := make([]string, height)
	for i := range out {
		line := ""
		if i < len(text) {
			line = s.theme.faint.Render(text[i])
		}
		out[i] = s.fit("  "+line, width)
	}
	return out
}

// status is the last line: how the connection stands and what there is to say.
func (s *state) status() string {
	hint := s.theme.faint.Render("F1 help")
	if s.ask != nil {
		return s.sides(s.theme.accent.Render(" "+s.ask.text), "", s.width)
	}
	left := " " + s.linkWords()
	if s.notice.text != "" {
		text := Visible(s.notice.text)
		if s.notice.bad {
			text = s.theme.bad.Render(text)
		}
		if !s.link.up && !s.link.ended {
			text = "Offline · " + text
		}
		left = " " + text
	}
	return s.sides(left, hint+" ", s.width)
}

// linkWords says how the connection stands, and how much waits for it.
func (s *state) linkWords() string {
	n := 0
	for _, w := range s.waiting {
		if w.seq == 0 && w.err == "" {
			n++
		}
	}
	words := "Online"
	switch {
	case s.link.ended:
		words = "Stopped: " + Visible(s.link.why)
	case !s.link.up && s.link.why == "connecting":
		words = "Connecting…"
	case !s.link.up:
		words = "Offline: " + Visible(s.link.why)
	}
	if n > 0 {
		words += " · " + plural(n, "message waits", "messages wait")
	}
	return words
}

// windowTitle is what the terminal's window is called.
func (s *state) windowTitle() string {
	n := uint64(0)
	for _, c := range s.chats {
		if !c.row.Muted && !c.row.Archived {
			n += c.row.Unread
		}
	}
	if n > 0 {
		return fmt.Sprintf("(%d) Parley", n)
	}
	return "Parley"
}
