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
		r.Own, r.Mentioned, r.Past = slices.Clone(old.Own), slices.Clone(old.Mentioned), past(old)
	case n.Head == 0: // of what is not the user's
		for _, w := range n.wishes {
			w.refused = errNoRow("inbox.personal")
		}
		return r, false, false, nil
	default:
		if r, err = k.first(n); err != nil {
			return r, false, false, err
		}
		changed = true
	}
	if n.Head != 0 && n.Head >= r.Head { // else the row knows better
		did, err := k.belong(&r, n)
		if err != nil {
			return r, false, false, err
		}
		changed = changed || did
	}
	if n.Head > r.Head {
		if err := k.advance(user, &r, n); err != nil {
			return r, false, false, err
		}
		changed = true
	}
	marked, err = k.mark(&r, n.delivered, n.read)
	if n.grant(&r) {
		changed = true
	}
	return r, changed || marked, marked, err
}

// belong takes over the membership that the news speaks of.
func (k *Keeper) belong(r *parley.Row, n *news) (changed bool, err error) {
	switch {
	case n.Since > r.Since:
		anew, err := k.first(n)
		if err != nil {
			return false, err
		}
		anew.Personal = r.Personal
		*r, changed = anew, true
	case n.Since < r.Since:
		// The user may read from earlier on. It is no news: what devices have
		// goes on, and what came before is there to be asked for.
		r.Since, changed = n.Since, true
	}
	if r.Until != n.Until {
		r.Until, changed = n.Until, true
	}
	return changed, nil
}

// first is the row of a membership that is new to its user: read up to where
// it begins. Devices that have numbers of an earlier one have none of this.
func (k *Keeper) first(n *news) (parley.Row, error) {
	r := parley.Row{Conversation: n.Conversation, Kind: n.Kind, Since: n.Since, Until: n.Until}
	before := max(n.Since, 1) - 1
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
	heard := told{own: n.Own, mentioned: n.Mentioned, spoke: n.Spoke, came: n.Came}
	// Of what a latecomer finds there nothing counts, and nothing is read.
	if read := max(r.Head, max(n.Came, 1)-1); n.From > read {
		missed, err := k.between(user, n.Conversation, read, n.From)
		if err != nil {
			return err
		}
		heard.own = append(missed.own, n.Own...)
		heard.mentioned = append(missed.mentioned, n.Mentioned...)
		heard.spoke, heard.came = n.Spoke || missed.spoke, max(n.Came, missed.came)
	}
	count := n.Count
	if count == uncounted {
		var err error
		if count, err = k.count(n.Conversation, n.Head); err != nil {
			return err
		}
	}
	for _, o := range heard.own {
		if o.Seq > r.Head {
			heardOwn(r, o)
		}
	}
	for _, m := range heard.mentioned {
		if m > r.Head {
			r.Mentioned = append(r.Mentioned, m)
		}
	}
	r.Mentioned = lastMentions(r.Mentioned)
	r.Spoke = r.Spoke || heard.spoke
	r.Head, r.Count = n.Head, count
	if heard.came > 0 {
		// Nobody is told: the marker says where they came, not that they read.
		_, err := k.mark(r, heard.came-1, heard.came-1)
		return err
	}
	return nil
}

// told is what entries say of a row beside their number.
type told struct {
	own       []parley.Own
	mentioned []parley.Seq
	spoke     bool
	came      parley.Seq // see parley.Advance
}

// unread is the mentions past the read marker.
func unread(m []parley.Seq, read parley.Seq) []parley.Seq {
	i, found := slices.BinarySearch(m, read)
	if found {
		i++
	}
	return m[i:]
}

// heardOwn takes in one message that is no news to the user. Whoever had read
// everything before an own one has read it too; else it is remembered, so that
// it does not count as unread. One that is withheld is always remembered: its
// sender must not hear that it was read.
func heardOwn(r *parley.Row, o parley.Own) {
	upTo := parley.Row{Count: o.Count - 1, ReadCount: r.ReadCount, Own: r.Own}
	if !o.Withheld && upTo.Unread() == 0 {
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
	r.Mentioned = unread(r.Mentioned, read)
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
	entries, err := k.read(c, seq-1, 1)
	if err != nil {
		return 0, err
	}
	return entries[0].Count, nil
}

// between reads from the log what after+1..to say to user.
func (k *Keeper) between(user parley.UserID, c parley.ConversationID, after, to parley.Seq) (told, error) {
	var t told
	for after < to {
		entries, err := k.read(c, after, int(min(pageSize, to-after)))
		if err != nil {
			return told{}, err
		}
		for i := range entries {
			e := &entries[i]
			own := e.Sender == user
			switch {
			case slices.Contains(e.Latecomers(), user):
				t.came = e.Seq
			case e.Kind != parley.KindMessage:
			case own || e.WithheldFrom(user):
				t.own = append(t.own, parley.Own{Seq: e.Seq, Count: e.Count, Withheld: !own})
				t.spoke = t.spoke || own
			case slices.Contains(e.Mentions, user):
				t.mentioned = append(t.mentioned, e.Seq)
			}
		}
		after = entries[len(entries)-1].Seq
	}
	return t, nil
}

const (
	// pageSize is how many entries are read from the log at once.
	pageSize = 500
	// maxPages bounds the pages kept while one write is derived.
	maxPages = 16
)

// page is a stretch of a log.
type page struct {
	conversation parley.ConversationID
	after        parley.Seq
	limit        int
}

// read reads a page that the log must have. What the members of one
// conversation missed is the same for all of them, so the last pages are kept
// until the write is over.
func (k *Keeper) read(c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	p := page{c, after, limit}
	if entries, ok := k.pages[p]; ok {
		return entries, nil
	}
	entries, err := k.cfg.Log.Read(k.ctx, c, after, limit)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, parley.E(parley.Internal, "inbox.read", "an inbox is ahead of its conversation")
	}
	if len(k.pages) >= maxPages {
		clear(k.pages)
	}
	if k.pages == nil {
		k.pages = make(map[page][]parley.Entry)
	}
	k.pages[p] = entries
	return entries, nil
}
