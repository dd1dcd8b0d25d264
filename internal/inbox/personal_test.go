package inbox_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

var yes, no = true, false

// TestPersonal kills a wish that is not durable when it is granted, that other
// devices do not hear of, that reorders the list or counts as unread, and one
// for a conversation that is not the user's.
func TestPersonal(t *testing.T) {
	w := newWorld(t)
	for _, c := range []parley.ConversationID{"g1", "g2"} {
		w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
		w.row(c)
	}
	before := w.row("g1")
	changed := w.changed.Load()
	at := time.Now().Add(time.Hour)
	r, err := w.keeper.Personal(t.Context(), me, "g1", parley.PersonalChange{Muted: &at, Pinned: &yes})
	if err != nil || !r.Personal.Pinned || r.Pos <= before.Pos || r.Unread() != before.Unread() || r.Moved() != before.Moved() {
		t.Fatalf("Personal = %+v, %v; it was %+v", r, err, before)
	}
	if w.changed.Load() != changed+1 {
		t.Error("other devices are not told")
	}
	in, err := w.store.LoadInbox(t.Context(), me)
	if err != nil || in.Pos != r.Pos || !in.Rows[1].Personal.Pinned || in.Rows[1].Personal.Muted.UnixMilli() != at.UnixMilli() {
		t.Errorf("the store holds %+v, %v", in, err)
	}
	rows, _, err := w.keeper.After(t.Context(), me, before.Pos+1, 10)
	if err != nil || len(rows) != 1 || rows[0].Conversation != "g1" {
		t.Errorf("another device syncs %+v, %v", rows, err)
	}
	list, err := w.keeper.List(t.Context(), me, 0, 10)
	if err != nil || list[0].Conversation != "g2" {
		t.Errorf("the list begins with %+v, %v", list[0], err)
	}
	if again, err := w.keeper.Personal(t.Context(), me, "g1", parley.PersonalChange{Pinned: &yes}); err != nil || again.Pos != r.Pos {
		t.Errorf("the same wish again: %+v, %v", again, err)
	}
	if _, err := w.keeper.Personal(t.Context(), me, "g9", parley.PersonalChange{Pinned: &yes}); parley.CodeOf(err) != parley.NotFound {
		t.Errorf("a stranger's conversation: %v, want not_found", err)
	}
	if _, err := w.keeper.Personal(t.Context(), me, "g1", parley.PersonalChange{Hide: []parley.Run{{From: 2, To: 3}}}); parley.CodeOf(err) != parley.BadRequest {
		t.Errorf("hiding what there is not: %v, want bad_request", err)
	}
	_ = w.keeper.Close(t.Context())
	if _, err := w.keeper.Personal(t.Context(), me, "g1", parley.PersonalChange{Pinned: &no}); parley.CodeOf(err) != parley.Draining {
		t.Errorf("after Close: %v, want draining", err)
	}
}

// TestPersonalTooMuch kills a bound that two devices pass together, and a
// refusal that takes the other wishes with it.
func TestPersonalTooMuch(t *testing.T) {
	w := newWorld(t)
	const c = parley.ConversationID("g1")
	for range 2*parley.MaxHidden + 2 {
		w.keeper.Advance(me, w.say(c, you, parley.KindMessage))
	}
	hide := func(n parley.Seq) error {
		_, err := w.keeper.Personal(t.Context(), me, c, parley.PersonalChange{Hide: []parley.Run{{From: n, To: n}}})
		return err
	}
	errs := make(chan error)
	for i := range parley.Seq(parley.MaxHidden + 1) {
		go func() { errs <- hide(1 + 2*i) }()
	}
	refused := 0
	for range parley.MaxHidden + 1 {
		switch err := <-errs; {
		case err == nil:
		case parley.CodeOf(err) == parley.TooLarge:
			refused++
		default:
			t.Error(err)
		}
	}
	if n := len(w.row(c).Personal.Hidden); n != parley.MaxHidden || refused != 1 {
		t.Errorf("%d stretches are hidden and %d were refused, want %d and 1", n, refused, parley.MaxHidden)
	}
}

// TestPersonalIsNotPromised has the store refuse. It kills a wish that is
// granted before it is written, and one that is granted much later although
// its user was told that it was not.
func TestPersonalIsNotPromised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const c = parley.ConversationID("g1")
		w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
		w.row(c)
		w.store.Fail(func(string) error { return store.ErrFull })
		if _, err := w.keeper.Personal(t.Context(), me, c, parley.PersonalChange{Archived: &yes}); parley.CodeOf(err) != parley.StorageFull {
			t.Errorf("%v, want storage_full", err)
		}
		w.store.Fail(nil)
		<-time.After(time.Second)
		if w.row(c).Personal.Archived {
			t.Error("what was refused was granted when nobody waited for it")
		}
		_ = w.keeper.Close(t.Context())
	})
}

// meddler is a store that another node writes to just after an inbox was read.
type meddler struct {
	*memstore.Store
	meddle func()
}

func (m *meddler) LoadInbox(ctx context.Context, u parley.UserID) (store.Inbox, error) {
	in, err := m.Store.LoadInbox(ctx, u)
	if meddle := m.meddle; meddle != nil {
		m.meddle = nil
		meddle()
	}
	return in, err
}

// TestPersonalIsCertain kills a wish that is taken for granted because memory
// says so, and memory is old.
func TestPersonalIsCertain(t *testing.T) {
	w := newWorld(t)
	const c = parley.ConversationID("g1")
	w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
	w.row(c)
	m := &meddler{Store: w.store}
	here := inbox.New(inbox.Config{Store: m, Log: w.store, Logger: slog.New(slog.DiscardHandler), Changed: func(parley.UserID) {}, Term: func(parley.UserID) uint64 { return 0 }})
	defer here.Close(t.Context())
	m.meddle = func() {
		if _, err := w.keeper.Personal(t.Context(), me, c, parley.PersonalChange{Archived: &yes}); err != nil {
			t.Error(err)
		}
	}
	if _, err := here.Personal(t.Context(), me, c, parley.PersonalChange{Archived: &no}); err != nil {
		t.Fatal(err)
	}
	in, err := w.store.LoadInbox(t.Context(), me)
	if err != nil || in.Rows[0].Personal.Archived {
		t.Errorf("the last wish was not to archive, and the store holds %+v, %v", in.Rows, err)
	}
}

// TestWithheldIsNotRead kills a read marker that moves over what is withheld
// by itself: its sender would hear that it was read.
func TestWithheldIsNotRead(t *testing.T) {
	w := newWorld(t)
	const c = parley.ConversationID("g1")
	w.keeper.Advance(me, w.say(c, you, parley.KindMembers))
	for range 3 {
		a := w.say(c, you, parley.KindMessage)
		a.Own = []parley.Own{{Seq: a.Head, Count: a.Count, Withheld: true}}
		w.keeper.Advance(me, a)
	}
	if r := w.row(c); r.Read != 0 || r.Unread() != 0 || r.Spoke {
		t.Errorf("withheld messages alone: %+v", r)
	}
	w.keeper.Advance(me, w.say(c, me, parley.KindMessage))
	if r := w.row(c); r.Read != 5 || r.Unread() != 0 || !r.Spoke {
		t.Errorf("then an own message: %+v", r)
	}
}
