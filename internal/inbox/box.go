package inbox

import (
	"cmp"
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// box is one user's inbox in memory.
type box struct {
	user parley.UserID // static

	// guarded by Keeper.mu
	queued bool
	rests  time.Time // the soonest of its places in Keeper.resting; zero: none
	slot   int       // place in Keeper.ring
	weight int64

	mu      sync.Mutex
	news    map[parley.ConversationID]*news     // not yet durable
	paced   map[parley.ConversationID]time.Time // before then, the rows of these are written for who waits only
	turns   uint64                              // counts advances, to keep their order
	writing bool                                // hand is on its way to the store
	hand    map[parley.ConversationID]*news     // taken by the writer, who alone changes what is in it
	waiters []chan error                        // want to know when all of the above is durable
	inHand  []chan error                        // the waiters of what is on its way
	ready   bool                                // rows are in memory
	used    bool                                // touched since the clock's hand last passed
	term    uint64                              // when rows were known to be the store's; see Config.Term
	pos     parley.Pos
	rows    map[parley.ConversationID]*parley.Row // each immutable
	order   []*parley.Row                         // by Moved, ascending; nil: work it out
}

// news is what is known of one conversation beyond its row.
type news struct {
	parley.Advance
	delivered, read parley.Seq
	wishes          []*wish
	turn            uint64 // when the head last moved, in the box's own count; 0: it did not
}

// merge takes in an advance that may follow, repeat or precede what is known.
// Of two, the one with the greater head knows the later membership: whoever
// was removed reads no further, and whoever belongs again begins beyond.
func (n *news) merge(a parley.Advance) {
	switch {
	case n.Head == 0,
		a.Head > n.Head && (a.From != n.Head || a.Since != n.Since),
		a.Head == n.Head && a.Since != n.Since:
		// The first, or a gap, or an overlap, or another membership: the row
		// reads from the log what this leaves out.
		n.Advance = a
	case a.Head > n.Head:
		n.Head, n.Count, n.Until, n.Lazy = a.Head, a.Count, a.Until, a.Lazy
		n.Own = append(n.Own, a.Own...)
		n.Mentioned = lastMentions(append(n.Mentioned, a.Mentioned...))
		n.Spoke, n.Came = n.Spoke || a.Spoke, max(n.Came, a.Came)
	case a.Head == n.Head:
		n.Until, n.Count = a.Until, min(n.Count, a.Count) // one may be uncounted
	}
}

// lastMentions is as many mentions as are remembered.
func lastMentions(m []parley.Seq) []parley.Seq {
	return m[max(0, len(m)-parley.MaxMentioned):]
}

func (b *box) newsOf(c parley.ConversationID) *news {
	n := b.news[c]
	if n == nil {
		if b.news == nil {
			b.news = make(map[parley.ConversationID]*news)
		}
		n = &news{}
		n.Conversation = c
		b.news[c] = n
	}
	return n
}

// latest returns the news of c with the greatest head, if any has one.
// b.mu is held.
func (b *box) latest(c parley.ConversationID) *news {
	n := b.news[c]
	if h := b.hand[c]; n == nil || h != nil && h.Head > n.Head {
		n = h
	}
	if n == nil || n.Head == 0 {
		return nil
	}
	return n
}

// pending returns nil when everything noted so far is durable, and otherwise
// where the outcome of the next write arrives.
func (b *box) pending() <-chan error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.news) == 0 && !b.writing {
		return nil
	}
	wait := make(chan error, 1)
	if len(b.news) == 0 {
		b.inHand = append(b.inHand, wait)
	} else {
		b.waiters = append(b.waiters, wait)
	}
	return wait
}

// after returns copies of the rows past pos, ascending. b.mu is held.
func (b *box) after(pos parley.Pos, limit int) ([]parley.Row, parley.Pos) {
	if pos >= b.pos {
		return nil, b.pos
	}
	var rows []parley.Row
	for _, r := range b.rows {
		if r.Pos > pos {
			rows = append(rows, *r)
		}
	}
	slices.SortFunc(rows, func(x, y parley.Row) int { return cmp.Compare(x.Pos, y.Pos) })
	if len(rows) > limit {
		rows = rows[:limit]
	}
	return rows, b.pos
}

// sorted returns the rows by the position they last moved at. b.mu is held.
func (b *box) sorted() []*parley.Row {
	if b.order == nil {
		for _, r := range b.rows {
			b.order = append(b.order, r)
		}
		slices.SortFunc(b.order, func(x, y *parley.Row) int { return cmp.Compare(x.Moved(), y.Moved()) })
	}
	return b.order
}

// set takes over what the store holds. b.mu is held.
func (b *box) set(in store.Inbox) {
	b.ready, b.pos, b.order = true, in.Pos, nil
	b.rows = make(map[parley.ConversationID]*parley.Row, len(in.Rows))
	for i := range in.Rows {
		b.rows[in.Rows[i].Conversation] = &in.Rows[i]
	}
}

// drop forgets the rows, because the store may know better.
func (b *box) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready, b.rows, b.order, b.pos = false, nil, nil, 0
}

// weigh estimates the bytes the box holds on to.
func (b *box) weigh() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := int64(256)
	for _, r := range b.rows {
		w += 320 + 16*int64(len(r.Past)+len(r.Own)+len(r.Personal.Hidden)) + 8*int64(len(r.Mentioned)) + int64(len(r.Personal.Draft.Text))
	}
	return w
}
