// Package inbox keeps every user's list of conversations: where each stands,
// what was delivered and read, what is unread. It is the only writer of inbox
// rows.
//
// Rows are derived from the logs and lag behind them on purpose: an advance
// is noted in memory, and one goroutine writes the rows of many users in one
// synced batch, at once when it is quiet and coalesced when it is not. A
// dirty mark in the store stands for what is not yet written, so a crash
// costs a sweep and never a row. Nothing is told before it is written: every
// row that a method returns is durable.
//
// Rows of large conversations (parley.Advance.Lazy) are written once a second
// at most, each for itself; whoever syncs does not wait for that.
//
// A row is of one membership. Who belongs again, and does not read what was
// said meanwhile, begins anew; only the user's own wishes go on.
package inbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Log reads entries, for what a row needs and an advance did not bring.
type Log interface {
	Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error)
}

// Config is what a Keeper works with.
type Config struct {
	Store   store.Inboxes
	Log     Log
	Changed func(parley.UserID) // called after rows of the user became durable; must not block
	// Marked is called after markers that a device of the user moved became
	// durable; it must not block. Those that one's own message moved are not
	// told: nothing but one's own stands between. nil: nobody asks.
	Marked func(parley.Receipt)
	Logger *slog.Logger
	Now    func() time.Time

	// Term says how long rows in memory may be believed without asking the
	// store: while the answer is the same and not 0. 0: not now, another node
	// may write them. nil: for ever.
	Term func(parley.UserID) uint64

	// Coalesce is the least time between two writes of rows; default 50 ms.
	// Under load it stretches by itself, up to a second.
	Coalesce time.Duration
	// MaxBytes bounds the inboxes kept in memory; default 256 MiB.
	MaxBytes int64
}

// Keeper keeps the inboxes that live here.
type Keeper struct {
	// static after New
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // capacity one: there is something to write
	urgent chan struct{} // capacity one: somebody waits for it
	done   chan struct{} // closed when the writer has ended

	waiting sync.WaitGroup // goroutines of WhenDurable

	mu     sync.Mutex
	boxes  map[parley.UserID]*box
	ring   []*box // all boxes, in the clock order of eviction
	hand   int
	bytes  int64
	queue  []*box // boxes with news, in the order they got it
	closed bool

	resting resting // boxes whose news is not to be written yet

	// owned by the writer
	pages map[page][]parley.Entry // read from the log for this write; see read
}

