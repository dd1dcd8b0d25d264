package inbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// world is one user's inbox over a store, and a conversation to fill it from.
type world struct {
	t       *testing.T
	store   *memstore.Store
	keeper  *inbox.Keeper
	changed atomic.Int64
	counts  map[parley.ConversationID]uint64
	heads   map[parley.ConversationID]parley.Seq
}

const me, you = parley.UserID("u-me"), parley.UserID("u-you")

func newWorld(t *testing.T, change ...func(*inbox.Config)) *world {
	t.Helper()
	w := &world{t: t, store: memstore.New(), counts: map[parley.ConversationID]uint64{}, heads: map[parley.ConversationID]parley.Seq{}}
	w.open(change...)
	t.Cleanup(func() {
		_ = w.keeper.Close(context.Background())
		_ = w.store.Close()
	})
	return w
}

func (w *world) open(change ...func(*inbox.Config)) {
	cfg := inbox.Config{
		Store: w.store, Log: w.store, Logger: slog.New(slog.DiscardHandler),
		Changed: func(parley.UserID) { w.changed.Add(1) },
	}
	for _, c := range change {
		c(&cfg)
	}
	w.keeper = inbox.New(cfg)
}

// say appends one entry to the log and returns the advance it makes for me.
func (w *world) say(c parley.ConversationID, sender parley.UserID, kind parley.Kind) parley.Advance {
	w.t.Helper()
	base := w.heads[c]
	a := store.Append{Conversation: c, Base: base}
	if base == 0 {
		a.State = &parley.Conversation{ID: c, Kind: parley.Group, Members: []parley.Member{{User: me, Since: 1}, {User: you, Since: 1}}}
	}
	if kind == parley.KindMessage {
		w.counts[c]++
	}
	seq, said := base+1, "x"
	if kind == parley.KindMembers && base > 0 {
		said = `{"add":["` + string(me) + `"],"all":true}`
	}
	a.Entries = []parley.Entry{{
		Conversation: c, Seq: seq, Kind: kind, ID: parley.MessageID(fmt.Sprintf("m%d", seq)), Sender: sender,
		At: time.Now().UTC().Truncate(time.Millisecond), Body: parley.Body{Type: parley.TextPlain, Data: []byte(said)}, Count: w.counts[c],
	}}
	if err := w.store.Append(w.t.Context(), a); err != nil {
		w.t.Fatal(err)
	}
	w.heads[c] = seq
	news := parley.Advance{Conversation: c, Kind: parley.Group, Since: 1, From: base, Head: seq, Count: w.counts[c]}
	if sender == me && kind == parley.KindMessage {
		news.Own, news.Spoke = []parley.Own{{Seq: seq, Count: w.counts[c]}}, true
	}
	return news
}

// sweep tells me where c stands, and nothing of how it came there.
func (w *world) sweep(c parley.ConversationID) {
	w.keeper.Advance(me, parley.Advance{Conversation: c, Kind: parley.Group, Since: 1, From: w.heads[c], Head: w.heads[c], Count: w.counts[c]})
}

func (w *world) row(c parley.ConversationID) parley.Row {
	w.t.Helper()
	r, err := w.keeper.Row(w.t.Context(), me, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestUnreadIsWhatTheLogSays plays random talk, with advances lost, repeated
// and late, markers in any order, and the keeper restarted, and compares
// unread with a count over the log. It kills every way to keep a counter.
func TestUnreadIsWhatTheLogSays(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t)
		rng := rand.New(rand.NewPCG(seed, 1))
		const c = parley.ConversationID("g1")
		w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
		senders := []parley.UserID{me, you, you}
		read := parley.Seq(0)
		var log []parley.UserID // the sender of number i+2
		for range 60 {
			switch rng.IntN(10) {
			case 0:
				w.sweep(c)
				want := parley.Seq(rng.IntN(int(w.heads[c]) + 3))
				if _, err := w.keeper.Mark(t.Context(), me, c, 0, want); err != nil {
					t.Fatal(err)
				}
				read = max(read, min(want, w.heads[c]))
			case 1: // a crash: what was not written is swept
				ended, cancel := context.WithCancel(context.Background())
				cancel()
				_ = w.keeper.Close(ended)
				w.open()
				w.sweep(c)
			default:
				sender := senders[rng.IntN(len(senders))]
				news := w.say(c, sender, parley.KindMessage)
				// An own message with nothing unread before it is read itself.
				if sender == me && unread(log, read, me) == 0 {
					read = news.Head
				}
				log = append(log, sender)
				if rng.IntN(8) > 0 {
					w.keeper.Advance(me, news)
				}
				if rng.IntN(8) == 0 {
					w.keeper.Advance(me, news) // told twice
				}
			}
			if rng.IntN(3) == 0 {
				w.sweep(c)
				r := w.row(c)
				if got, want := r.Unread(), unread(log, read, me); got != uint64(want) {
					t.Fatalf("seed %d: unread is %d, the log says %d (%+v)", seed, got, want, r)
				}
			}
		}
		_ = w.keeper.Close(t.Context())
	}
}

