package terminal

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// panel stands in the place of the timeline for a while: a list to choose from
// as one types, or something to read.
type panel struct {
	title  string
	typed  string
	prompt string                        // empty: nothing is typed here
	rows   func(typed string) []panelRow // what there is to choose from
	ask    func(typed string) []effect   // what enter does before there is anything to choose
	asked  string                        // for what it did
	at     int                           // the chosen row; without a prompt: the first line shown
}

type panelRow struct {
	text, right string
	pick        func() []effect // nil: it is there to be read
}

// panelView returns the lines of the panel.
func (s *state) panelView(x, width int) ([]string, *tea.Cursor) {
	p, height := s.panel, s.height-1
	out := []string{s.sides(s.theme.title.Render(p.title), s.theme.faint.Render("Esc closes"), width), s.theme.divider.Render(strings.Repeat("─", width))}
	var cursor *tea.Cursor
	if p.prompt != "" {
		line := p.prompt + " " + p.typed
		cursor = tea.NewCursor(min(x+s.measure.StringWidth(line), s.width-1), len(out))
		out = append(out, s.fit(line, width))
	}
	rows := p.rows(p.typed)
	from := s.panelFrom(rows)
	for i := from; i < len(rows) && len(out) < height; i++ {
		sign := "  "
		if i == p.at && rows[i].pick != nil {
			sign = s.theme.accent.Render("▸ ")
		}
		right := ""
		if rows[i].right != "" {
			right = " " + s.theme.faint.Render(rows[i].right)
		}
		out = append(out, s.sides(sign+rows[i].text, right, width))
	}
	for len(out) < height {
		out = append(out, strings.Repeat(" ", width))
	}
	return out, cursor
}

// panelRoom is how many rows of the panel fit.
func (s *state) panelRoom() int {
	room := s.height - 1 - head
	if s.panel.prompt != "" {
		room--
	}
	return max(room, 1)
}

// panelFrom is the first row shown, such that the chosen one is on the screen.
func (s *state) panelFrom(rows []panelRow) int {
	if s.panel.prompt == "" && !slices.ContainsFunc(rows, func(r panelRow) bool { return r.pick != nil }) {
		return min(s.panel.at, max(len(rows)-s.panelRoom(), 0))
	}
	return max(0, s.panel.at-s.panelRoom()+1)
}

// panelKey takes a key while a panel is shown.
func (s *state) panelKey(msg tea.KeyPressMsg) []effect {
	p := s.panel
	rows := p.rows(p.typed)
	last := max(len(rows)-1, 0)
	switch k := msg.String(); k {
	case "esc":
		s.panel = nil
		return s.reading()
	case "up", "ctrl+p":
		p.at = max(p.at-1, 0)
	case "down", "ctrl+n", "tab":
		p.at = min(p.at+1, last)
	case "pgup":
		p.at = max(p.at-s.panelRoom(), 0)
	case "pgdown":
		p.at = min(p.at+s.panelRoom(), last)
	case "enter":
		if p.ask != nil && p.asked != p.typed {
			p.asked = p.typed
			return p.ask(p.typed)
		}
		if p.at < len(rows) && rows[p.at].pick != nil {
			return s.pick(rows[p.at])
		}
	case "backspace":
		if r := []rune(p.typed); len(r) > 0 {
			p.typed, p.at = string(r[:len(r)-1]), 0
		}
	case "ctrl+u":
		p.typed, p.at = "", 0
	default:
		switch {
		case p.prompt != "" && msg.Text != "":
			p.typed, p.at = p.typed+msg.Text, 0
		case k == "q" || k == "?":
			s.panel = nil
		case k == "j":
			p.at = min(p.at+1, last)
		case k == "k":
			p.at = max(p.at-1, 0)
		case k == "space":
			p.at = min(p.at+s.panelRoom(), last)
		}
	}
	return nil
}

func (s *state) pick(r panelRow) []effect {
	s.panel = nil
	return append(r.pick(), s.reading()...)
}

// feelings are the reactions to choose from; any other can be typed.
var feelings = []struct{ text, name string }{
	{"👍", "thumbs up yes agree"}, {"❤️", "heart love"}, {"😂", "laugh joy"}, {"🎉", "party congratulations"}, {"😮", "surprise wow"},
	{"😢", "sad cry"}, {"🙏", "thanks please"}, {"👀", "looking eyes"}, {"✅", "done check"}, {"👎", "thumbs down no"}, {"🔥", "fire"}, {"🤔", "thinking"},
}

