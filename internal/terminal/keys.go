package terminal

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
)

// press takes a key.
func (s *state) press(msg tea.KeyPressMsg) []effect {
	k := msg.String()
	switch k {
	case "ctrl+c":
		return append(s.leave(), quit{})
	case "ctrl+l":
		return []effect{redraw{}}
	case "ctrl+z":
		return []effect{rest{}}
	}
	if s.ask != nil {
		q := s.ask
		s.ask = nil
		if f := q.answers[k]; f != nil {
			return f()
		}
		return nil
	}
	if s.panel != nil {
		return s.panelKey(msg)
	}
	switch k {
	case "f1":
		s.help()
		return nil
	case "ctrl+f":
		return s.searchPanel("", s.open != nil)
	case "ctrl+k":
		s.chooseChat("Open", s.enter)
		return nil
	case "alt+down", "ctrl+n":
		return s.next(1)
	case "alt+up", "ctrl+p":
		return s.next(-1)
	}
	switch s.focus {
	case onList:
		return s.listKey(k)
	case onLines:
		if s.open != nil {
			return s.linesKey(k)
		}
	}
	return s.composeKey(msg)
}

// toward moves the focus.
func (s *state) toward(f focus) []effect {
	if f == onLines && s.open == nil {
		f = onList
	}
	s.focus = f
	if f == onLines && s.open.selected.none() {
		return s.choose(s.open, -1)
	}
	if f != onLines && s.open != nil {
		s.open.selected = key{}
	}
	return s.reading()
}

// listKey takes a key for the list.
func (s *state) listKey(k string) []effect {
	c := s.chats[s.cursor]
	switch k {
	case "up", "k":
		s.moveList(-1)
	case "down", "j":
		s.moveList(1)
	case "pgup":
		s.moveList(-8)
	case "pgdown":
		s.moveList(8)
	case "home", "g":
		s.moveList(-1 << 20)
	case "end", "G":
		s.moveList(1 << 20)
	case "left", "h":
		s.showFolder(s.folder - 1)
	case "right", "l":
		s.showFolder(s.folder + 1)
	case "1", "2", "3":
		s.showFolder(folder(k[0] - '1'))
	case "enter", "space":
		if c != nil {
			return s.enter(c)
		}
	case "tab":
		return s.toward(onLines)
	case "shift+tab", "esc", "i":
		if s.open != nil {
			return s.toward(onCompose)
		}
	case "/":
		return s.searchPanel("", false)
	case "?":
		s.help()
	case ":", "n":
		s.focus = onCompose
		s.compose.SetValue(map[string]string{":": ":", "n": ":to @"}[k])
		s.compose.MoveToEnd()
		s.complete()
	case "m", "a", "P":
		if c != nil {
			return s.wish(c, k)
		}
	case "q":
		return append(s.leave(), quit{})
	}
	return nil
}

// wish changes what this user wants of a conversation.
func (s *state) wish(c *chat, k string) []effect {
	switch k {
	case "m":
		return s.setMuted(c, !c.row.Muted, "")
	case "a":
		return s.setArchived(c, !c.row.Archived)
	}
	return s.setKept(c, !c.row.Pinned)
}

// linesKey takes a key for the timeline.
func (s *state) linesKey(k string) []effect {
	c := s.open
	_, _, _, height := s.pane()
	switch k {
	case "up", "k":
		return s.choose(c, -1)
	case "down", "j":
		return s.choose(c, 1)
	case "pgup", "ctrl+u":
		return s.scroll(c, height-1)
	case "pgdown", "ctrl+d":
		return s.scroll(c, 1-height)
	case "home", "g":
		out := s.scroll(c, 1<<20)
		if items := s.items(c); len(items) > 0 {
			c.selected = items[0].key
		}
		return out
	case "end", "G":
		return append(s.end(c), s.choose(c, 1)...)
	case "esc", "tab", "i":
		if k == "esc" && s.narrow() {
			return s.toward(onList)
		}
		return s.toward(onCompose)
	case "shift+tab", "left", "h":
		return s.toward(onList)
	case "/":
		return s.searchPanel("", true)
	case "?":
		s.help()
		return nil
	case ":":
		out := s.toward(onCompose)
		s.compose.SetValue(":")
		s.compose.MoveToEnd()
		s.complete()
		return out
	}
	it, ok := s.selection()
	if !ok {
		return nil
	}
	return s.messageKey(c, it, k)
}