// unread counts others' messages after read; log[i] is the sender of i+2.
func unread(log []parley.UserID, read parley.Seq, reader parley.UserID) int {
	n := 0
	for i, sender := range log {
		if parley.Seq(i+2) > read && sender != reader {
			n++
		}
	}
	return n
}

// TestMarkersOnlyMoveForward kills a marker that takes the last value told.
func TestMarkersOnlyMoveForward(t *testing.T) {
	w := newWorld(t)
	const c = parley.ConversationID("g1")
	w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
	for range 5 {
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
	}
	for _, m := range []struct{ delivered, read, wantDelivered, wantRead parley.Seq }{
		{3, 0, 3, 0}, {0, 4, 4, 4}, {2, 2, 4, 4}, {0, 99, 6, 6}, {0, 1, 6, 6},
	} {
		r, err := w.keeper.Mark(t.Context(), me, c, m.delivered, m.read)
		if err != nil || r.Delivered != m.wantDelivered || r.Read != m.wantRead {
			t.Errorf("Mark(%d, %d) = delivered %d, read %d, %v; want %d, %d", m.delivered, m.read, r.Delivered, r.Read, err, m.wantDelivered, m.wantRead)
		}
	}
	if _, err := w.keeper.Mark(t.Context(), me, "g-other", 1, 1); parley.CodeOf(err) != parley.NotFound {
		t.Errorf("marking a stranger's conversation: %v, want not_found", err)
	}
}

// TestReadYourWrites kills a sync that answers from rows while news waits: a
// reader that begins after an advance sees it, without waiting for the
// writer's own time.
func TestReadYourWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *inbox.Config) { c.Coalesce = time.Hour })
		const c = parley.ConversationID("g1")
		w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
		synctest.Wait() // the first write happens at once; from here the writer pauses
		begun := time.Now()
		for i := range 5 {
			w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
			rows, pos, err := w.keeper.After(t.Context(), me, 0, 10)
			if err != nil || len(rows) != 1 || rows[0].Head != parley.Seq(2+i) || rows[0].Pos != pos {
				t.Fatalf("After = %+v, %d, %v; want the head %d", rows, pos, err, 2+i)
			}
		}
		if waited := time.Since(begun); waited > time.Second {
			t.Errorf("the readers waited %v", waited)
		}
		_ = w.keeper.Close(t.Context())
	})
}

// TestNothingIsToldBeforeItIsWritten has the store refuse for a while.
func TestNothingIsToldBeforeItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const c = parley.ConversationID("g1")
		news := w.say(c, you, parley.KindMembers)
		w.store.Fail(func(op string) error { return store.ErrFull })
		w.keeper.Advance(me, news)
		synctest.Wait()
		if n := w.changed.Load(); n != 0 {
			t.Errorf("%d changes were told, none was written", n)
		}
		if rows, pos, err := w.keeper.Written(t.Context(), me, 0, 10); err != nil || len(rows) != 0 || pos != 0 {
			t.Errorf("Written = %v, %d, %v while nothing is", rows, pos, err)
		}
		if _, _, err := w.keeper.After(t.Context(), me, 0, 10); parley.CodeOf(err) != parley.StorageFull {
			t.Errorf("After = %v, want storage_full", err)
		}
		w.store.Fail(nil)
		<-time.After(time.Second) // the bubble's: the writer tries again
		if w.changed.Load() == 0 || w.row(c).Head != 1 {
			t.Error("what could not be written was forgotten")
		}
		_ = w.keeper.Close(t.Context())
	})
}

