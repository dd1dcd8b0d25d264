package terminal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-im/parley"
)

// perRow is how many lines a conversation takes in the list.
const perRow = 2

// listView returns the lines of the left column: the folders, then the
// conversations.
func (s *state) listView() []string {
	width, height := s.listWidth(), s.height-1
	out := []string{s.tabs(width), s.theme.divider.Render(strings.Repeat("─", width))}
	l := s.list()
	from := s.listFrom(l)
	for i := from; i < len(l) && len(out)+perRow <= height; i++ {
		out = append(out, s.rowView(l[i], width)...)
	}
	if len(l) == 0 {
		text := map[folder]string{folderAll: "No conversations yet", folderRequests: "No requests", folderArchived: "Nothing archived"}[s.folder]
		if s.folder == folderAll && s.unreadIn(folderRequests) > 0 {
			text = "2 shows the requests"
		}
		if !s.synced {
			text = "reading…"
		}
		out = append(out, s.theme.faint.Render(s.fit(" "+text, width)))
	}
	for len(out) < height {
		out = append(out, strings.Repeat(" ", width))
	}
	return out
}

// listFrom is the first conversation that the list shows: such that its cursor
// is on the screen.
func (s *state) listFrom(l []*chat) int {
	fits := max((s.height-1-head)/perRow, 1)
	i := slices.IndexFunc(l, func(c *chat) bool { return c.id == s.cursor })
	return max(0, i-fits+1)
}

// tabs is the line of the folders.
func (s *state) tabs(width int) string {
	var parts []string
	for f := range folders {
		text := f.String()
		if n := s.unreadIn(f); n > 0 && f != folderAll {
			text += fmt.Sprintf(" %d", n)
		}
		if f == s.folder {
			text = s.theme.title.Underline(true).Render(text)
		} else {
			text = s.theme.faint.Render(text)
		}
		parts = append(parts, text)
	}
	return s.fit(" "+strings.Join(parts, " "), width)
}

// unreadIn is how many conversations of a folder have something unread.
func (s *state) unreadIn(f folder) int {
	n := 0
	for _, c := range s.chats {
		if s.folderOf(c) == f && c.row.Unread > 0 {
			n++
		}
	}
	return n
}

// rowView returns the lines of one conversation in the list.
func (s *state) rowView(c *chat, width int) []string {
	sign := " "
	if c.id == s.cursor {
		sign = "▸"
		if s.focus == onList {
			sign = s.theme.accent.Render("▸")
		}
	}
	name := s.name(c)
	if c.row.Unread > 0 || c.id == s.cursor {
		name = s.theme.title.Render(name)
	}
	if c.row.With != nil && c.row.With.ID != s.me.ID && s.presence[parley.UserID(c.row.With.ID)].Online {
		name += s.theme.accent.Render(" ●")
	}
	when := ""
	if at := c.moved(); !at.IsZero() {
		when = s.theme.faint.Render(s.moment(at))
	}
	if c.row.Pinned {
		when = s.theme.faint.Render("^ ") + when
	}
	return []string{
		s.sides(sign+name, " "+when, width),
		s.sides(" "+s.preview(c), " "+s.badge(c), width),
	}
}

// preview is what was last said, or is being said.
func (s *state) preview(c *chat) string {
	if text := s.whoTypes(c); text != "" {
		return s.theme.accent.Render(text)
	}
	if c != s.open && c.draft.text != "" {
		return s.theme.accent.Render("Draft: ") + s.theme.faint.Render(oneLine(c.draft.text))
	}
	if c.row.Last == nil {
		return ""
	}
	u := parley.UserID(c.row.Last.Sender)
	if s.blocked(u) && c.isGroup() {
		return ""
	}
	text := oneLine(c.row.Last.Text)
	if e, ok := c.lines.Entry(parley.Seq(c.row.Last.Seq)); ok { // what became of it since
		text = oneLine(bodyText(&e.Entry))
	}
	if u == s.self() || c.isGroup() {
		text = s.person(u) + ": " + text
	}
	return s.theme.faint.Render(text)
}

// badge counts what is unread.
func (s *state) badge(c *chat) string {
	var parts []string
	if c.row.Muted {
		parts = append(parts, s.theme.faint.Render("muted"))
	}
	if n := c.row.Mentions; n > 0 {
		parts = append(parts, s.theme.mention.Render(fmt.Sprintf("@%d", n)))
	}
	if n := c.row.Unread; n > 0 {
		style := s.theme.badge
		if c.row.Muted {
			style = s.theme.faint
		}
		parts = append(parts, style.Render(fmt.Sprint(n)))
	}
	return strings.Join(parts, " ")
}
