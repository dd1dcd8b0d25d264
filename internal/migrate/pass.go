package migrate

import (
	"context"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// pass is one walk over a source.
type pass struct {
	*Copy
	from  store.Store
	meter *meter
	met   map[string]bool // guarded by mu: the partitions that from has
	names []string        // guarded by mu: what remembered lists
}

// Pass brings the target to where from stands, and verifies what it brought:
// both sides are read again and compared. from is the source, or a copy of it
// that is not older than what earlier passes saw. It may be written to
// meanwhile, if its engine can be shared: then a later pass is needed. total
// is what progress is measured by, see [Count].
//
// After an error the target is good to go on with, unless the error says that
// the two differ.
func (c *Copy) Pass(ctx context.Context, from store.Store, total Counts) error {
	p := &pass{Copy: c, from: from, meter: newMeter(c.cfg, total), met: map[string]bool{}}
	defer p.meter.end()
	// Conversations come before the marks, so that a mark is taken from an
	// entry only when the source has settled it too; marks come before inboxes,
	// so that what settled it is in the rows that are copied.
	if err := each(ctx, c.cfg.Workers, from.Conversations, p.conversation); err != nil {
		return failed("copy the conversations", err)
	}
	if err := p.marks(ctx); err != nil {
		return failed("copy the marks", err)
	}
	if err := each(ctx, c.cfg.Workers, from.Users, p.inbox); err != nil {
		return failed("copy the inboxes", err)
	}
	return failed("copy the records", p.records(ctx))
}

// conversation copies one conversation.
func (p *pass) conversation(ctx context.Context, id parley.ConversationID) error {
	h, err := p.from.Load(ctx, id)
	if err != nil {
		return err
	}
	defer p.meter.done(Counts{Conversations: 1})
	p.mu.Lock()
	had, known := p.conversations[id]
	p.mu.Unlock()
	p.meter.done(Counts{Entries: uint64(had.seq)})
	if known && had.seq == h.Seq && len(had.deleted) == 0 {
		return nil
	}
	if err := p.bring(ctx, id, h, &had); err != nil {
		// What erasing did to the sum is not certain: it is made anew.
		p.remember(id, nil)
		return err
	}
	p.remember(id, &had)
	return nil
}

func (p *pass) remember(id parley.ConversationID, r *reached) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r == nil {
		delete(p.conversations, id)
	} else {
		p.conversations[id] = *r
	}
}

// bring copies and compares what the target lacks of a conversation.
func (p *pass) bring(ctx context.Context, id parley.ConversationID, h store.Head, had *reached) error {
	// What the target has is verified before anything is added to it, and what
	// was added is verified after.
	there, err := p.cfg.To.Load(ctx, id)
	if err != nil {
		return err
	}
	if there.Seq > h.Seq {
		return notFromHere("more of conversation %s", id)
	}
	if err := p.compareLog(ctx, id, had, there.Seq); err != nil {
		return err
	}
	if err := retry(ctx, "copy a conversation", func() (bool, error) { return p.extend(ctx, id, h) }); err != nil {
		return err
	}
	if err := p.compareLog(ctx, id, had, h.Seq); err != nil {
		return err
	}
	if err := p.eraseDeleted(ctx, id, had); err != nil {
		return err
	}
	return p.compareHead(ctx, id, h)
}

// extend appends to the target what it lacks up to h.
func (p *pass) extend(ctx context.Context, id parley.ConversationID, h store.Head) (moved bool, err error) {
	there, err := p.cfg.To.Load(ctx, id)
	if err != nil {
		return false, err
	}
	for at := there.Seq; at < h.Seq; moved = true {
		n := min(entriesAtOnce, store.Room(at), int(h.Seq-at))
		entries, err := p.from.Read(ctx, id, at, n)
		if err != nil {
			return moved, err
		}
		if entries = cut(entries); len(entries) == 0 {
			return moved, store.ErrCorrupt
		}
		// Every conversation is marked; marks takes away those that the source
		// has not.
		a := store.Append{Conversation: id, Base: at, Entries: entries}
		if at += parley.Seq(len(entries)); at == h.Seq {
			a.State = h.State
		}
		if err := p.cfg.To.Append(ctx, a); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// cut returns as many of the entries as one append may have, at least one.
func cut(entries []parley.Entry) []parley.Entry {
	size := 0
	for i := range entries {
		if size += len(entries[i].Body.Data); size > bytesAtOnce && i > 0 {
			return entries[:i]
		}
	}
	return entries
}

// marks takes the dirty mark from the conversations whose entries the source
// has in every inbox.
func (p *pass) marks(ctx context.Context) error {
	dirty := map[parley.ConversationID]bool{}
	for after := parley.ConversationID(""); ; {
		page, err := p.from.DirtyAfter(ctx, nil, after, namesAtOnce)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, id := range page {
			dirty[id] = true
		}
		after = page[len(page)-1]
	}
	list := func(ctx context.Context, after parley.ConversationID, limit int) ([]parley.ConversationID, error) {
		return p.cfg.To.DirtyAfter(ctx, nil, after, limit)
	}
	return each(ctx, p.cfg.Workers, list, func(ctx context.Context, id parley.ConversationID) error {
		p.mu.Lock()
		at, known := p.conversations[id]
		p.mu.Unlock()
		if dirty[id] || !known {
			return nil
		}
		return retry(ctx, "settle a conversation", func() (bool, error) { return false, p.cfg.To.Settle(ctx, id, at.seq) })
	})
}

// inbox copies the inbox of one user.
func (p *pass) inbox(ctx context.Context, u parley.UserID) error {
	in, err := p.from.LoadInbox(ctx, u)
	if err != nil {
		return err
	}
	p.meter.done(Counts{Users: 1, Rows: uint64(len(in.Rows))})
	p.mu.Lock()
	had, known := p.inboxes[u]
	p.mu.Unlock()
	if known && had.pos == in.Pos {
		return nil
	}
	there, err := p.cfg.To.LoadInbox(ctx, u)
	if err != nil {
		return err
	}
	if err := olderInbox(u, there, in); err != nil {
		return err
	}
	if err := retry(ctx, "copy an inbox", func() (bool, error) { return p.extendInbox(ctx, u, in) }); err != nil {
		return err
	}
	sum, err := p.compareInbox(ctx, u, in)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inboxes[u] = reachedInbox{pos: in.Pos, rows: len(in.Rows), sum: sum}
	return nil
}

// extendInbox writes the rows that changed since the position the target has,
// in the order in which they changed.
func (p *pass) extendInbox(ctx context.Context, u parley.UserID, in store.Inbox) (moved bool, err error) {
	there, err := p.cfg.To.LoadInbox(ctx, u)
	if err != nil {
		return false, err
	}
	base := there.Pos
	for rows := in.Rows; len(rows) > 0; {
		if rows[0].Pos <= base {
			rows = rows[1:]
			continue
		}
		n := min(rowsAtOnce, len(rows))
		w := &store.InboxWrite{User: u, Base: base, Rows: rows[:n]}
		if err := p.cfg.To.WriteInboxes(ctx, []*store.InboxWrite{w}); err != nil {
			return moved, err
		}
		if w.Err != nil {
			return moved, w.Err
		}
		base, rows, moved = rows[n-1].Pos, rows[n:], true
	}
	return moved, nil
}
