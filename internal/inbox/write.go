package inbox

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

const (
	// maxWrite bounds the inboxes of one write.
	maxWrite = 4096
	// perRow is how much a row of the last write stretches the pause before
	// the next: 10,000 rows a second at the most, however many users there are.
	perRow = 100 * time.Microsecond
	// maxPause bounds that stretching: devices agree within seconds.
	maxPause = time.Second
	// retryPause is how long the writer rests after the store refused.
	retryPause = 250 * time.Millisecond
	// maxTries bounds how often one inbox is derived again after a conflict.
	maxTries = 8
)

// Advance takes note that a conversation of user moved. It does no I/O. What
// is beyond the user's membership is left out, whoever says it.
func (k *Keeper) Advance(user parley.UserID, a parley.Advance) {
	if a.Head < a.Since {
		return
	}
	within(&a)
	k.note(user, func(b *box) time.Time {
		n := b.newsOf(a.Conversation)
		n.merge(a)
		b.turns++
		n.turn = b.turns
		return b.paced[a.Conversation]
	})
}

// uncounted stands for the Count of a head at which nobody counted.
const uncounted = math.MaxUint64

// within cuts an advance to the membership it speaks of.
func within(a *parley.Advance) {
	a.From = max(a.From, max(a.Since, 1)-1)
	if a.Until == 0 || a.Head <= a.Until {
		return
	}
	a.Head, a.Count = a.Until, uncounted
	a.From = min(a.From, a.Head)
	a.Own = slices.DeleteFunc(slices.Clone(a.Own), func(o parley.Own) bool { return o.Seq > a.Head })
	a.Mentioned = slices.DeleteFunc(slices.Clone(a.Mentioned), func(m parley.Seq) bool { return m > a.Head })
	if a.Came > a.Head {
		a.Came = 0
	}
	a.Spoke = slices.ContainsFunc(a.Own, func(o parley.Own) bool { return !o.Withheld })
}

// note adds news to a box and has the writer look at it: now, or when add
// says. It is false when the keeper is closed.
func (k *Keeper) note(user parley.UserID, add func(*box) (from time.Time)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	b := k.boxLocked(user)
	b.mu.Lock()
	from := add(b)
	b.used = true
	b.mu.Unlock()
	if from.IsZero() || !from.After(k.cfg.Now()) {
		k.enqueue(b)
	} else {
		k.rest(b, from)
	}
	return true
}

