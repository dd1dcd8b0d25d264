package peer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/fanout"
)

// item is what a commit means for the members whose inboxes live on one node.
type item struct {
	Conversation parley.ConversationID   `json:"conversation"`
	Kind         parley.ConversationKind `json:"kind"`
	Members      []parley.Member         `json:"members"`
	Entries      []parley.Entry          `json:"entries,omitzero"` // none: only where it stands
	Head         parley.Seq              `json:"head,omitzero"`    // without entries
	Count        uint64                  `json:"count,omitzero"`   // without entries: messages in 1..Head
	Senders      []parley.UserID         `json:"senders,omitzero"` // who waits until their inbox shows it
	Lazy         bool                    `json:"lazy,omitzero"`    // rows may be written once a second

	told  func(error) // nil: nobody waits
	until time.Time   // when whoever waits gives up
}

// size estimates the bytes an item holds on to.
func (it *item) size() int64 {
	n := int64(256 + 64*len(it.Members))
	for i := range it.Entries {
		n += 256 + int64(len(it.Entries[i].Body.Data))
	}
	return n
}

// conversation is the item's conversation with the item's members only.
func (it *item) conversation() *parley.Conversation {
	return &parley.Conversation{ID: it.Conversation, Kind: it.Kind, Members: it.Members}
}

// Spread takes commits to the members' inboxes, wherever they live. It is
// convo's publisher.
type Spread struct{ p *Peers }

// Batch is where conversations stand, on its way to the members' inboxes,
// wherever they live. It is fanout's inboxes of everybody. One goroutine has
// it: a sweep's batch must not be flushed, or given up, by a settling's.
type Batch struct {
	p     *Peers
	noted []note // by Advance, until Flush
}

// note is one member's part of a batch.
type note struct {
	user    parley.UserID
	advance parley.Advance
}

// Spread returns what takes commits to everybody.
func (p *Peers) Spread() *Spread { return &Spread{p: p} }

// Batch begins a batch.
func (p *Peers) Batch() *Batch { return &Batch{p: p} }

// Publish implements convo.Publisher.
func (s *Spread) Publish(c *parley.Conversation, entries []parley.Entry, told func(error)) {
	s.p.cfg.Fanout.Moved(c.ID)
	it := item{
		Conversation: c.ID, Kind: c.Kind, Members: c.Members, Entries: entries, Lazy: fanout.Lazy(c),
		told: told, until: time.Now().Add(failWithin),
	}
	for i := range entries {
		if u := entries[i].Sender; !slices.Contains(it.Senders, u) {
			it.Senders = append(it.Senders, u)
		}
	}
	if s.p.cfg.Cluster.Term(parley.ShardOf(c.ID)) != 0 {
		s.p.route(it)
		return
	}
	if !s.p.start(func() { s.p.announce(it) }) {
		it.answer(errDraining("peer.publish"))
	}
}

// announce takes entries to the inboxes that this node appended without a term.
// Another node may own the conversation and believe what it has in memory: all
// hear of them first, so that nobody who is told of them reads less elsewhere.
// All is who is a member once nobody can be settled in another view; a node
// that does not get to know that in time has told those it hears.
func (p *Peers) announce(it item) {
	q := request{Op: opMoved, Conversation: it.Conversation, Head: it.Entries[len(it.Entries)-1].Seq}
	heard := map[cluster.NodeID]bool{p.self(): true}
	for {
		sure, all := p.cfg.Cluster.Undisputed() || p.cfg.Cluster.Term(parley.ShardOf(it.Conversation)) != 0, true
		for _, m := range p.cfg.Cluster.View().Members {
			if !heard[m.ID] {
				_, err := p.ask(p.ctx, m.ID, q)
				heard[m.ID] = err == nil
				all = all && heard[m.ID]
			}
		}
		if sure && all || time.Now().After(it.until) {
			break
		}
		if !p.pause(p.ctx, askPause) {
			it.answer(errDraining("peer.publish"))
			return
		}
	}
	p.route(it)
}

