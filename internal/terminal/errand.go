package terminal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// errand is a wish of this user's that is no post: it is seen here at once, is
// on the shelf until the server has it, and is told in order, also by the next
// run. To tell one twice does no harm.
type errand struct {
	ID           string                 `json:"id"`
	Conversation parley.ConversationID  `json:"conversation,omitempty"`
	Personal     *parley.PersonalChange `json:"personal,omitempty"`
	Hide         []parley.Seq           `json:"hide,omitempty"`
	User         string                 `json:"user,omitempty"` // id, or handle if that is all that is known
	State        string                 `json:"state,omitempty"`
	Rev          uint64                 `json:"rev,omitempty"`
	Text         string                 `json:"text"` // said when the server has it
}

// errandDone answers an errand.
type errandDone struct {
	errand errand
	err    error
}

// what says what e is, for tests and nothing else.
func (e *errand) what() string {
	switch p := e.Personal; {
	case e.State != "":
		return fmt.Sprint("contact ", e.User, " ", e.State)
	case len(e.Hide) > 0:
		return fmt.Sprint("hide ", e.Conversation, " ", e.Hide)
	case p.Muted != nil:
		return fmt.Sprint("mute ", !p.Muted.IsZero(), " ", e.Conversation)
	case p.Archived != nil:
		return fmt.Sprint("archive ", *p.Archived, " ", e.Conversation)
	default:
		return fmt.Sprint("keep ", *p.Pinned, " ", e.Conversation)
	}
}

// run tells the server e.
func (e *errand) run(ctx context.Context, c *client.Client) error {
	switch {
	case e.State != "":
		_, err := c.SetContact(ctx, e.User, e.State, e.Rev)
		if parley.CodeOf(err) == parley.Conflict && e.stands(ctx, c) {
			return nil // an earlier try was heard, and its answer lost
		}
		return err
	case len(e.Hide) > 0:
		return c.Hide(ctx, e.Conversation, e.Hide...)
	}
	return c.SetPersonal(ctx, e.Conversation, *e.Personal)
}

// stands reports whether the server has what e asks of a contact.
func (e *errand) stands(ctx context.Context, c *client.Client) bool {
	all, err := c.Contacts(ctx)
	want := e.State
	if want == client.ContactUnblocked {
		want = "none"
	}
	return err == nil && slices.ContainsFunc(all, func(c wire.Contact) bool {
		return (c.User.ID == e.User || c.User.Handle == e.User) && c.State == want
	})
}

// wishes does e here, and has it told.
func (s *state) wishes(e errand) []effect {
	e.ID = string(s.newID())
	s.errands = append(s.errands, e)
	s.apply(&e)
	s.shelved = s.now
	if !s.link.up {
		s.say(e.Text + "; the server is told when it is back")
	}
	return []effect{putAway{s.shelve()}, e}
}

// apply does e here.
func (s *state) apply(e *errand) {
	if e.State != "" {
		u := parley.UserID(e.User)
		if user, known := s.people[u]; known && e.Rev >= s.contacts[u].Rev {
			state := e.State
			if state == client.ContactUnblocked {
				state = "none"
			}
			s.contacts[u] = wire.Contact{User: user, State: state, Rev: e.Rev}
		}
		return
	}
	c := s.chat(e.Conversation)
	if len(e.Hide) > 0 {
		runs := runsOf(&c.row)
		for _, seq := range e.Hide {
			runs = append(runs, parley.Run{From: seq, To: seq})
		}
		c.lines.Hide(runs)
	}
	if p := e.Personal; p != nil {
		if p.Muted != nil {
			c.row.Muted = !p.Muted.IsZero()
		}
		if p.Archived != nil {
			c.row.Archived = *p.Archived
		}
		if p.Pinned != nil {
			c.row.Pinned = *p.Pinned
		}
	}
}

// applyAll does again what the server does not have yet: what it says is older.
func (s *state) applyAll() {
	for i := range s.errands {
		s.apply(&s.errands[i])
	}
}

// hearErrand takes what became of an errand.
func (s *state) hearErrand(msg errandDone) []effect {
	s.errands = slices.DeleteFunc(s.errands, func(e errand) bool { return e.ID == msg.errand.ID })
	e := &msg.errand
	out := []effect{putAway{s.shelve()}}
	if msg.err == nil {
		s.say(e.Text)
	} else {
		s.complain(sentence(msg.err))
		s.undo(e)
	}
	if e.State != "" {
		return append(out, readContacts())
	}
	if msg.err != nil {
		out = append(out, readConversation(e.Conversation)) // what stands
	}
	return out
}

// undo takes e back, as far as one can tell what stood before.
func (s *state) undo(e *errand) {
	switch p := e.Personal; {
	case e.State != "":
		delete(s.contacts, parley.UserID(e.User))
	case p == nil:
		c := s.chat(e.Conversation)
		c.lines.Hide(runsOf(&c.row))
	default:
		row := &s.chat(e.Conversation).row
		if p.Muted != nil {
			row.Muted = p.Muted.IsZero()
		}
		if p.Archived != nil {
			row.Archived = !*p.Archived
		}
		if p.Pinned != nil {
			row.Pinned = !*p.Pinned
		}
	}
	s.applyAll()
}

// errands tells errands, one after the other, each until there is an answer.
func (d *driver) runErrands() {
	for {
		select {
		case e := <-d.errands:
			err := d.client.Retry(d.ctx, nil, func(ctx context.Context) error { return e.run(ctx, d.client) })
			if d.ctx.Err() != nil {
				return // it is on the shelf
			}
			var coded *parley.Error
			if err != nil && !errors.As(err, &coded) {
				err = parley.E(parley.Internal, "terminal.errand", "the server could not be told")
			}
			d.tell(errandDone{e, err})
		case <-d.ctx.Done():
			return
		}
	}
}
