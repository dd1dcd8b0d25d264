package terminal

import (
	"slices"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// enter opens c.
func (s *state) enter(c *chat) []effect {
	out := s.leave()
	s.open, s.cursor, s.panel, s.ask = c, c.id, nil, nil
	c.bottom, c.below, c.selected = key{}, 0, key{}
	if s.folderOf(c) != s.folder {
		s.folder = s.folderOf(c)
	}
	c.unreadAfter, c.unreadCount = 0, 0
	if c.row.Unread > 0 {
		c.unreadAfter, c.unreadCount = parley.Seq(c.row.Read), int(c.row.Unread)
	}
	s.showDraft(c)
	s.focus = onCompose
	out = append(out, s.load(c)...)
	out = append(out, s.watching()...)
	return append(out, s.reading()...)
}

// leave puts what is open aside.
func (s *state) leave() []effect {
	c := s.open
	if c == nil {
		return nil
	}
	s.stow()
	s.open = nil
	return s.keepDraft(c)
}

// load reads what is not known of c.
func (s *state) load(c *chat) []effect {
	if handle, unknown := client.Handle(c.id); unknown {
		s.goTo = handle
		return []effect{openDirect(handle)}
	}
	out := []effect{readConversation(c.id)}
	if !c.whole && !c.busy {
		c.busy = true
		out = append(out, readPage(c.id, 0))
	}
	if c.row.With != nil && c.row.With.ID != s.me.ID {
		out = append(out, readPresence([]parley.UserID{parley.UserID(c.row.With.ID)}))
	}
	return out
}

// stow puts the composer's text into the draft of what is open.
func (s *state) stow() {
	if c := s.open; c != nil {
		if text := s.compose.Value(); text != c.draft.text {
			c.draft.text = text
			c.draftAt = s.now
		}
	}
}

// showDraft puts the draft of c into the composer.
func (s *state) showDraft(c *chat) {
	s.compose.SetValue(c.draft.text)
	s.compose.MoveToEnd()
	s.popup = popup{}
}

// clearCompose empties the composer and forgets what was replied to or edited.
func (s *state) clearCompose(c *chat) {
	c.draft = draft{}
	s.compose.Reset()
	s.popup = popup{}
}

// reading marks as read what a person sees: everything, if the end of the
// conversation is on the screen of a terminal that has the focus. Who has not
// answered a stranger has not read them either.
func (s *state) reading() []effect {
	c := s.open
	if c == nil || s.away || !c.bottom.none() || !c.whole || c.row.Request || c.row.Until != 0 {
		return nil
	}
	if s.narrow() && s.focus == onList || s.panel != nil {
		return nil
	}
	numbers := c.lines.Numbers()
	if len(numbers) == 0 {
		return nil
	}
	last := numbers[len(numbers)-1]
	if last <= c.marked || last <= parley.Seq(c.row.Read) {
		return nil
	}
	c.marked = last
	c.row.Unread, c.row.Mentions = 0, 0
	return []effect{mark{conv: c.id, read: last}}
}

// older reads what stands before what is known.
func (s *state) older(c *chat) []effect {
	if c.busy || c.begun || !c.whole || c.oldest <= 1 {
		return nil
	}
	c.busy = true
	return []effect{readPage(c.id, c.oldest)}
}

// maxSeek bounds how far back a jump reads, in entries.
const maxSeek = 20_000

// jump shows the entry with that number, and reads back to it if need be.
func (s *state) jump(c *chat, seq parley.Seq) []effect {
	items := s.items(c)
	i := slices.IndexFunc(items, func(it item) bool { return it.key.seq >= seq && it.key.seq != 0 })
	known := c.whole && (c.oldest <= seq || c.begun)
	switch {
	case known && i >= 0:
		c.seek = 0
		c.selected = items[i].key
		s.focus = onLines
		s.show(c, items, i)
		if items[i].key.seq != seq {
			s.say("That message is not shown any more")
		}
	case known:
		c.seek = 0
		s.say("That message is not shown any more")
	case c.oldest != 0 && c.oldest > seq+maxSeek:
		c.seek = 0
		s.say("That message is too far back to read to it here")
	default:
		c.seek = seq
		s.say("Reading back…")
		if !c.whole {
			return s.load(c)
		}
		return s.older(c)
	}
	return nil
}

// item is what a timeline shows: an entry, or a message that waits.
type item struct {
	key   key
	entry *client.TimelineEntry
	wait  *waiting
}

// items returns what the timeline of c shows, as far as it was read without a
// gap, ascending. What waits to be said about an entry is in it already.
func (s *state) items(c *chat) []item {
	messages, acts := s.waits(c)
	var out []item
	for _, e := range c.lines.Shown() {
		if e.Seq < c.oldest {
			continue
		}
		if s.blocked(e.Sender) && c.isGroup() && e.Kind == parley.KindMessage {
			continue
		}
		for _, w := range acts {
			if w.err == "" && (w.post.Ref == e.Seq || w.about != "" && w.about == e.ID) {
				if _, told := c.lines.ByID(w.post.ID); !told {
					e = e.With(s.self(), &w.post)
				}
			}
		}
		out = append(out, item{key: key{seq: e.Seq}, entry: e})
	}
	for _, w := range messages {
		e := client.TimelineEntry{Entry: client.Entry{Entry: parley.Entry{
			Kind: parley.KindMessage, ID: w.post.ID, Sender: s.self(), At: w.at, Body: w.post.Body, ReplyTo: w.post.ReplyTo, Forwarded: w.post.Forwarded,
		}}}
		now := &e
		for _, a := range acts {
			if a.about == w.post.ID && a.err == "" {
				now = now.With(s.self(), &a.post)
			}
		}
		if !now.Deleted {
			out = append(out, item{key: key{id: w.post.ID}, entry: now, wait: w})
		}
	}
	return out
}

// at returns the item that k names.
func at(items []item, k key) (int, bool) {
	i := slices.IndexFunc(items, func(it item) bool { return it.key == k })
	return max(i, 0), i >= 0
}

// where returns the item at the bottom of the screen and how many of its lines
// are out of sight.
func (s *state) where(c *chat, items []item) (i, below int) {
	if i, ok := at(items, c.bottom); ok && !c.bottom.none() {
		return i, c.below
	}
	return len(items) - 1, 0
}

// scroll moves the timeline of c by so many lines, up if n is above zero.
func (s *state) scroll(c *chat, n int) []effect {
	items := s.items(c)
	if len(items) == 0 {
		return s.older(c)
	}
	i, below := s.where(c, items)
	return s.settleAt(c, items, i, below+n)
}

// settleAt puts the item i at the bottom with so many lines out of sight, or as
// near to that as the timeline lets it.
func (s *state) settleAt(c *chat, items []item, i, below int) []effect {
	_, _, width, height := s.pane()
	tall := func(i int) int { return len(s.block(c, items, i, width)) }
	for below < 0 && i < len(items)-1 {
		i++
		below += tall(i)
	}
	for h := tall(i); below >= h && i > 0; h = tall(i) {
		i--
		below -= h
	}
	// As much as fits is shown: the first item stands at the top, not lower.
	above, top := tall(i)-below, i
	for top > 0 && above < height {
		top--
		above += tall(top)
	}
	for ; above < height && (below > 0 || i < len(items)-1); above++ {
		if below--; below < 0 {
			i++
			below += tall(i)
		}
	}
	var out []effect
	if top == 0 && above <= height+height/2 {
		out = s.older(c)
	}
	if c.bottom, c.below = items[i].key, max(below, 0); i == len(items)-1 && c.below == 0 {
		c.bottom = key{}
	}
	return append(out, s.reading()...)
}

// show has the item i on the screen.
func (s *state) show(c *chat, items []item, i int) []effect {
	_, _, width, height := s.pane()
	b, below := s.where(c, items)
	if i > b {
		return s.settleAt(c, items, i, 0)
	}
	lines := -below // from the top of i to the bottom of the screen
	for j := i; j <= b; j++ {
		lines += len(s.block(c, items, j, width))
	}
	own := len(s.block(c, items, i, width))
	switch {
	case lines > height: // above the screen
		return s.settleAt(c, items, b, below+lines-height)
	case lines < own && i == b: // cut off below
		return s.settleAt(c, items, i, 0)
	}
	return s.settleAt(c, items, b, below)
}

// choose moves the selection by so many messages.
func (s *state) choose(c *chat, n int) []effect {
	items := s.items(c)
	if len(items) == 0 {
		return nil
	}
	i, ok := at(items, c.selected)
	if !ok {
		i, _ = s.where(c, items)
		if n < 0 {
			n++
		}
	}
	i = min(max(i+n, 0), len(items)-1)
	c.selected = items[i].key
	out := s.show(c, items, i)
	if i == 0 {
		out = append(out, s.older(c)...)
	}
	return out
}

// selection returns the selected item of what is open.
func (s *state) selection() (item, bool) {
	if s.open == nil || s.open.selected.none() {
		return item{}, false
	}
	items := s.items(s.open)
	i, ok := at(items, s.open.selected)
	if !ok {
		return item{}, false
	}
	return items[i], true
}

// end goes to the newest.
func (s *state) end(c *chat) []effect {
	c.bottom, c.below, c.selected = key{}, 0, key{}
	return s.reading()
}

// moveList moves the list's cursor by so many conversations.
func (s *state) moveList(n int) {
	l := s.list()
	if len(l) == 0 {
		return
	}
	i := slices.IndexFunc(l, func(c *chat) bool { return c.id == s.cursor })
	if i < 0 {
		i, n = 0, 0
	}
	s.cursor = l[min(max(i+n, 0), len(l)-1)].id
}

// showFolder shows another folder.
func (s *state) showFolder(f folder) {
	s.folder = (f + folders) % folders
	s.cursor = ""
	if l := s.list(); len(l) > 0 {
		s.cursor = l[0].id
	}
}

// next opens the conversation that stands n after the open one.
func (s *state) next(n int) []effect {
	if s.open != nil {
		s.cursor = s.open.id
	}
	s.moveList(n)
	if c := s.chats[s.cursor]; c != nil && c != s.open {
		return s.enter(c)
	}
	return nil
}

// readBy says how far others have got with the entry of that number.
func (c *chat) readBy(seq parley.Seq, me string) (delivered, read, others int) {
	for _, m := range c.members {
		if m.User == me {
			continue
		}
		others++
		if m.Read >= uint64(seq) {
			read++
		}
		if m.Delivered >= uint64(seq) || m.Read >= uint64(seq) {
			delivered++
		}
	}
	return delivered, read, others
}

// receipts reports whether c is small enough to have receipts.
func (c *chat) receipts() bool { return len(c.members) > 1 && len(c.members) <= wire.MaxReceipts }