// Confirm implements convo.Publisher: it notes the entry in its sender's
// inbox once more.
func (s *Spread) Confirm(c *parley.Conversation, e *parley.Entry, told func(error)) {
	// Whoever published it may be gone, and this node's word stands for it now.
	s.p.cfg.Fanout.Moved(c.ID)
	m, ok := c.Member(e.Sender)
	if !ok {
		told(nil)
		return
	}
	s.p.route(item{
		Conversation: c.ID, Kind: c.Kind, Members: []parley.Member{m}, Head: e.Seq, Count: e.Count,
		Senders: []parley.UserID{e.Sender}, told: told, until: time.Now().Add(failWithin),
	})
}

// Advance notes where a conversation stands, for Flush.
func (b *Batch) Advance(user parley.UserID, a parley.Advance) {
	b.noted = append(b.noted, note{user, a})
}

// Flush returns when everything advanced before is durable, wherever it is.
func (b *Batch) Flush(ctx context.Context) error {
	for len(b.noted) > 0 {
		left, err := b.deliver(ctx, b.noted)
		if b.noted = left; len(left) == 0 {
			break
		}
		if !b.p.pause(ctx, askPause) {
			return unreachable("peer.flush", err)
		}
	}
	return b.p.cfg.Keeper.Flush(ctx)
}

// notesAtOnce bounds the notes of one message.
const notesAtOnce = 512

// deliver has notes made durable, and returns those for which that is not
// known.
func (b *Batch) deliver(ctx context.Context, noted []note) (left []note, err error) {
	at := make(map[cluster.NodeID][]note)
	for _, n := range noted {
		to := b.p.owner(parley.ShardOfUser(n.user))
		if to == b.p.self() {
			b.p.cfg.Keeper.Advance(n.user, n.advance)
			continue
		}
		at[to] = append(at[to], n)
	}
	for to, notes := range at {
		for chunk := range slices.Chunk(notes, notesAtOnce) {
			if e := b.deliverTo(ctx, to, chunk); e != nil {
				left, err = append(left, chunk...), e
			}
		}
	}
	return left, err
}

func (b *Batch) deliverTo(ctx context.Context, to cluster.NodeID, notes []note) error {
	items := make([]item, len(notes))
	users := make([]parley.UserID, len(notes))
	for i, n := range notes {
		a := n.advance
		users[i] = n.user
		items[i] = item{
			Conversation: a.Conversation, Kind: a.Kind, Head: a.Head, Count: a.Count, Lazy: a.Lazy,
			Members: []parley.Member{{User: n.user, Since: a.Since, Until: a.Until}},
		}
	}
	r, err := b.p.ask(ctx, to, request{Op: opNote, Items: items})
	if err != nil {
		return err
	}
	if len(r.NotMine) > 0 {
		return errNotMine
	}
	slices.Sort(users)
	_, err = b.p.ask(ctx, to, request{Op: opDurable, Users: slices.Compact(users)})
	return err
}

// route takes an item to the nodes where its members' inboxes live. Whoever
// waits is told once, when every part is.
func (p *Peers) route(it item) {
	parts := make(map[cluster.NodeID]*item)
	for _, m := range it.Members {
		if n := len(it.Entries); n > 0 && (m.Until != 0 && m.Until < it.Entries[0].Seq || m.Since > it.Entries[n-1].Seq) {
			continue // left before these, or belongs from later on
		}
		to := p.owner(parley.ShardOfUser(m.User))
		part := parts[to]
		if part == nil {
			part = &item{Conversation: it.Conversation, Kind: it.Kind, Entries: it.Entries, Head: it.Head, Count: it.Count, Lazy: it.Lazy, until: it.until}
			parts[to] = part
		}
		part.Members = append(part.Members, m)
		if slices.Contains(it.Senders, m.User) {
			part.Senders = append(part.Senders, m.User)
		}
	}
	if it.told != nil {
		all := &tally{told: it.told, left: 1}
		for _, part := range parts {
			if len(part.Senders) > 0 {
				all.left++
				part.told = all.one
			}
		}
		defer all.one(nil)
	}
	// Recipients first: the nodes of the senders are told last.
	for _, last := range []bool{false, true} {
		for to, part := range parts {
			if (len(part.Senders) > 0) != last {
				continue
			}
			if to == p.self() {
				p.take(part)
				p.assure(part)
			} else {
				p.link(to).push(part)
			}
		}
	}
}

