package terminal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
)

// indent is what stands before the text of a message: a bar if it is selected,
// a sign if it calls this user.
const indent = 2

// together is how close messages of one person follow each other to stand
// under one name.
const together = 5 * time.Minute

// block returns the lines of the item i, with what separates it from the one
// before.
func (s *state) block(c *chat, items []item, i, width int) []string {
	it := items[i]
	out := s.separators(c, items, i, width)
	separated := len(out) > 0
	switch it.entry.Kind {
	case parley.KindMessage:
		body := s.message(c, items, i, width, separated)
		bar := strings.Repeat(" ", indent)
		switch {
		case it.key == c.selected:
			bar = s.theme.accent.Render("▌") + " "
		case slices.Contains(it.entry.Mentions, s.self()):
			bar = s.theme.mention.Render("@") + " "
		}
		for _, line := range body {
			out = append(out, bar+line)
		}
	default:
		sign := "· "
		if it.key == c.selected {
			sign = "▌ "
		}
		for _, line := range s.wrap(s.happened(c, it.entry), width-2*indent) {
			out = append(out, s.theme.faint.Render(sign+line))
			if it.key != c.selected {
				sign = "  "
			}
		}
	}
	return out
}

// separators are the day, if another one begins, and the unread line.
func (s *state) separators(c *chat, items []item, i, width int) []string {
	var out []string
	day := items[i].entry.At.In(s.zone).Format(time.DateOnly)
	if i == 0 || items[i-1].entry.At.In(s.zone).Format(time.DateOnly) != day {
		out = append(out, s.theme.faint.Render(s.rule(s.day(items[i].entry.At), width)))
	}
	if c.unreadAfter > 0 && items[i].key.seq > c.unreadAfter && (i == 0 || items[i-1].key.seq <= c.unreadAfter) {
		out = append(out, s.theme.accent.Render(s.rule(fmt.Sprintf("%d unread", c.unreadCount), width)))
	}
	return out
}

// rule is a line with text in its middle.
func (s *state) rule(text string, width int) string {
	text = " " + text + " "
	left := max((width-s.measure.StringWidth(text))/2, 0)
	right := max(width-left-s.measure.StringWidth(text), 0)
	return s.fit(strings.Repeat("─", left)+text+strings.Repeat("─", right), width)
}

// day is how a day is called.
func (s *state) day(at time.Time) string {
	at, now := at.In(s.zone), s.now.In(s.zone)
	switch at.Format(time.DateOnly) {
	case now.Format(time.DateOnly):
		return "Today"
	case now.AddDate(0, 0, -1).Format(time.DateOnly):
		return "Yesterday"
	}
	if at.Year() == now.Year() {
		return at.Format("Monday, 2 January")
	}
	return at.Format("2 January 2006")
}

// message returns the lines of a message, without the indent.
func (s *state) message(c *chat, items []item, i, width int, separated bool) []string {
	it, e := items[i], items[i].entry
	width -= indent
	meta, room := s.meta(c, it), 9
	if c.isGroup() {
		room = 11
	}
	if width < 3*room {
		meta, room = "", 0
	}
	var out []string
	if separated || !follows(items, i) {
		name := s.theme.sender(string(e.Sender)).Render(s.person(e.Sender))
		if e.Forwarded {
			name += s.theme.faint.Render(" · forwarded")
		}
		out = append(out, s.fit(name, width))
	}
	if e.ReplyTo != 0 && !e.Deleted {
		out = append(out, s.theme.faint.Render(s.fit("┃ "+s.quote(c, e.ReplyTo), width-room)))
	}
	first := len(out)
	for _, line := range s.body(c, e, width-room) {
		out = append(out, s.fit(line, width-room))
	}
	out[first] = s.sides(out[first], meta, width)
	if len(e.Reactions) > 0 {
		out = append(out, s.reactions(e, width-room)...)
	}
	if it.wait != nil && it.wait.err != "" {
		for _, line := range s.wrap("not sent: "+Visible(it.wait.err)+" (enter takes it back, x drops it)", width) {
			out = append(out, s.theme.bad.Render(line))
		}
	}
	return out
}

// follows reports whether the item i stands under the name of the one before.
func follows(items []item, i int) bool {
	if i == 0 || items[i].entry.ReplyTo != 0 || items[i].entry.Forwarded {
		return false
	}
	a, b := items[i-1].entry, items[i].entry
	return a.Kind == parley.KindMessage && a.Sender == b.Sender && b.At.Sub(a.At) < together
}

// body returns what e says, in lines of at most width cells.
func (s *state) body(c *chat, e *client.TimelineEntry, width int) []string {
	var marks []string
	if e.Pinned {
		marks = append(marks, "pinned")
	}
	if e.Edited && !e.Deleted {
		marks = append(marks, "edited")
	}
	var out []string
	switch {
	case e.Deleted:
		out = []string{s.theme.faint.Italic(true).Render("message deleted")}
	case e.Body.Type != parley.TextPlain:
		out = []string{s.theme.faint.Render(s.fit(fmt.Sprintf("(%s, %s)", Visible(e.Body.Type), plural(len(e.Body.Data), "byte", "bytes")), width))}
	default:
		for _, line := range lines(string(e.Body.Data)) {
			for _, part := range s.wrap(line, width) {
				out = append(out, s.callOut(c, part))
			}
		}
	}
	if len(marks) > 0 {
		mark := s.theme.faint.Render("(" + strings.Join(marks, ", ") + ")")
		if last := out[len(out)-1]; s.measure.StringWidth(last)+1+s.measure.StringWidth(mark) <= width {
			out[len(out)-1] = last + " " + mark
		} else {
			out = append(out, mark)
		}
	}
	return out
}