// react opens the choice of reactions to the message k.
func (s *state) react(c *chat, k key, mine string) {
	feel := func(text string) func() []effect {
		return func() []effect { return s.act(c, k, client.React("", 0, text)) }
	}
	s.panel = &panel{title: "React", prompt: "Find, or type any:", rows: func(typed string) []panelRow {
		var rows []panelRow
		if mine != "" {
			rows = append(rows, panelRow{text: "take back " + oneLine(mine), pick: feel("")})
		}
		for _, f := range feelings {
			if typed == "" || strings.Contains(f.name, strings.ToLower(typed)) || f.text == typed {
				rows = append(rows, panelRow{text: f.text + "  " + f.name, pick: feel(f.text)})
			}
		}
		foreign := strings.ContainsFunc(typed, func(r rune) bool { return r > unicode.MaxASCII })
		if typed != "" && len(typed) <= parley.MaxReaction && (foreign || len(rows) == 0) {
			rows = append(rows, panelRow{text: typed, pick: feel(typed)})
		}
		return rows
	}}
}

// chooseChat opens a choice of conversations.
func (s *state) chooseChat(title string, pick func(c *chat) []effect) {
	s.panel = &panel{title: title, prompt: "To:", rows: func(typed string) []panelRow {
		var rows []panelRow
		want := strings.ToLower(strings.TrimPrefix(typed, "@"))
		for _, c := range s.everyChat() {
			handle := ""
			if c.row.With != nil {
				handle = "@" + c.row.With.Handle
			}
			if strings.Contains(strings.ToLower(s.name(c)+" "+handle), want) {
				rows = append(rows, panelRow{text: s.name(c), right: handle, pick: func() []effect { return pick(c) }})
			}
		}
		if handle, err := wire.CleanHandle(typed); err == nil && len(rows) == 0 {
			rows = append(rows, panelRow{text: "begin with @" + handle, pick: func() []effect { s.goTo = handle; return []effect{openDirect(handle)} }})
		}
		return rows
	}}
}

// everyChat returns all conversations, whatever their folder.
func (s *state) everyChat() []*chat {
	var out []*chat
	folder := s.folder
	for s.folder = range folders {
		out = append(out, s.list()...)
	}
	s.folder = folder
	return out
}

// forward opens the choice of where to say the message k again.
func (s *state) forward(e *client.TimelineEntry) {
	body := e.Body
	s.chooseChat("Forward", func(to *chat) []effect {
		out := s.enqueue(to, parley.Post{Body: body, Forwarded: true}, "")
		s.say("Forwarded to " + s.name(to))
		return out
	})
}

// searchPanel opens the search; inside: in the open conversation only.
func (s *state) searchPanel(text string, inside bool) []effect {
	title, q := "Search everywhere", client.Search{}
	if inside && s.open != nil {
		title, q.Conversation = "Search in "+s.name(s.open), s.open.id
	}
	s.panel = &panel{title: title, typed: text, prompt: "For:", rows: func(string) []panelRow {
		return []panelRow{{text: s.theme.faint.Render("enter searches")}}
	}, ask: func(typed string) []effect {
		if strings.TrimSpace(typed) == "" {
			return nil
		}
		q.Text = typed
		return []effect{search(q)}
	}}
	if text == "" {
		return nil
	}
	s.panel.asked = text
	return s.panel.ask(text)
}

// showFound puts what a search found into its panel.
func (s *state) showFound(f found) {
	p := s.panel
	if p == nil || p.ask == nil || p.asked != f.text {
		return // the person went on
	}
	if f.err != nil {
		s.complain(sentence(f.err))
	}
	rows := make([]panelRow, 0, len(f.items)+1)
	for _, item := range f.items {
		conv, seq := parley.ConversationID(item.Entry.Conversation), parley.Seq(item.Entry.Seq)
		text := ""
		if item.Entry.Body != nil && item.Entry.Body.Text != nil {
			text = oneLine(*item.Entry.Body.Text)
		}
		when := ""
		if at, err := wire.ParseTime(item.Entry.At); err == nil {
			when = s.moment(at)
		}
		where := ""
		if c := s.chats[conv]; c != nil && c.isGroup() {
			where = " in " + s.name(c)
		}
		rows = append(rows, panelRow{
			text: s.theme.sender(item.Entry.Sender).Render(s.person(parley.UserID(item.Entry.Sender))) + s.theme.faint.Render(where) + " " + text, right: when,
			pick: func() []effect {
				c := s.chat(conv)
				var out []effect
				if s.open != c {
					out = s.enter(c)
				}
				return append(out, s.jump(c, seq)...)
			},
		})
	}
	if len(rows) == 0 {
		rows = append(rows, panelRow{text: s.theme.faint.Render("nothing was found")})
	}
	p.at = 0
	p.rows = func(string) []panelRow { return rows }
}

// read opens a panel with lines to read.
func (s *state) read(title string, text []string) {
	rows := make([]panelRow, len(text))
	for i := range text {
		rows[i].text = text[i]
	}
	s.panel = &panel{title: title, rows: func(string) []panelRow { return rows }}
}

