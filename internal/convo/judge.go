package convo

import (
	"bytes"
	"slices"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// ruling is what is to become of a post that is not refused: one of before,
// already, and entry.
type ruling struct {
	before  *parley.Entry // stands in the log already, and is what was asked for
	already bool          // the planned entry at index is what was asked for
	index   int
	entry   parley.Entry         // to be appended
	state   *parley.Conversation // after it; nil: as before
	target  *target              // what it points at; nil: nothing
}

// settle has the plan know what the entry it just took changes.
func (r *ruling) settle(p *plan) {
	if r.state != nil {
		p.setState(r.state)
	}
	switch r.entry.Kind {
	case parley.KindEdit:
		r.target.edits = append(r.target.edits, r.entry.Seq)
	case parley.KindDelete:
		r.target.deleted = r.entry.Seq
		p.erase = append(append(p.erase, r.entry.Ref), r.target.edits...)
	}
}

// judge says what is to become of a post. Everything it decides by is true at
// the head that the plan is appended to, or the append is refused: who is a
// member, what was deleted, who was first. Who blocks whom is looked up here
// and now.
func (p *plan) judge(post *parley.Post) (ruling, error) {
	if p.state == nil {
		return ruling{}, errNotFound("convo.post")
	}
	m, known := p.state.Member(post.Sender)
	joins := post.Invited && post.Kind == parley.KindMembers
	if !known && !joins {
		return ruling{}, errNotFound("convo.post")
	}
	found, err := p.earlier(post)
	switch present := known && m.Until == 0; {
	case parley.CodeOf(err) == parley.IDConflict && !present:
		return ruling{}, errNotFound("convo.post")
	case err != nil:
		return ruling{}, err
	case found != nil:
		// What was committed stays committed, also for who has left since.
		return p.again(found)
	case !present && !joins:
		return ruling{}, errNotFound("convo.post")
	}
	if err := shape(post, p.head()); err != nil {
		return ruling{}, err
	}
	switch kindOf(post) {
	case parley.KindMessage:
		return p.message(post)
	case parley.KindEdit:
		return p.edit(post, m)
	case parley.KindDelete:
		return p.delete(post, m)
	case parley.KindReaction:
		return p.react(post, m)
	case parley.KindPin, parley.KindUnpin:
		return p.pin(post, m)
	case parley.KindTitle:
		return p.title(post, m)
	case parley.KindMembers:
		return p.members(post, m, joins)
	default:
		return ruling{}, bad("kind: nothing of this kind can be said")
	}
}

// shape refuses what no state of the conversation could allow.
func shape(post *parley.Post, head parley.Seq) error {
	kind := kindOf(post)
	points := kind.IsAct() || kind == parley.KindPin || kind == parley.KindUnpin
	switch {
	case post.ReplyTo > head:
		return bad("reply_to: this conversation has no entry with that number")
	case points && (post.Ref == 0 || post.Ref > head):
		return errTarget()
	case !points && post.Ref != 0:
		return bad("target: this kind is about no other entry")
	case kind != parley.KindMessage && (post.ReplyTo != 0 || len(post.Mentions) > 0 || post.Forwarded):
		return bad("only a message replies, mentions or is forwarded")
	case kind != parley.KindMembers && post.Invited:
		return bad("only joining is by invite")
	}
	return nil
}

// message judges what somebody says.
func (p *plan) message(post *parley.Post) (ruling, error) {
	if len(post.Mentions) > parley.MaxMentions {
		return ruling{}, bad("mentions: at most %d", parley.MaxMentions)
	}
	for _, u := range post.Mentions {
		if !present(p.state, u) {
			return ruling{}, bad("mentions: only members can be mentioned")
		}
	}
	return p.entry(post, nil, nil)
}

// entry is the ruling that post becomes an entry, for those who may have it.
func (p *plan) entry(post *parley.Post, t *target, state *parley.Conversation) (ruling, error) {
	r := ruling{entry: p.next(post), target: t, state: state}
	if err := p.knewBetter(post); err != nil {
		return ruling{}, err
	}
	var err error
	r.entry.Withheld, err = p.withheld(post.Sender, t)
	return r, err
}

// earlier returns the entry of an earlier try of post, nil if there is none.
func (p *plan) earlier(post *parley.Post) (*parley.Entry, error) {
	// The look-up comes after the head is known, and the append is conditional
	// on that head: an id committed in between is a conflict, not a double.
	o := p.c.owner
	seq, err := o.cfg.Log.Find(o.ctx, p.c.id, post.ID, post.Base)
	if err != nil {
		return nil, coded("convo.find", err)
	}
	if seq == 0 {
		return nil, nil
	}
	found, err := p.read(seq)
	if err != nil {
		return nil, err
	}
	if found.ID != post.ID {
		return nil, coded("convo.read", store.ErrCorrupt)
	}
	if !same(found, post) {
		return nil, errIDConflict()
	}
	if seq > p.append.Base {
		return nil, errStale
	}
	return found, nil
}

// again is the ruling that found is what was asked for. Whoever hears that a
// delete is done hears it when the bodies are gone, whichever try it was.
func (p *plan) again(found *parley.Entry) (ruling, error) {
	if found.Kind == parley.KindDelete {
		if err := p.c.eraseFor(found.Ref); err != nil {
			return ruling{}, err
		}
	}
	return ruling{before: found}, nil
}

// read returns one entry of the log.
func (p *plan) read(seq parley.Seq) (*parley.Entry, error) {
	o := p.c.owner
	entries, err := o.cfg.Log.Read(o.ctx, p.c.id, seq-1, 1)
	if err != nil {
		return nil, coded("convo.read", err)
	}
	if len(entries) == 0 {
		return nil, coded("convo.read", store.ErrCorrupt)
	}
	return &entries[0], nil
}

// present reports whether u is a member now.
func present(c *parley.Conversation, u parley.UserID) bool {
	m, ok := c.Member(u)
	return ok && m.Until == 0
}

// leads reports whether m may lead the conversation c.
func leads(c *parley.Conversation, m parley.Member) bool {
	return c.Kind == parley.Group && (m.Role == parley.RoleOwner || m.Role == parley.RoleAdmin)
}

// same reports whether p is another try of what stands as e. Only what the
// client asked for counts: what was filled in here, or erased since, does not.
func same(e *parley.Entry, p *parley.Post) bool {
	if e.Sender != p.Sender || e.Kind != kindOf(p) || e.ReplyTo != p.ReplyTo || e.Ref != p.Ref ||
		e.Forwarded != p.Forwarded || !slices.Equal(e.Mentions, p.Mentions) {
		return false
	}
	switch {
	case e.Kind == parley.KindMembers:
		return sameMembers(e, p)
	case e.Body.Type == "" && (e.Kind == parley.KindMessage || e.Kind == parley.KindEdit):
		return true // erased: the id and the rest must do
	}
	return e.Body.Type == p.Body.Type && bytes.Equal(e.Body.Data, p.Body.Data)
}