// callOut has @handles of members stand out.
func (s *state) callOut(c *chat, line string) string {
	if !strings.Contains(line, "@") {
		return line
	}
	words := strings.Split(line, " ")
	for i, w := range words {
		handle, ok := strings.CutPrefix(strings.TrimRight(w, ".,;:!?)"), "@")
		if !ok || handle == "" {
			continue
		}
		for _, m := range c.members {
			if m.Handle == strings.ToLower(handle) {
				style := lipgloss.NewStyle().Bold(true)
				if m.User == s.me.ID {
					style = s.theme.mention
				}
				words[i] = style.Render(w[:1+len(handle)]) + w[1+len(handle):]
			}
		}
	}
	return strings.Join(words, " ")
}

// quote is one line of the message that another answers.
func (s *state) quote(c *chat, seq parley.Seq) string {
	e, ok := c.lines.Entry(seq)
	if !ok {
		return "an earlier message"
	}
	if e.Kind == parley.KindWithheld || s.blocked(e.Sender) {
		return "a message that is not shown"
	}
	return s.person(e.Sender) + ": " + oneLine(bodyText(&e.Entry))
}

// meta is the time of a message, and how far it got if it is this user's own.
func (s *state) meta(c *chat, it item) string {
	if w := it.wait; w != nil {
		switch {
		case w.err != "":
			return s.theme.bad.Render("not sent")
		case w.seq == 0 && w.kept:
			return s.theme.faint.Render("waiting")
		case w.seq == 0:
			return s.theme.faint.Render("…")
		}
	}
	at := s.theme.faint.Render(it.entry.At.In(s.zone).Format("15:04"))
	if it.entry.Sender != s.self() || it.entry.Deleted {
		return at
	}
	return at + " " + s.ticks(c, it.key.seq)
}

// ticks says how far an own message got: sent, delivered, read; in a group by
// how many.
func (s *state) ticks(c *chat, seq parley.Seq) string {
	delivered, read, others := c.readBy(seq, s.me.ID)
	switch {
	case seq == 0 || !c.receipts() || delivered < others && read == 0:
		return s.theme.faint.Render("✓")
	case read == others:
		if s.theme.colourless {
			return "✔✔"
		}
		return s.theme.read.Render("✓✓")
	case read > 0:
		return s.theme.faint.Render("✓✓") + s.theme.read.Render(fmt.Sprint(read))
	}
	return s.theme.faint.Render("✓✓")
}

// reactions are what was felt about a message; this user's own stands out.
func (s *state) reactions(e *client.TimelineEntry, width int) []string {
	var parts []string
	for _, r := range e.Reactions {
		part := fmt.Sprintf("%s %d", oneLine(r.Text), r.Count)
		if r.Text == e.Mine {
			part = "[" + s.theme.accent.Render(part) + "]"
		}
		parts = append(parts, part)
	}
	return s.wrap(strings.Join(parts, "  "), width)
}

// happened is a sentence about what changed in a conversation.
func (s *state) happened(c *chat, e *client.TimelineEntry) string {
	who := s.person(e.Sender)
	switch e.Kind {
	case parley.KindTitle:
		return who + " renamed the group to " + Visible(string(e.Body.Data))
	case parley.KindPin:
		if _, known := c.lines.Entry(e.Ref); !known {
			return who + " pinned a message"
		}
		return who + " pinned: " + s.quote(c, e.Ref)
	case parley.KindMembers:
		return s.memberChange(who, e)
	}
	return who + " changed something"
}

func (s *state) memberChange(who string, e *client.TimelineEntry) string {
	var b parley.MembersBody
	if json.Unmarshal(e.Body.Data, &b) != nil {
		return who + " changed who belongs"
	}
	names := func(users []parley.UserID) string {
		var out []string
		for _, u := range users {
			if u != e.Sender {
				out = append(out, s.person(u))
			}
		}
		if len(out) > 5 {
			out = append(out[:4], fmt.Sprintf("%d others", len(out)-4))
		}
		return strings.Join(out, ", ")
	}
	var parts []string
	switch {
	case e.Seq == 1 && b.Title != "":
		parts = append(parts, who+" made the group "+Visible(b.Title))
	case e.Seq == 1:
		return who + " began the conversation"
	case slices.Equal(b.Remove, []parley.UserID{e.Sender}):
		parts = append(parts, who+" left")
	case slices.Equal(b.Add, []parley.UserID{e.Sender}):
		parts = append(parts, who+" joined by a link")
	}
	if added := names(b.Add); added != "" {
		parts = append(parts, who+" added "+added)
	}
	if removed := names(b.Remove); removed != "" {
		parts = append(parts, who+" removed "+removed)
	}
	for _, r := range []parley.Role{parley.RoleOwner, parley.RoleAdmin, parley.RoleMember} {
		for _, u := range slices.Sorted(keysOf(b.Roles)) {
			if b.Roles[u] == r && e.Seq > 1 {
				parts = append(parts, fmt.Sprintf("%s is now %s", s.person(u), map[parley.Role]string{
					parley.RoleOwner: "the owner", parley.RoleAdmin: "an admin", parley.RoleMember: "a member"}[r]))
			}
		}
	}
	if len(parts) == 0 {
		return who + " changed who belongs"
	}
	return strings.Join(parts, "; ")
}