// Flush returns when everything noted before the call is durable.
func (k *Keeper) Flush(ctx context.Context) error {
	k.mu.Lock()
	boxes := append([]*box(nil), k.ring...)
	k.mu.Unlock()
	var waits []<-chan error
	for _, b := range boxes {
		if w := k.pending(b); w != nil {
			waits = append(waits, w)
		}
	}
	for _, w := range waits {
		poke(k.urgent)
		select {
		case err := <-w:
			if err != nil {
				return coded("inbox.flush", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write is the writer: it alone changes rows. It sleeps while there is no
// news.
func (k *Keeper) write() {
	defer close(k.done)
	var next time.Time // not before, unless somebody waits
	rested := time.NewTimer(0)
	defer rested.Stop()
	for {
		var over <-chan time.Time
		if wait, any := k.restsFor(); any {
			rested.Reset(wait)
			over = rested.C
		}
		select {
		case <-k.ctx.Done():
			return
		case <-k.urgent:
		case <-k.wake:
			if !k.pause(next.Sub(k.cfg.Now())) {
				return
			}
		case <-over:
			if !k.pause(next.Sub(k.cfg.Now())) {
				return
			}
		}
		boxes := k.take()
		if len(boxes) == 0 {
			continue
		}
		rows, err := k.flush(boxes)
		if err != nil {
			k.cfg.Logger.Warn("inbox rows not written; trying again", slog.Any("err", err), slog.Int("inboxes", len(boxes)))
			if !k.sleep(retryPause) {
				return
			}
		}
		if k.hasQueue() {
			poke(k.wake)
		}
		next = k.cfg.Now().Add(max(k.cfg.Coalesce, min(time.Duration(rows)*perRow, maxPause)))
	}
}

// pause waits for d, or less when somebody waits for the write. It is false
// when the keeper closes.
func (k *Keeper) pause(d time.Duration) bool {
	if d <= 0 {
		return k.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.urgent:
	case <-k.ctx.Done():
		return false
	}
	return true
}

// sleep is pause that nobody cuts short.
func (k *Keeper) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-k.ctx.Done():
		return false
	}
}

func (k *Keeper) hasQueue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.queue) > 0
}

// take takes the boxes with news off the queue, those first that waited.
func (k *Keeper) take() []*box {
	now := k.cfg.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wakeRested(now)
	n := min(len(k.queue), maxWrite)
	boxes := k.queue[:n:n]
	k.queue = k.queue[n:]
	for _, b := range boxes {
		b.queued = false
	}
	return boxes
}

// draft is one inbox on its way to the store.
type draft struct {
	box    *box
	news   map[parley.ConversationID]*news
	wait   []chan error
	rows   int
	marked []parley.Receipt // of the rows whose markers a device moved
}

// flush makes the news of boxes durable. On an error the news is noted again
// and who waits is told.
func (k *Keeper) flush(boxes []*box) (rows int, err error) {
	defer clear(k.pages)
	drafts := make([]*draft, 0, len(boxes))
	now := k.cfg.Now()
	for _, b := range boxes {
		d, from := b.begin(now)
		if d != nil {
			drafts = append(drafts, d)
		}
		if !from.IsZero() {
			k.mu.Lock()
			k.rest(b, from)
			k.mu.Unlock()
		}
	}
	todo := drafts
	for try := 0; len(todo) > 0 && err == nil; try++ {
		if try == maxTries {
			err = store.ErrConflict
			break
		}
		todo, err = k.attempt(todo)
	}
	left := make(map[*draft]bool, len(todo))
	for _, d := range todo {
		left[d] = true
	}
	written := make([]*box, 0, len(drafts))
	for _, d := range drafts {
		if left[d] {
			k.restore(d, err)
			continue
		}
		rows += d.rows
		if d.rows > 0 {
			// Before those who wait: what they do next finds it told.
			k.cfg.Changed(d.box.user)
			for _, r := range d.marked {
				k.cfg.Marked(r)
			}
			written = append(written, d.box)
		}
		d.end(nil)
	}
	k.reweigh(written)
	return rows, err
}

// attempt derives and writes rows once. It returns the drafts that met a
// conflict, with nothing in memory left of what they believed; after an error
// it returns all.
func (k *Keeper) attempt(drafts []*draft) ([]*draft, error) {
	writes := make([]*store.InboxWrite, 0, len(drafts))
	of := make([]*draft, 0, len(drafts))
	for _, d := range drafts {
		if err := k.loadInto(d); err != nil {
			return drafts, err
		}
		rows, base, err := k.derive(d)
		if err != nil {
			return drafts, err
		}
		if d.rows = len(rows); d.rows > 0 {
			writes = append(writes, &store.InboxWrite{User: d.box.user, Base: base, Rows: rows})
			of = append(of, d)
		}
	}
	if len(writes) == 0 {
		return nil, nil
	}
	if err := k.cfg.Store.WriteInboxes(k.ctx, writes); err != nil {
		for _, d := range of {
			d.box.drop() // the outcome is unknown
		}
		return drafts, err
	}
	var again []*draft
	for i, w := range writes {
		if w.Err != nil {
			of[i].box.drop()
			again = append(again, of[i])
			continue
		}
		of[i].box.take(w.Rows)
	}
	return again, nil
}

// loadInto has the rows in memory that a draft is derived from. What advances
// say is compared with what is written by the store itself; a marker or a wish
// that changes nothing writes nothing, so the row must be certain.
func (k *Keeper) loadInto(d *draft) error {
	b, term := d.box, k.cfg.Term(d.box.user)
	b.mu.Lock()
	b.used = true
	good := b.ready && (term != 0 && b.term == term || !d.moves())
	b.mu.Unlock()
	if good {
		return nil
	}
	in, err := k.cfg.Store.LoadInbox(k.ctx, b.user)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready || in.Pos > b.pos {
		b.set(in)
	}
	b.term = term
	return nil
}

// moves reports whether the user did something, beside what others said.
func (d *draft) moves() bool {
	for _, n := range d.news {
		if n.delivered > 0 || n.read > 0 || len(n.wishes) > 0 {
			return true
		}
	}
	return false
}

// take takes over rows that are durable now.
func (b *box) take(rows []parley.Row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		// What was read again meanwhile may be newer, another node's.
		if old := b.rows[r.Conversation]; old == nil || old.Pos < r.Pos {
			b.rows[r.Conversation] = r
		}
		b.pos = max(b.pos, r.Pos)
	}
	b.order = nil
}

// end tells who waited. The draft is no longer in hand.
func (d *draft) end(err error) {
	b := d.box
	b.mu.Lock()
	b.writing, b.hand = false, nil
	wait := append(d.wait, b.inHand...)
	b.inHand = nil
	b.mu.Unlock()
	for _, w := range wait {
		w <- err
	}
	for _, n := range d.news {
		for _, w := range n.wishes {
			w.end(err)
		}
	}
}

// restore notes the draft's news again, older than what came since. Wishes are
// not: whoever has one is told that it is not known to be granted.
func (k *Keeper) restore(d *draft, err error) {
	k.note(d.box.user, func(b *box) time.Time {
		for c, old := range d.news {
			n := b.newsOf(c)
			newer := *n
			*n = *old
			if newer.Head != 0 {
				n.merge(newer.Advance)
			}
			n.delivered, n.read = max(old.delivered, newer.delivered), max(old.read, newer.read)
			n.turn, n.wishes = max(old.turn, newer.turn), newer.wishes
		}
		return time.Time{}
	})
	d.end(err)
}

// coded turns the store's errors into what a person may see.
func coded(op string, err error) error {
	e := &parley.Error{Code: parley.Overloaded, Op: op, Err: err, After: time.Second, Detail: "the storage did not answer in time; try again"}
	switch {
	case errors.Is(err, store.ErrFull):
		e.Code, e.Detail, e.After = parley.StorageFull, "the server's disk is full; try again later", 5*time.Second
	case errors.Is(err, store.ErrClosed), errors.Is(err, context.Canceled):
		e.Code, e.Detail = parley.Draining, "the server is shutting down; reconnect"
	case errors.Is(err, store.ErrCorrupt):
		e.Code, e.Detail = parley.Internal, "the server could not read its storage; its operator should run parley doctor"
	}
	return e
}
