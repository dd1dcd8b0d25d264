package terminal

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// What the subscription and the queue tell.
type (
	online   struct{ welcome wire.ServerFrame }
	lost     struct{ err error }
	ended    struct{ err error } // there is no coming back
	news     struct{ client.News }
	receipt  struct{ parley.Receipt }
	whisper  struct{ client.Whisper }
	contacts struct{ rev uint64 }
	outcome  struct{ client.Outcome }
	retried  struct{ err error }
	tick     struct{ now time.Time }
)

// hear takes what came from outside.
func (s *state) hear(msg tea.Msg) []effect {
	switch msg := msg.(type) {
	case online:
		return s.hearOnline(msg.welcome)
	case lost:
		s.link = link{why: sentence(msg.err)}
		clear(s.presence)
	case ended:
		s.link = link{why: sentence(msg.err), ended: true}
		s.complain(sentence(msg.err))
	case news:
		return s.hearNews(&msg.News)
	case receipt:
		s.hearReceipt(msg.Receipt)
	case whisper:
		s.hearWhisper(msg.Whisper)
	case presenceRead:
		for _, p := range msg.items {
			s.presence[parley.UserID(p.User)] = p
		}
	case contacts:
		return []effect{readContacts()}
	case contactsRead:
		s.hearContacts(msg)
	case met:
		s.meet(msg.user)
	case pageRead:
		return s.hearPage(msg)
	case entryRead:
		s.chat(msg.conv).lines.Add(msg.entry)
	case conversationRead:
		return s.hearConversation(msg)
	case opened:
		return s.hearOpened(msg)
	case found:
		s.showFound(msg)
	case about:
		s.showAbout(msg)
	case kept:
		s.hearKept(msg)
	case outcome:
		return s.hearOutcome(msg.Outcome)
	case retried:
		if s.link.up {
			s.complain(sentence(msg.err))
		}
	case done:
		return s.hearDone(msg)
	case errandDone:
		return s.hearErrand(msg)
	case tick:
		return s.hearTick(msg.now)
	}
	return nil
}

func (s *state) hearOnline(w wire.ServerFrame) []effect {
	s.link = link{up: true}
	if s.notice.bad {
		s.notice = notice{} // most likely about the connection
	}
	if w.Limits != nil {
		s.limits = *w.Limits
		s.compose.CharLimit = s.limits.Text
	}
	if w.User != nil && w.User.ID == s.me.ID {
		s.me.Name = w.User.Name
		s.meet(*w.User)
	}
	out := []effect{readContacts()}
	if s.goTo != "" {
		out = append(out, openDirect(s.goTo))
	}
	if c := s.open; c != nil {
		out = append(out, s.load(c)...)
	}
	return append(out, s.watching()...)
}

// hearNews takes a step of the subscription.
func (s *state) hearNews(n *client.News) []effect {
	if n.Reset {
		for _, c := range s.chats {
			s.empty(c)
		}
	}
	var out []effect
	for _, e := range n.Entries {
		out = append(out, s.hearEntry(e)...)
	}
	for conv, seq := range n.Held {
		if len(n.Entries) > 0 {
			out = append(out, mark{conv: conv, delivered: seq})
		}
	}
	for i := range n.Rows {
		s.hearRow(&n.Rows[i])
		if l := n.Rows[i].Last; l != nil && n.Rows[i].With == nil {
			out = append(out, s.askName(parley.UserID(l.Sender))...)
		}
	}
	if n.Cursor != "" && !s.synced {
		s.synced, s.shelved = true, s.now
	}
	if s.chats[s.cursor] == nil && s.goTo == "" {
		if l := s.list(); len(l) > 0 {
			s.cursor = l[0].id
		}
	}
	if n.Reset && s.open != nil {
		out = append(out, s.load(s.open)...)
	}
	if len(n.Rows) > 0 {
		out = append(out, s.watching()...)
	}
	return append(out, s.reading()...)
}

// empty forgets what was said in c; it is read again when c is opened.
func (s *state) empty(c *chat) {
	c.lines, c.whole, c.oldest, c.begun, c.busy = client.NewTimeline(s.self()), false, 0, false, false
	c.bottom, c.below, c.selected = key{}, 0, key{}
	c.lines.Hide(runsOf(&c.row))
}

// maxHeld bounds the entries held of a conversation that is not open.
const maxHeld = 4000

// hearEntry takes an entry of the stream.
func (s *state) hearEntry(e client.Entry) []effect {
	c := s.chat(e.Conversation)
	if c != s.open && len(c.lines.Numbers()) >= maxHeld {
		s.empty(c)
	}
	c.lines.Add(e)
	delete(c.typing, e.Sender)
	s.settle(e.ID)
	out := s.askName(e.Sender)
	switch e.Kind {
	case parley.KindMessage:
		if e.Seq > parley.Seq(c.row.Head) {
			c.row.Last = &wire.Last{Seq: uint64(e.Seq), Sender: string(e.Sender), At: wire.Time(e.At), Text: bodyText(&e)}
			c.row.Head = uint64(e.Seq)
			if e.Sender != s.self() && !s.blocked(e.Sender) && e.Seq > parley.Seq(c.row.Read) {
				c.row.Unread++
			}
		}
	case parley.KindMembers, parley.KindTitle:
		if c.members != nil || s.open == c {
			out = append(out, readConversation(c.id))
		}
	}
	if e.Ref != 0 {
		if now, ok := c.lines.Entry(e.Ref); ok && now.Unclear {
			out = append(out, readAgain(c.id, e.Ref))
		}
	}
	return out
}

