package inbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// heard collects what Marked is told.
type heard struct {
	mu  sync.Mutex
	all []parley.Receipt
}

func (h *heard) note(c *inbox.Config) {
	c.Marked = func(r parley.Receipt) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, r)
	}
}

// take returns what was told since it was last asked.
func (h *heard) take() []parley.Receipt {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.all
	h.all = nil
	return all
}

// TestMarked kills a receipt for markers that did not move, or not in the row
// (an ahead, a stranger's), or that one's own message moved.
func TestMarked(t *testing.T) {
	var h heard
	w := newWorld(t, h.note)
	const c = parley.ConversationID("g1")
	w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
	w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
	w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
	at := func(delivered, read parley.Seq) []parley.Receipt {
		return []parley.Receipt{{Conversation: c, User: me, Delivered: delivered, Read: read}}
	}
	for _, step := range []struct {
		delivered, read parley.Seq
		want            []parley.Receipt
	}{
		{2, 0, at(2, 0)}, {2, 0, nil}, {1, 0, nil}, {0, 2, at(2, 2)}, {0, 99, at(3, 3)}, {99, 99, nil},
	} {
		w.keeper.MarkSoon(me, c, step.delivered, step.read)
		if err := w.keeper.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.take(); !slices.Equal(got, step.want) {
			t.Errorf("mark %d, %d: told %+v, want %+v", step.delivered, step.read, got, step.want)
		}
	}
	w.keeper.Advance(me, w.say(c, me, parley.KindMessage))
	w.keeper.MarkSoon(me, "g-other", 9, 9)
	w.keeper.MarkSoon("u-stranger", c, 9, 9)
	if r := w.row(c); r.Read != 4 {
		t.Fatalf("an own message did not move the marker: %+v", r)
	}
	if err := w.keeper.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.take(); got != nil {
		t.Errorf("told %+v of an own message and of strangers", got)
	}
}

// TestMarkedWhenDurable kills a receipt that is told before its markers are
// written, and one that a refused write swallows.
func TestMarkedWhenDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		w := newWorld(t, h.note)
		const c = parley.ConversationID("g1")
		w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
		w.row(c)
		w.store.Fail(func(string) error { return store.ErrFull })
		w.keeper.MarkSoon(me, c, 0, 2)
		<-time.After(time.Second)
		if got := h.take(); got != nil {
			t.Errorf("told %+v, and nothing was written", got)
		}
		w.store.Fail(nil)
		<-time.After(time.Second)
		if got := h.take(); len(got) != 1 || got[0].Read != 2 {
			t.Errorf("told %+v once it could be written", got)
		}
		_ = w.keeper.Close(t.Context())
	})
}

// TestReceipts reads how far many users have got. It kills a reader that
// waits for what is noted, that invents rows, or that leaves users out.
func TestReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const c = parley.ConversationID("g1")
		news := w.say(c, you, parley.KindMembers)
		var users []parley.UserID
		for i := range 40 {
			u := parley.UserID(fmt.Sprintf("u-%d", i))
			users = append(users, u)
			w.keeper.Advance(u, news)
			if i%2 == 0 {
				w.keeper.MarkSoon(u, c, 1, 0)
			}
		}
		if err := w.keeper.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.store.Fail(func(string) error { return store.ErrFull })
		w.keeper.MarkSoon(users[1], c, 1, 1) // noted, and cannot be written
		begun := time.Now()
		got := w.keeper.Receipts(t.Context(), c, append(users, "u-stranger"))
		if took := time.Since(begun); took != 0 {
			t.Errorf("it waited %v for what is noted", took)
		}
		if len(got) != len(users) {
			t.Errorf("%d receipts for %d users", len(got), len(users))
		}
		for _, r := range got {
			i := slices.Index(users, r.User)
			if want := parley.Seq(1 - i%2); i < 0 || r.Conversation != c || r.Delivered != want || r.Read != 0 {
				t.Errorf("%+v, want delivered %d", r, want)
			}
		}
		w.store.Fail(nil)
		_ = w.keeper.Close(t.Context())
	})
}

// stuck is a store whose inboxes of some users do not answer.
type stuck struct {
	*memstore.Store
	user parley.UserID
}

func (s stuck) LoadInbox(ctx context.Context, u parley.UserID) (store.Inbox, error) {
	if u == s.user {
		<-ctx.Done()
		return store.Inbox{}, ctx.Err()
	}
	return s.Store.LoadInbox(ctx, u)
}

// TestReceiptsInTime kills a reader that waits for one inbox longer than it
// was told to, or that gives up on all for one.
func TestReceiptsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const c = parley.ConversationID("g1")
		news := w.say(c, you, parley.KindMembers)
		for _, u := range []parley.UserID{me, you} {
			w.keeper.Advance(u, news)
		}
		if err := w.keeper.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.open(func(cfg *inbox.Config) { cfg.Store = stuck{w.store, me} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		got := w.keeper.Receipts(ctx, c, []parley.UserID{me, you})
		if took := time.Since(begun); took > time.Second || len(got) != 1 || got[0].User != you {
			t.Errorf("%+v after %v, want the other's within a second", got, took)
		}
		_ = w.keeper.Close(t.Context())
	})
}