// New starts a keeper; Close ends it.
func New(cfg Config) *Keeper {
	if cfg.Coalesce == 0 {
		cfg.Coalesce = 50 * time.Millisecond
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 256 << 20
	}
	if cfg.Term == nil {
		cfg.Term = func(parley.UserID) uint64 { return 1 }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Marked == nil {
		cfg.Marked = func(parley.Receipt) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &Keeper{
		cfg: cfg, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), done: make(chan struct{}),
		boxes: make(map[parley.UserID]*box),
	}
	go k.write()
	return k
}

// Close writes what is pending, as far as ctx and the store allow, and ends
// the writer. Later advances are dropped; their dirty marks stand.
func (k *Keeper) Close(ctx context.Context) error {
	err := k.Flush(ctx)
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.cancel()
	<-k.done
	k.waiting.Wait()
	return err
}

// List returns user's conversations, the one that moved last first, those
// that moved before position before (0: all), at most limit.
func (k *Keeper) List(ctx context.Context, user parley.UserID, before parley.Pos, limit int) ([]parley.Row, error) {
	b, err := k.fresh(ctx, user)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	byMove := b.sorted()
	var rows []parley.Row
	for i := len(byMove) - 1; i >= 0 && len(rows) < limit; i-- {
		if r := byMove[i]; before == 0 || r.Moved() < before {
			rows = append(rows, *r)
		}
	}
	return rows, nil
}

// Row returns user's row of one conversation; not_found when there is none.
func (k *Keeper) Row(ctx context.Context, user parley.UserID, c parley.ConversationID) (parley.Row, error) {
	b, err := k.fresh(ctx, user)
	if err != nil {
		return parley.Row{}, err
	}
	defer b.mu.Unlock()
	if r := b.rows[c]; r != nil {
		return *r, nil
	}
	return parley.Row{}, errNoRow("inbox.row")
}

// After returns the rows of user that changed after pos, in the order they
// changed, at most limit, and the inbox's own position. Everything that was
// acknowledged to any device of the user before the call is in it.
func (k *Keeper) After(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error) {
	b, err := k.fresh(ctx, user)
	if err != nil {
		return nil, 0, err
	}
	if pos > b.pos {
		// Nobody is told more than is written: if the memory is right the
		// position is not, and that is worth a look.
		b.mu.Unlock()
		if err := k.renew(ctx, b, k.cfg.Term(user)); err != nil {
			return nil, 0, err
		}
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	rows, now := b.after(pos, limit)
	return rows, now, nil
}

// Written is After without waiting for what is not yet durable: what a live
// session tells, which hears of the rest when it is.
func (k *Keeper) Written(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error) {
	b, err := k.locked(ctx, user)
	if err != nil {
		return nil, 0, err
	}
	defer b.mu.Unlock()
	rows, now := b.after(pos, limit)
	return rows, now, nil
}

// HeadFor returns what a device with that cursor had of conversation c, and
// the user's membership by the newest that is known here, noted or written: a
// row that lags must not let anybody read what only an earlier membership, or
// none, allows. had is not before the membership. ok is false when it is not
// certain; m has no Since when c is not known to be the user's.
func (k *Keeper) HeadFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (had parley.Seq, m parley.Member, ok bool) {
	b, err := k.locked(ctx, user)
	if err != nil {
		return 0, parley.Member{}, false
	}
	defer b.mu.Unlock()
	r, n := b.rows[c], b.latest(c)
	if n != nil && r != nil && n.Head < r.Head {
		n = nil // older than the row
	}
	switch {
	case n != nil && (r == nil || n.Since > r.Since): // nothing of it was told
		return n.Since - 1, parley.Member{User: user, Since: n.Since, Until: n.Until}, true
	case n != nil:
		m = parley.Member{User: user, Since: n.Since, Until: n.Until}
	case r != nil:
		m = parley.Member{User: user, Since: r.Since, Until: r.Until}
	default:
		return 0, parley.Member{}, false
	}
	had, ok = r.HeadFor(at)
	// A device that was told more than is in memory here, by another node, may
	// have had more.
	return max(had, max(m.Since, 1)-1), m, ok && at.Pos <= b.pos
}

// Mark moves user's markers of c forward, to the head at most, and returns
// the row once that is durable. Zero leaves a marker alone. What was read was
// delivered.
func (k *Keeper) Mark(ctx context.Context, user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) (parley.Row, error) {
	if _, err := k.Row(ctx, user, c); err != nil {
		return parley.Row{}, err
	}
	k.MarkSoon(user, c, delivered, read)
	return k.Row(ctx, user, c)
}

// MarkSoon is Mark for whoever needs no answer. Markers of a conversation
// that is not the user's are dropped.
func (k *Keeper) MarkSoon(user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) {
	k.note(user, func(b *box) time.Time {
		n := b.newsOf(c)
		n.delivered = max(n.delivered, delivered, read)
		n.read = max(n.read, read)
		return b.paced[c]
	})
}

// Refresh has the rows of user read again unless they are certain.
func (k *Keeper) Refresh(ctx context.Context, user parley.UserID) error {
	b, err := k.fresh(ctx, user)
	if err == nil {
		b.mu.Unlock()
	}
	return err
}

// WhenDurable calls done, once and on any goroutine, when all that was noted
// of user before the call is durable, or with why that is not known.
func (k *Keeper) WhenDurable(user parley.UserID, done func(error)) {
	wait := k.pending(k.box(user))
	if wait == nil {
		done(nil)
		return
	}
	k.mu.Lock()
	closed := k.closed
	if !closed {
		k.waiting.Add(1)
	}
	k.mu.Unlock()
	if closed {
		done(coded("inbox.flush", store.ErrClosed))
		return
	}
	poke(k.urgent)
	go func() {
		defer k.waiting.Done()
		select {
		case err := <-wait:
			if err != nil {
				err = coded("inbox.flush", err)
			}
			done(err)
		case <-k.done:
			done(coded("inbox.flush", store.ErrClosed))
		}
	}()
}

// fresh is locked with nothing pending from before the call.
func (k *Keeper) fresh(ctx context.Context, user parley.UserID) (*box, error) {
	if wait := k.pending(k.box(user)); wait != nil {
		poke(k.urgent)
		select {
		case err := <-wait:
			if err != nil {
				return nil, coded("inbox.flush", err)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return k.locked(ctx, user)
}

// locked returns user's box with the rows of the store in memory and its lock
// held, so that they cannot go before they are read: the writer drops them
// when the store may know better, and a box without rows looks like an empty
// inbox. Rows that were read in another term are read again.
func (k *Keeper) locked(ctx context.Context, user parley.UserID) (*box, error) {
	for {
		b := k.box(user)
		term := k.cfg.Term(user)
		b.mu.Lock()
		b.used = true
		if b.ready && term != 0 && b.term == term {
			return b, nil
		}
		b.mu.Unlock()
		if err := k.renew(ctx, b, term); err != nil {
			return nil, err
		}
		k.reweigh([]*box{b})
		b.mu.Lock()
		if b.ready {
			return b, nil
		}
		b.mu.Unlock()
	}
}

// renew has the rows of b follow what the store holds now, in that term.
func (k *Keeper) renew(ctx context.Context, b *box, term uint64) error {
	in, err := k.cfg.Store.LoadInbox(ctx, b.user)
	if err != nil {
		return coded("inbox.load", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready || in.Pos > b.pos {
		b.set(in)
	}
	b.term = term
	return nil
}

// poke wakes whoever waits on a channel of capacity one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
