package terminal

import (
	"slices"
	"strings"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// enqueue says p in c. about is the message it is about if that has no number.
func (s *state) enqueue(c *chat, p parley.Post, about parley.MessageID) []effect {
	p.Conversation, p.ID, p.Sender, p.Base = s.address(c), s.newID(), s.self(), parley.Seq(c.row.Head)
	s.waiting = append(s.waiting, &waiting{post: p, about: about, at: s.now})
	return []effect{keep{p, about}}
}

// address is where what is said in c is queued. While something waits under
// the other's handle, all goes there: two names would be two queues, and
// neither waits for the other.
func (s *state) address(c *chat) parley.ConversationID {
	if c.row.With != nil {
		to := client.To(c.row.With.Handle)
		if slices.ContainsFunc(s.waiting, func(w *waiting) bool { return w.post.Conversation == to && w.seq == 0 && w.err == "" }) {
			return to
		}
	}
	return c.id
}

// in reports whether w was said in c.
func (c *chat) in(w *waiting) bool {
	if w.post.Conversation == c.id {
		return true
	}
	handle, ok := client.Handle(w.post.Conversation)
	return ok && c.row.With != nil && c.row.With.Handle == handle
}

// waits returns what waits in c: messages, and acts.
func (s *state) waits(c *chat) (messages, acts []*waiting) {
	for _, w := range s.waiting {
		switch {
		case !c.in(w):
		case w.post.Kind == "" || w.post.Kind == parley.KindMessage:
			if _, told := c.lines.ByID(w.post.ID); !told {
				messages = append(messages, w)
			}
		default:
			acts = append(acts, w)
		}
	}
	return messages, acts
}

// adopt takes what an earlier run left in a queue.
func (s *state) adopt(pending []parley.Post, about func(parley.ConversationID, parley.MessageID) parley.MessageID, failed []client.Failure) {
	for _, p := range pending {
		s.place(p.Conversation)
		s.waiting = append(s.waiting, &waiting{post: p, about: about(p.Conversation, p.ID), kept: true, at: s.now})
	}
	for _, f := range failed {
		s.place(f.Post.Conversation)
		s.waiting = append(s.waiting, &waiting{post: f.Post, about: f.About, kept: true, at: s.now, err: sentence(f.Err)})
	}
}

// place makes sure that a conversation is in the list in which something waits.
func (s *state) place(id parley.ConversationID) *chat {
	handle, person := client.Handle(id)
	for _, c := range s.chats {
		if person && c.row.With != nil && c.row.With.Handle == handle {
			return c
		}
	}
	c := s.chat(id)
	if person && c.row.With == nil {
		c.row.Kind, c.row.With = string(parley.Direct), &wire.User{Handle: handle, Name: "@" + handle}
	}
	if c.arrived.IsZero() && c.row.Last == nil {
		c.arrived = s.now
	}
	return c
}

// settle drops what the stream told.
func (s *state) settle(id parley.MessageID) {
	if id != "" && len(s.waiting) > 0 {
		s.waiting = slices.DeleteFunc(s.waiting, func(w *waiting) bool { return w.post.ID == id })
	}
}

func (s *state) find(id parley.MessageID) *waiting {
	for _, w := range s.waiting {
		if w.post.ID == id {
			return w
		}
	}
	return nil
}

func (s *state) hearKept(msg kept) {
	w := s.find(msg.id)
	if w == nil {
		return
	}
	w.kept = true
	if msg.err != nil {
		w.err = sentence(msg.err)
		s.complain(w.err)
	}
}

// hearOutcome takes what became of something said.
func (s *state) hearOutcome(o client.Outcome) []effect {
	w := s.find(o.Post.ID)
	if w == nil {
		return nil
	}
	act := !(o.Post.Kind == "" || o.Post.Kind == parley.KindMessage)
	if o.Err != nil {
		w.err = sentence(o.Err)
		s.complain(w.err)
		if act { // what it was about reads as before
			s.waiting = slices.DeleteFunc(s.waiting, func(x *waiting) bool { return x == w })
			return []effect{forget{o.Post.Conversation, o.Post.ID}}
		}
		return nil
	}
	w.seq = o.Ack.Seq
	for _, c := range s.chats {
		if !c.in(w) {
			continue
		}
		if _, told := c.lines.ByID(o.Post.ID); told || o.Post.Kind == parley.KindTitle || o.Ack.ID != o.Post.ID {
			s.settle(o.Post.ID)
		}
	}
	return nil
}

// send says what stands in the composer.
func (s *state) send() []effect {
	text := strings.TrimRight(s.compose.Value(), " \n")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if name, arg, ok := commandIn(text); ok {
		return s.command(name, arg)
	}
	if strings.HasPrefix(text, "::") {
		text = text[1:]
	}
	c := s.open
	if c == nil {
		s.complain("Open a conversation first: choose one on the left, or type :to @handle")
		return nil
	}
	if c.row.Until != 0 {
		s.complain("You are no longer a member of this group")
		return nil
	}
	if c.row.With != nil && s.blocked(parley.UserID(c.row.With.ID)) {
		s.complain("You blocked this person; :unblock @" + c.row.With.Handle + " to write")
		return nil
	}
	d := c.draft
	s.clearCompose(c)
	if !d.editing.none() {
		return append(s.edit(c, d.editing, text), s.keepDraft(c)...)
	}
	c.bottom, c.below, c.selected = key{}, 0, key{}
	out := s.enqueue(c, parley.Post{Body: client.Text(text), ReplyTo: d.replyTo, Mentions: s.mentioned(c, text)}, "")
	return append(out, s.keepDraft(c)...)
}

// edit says a message of this user's otherwise.
func (s *state) edit(c *chat, k key, text string) []effect {
	if e, ok := c.lines.Entry(k.seq); ok && string(e.Body.Data) == text {
		return nil
	}
	p := client.Edit("", k.seq, client.Text(text))
	if k.seq == 0 {
		return s.enqueue(c, p, k.id)
	}
	return s.enqueue(c, p, "")
}

// act does something to the message k; it returns nothing if that cannot be.
func (s *state) act(c *chat, k key, p parley.Post) []effect {
	if p.Ref = k.seq; k.seq == 0 {
		return s.enqueue(c, p, k.id)
	}
	return s.enqueue(c, p, "")
}

// mentioned returns the members of c that text calls by @handle.
func (s *state) mentioned(c *chat, text string) []parley.UserID {
	var out []parley.UserID
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !(r == '@' || handleRune(r)) }) {
		at := strings.LastIndexByte(word, '@')
		if at < 0 || at > 0 && handleRune(rune(word[at-1])) { // an address of mail is no mention
			continue
		}
		handle := strings.ToLower(strings.TrimRight(word[at+1:], ".-"))
		for _, m := range c.members {
			u := parley.UserID(m.User)
			if m.Handle == handle && u != s.self() && !slices.Contains(out, u) && len(out) < parley.MaxMentions {
				out = append(out, u)
			}
		}
	}
	return out
}

func handleRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-'
}

// sendsTyping is how often others are told that this user types.
const sendsTyping = 2 * time.Second

// tellTyping says that this user types, not too often.
func (s *state) tellTyping() []effect {
	c := s.open
	if c == nil || !s.link.up || s.now.Sub(s.typed) < sendsTyping || c.row.Request {
		return nil
	}
	if text := s.compose.Value(); text == "" || strings.HasPrefix(text, ":") {
		return nil
	}
	s.typed = s.now
	return []effect{typing{c.id}}
}

// keepDraft has the server keep what stands in the composer of c.
func (s *state) keepDraft(c *chat) []effect {
	c.draftAt = time.Time{}
	d := parley.Draft{Text: c.draft.text, ReplyTo: c.draft.replyTo}
	if !c.draft.editing.none() || strings.HasPrefix(d.Text, ":") {
		return nil // neither is what other devices should go on with
	}
	had := c.row.Draft
	if had == nil && d.Text == "" || had != nil && had.Text == d.Text && had.ReplyTo == uint64(d.ReplyTo) {
		return nil
	}
	if _, unknown := client.Handle(c.id); unknown || !s.link.up {
		return nil
	}
	return []effect{saveDraft(c.id, d)}
}