// inform opens what is known of a message: when, who got it, who feels what,
// how it read before.
func (s *state) inform(c *chat, it item) []effect {
	e := it.entry
	text := []string{s.person(e.Sender) + ", " + e.At.In(s.zone).Format("Monday, 2 January 2006, 15:04:05")}
	if it.key.seq == 0 {
		text = append(text, "It waits to be sent.")
	} else {
		text = append(text, fmt.Sprintf("Number %d", it.key.seq))
	}
	if e.Sender == s.self() && c.receipts() && it.key.seq != 0 {
		var read, delivered, not []string
		for _, m := range c.members {
			name := s.person(parley.UserID(m.User))
			switch {
			case m.User == s.me.ID:
			case m.Read >= uint64(it.key.seq):
				read = append(read, name)
			case m.Delivered >= uint64(it.key.seq):
				delivered = append(delivered, name)
			default:
				not = append(not, name)
			}
		}
		for _, l := range []struct {
			what string
			who  []string
		}{{"Read by", read}, {"Delivered to", delivered}, {"Not yet delivered to", not}} {
			if len(l.who) > 0 {
				text = append(text, "", s.theme.title.Render(l.what))
				text = append(text, l.who...)
			}
		}
	}
	s.read("About this message", text)
	s.panel.asked = fmt.Sprint(c.id, it.key.seq)
	if it.key.seq != 0 && (e.Edited || len(e.Reactions) > 0) {
		return []effect{readAbout(c.id, it.key.seq, e.Edited, len(e.Reactions) > 0)}
	}
	return nil
}

// showAbout adds to that what the server knows.
func (s *state) showAbout(a about) {
	p := s.panel
	if p == nil || p.asked != fmt.Sprint(a.conv, a.seq) {
		return
	}
	if a.err != nil {
		s.complain(sentence(a.err))
	}
	rows := p.rows("")
	if len(a.reactors) > 0 {
		rows = append(rows, panelRow{}, panelRow{text: s.theme.title.Render("Reactions")})
		for _, r := range a.reactors {
			rows = append(rows, panelRow{text: oneLine(r.Text) + "  " + s.person(parley.UserID(r.User))})
		}
	}
	if len(a.editions) > 1 {
		rows = append(rows, panelRow{}, panelRow{text: s.theme.title.Render("How it read")})
		for _, e := range a.editions {
			text, when := "", ""
			if e.Body != nil && e.Body.Text != nil {
				text = oneLine(*e.Body.Text)
			}
			if at, err := wire.ParseTime(e.At); err == nil {
				when = s.moment(at)
			}
			rows = append(rows, panelRow{text: text, right: when})
		}
	}
	p.rows = func(string) []panelRow { return rows }
}

// pinsPanel lists what is pinned in c.
func (s *state) pinsPanel(c *chat) {
	s.panel = &panel{title: "Pinned in " + s.name(c), rows: func(string) []panelRow {
		var rows []panelRow
		for _, seq := range c.lines.Pins() {
			rows = append(rows, panelRow{text: s.quote(c, seq), pick: func() []effect { return s.jump(c, seq) }})
		}
		if len(rows) == 0 {
			rows = append(rows, panelRow{text: s.theme.faint.Render("nothing is pinned")})
		}
		return rows
	}}
}

// membersPanel lists who belongs to c.
func (s *state) membersPanel(c *chat) {
	s.panel = &panel{title: "Members of " + s.name(c), rows: func(string) []panelRow {
		var rows []panelRow
		for _, m := range c.members {
			text := s.theme.sender(m.User).Render(Visible(m.Name)) + " @" + m.Handle
			if s.presence[parley.UserID(m.User)].Online {
				text += s.theme.accent.Render(" ●")
			}
			role := ""
			if m.Role != string(parley.RoleMember) {
				role = m.Role
			}
			handle := m.Handle
			rows = append(rows, panelRow{text: text, right: role, pick: func() []effect {
				if m.User == s.me.ID {
					return nil
				}
				s.goTo = handle
				return []effect{openDirect(handle)}
			}})
		}
		return rows
	}}
}

// contactsPanel lists how this user stands with others.
func (s *state) contactsPanel() {
	s.panel = &panel{title: "Contacts", rows: func(string) []panelRow {
		var rows []panelRow
		for _, u := range slices.Sorted(keysOf(s.contacts)) {
			c := s.contacts[u]
			if c.State == "none" {
				continue
			}
			handle := c.User.Handle
			rows = append(rows, panelRow{text: Visible(c.User.Name) + " @" + handle, right: map[string]string{
				"requested": "you asked", "pending": "asks you: :accept @" + handle, "accepted": "", "rejected": "rejected", "blocked": "blocked"}[c.State],
				pick: func() []effect { s.goTo = handle; return []effect{openDirect(handle)} }})
		}
		if len(rows) == 0 {
			rows = append(rows, panelRow{text: s.theme.faint.Render("nobody yet; :contact @handle asks somebody")})
		}
		return rows
	}}
}
