package inbox

import (
	"cmp"
	"slices"

	parley "github.com/parley-im/parley"
)

// derive works out the rows that a draft's news make of the box's rows, and
// the position they follow. Only the writer calls it.
func (k *Keeper) derive(d *draft) (rows []parley.Row, base parley.Pos, err error) {
	b := d.box
	b.mu.Lock()
	base = b.pos
	old := make(map[parley.ConversationID]*parley.Row, len(d.news))
	for c := range d.news {
		old[c] = b.rows[c]
	}
	b.mu.Unlock()

	pos := base
	d.marked = nil
	for _, n := range ordered(d.news) {
		r, changed, marked, err := k.row(b.user, old[n.Conversation], n)
		if err != nil {
			return nil, 0, err
		}
		if changed {
			pos++
			r.Pos = pos
			rows = append(rows, r)
		}
		if marked {
			d.marked = append(d.marked, receipt(b.user, &r))
		}
	}
	return rows, base, nil
}

// ordered puts news in the order in which conversations last moved, so that
// positions say which is the most recent; markers alone come first.
func ordered(m map[parley.ConversationID]*news) []*news {
	all := make([]*news, 0, len(m))
	for _, n := range m {
		all = append(all, n)
	}
	slices.SortFunc(all, func(x, y *news) int {
		return cmp.Or(cmp.Compare(x.turn, y.turn), cmp.Compare(x.Conversation, y.Conversation))
	})
	return all
}

// row derives one row. changed is false when the news holds nothing new;
// marked is true when it moves a marker.
func (k *Keeper) row(user parley.UserID, old *parley.Row, n *news) (r parley.Row, changed, marked bool, err error) {
	switch {
	case old != nil:
		r = *old
		r.Own, r.Past = slices.Clone(old.Own), past(old)
	case n.Head == 0:
		return r, false, false, nil // a marker of what is not the user's
	default:
		r, err = k.first(n)
		if err != nil {
			return r, false, false, err
		}
		changed = true
	}
	if n.Head > r.Head {
		if err := k.advance(user, &r, n); err != nil {
			return r, false, false, err
		}
		changed = true
	}
	if n.Head != 0 && r.Until != n.Until {
		r.Until, changed = n.Until, true
	}
	marked, err = k.mark(&r, n.delivered, n.read)
	return r, changed || marked, marked, err
}

// first is the row of a conversation that is new to its user: read up to
// where the membership begins.
func (k *Keeper) first(n *news) (parley.Row, error) {
	r := parley.Row{Conversation: n.Conversation, Kind: n.Kind, Since: n.Since}
	before := n.Since - 1
	r.Past = []parley.Checkpoint{{Pos: 0, Head: before}}
	r.Head, r.Read, r.Delivered = before, before, before
	if before > 0 {
		count, err := k.count(n.Conversation, before)
		if err != nil {
			return r, err
		}
		r.Count, r.ReadCount = count, count
	}
	return r, nil
}

// past is what the next version of a row remembers: also the head it has now,
// from the position at which the head came to be.
func past(old *parley.Row) []parley.Checkpoint {
	all := slices.Clone(old.Past)
	if last := len(all) - 1; last < 0 || all[last].Head != old.Head {
		all = append(all, parley.Checkpoint{Pos: old.Pos, Head: old.Head})
	}
	if over := len(all) - parley.MaxCheckpoints; over > 0 {
		all = slices.Delete(all, 0, over)
	}
	return all
}

// advance moves a row's head to the news.
func (k *Keeper) advance(user parley.UserID, r *parley.Row, n *news) error {
	own := n.Own
	if n.From > r.Head {
		missed, err := k.ownBetween(user, n.Conversation, r.Head, n.From)
		if err != nil {
			return err
		}
		own = append(missed, own...)
	}
	for _, o := range own {
		if o.Seq > r.Head {
			spoke(r, o)
		}
	}
	r.Head, r.Count = n.Head, n.Count
	return nil
}

// spoke takes in one own message. Who had read everything before it has read
// it too; else it is remembered, so that it does not count as unread.
func spoke(r *parley.Row, o parley.Own) {
	upTo := parley.Row{Count: o.Count - 1, ReadCount: r.ReadCount, Own: r.Own}
	if upTo.Unread() == 0 {
		r.Read, r.ReadCount, r.Own = o.Seq, o.Count, nil
		r.Delivered = max(r.Delivered, o.Seq)
		return
	}
	if last := len(r.Own) - 1; last >= 0 && r.Own[last].To+1 == o.Seq {
		r.Own[last].To = o.Seq
		return
	}
	r.Own = append(r.Own, parley.Run{From: o.Seq, To: o.Seq})
}

// mark moves markers forward, to the head at most.
func (k *Keeper) mark(r *parley.Row, delivered, read parley.Seq) (moved bool, err error) {
	if over := len(r.Own) - parley.MaxRuns; over > 0 {
		// Who spoke that often since has read on (see parley.MaxRuns).
		read = max(read, r.Own[over-1].To)
	}
	delivered, read = min(delivered, r.Head), min(read, r.Head)
	if delivered > r.Delivered {
		r.Delivered, moved = delivered, true
	}
	if read <= r.Read {
		return moved, nil
	}
	count := r.Count
	if read < r.Head {
		if count, err = k.count(r.Conversation, read); err != nil {
			return moved, err
		}
	}
	r.Read, r.ReadCount = read, count
	for len(r.Own) > 0 && r.Own[0].From <= read {
		if r.Own[0].To > read {
			r.Own[0].From = read + 1
			break
		}
		r.Own = r.Own[1:]
	}
	return true, nil
}

// count returns the messages in 1..seq.
func (k *Keeper) count(c parley.ConversationID, seq parley.Seq) (uint64, error) {
	entries, err := k.cfg.Log.Read(k.ctx, c, seq-1, 1)
	if err != nil {
		return 0, err
	}
	if len(entries) == 0 {
		return 0, parley.E(parley.Internal, "inbox.count", "an inbox is ahead of its conversation")
	}
	return entries[0].Count, nil
}

// ownBetween reads user's own messages in after+1..to from the log.
func (k *Keeper) ownBetween(user parley.UserID, c parley.ConversationID, after, to parley.Seq) ([]parley.Own, error) {
	const page = 500
	var own []parley.Own
	for after < to {
		entries, err := k.cfg.Log.Read(k.ctx, c, after, int(min(page, to-after)))
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return nil, parley.E(parley.Internal, "inbox.own", "an inbox is ahead of its conversation")
		}
		for i := range entries {
			if e := &entries[i]; e.Sender == user && e.Kind == parley.KindMessage {
				own = append(own, parley.Own{Seq: e.Seq, Count: e.Count})
			}
		}
		after = entries[len(entries)-1].Seq
	}
	return own, nil
}