// tally tells one who waits for several.
type tally struct {
	mu   sync.Mutex
	told func(error)
	left int
	err  error
}

func (t *tally) one(err error) {
	t.mu.Lock()
	if t.left--; err != nil {
		t.err = err
	}
	done, err := t.left == 0, t.err
	t.mu.Unlock()
	if done {
		t.told(err)
	}
}

// take notes an item whose members live here.
func (p *Peers) take(it *item) {
	if len(it.Entries) > 0 {
		p.cfg.Fanout.Deliver(it.conversation(), it.Entries, it.Lazy)
		return
	}
	for _, m := range it.Members {
		p.cfg.Keeper.Advance(m.User, parley.Advance{
			Conversation: it.Conversation, Kind: it.Kind, Since: m.Since, Until: m.Until,
			From: it.Head, Head: it.Head, Count: it.Count, Lazy: it.Lazy,
		})
	}
}

// assure tells who waits for an item that was taken here: at once where this
// node's memory is what a sync reads, else when it is durable.
func (p *Peers) assure(it *item) {
	if it.told == nil {
		return
	}
	durable := false
	all := &tally{left: 1}
	for _, u := range it.Senders {
		if p.cfg.Cluster.Term(parley.ShardOfUser(u)) != 0 {
			continue
		}
		all.mu.Lock()
		all.left++
		all.mu.Unlock()
		durable = true
		p.cfg.Keeper.WhenDurable(u, all.one)
	}
	all.told = func(err error) {
		switch {
		case err != nil:
			it.answer(err)
		case durable:
			p.confirmDurable(it, p.self())
		default:
			p.confirm(it)
		}
	}
	all.one(nil)
}

// confirm answers for an item that the owner of its senders' inboxes noted
// while it had a term, as soon as this node is left out of nobody's settled
// view: who gains an inbox then waits for this node, which notes it again.
func (p *Peers) confirm(it *item) {
	p.when(it, p.cfg.Cluster.Announced, func() { it.answer(nil) })
}

// confirmDurable answers for an item whose senders' rows a node wrote, as soon
// as nobody can be settled in another view than this node's: until then a
// memory that is believed may hide what was written. If the inboxes live
// elsewhere by then, their owner is told.
func (p *Peers) confirmDurable(it *item, by cluster.NodeID) {
	p.when(it, p.cfg.Cluster.Undisputed, func() {
		for _, u := range it.Senders {
			if p.owner(parley.ShardOfUser(u)) == by {
				continue
			}
			if time.Now().After(it.until) {
				it.answer(unreachable("peer.confirm", errNotMine))
			} else {
				p.route(*it)
			}
			return
		}
		it.answer(nil)
	})
}

// when goes on as soon as it may; an item that waits for too long is answered
// with an error.
func (p *Peers) when(it *item, may func() bool, goOn func()) {
	if it.told == nil {
		return
	}
	if may() {
		goOn()
		return
	}
	if !p.start(func() {
		for !may() {
			if time.Now().After(it.until) || !p.pause(p.ctx, askPause) {
				it.answer(unreachable("peer.confirm", errUnannounced))
				return
			}
		}
		goOn()
	}) {
		it.answer(errDraining("peer.confirm"))
	}
}

var errUnannounced = errors.New("peer: another node may be settled without this one")