// hearRow takes a row of the inbox.
func (s *state) hearRow(row *wire.Row) {
	c := s.chat(parley.ConversationID(row.ID))
	if row.Pos < c.row.Pos {
		return
	}
	if c.row.Pos == 0 && s.synced {
		c.arrived = s.now
	}
	was := s.folderOf(c)
	c.row = *row
	if c == s.open && was == s.folder {
		s.folder = s.folderOf(c) // who answers a stranger goes along
	}
	if row.With != nil {
		s.meet(*row.With)
		if stands := s.chats[client.To(row.With.Handle)]; stands != nil && stands != s.open {
			delete(s.chats, stands.id) // it stood for this one
		}
	}
	c.lines.Hide(runsOf(row))
	s.applyAll()
	if row.Draft != nil && c.draft.text == "" && c.draftAt.IsZero() && c != s.open {
		c.draft = draft{text: row.Draft.Text, replyTo: parley.Seq(row.Draft.ReplyTo)}
	}
}

// runsOf returns what the user deleted for themselves.
func runsOf(row *wire.Row) []parley.Run {
	out := make([]parley.Run, len(row.Hidden))
	for i, r := range row.Hidden {
		out[i] = parley.Run{From: parley.Seq(r[0]), To: parley.Seq(r[1])}
	}
	return out
}

func (s *state) hearReceipt(r parley.Receipt) {
	c := s.chats[r.Conversation]
	if c == nil {
		return
	}
	for i := range c.members {
		if m := &c.members[i]; m.User == string(r.User) {
			m.Delivered, m.Read = max(m.Delivered, uint64(r.Delivered)), max(m.Read, uint64(r.Read))
		}
	}
}

// typingFor is how long somebody types who says so once.
const typingFor = 5 * time.Second

func (s *state) hearWhisper(w client.Whisper) {
	if w.Kind == client.Typing && w.Sender != s.self() && !s.blocked(w.Sender) {
		s.chat(w.Conversation).typing[w.Sender] = s.now.Add(typingFor)
	}
}

func (s *state) hearContacts(msg contactsRead) {
	if msg.err != nil {
		return // the list that is known stays
	}
	clear(s.contacts)
	for _, c := range msg.items {
		s.contacts[parley.UserID(c.User.ID)] = c
		s.meet(c.User)
	}
	s.applyAll()
}

// hearPage takes a page of the past.
func (s *state) hearPage(msg pageRead) []effect {
	c := s.chat(msg.conv)
	c.busy = false
	if msg.before != 0 && !c.whole {
		return nil // what it stands before was forgotten meanwhile
	}
	if msg.err != nil {
		c.seek = 0
		if s.link.up {
			s.complain(sentence(msg.err))
		}
		return nil
	}
	c.lines.Add(msg.page.Entries...)
	for _, e := range msg.page.Entries {
		s.settle(e.ID)
		if c.oldest == 0 || e.Seq < c.oldest {
			c.oldest = e.Seq
		}
	}
	out := s.askNames(c, msg.page.Entries)
	c.begun = c.begun || len(msg.page.Entries) < pageSize
	if msg.before == 0 {
		c.whole = true
		if n := len(msg.page.Entries); n > 0 {
			out = append(out, mark{conv: c.id, delivered: msg.page.Entries[0].Seq})
		}
	}
	if c.seek != 0 {
		out = append(out, s.jump(c, c.seek)...)
	}
	return append(out, s.reading()...)
}

// askName asks once how somebody is called.
func (s *state) askName(u parley.UserID) []effect {
	if _, known := s.people[u]; known || u == "" || s.asked[u] {
		return nil
	}
	s.asked[u] = true
	return []effect{readUser(u)}
}

// askNames asks how those are called who said entries.
func (s *state) askNames(c *chat, entries []client.Entry) []effect {
	if c.members == nil {
		return nil // they are on their way, with names
	}
	var out []effect
	for _, e := range entries {
		out = append(out, s.askName(e.Sender)...)
	}
	return out
}

func (s *state) hearConversation(msg conversationRead) []effect {
	c := s.chat(msg.id)
	if msg.err != nil {
		if s.open == c && s.link.up {
			s.complain(sentence(msg.err))
		}
		return nil
	}
	s.hold(c, &msg.conv)
	return append(s.watching(), s.askNames(c, s.said(c))...)
}

// said returns what is known of c as it was read.
func (s *state) said(c *chat) []client.Entry {
	var out []client.Entry
	for _, e := range c.lines.Shown() {
		out = append(out, e.Entry)
	}
	return out
}