// TestAnotherWriter kills a keeper that trusts its memory over the fence: two
// keepers write one inbox, and neither loses what the other wrote.
func TestAnotherWriter(t *testing.T) {
	w := newWorld(t)
	other := inbox.New(inbox.Config{Store: w.store, Log: w.store, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {}})
	defer other.Close(t.Context())
	for i := range 40 {
		c := parley.ConversationID(fmt.Sprintf("g%d", i))
		k := w.keeper
		if i%2 == 1 {
			k = other
		}
		k.Advance(me, w.say(c, you, parley.KindMembers))
		k.Advance(me, w.say(c, you, parley.KindMessage))
		if i%5 == 0 {
			if _, err := k.Mark(t.Context(), me, c, 2, 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, k := range []*inbox.Keeper{w.keeper, other} {
		if err := k.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	in, err := w.store.LoadInbox(t.Context(), me)
	if err != nil || len(in.Rows) != 40 {
		t.Fatalf("%d rows, %v; want 40", len(in.Rows), err)
	}
	seen := make(map[parley.Pos]bool)
	for _, r := range in.Rows {
		if seen[r.Pos] {
			t.Errorf("two rows at position %d", r.Pos)
		}
		seen[r.Pos] = true
		if r.Head != 2 || r.Unread() > 1 {
			t.Errorf("row %+v", r)
		}
	}
}

// TestRowsDoNotVanishWhileTheyAreRead kills a reader that looks whether rows
// are in memory and then takes the lock: conflicts drop them in between, and
// an inbox without rows says that its devices are ahead of it.
func TestRowsDoNotVanishWhileTheyAreRead(t *testing.T) {
	w := newWorld(t, func(c *inbox.Config) { c.Coalesce = time.Nanosecond })
	other := inbox.New(inbox.Config{Store: w.store, Log: w.store, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {}})
	defer other.Close(t.Context())
	const c = parley.ConversationID("g1")
	w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
	w.row(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 400 {
			for _, k := range []*inbox.Keeper{other, w.keeper} {
				k.Advance(me, w.say(c, you, parley.KindMessage))
				if err := k.Flush(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	defer func() { <-done }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		rows, pos, err := w.keeper.Written(t.Context(), me, 0, 10)
		if err != nil || len(rows) != 1 || pos == 0 {
			t.Fatalf("Written = %v at %d, %v; the row was written before", rows, pos, err)
		}
		if had, _, ok := w.keeper.HeadFor(t.Context(), me, c, parley.Cursor{Pos: pos}); ok && had == 0 {
			t.Fatal("HeadFor knows nothing of a row that was written")
		}
	}
}

// TestListIsByNews kills a list that reading reorders.
func TestListIsByNews(t *testing.T) {
	w := newWorld(t)
	for _, c := range []parley.ConversationID{"g1", "g2", "g3"} {
		w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
		if err := w.keeper.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.keeper.Mark(t.Context(), me, "g1", 0, 2); err != nil {
		t.Fatal(err)
	}
	order := func() (ids string) {
		var before parley.Pos
		for {
			rows, err := w.keeper.List(t.Context(), me, before, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				ids += string(r.Conversation) + " "
				before = r.Moved()
			}
			if len(rows) < 2 {
				return ids
			}
		}
	}
	if got := order(); got != "g3 g2 g1 " {
		t.Errorf("the list is %q after reading g1, want g3 g2 g1", got)
	}
	w.keeper.Advance(me, w.say("g1", you, parley.KindMessage))
	if got := order(); got != "g1 g3 g2 " {
		t.Errorf("the list is %q after news in g1, want g1 g3 g2", got)
	}
}

// TestListIsByNewsWithinOneWrite: conversations that move between two writes
// stand in the order in which they moved, whatever they are called.
func TestListIsByNewsWithinOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *inbox.Config) { c.Coalesce = time.Hour })
		for _, c := range []parley.ConversationID{"g3", "g1", "g2", "g3", "g1"} {
			w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
		}
		rows, err := w.keeper.List(t.Context(), me, 0, 10)
		if err != nil || len(rows) != 3 || rows[0].Conversation != "g1" || rows[1].Conversation != "g3" || rows[2].Conversation != "g2" {
			t.Errorf("the list is %+v, %v; want g1, g3, g2", rows, err)
		}
		_ = w.keeper.Close(t.Context())
	})
}

// TestHeadAt compares what a row remembers of its past with what it was: a
// device that comes back with any cursor is told exactly what follows.
func TestHeadAt(t *testing.T) {
	w := newWorld(t)
	const c = parley.ConversationID("g1")
	type moment struct {
		pos  parley.Pos
		head parley.Seq
	}
	var past []moment
	w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
	for i := range 20 {
		r := w.row(c)
		past = append(past, moment{r.Pos, r.Head})
		if i%3 == 0 {
			_, _ = w.keeper.Mark(t.Context(), me, c, 0, r.Head)
			r = w.row(c)
			past = append(past, moment{r.Pos, r.Head})
		}
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
	}
	r := w.row(c)
	if had, ok := r.HeadAt(0); !ok || had != 0 {
		t.Errorf("HeadAt(0) = %d, %v; a device with nothing had nothing", had, ok)
	}
	for _, m := range past {
		if had, ok := r.HeadAt(m.pos); !ok || had != m.head {
			t.Errorf("HeadAt(%d) = %d, %v; want %d", m.pos, had, ok, m.head)
		}
	}
	for i := range 3 * parley.MaxCheckpoints {
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
		if r = w.row(c); len(r.Past) > parley.MaxCheckpoints {
			t.Fatalf("after %d more the row remembers %d heads, more than %d", i, len(r.Past), parley.MaxCheckpoints)
		}
	}
	if _, ok := r.HeadAt(1); ok {
		t.Error("a row claims to remember what it had to forget")
	}
}

// TestMemoryIsBounded opens more inboxes than fit.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t, func(c *inbox.Config) { c.MaxBytes = 20_000 })
	const c = parley.ConversationID("g1")
	news := w.say(c, you, parley.KindMembers)
	for i := range 500 {
		u := parley.UserID(fmt.Sprintf("u%d", i))
		w.keeper.Advance(u, news)
		if _, err := w.keeper.Row(t.Context(), u, c); err != nil {
			t.Fatal(err)
		}
	}
	if n := inbox.Resident(w.keeper); n > 60 {
		t.Errorf("%d inboxes are in memory, the bound allows about 40", n)
	}
	for i := range 500 {
		if r, err := w.keeper.Row(t.Context(), parley.UserID(fmt.Sprintf("u%d", i)), c); err != nil || r.Head != 1 {
			t.Fatalf("an inbox that left memory: %+v, %v", r, err)
		}
	}
}

// TestToldByAnother has another node write an inbox and tell a device of it,
// while this one still believes its memory. It kills a head that the memory
// makes up for such a device: what follows it was told already.
func TestToldByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const c = parley.ConversationID("g1")
		w := newWorld(t)
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
		_, pos, err := w.keeper.After(t.Context(), me, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if had, _, ok := w.keeper.HeadFor(t.Context(), me, c, parley.Cursor{Pos: pos}); !ok || had != 1 {
			t.Fatalf("had %d, %t", had, ok)
		}
		other := inbox.New(inbox.Config{
			Store: w.store, Log: w.store, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {},
		})
		defer func() { _ = other.Close(t.Context()) }()
		other.Advance(me, w.say(c, you, parley.KindMessage))
		_, pos, err = other.After(t.Context(), me, pos, 10)
		if err != nil {
			t.Fatal(err)
		}
		if had, _, ok := w.keeper.HeadFor(t.Context(), me, c, parley.Cursor{Pos: pos}); ok {
			t.Errorf("a device that was told position %d had %d, says who knows less", pos, had)
		}
	})
}
