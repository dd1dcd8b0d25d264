package convo

import (
	"context"
	"slices"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// target is an entry that is pointed at, and what was done to it, planned
// acts included.
type target struct {
	entry   *parley.Entry
	deleted parley.Seq // the number of the delete; 0: it stands
	edits   []parley.Seq
}

func errTarget() error {
	return bad("target: there is no message of this conversation with that number that you could have read")
}

func errDeleted() error { return conflict("the message was deleted") }

// targetOf returns the message that post points at, as far as its sender, the
// member m, may know of it.
func (p *plan) targetOf(post *parley.Post, m parley.Member) (*target, error) {
	if post.Ref < m.Since {
		return nil, errTarget()
	}
	t, err := p.target(post.Ref)
	if err != nil {
		return nil, err
	}
	if t.entry.Kind != parley.KindMessage || t.entry.WithheldFrom(m.User) {
		return nil, errTarget()
	}
	return t, nil
}

func (p *plan) target(seq parley.Seq) (*target, error) {
	if t := p.targets[seq]; t != nil {
		return t, nil
	}
	t := new(target)
	if e := p.planned(seq); e != nil {
		standing := *e // the plan may move its entries
		t.entry = &standing
	} else {
		var err error
		if t.entry, err = p.read(seq); err != nil {
			return nil, err
		}
		// As with ids: an act that is appended after this look-up moves the
		// head, and the append is conditional on the head.
		o := p.c.owner
		acts, err := o.cfg.Acts.Acts(o.ctx, p.c.id, seq, seq)
		if err != nil {
			return nil, coded("convo.acts", err)
		}
		for i := range acts {
			switch a := &acts[i]; {
			case a.Seq > p.append.Base:
				return nil, errStale
			case a.Kind == parley.KindEdit:
				t.edits = append(t.edits, a.Seq)
			case a.Kind == parley.KindDelete && t.deleted == 0:
				t.deleted = a.Seq
			}
		}
	}
	if p.targets == nil {
		p.targets = make(map[parley.Seq]*target)
	}
	p.targets[seq] = t
	return t, nil
}

// edit judges another body for a message of one's own.
func (p *plan) edit(post *parley.Post, m parley.Member) (ruling, error) {
	t, err := p.targetOf(post, m)
	switch {
	case err != nil:
		return ruling{}, err
	case t.entry.Sender != post.Sender:
		return ruling{}, forbidden("only who wrote a message may edit it")
	case t.deleted != 0:
		return ruling{}, errDeleted()
	case t.entry.Body.Type != parley.TextPlain || post.Body.Type != parley.TextPlain || len(post.Body.Data) == 0:
		return ruling{}, bad("body: a text can be edited, and becomes a text")
	case len(t.edits) >= parley.MaxEdits:
		return ruling{}, tooLarge("a message can be edited %d times; write another", parley.MaxEdits)
	}
	return p.entry(post, t, nil)
}

// delete judges the end of a message, for everyone. Who deletes what is
// deleted already is told so.
func (p *plan) delete(post *parley.Post, m parley.Member) (ruling, error) {
	t, err := p.targetOf(post, m)
	switch {
	case err != nil:
		return ruling{}, err
	case t.entry.Sender != post.Sender && !leads(p.state, m):
		return ruling{}, forbidden("only who wrote a message, or who leads the group, may delete it for everyone")
	case post.Body.Type != "" || len(post.Body.Data) > 0:
		return ruling{}, bad("body: a delete has none")
	case t.deleted > p.append.Base:
		return ruling{already: true, index: int(t.deleted - p.append.Base - 1)}, nil
	case t.deleted != 0:
		found, err := p.read(t.deleted)
		if err != nil {
			return ruling{}, err
		}
		return p.again(found)
	}
	r, err := p.entry(post, t, withPin(p.state, post.Ref, false))
	// It says nothing and takes something away: also from who blocks its
	// sender by now, if they had the message.
	r.entry.Withheld = t.entry.Withheld
	return r, err
}

// react judges a feeling about a message, or its taking back.
func (p *plan) react(post *parley.Post, m parley.Member) (ruling, error) {
	t, err := p.targetOf(post, m)
	switch {
	case err != nil:
		return ruling{}, err
	case post.Body.Type != parley.TextPlain && (post.Body.Type != "" || len(post.Body.Data) > 0):
		return ruling{}, bad("body: a reaction is text/plain, or nothing")
	case len(post.Body.Data) > parley.MaxReaction:
		return ruling{}, tooLarge("body: a reaction has at most %d bytes", parley.MaxReaction)
	case t.deleted != 0:
		return ruling{}, errDeleted()
	}
	return p.entry(post, t, nil)
}

// pin judges what every member shall find, and what no longer. What is asked
// for and is so already is said once more and changes nothing.
func (p *plan) pin(post *parley.Post, m parley.Member) (ruling, error) {
	t, err := p.targetOf(post, m)
	pins := post.Kind == parley.KindPin
	switch {
	case err != nil:
		return ruling{}, err
	case p.state.Kind == parley.Group && !leads(p.state, m):
		return ruling{}, forbidden("only who leads the group may pin")
	case post.Body.Type != "" || len(post.Body.Data) > 0:
		return ruling{}, bad("body: a pin has none")
	case pins && t.deleted != 0:
		return ruling{}, errDeleted()
	case pins && len(p.state.Pins) >= parley.MaxPins && !slices.Contains(p.state.Pins, post.Ref):
		return ruling{}, tooLarge("at most %d messages can be pinned; unpin another first", parley.MaxPins)
	}
	return p.entry(post, t, withPin(p.state, post.Ref, pins))
}

// withPin returns c with seq pinned or not, nil if it is so already.
func withPin(c *parley.Conversation, seq parley.Seq, pinned bool) *parley.Conversation {
	if slices.Contains(c.Pins, seq) == pinned {
		return nil
	}
	state := *c
	if pinned {
		state.Pins = append(c.Pins[:len(c.Pins):len(c.Pins)], seq)
	} else {
		state.Pins = slices.DeleteFunc(slices.Clone(c.Pins), func(s parley.Seq) bool { return s == seq })
	}
	return &state
}

// title judges another name for a group.
func (p *plan) title(post *parley.Post, m parley.Member) (ruling, error) {
	switch {
	case p.state.Kind != parley.Group:
		return ruling{}, bad("only a group has a title")
	case !leads(p.state, m):
		return ruling{}, forbidden("only who leads the group may rename it")
	case post.Body.Type != parley.TextPlain || len(post.Body.Data) == 0:
		return ruling{}, bad("body: a title is text/plain and not empty")
	}
	state := *p.state
	state.Title = string(post.Body.Data)
	return ruling{entry: p.next(post), state: &state}, nil
}

// eraseFor takes the bodies of a deleted message and of its edits out of the
// store for good. It may be repeated.
func (c *conversation) eraseFor(seq parley.Seq) error {
	return c.owner.eraseFor(c.owner.ctx, c.id, seq)
}

func (o *Owner) eraseFor(ctx context.Context, c parley.ConversationID, seq parley.Seq) error {
	acts, err := o.cfg.Acts.Acts(ctx, c, seq, seq)
	if err != nil {
		return coded("convo.acts", err)
	}
	gone := []parley.Seq{seq}
	for i := range acts {
		if acts[i].Kind == parley.KindEdit {
			gone = append(gone, acts[i].Seq)
		}
	}
	return o.erase(ctx, c, gone)
}

// Finish does what a crash may have left undone of conversation c, which
// stands at head: what was deleted just before it goes for good. It may be
// repeated. What was deleted long before had its bodies erased, or its deletion
// was never acknowledged, and whoever asks for it again has it finished.
func (o *Owner) Finish(ctx context.Context, c parley.ConversationID, head parley.Seq) error {
	const last = 2 * maxBatch // more than one append and its unknown predecessor
	after := head - min(head, last)
	entries, err := o.cfg.Log.Read(ctx, c, after, int(head-after))
	if err != nil {
		return coded("convo.finish", err)
	}
	for i := range entries {
		if e := &entries[i]; e.Kind == parley.KindDelete {
			if err := o.eraseFor(ctx, c, e.Ref); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conversation) eraseAll(gone []parley.Seq) error {
	return c.owner.erase(c.owner.ctx, c.id, gone)
}

func (o *Owner) erase(ctx context.Context, c parley.ConversationID, gone []parley.Seq) error {
	err := o.cfg.Acts.Erase(ctx, c, gone)
	if err == nil {
		return nil
	}
	if coded := coded("convo.erase", err); parley.CodeOf(coded) != parley.StorageFull {
		return coded
	}
	// The delete stands; it is its bodies that there was no room to remove.
	return coded("convo.erase", store.ErrUnavailable)
}