// hold takes what the server says of a conversation.
func (s *state) hold(c *chat, w *wire.Conversation) {
	for i := range w.Members {
		m := &w.Members[i]
		for _, had := range c.members {
			if had.User == m.User { // a receipt may have overtaken the answer
				m.Delivered, m.Read = max(m.Delivered, had.Delivered), max(m.Read, had.Read)
			}
		}
		s.meet(wire.User{ID: m.User, Handle: m.Handle, Name: m.Name})
		if m.User == s.me.ID {
			c.role = parley.Role(m.Role)
		}
	}
	c.members = w.Members
	c.row.Kind = w.Kind
	c.row.Title = w.Title
	if w.Last == nil {
		w.Last = c.row.Last
	}
	if w.Pos >= c.row.Pos {
		with := c.row.With
		c.row = wire.Row{ID: w.ID, Kind: w.Kind, Title: w.Title, With: with, Head: w.Head, Unread: w.Unread, Read: w.Read, Delivered: w.Delivered,
			Last: w.Last, Pos: w.Pos, Muted: w.Muted, Mentions: w.Mentions, MutedUntil: w.MutedUntil, Archived: w.Archived, Pinned: w.Pinned,
			Request: w.Request, Hidden: w.Hidden, Draft: w.Draft, Since: w.Since, Until: w.Until}
	}
	if c.row.With == nil && w.Kind == string(parley.Direct) {
		for _, m := range w.Members {
			if m.User != s.me.ID || len(w.Members) == 1 {
				c.row.With = &wire.User{ID: m.User, Handle: m.Handle, Name: m.Name}
			}
		}
	}
	s.applyAll()
	pins := make([]parley.Seq, len(w.Pins))
	for i, seq := range w.Pins {
		pins[i] = parley.Seq(seq)
	}
	c.lines.Pin(pins, parley.Seq(w.Head))
}

// hearOpened takes a conversation that a person asked for.
func (s *state) hearOpened(msg opened) []effect {
	if msg.err != nil {
		if parley.CodeOf(msg.err).Retry() == parley.GiveUp || parley.CodeOf(msg.err) == parley.Internal {
			s.goTo = ""
		}
		if s.link.up || s.goTo == "" {
			s.complain(sentence(msg.err))
		}
		return nil
	}
	wanted := msg.with == "" || s.goTo == msg.with
	if s.goTo == msg.with {
		s.goTo = ""
	}
	id := parley.ConversationID(msg.conv.ID)
	stands := s.chats[client.To(msg.with)]
	c := s.chat(id)
	s.hold(c, &msg.conv)
	if c.arrived.IsZero() {
		c.arrived = s.now
	}
	if stands != nil && stands != c { // what was written before the id was known
		if s.open == stands {
			s.stow()
		}
		if c.draft.text == "" {
			c.draft = stands.draft
		}
		delete(s.chats, stands.id)
		if s.open == stands {
			s.open = nil
			wanted = true
		}
	}
	if !wanted {
		return nil
	}
	return s.enter(c)
}

func (s *state) hearDone(msg done) []effect {
	if msg.err != nil {
		s.complain(sentence(msg.err))
		return nil
	}
	if msg.text != "" {
		s.say(msg.text)
	}
	if msg.after != nil {
		return msg.after(s)
	}
	return nil
}

// draftAfter is how long a draft rests before other devices get it.
const draftAfter = 3 * time.Second

func (s *state) hearTick(now time.Time) []effect {
	s.now = now
	if s.notice.text != "" && now.After(s.notice.until) {
		s.notice = notice{}
	}
	var out []effect
	if s.synced && now.Sub(s.shelved) >= shelveEvery {
		s.shelved = now
		out = append(out, putAway{s.shelve()})
	}
	for _, c := range s.chats {
		for u, until := range c.typing {
			if now.After(until) {
				delete(c.typing, u)
			}
		}
		if !c.draftAt.IsZero() && now.Sub(c.draftAt) >= draftAfter && s.link.up {
			out = append(out, s.keepDraft(c)...)
		}
	}
	return out
}

// bodyText is what a message says, or what stands for it.
func bodyText(e *client.Entry) string {
	switch {
	case e.Deleted:
		return "message deleted"
	case e.Body.Type == parley.TextPlain:
		return string(e.Body.Data)
	case e.Body.Type == "":
		return ""
	}
	return "(" + e.Body.Type + ")"
}

// watching says whose presence is on the screen: those of the list, and the
// members of what is open.
func (s *state) watching() []effect {
	users := map[parley.UserID]bool{}
	for _, c := range s.list() {
		if c.row.With != nil && len(users) < 100 {
			users[parley.UserID(c.row.With.ID)] = true
		}
	}
	if s.open != nil && len(s.open.members) <= wire.MaxReceipts {
		for _, m := range s.open.members {
			users[parley.UserID(m.User)] = true
		}
	}
	delete(users, s.self())
	delete(users, "") // known by the handle alone
	if len(users) == 0 {
		return nil
	}
	var out []parley.UserID
	for u := range users {
		out = append(out, u)
	}
	slices.Sort(out)
	return []effect{watch{out}}
}