// messageKey does something about the selected message.
func (s *state) messageKey(c *chat, it item, k string) []effect {
	e := it.entry
	if it.wait != nil && it.wait.err != "" {
		return s.failedKey(c, it, k)
	}
	if e.Kind != parley.KindMessage {
		if k == "enter" && e.Ref != 0 {
			return s.jump(c, e.Ref)
		}
		return nil
	}
	if k == "o" {
		return s.inform(c, it)
	}
	if e.Deleted {
		if k == "d" || k == "x" {
			return s.hide(c, it)
		}
		return nil
	}
	switch k {
	case "enter":
		if e.ReplyTo != 0 {
			return s.jump(c, e.ReplyTo)
		}
		return s.toward(onCompose)
	case "r":
		if it.key.seq == 0 {
			s.complain("It has no number yet; wait until it is sent")
			return nil
		}
		c.draft.replyTo, c.draft.editing = it.key.seq, key{}
		return s.toward(onCompose)
	case "e":
		return s.beginEdit(c, it)
	case "d":
		s.askDelete(c, it)
	case "x":
		return s.hide(c, it)
	case "+", "=":
		s.react(c, it.key, e.Mine)
	case "f":
		s.forward(e)
	case "p":
		p := client.Pin("", 0)
		if e.Pinned {
			p = client.Unpin("", 0)
		}
		return s.act(c, it.key, p)
	case "y", "c":
		s.say("Copied")
		return []effect{clip{string(e.Body.Data)}}
	}
	return nil
}

// failedKey does something about a message that was given up.
func (s *state) failedKey(c *chat, it item, k string) []effect {
	switch k {
	case "enter", "e":
		c.draft = draft{replyTo: it.entry.ReplyTo}
		s.compose.SetValue(string(it.entry.Body.Data))
		s.compose.MoveToEnd()
	case "x", "d":
	default:
		return nil
	}
	s.settle(it.key.id)
	return append([]effect{forget{it.wait.post.Conversation, it.key.id}}, s.toward(onCompose)...)
}

// beginEdit puts a message of this user's into the composer.
func (s *state) beginEdit(c *chat, it item) []effect {
	if it.entry.Sender != s.self() || it.entry.Body.Type != parley.TextPlain {
		s.complain("Only your own messages can be edited")
		return nil
	}
	s.stow()
	c.draft.editing, c.draft.replyTo = it.key, 0
	c.draft.text = string(it.entry.Body.Data)
	s.compose.SetValue(c.draft.text)
	s.compose.MoveToEnd()
	return s.toward(onCompose)
}

// askDelete asks for whom to delete a message.
func (s *state) askDelete(c *chat, it item) {
	q := &question{text: "Delete it for you? m deletes it for you, Esc leaves it", answers: map[string]func() []effect{
		"m": func() []effect { return s.hide(c, it) },
	}}
	if it.entry.Sender == s.self() || c.isGroup() && c.may() {
		q.text = "Delete it? y deletes it for everyone, m only for you, Esc leaves it"
		q.answers["y"] = func() []effect { return s.act(c, it.key, client.Delete("", 0)) }
	}
	s.ask = q
}

// hide deletes a message for this user alone.
func (s *state) hide(c *chat, it item) []effect {
	if it.key.seq == 0 {
		s.complain("It is on its way; wait until it is sent")
		return nil
	}
	out := s.choose(c, -1) // who goes on deletes upwards
	if c.selected == it.key {
		out = append(out, s.choose(c, 1)...)
	}
	return append(out, s.wishes(errand{Conversation: c.id, Hide: []parley.Seq{it.key.seq}, Text: "Deleted for you"})...)
}

// composeKey takes a key for the composer.
func (s *state) composeKey(msg tea.KeyPressMsg) []effect {
	k := msg.String()
	if s.popupKey(k) {
		return nil
	}
	c := s.open
	_, _, _, height := s.pane()
	switch k {
	case "enter":
		return s.send()
	case "esc":
		return s.escape()
	case "tab":
		return s.toward(onLines)
	case "shift+tab":
		return s.toward(onList)
	}
	if c != nil {
		switch k {
		case "pgup":
			return s.scroll(c, height-1)
		case "pgdown":
			return s.scroll(c, 1-height)
		case "ctrl+end":
			return s.end(c)
		case "end":
			if !c.bottom.none() && s.compose.Value() == "" {
				return s.end(c)
			}
		case "up":
			if s.compose.Value() == "" {
				return s.editLast(c)
			}
		}
	}
	s.compose, _ = s.compose.Update(msg)
	s.complete()
	return s.tellTyping()
}

// escape leaves what is being done in the composer.
func (s *state) escape() []effect {
	c := s.open
	switch {
	case strings.HasPrefix(s.compose.Value(), ":"):
		s.compose.Reset()
		s.complete()
		if c == nil {
			return s.toward(onList)
		}
	case c == nil:
		return s.toward(onList)
	case !c.draft.editing.none():
		s.clearCompose(c)
	case c.draft.replyTo != 0:
		c.draft.replyTo = 0
	case s.narrow():
		return s.toward(onList)
	default:
		return s.toward(onLines)
	}
	return nil
}

// editLast edits this user's last message.
func (s *state) editLast(c *chat) []effect {
	items := s.items(c)
	for i := len(items) - 1; i >= 0; i-- {
		e := items[i].entry
		if e.Kind == parley.KindMessage && e.Sender == s.self() && !e.Deleted && e.Body.Type == parley.TextPlain {
			if items[i].wait != nil && items[i].wait.err != "" {
				return s.failedKey(c, items[i], "enter")
			}
			return s.beginEdit(c, items[i])
		}
	}
	return nil
}
