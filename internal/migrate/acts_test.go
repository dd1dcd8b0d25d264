package migrate_test

import (
	"slices"
	"sync/atomic"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/migrate"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// TestErasedSince: what is deleted in the source while it is copied is erased in
// the target, at the latest by the pass after the source has erased it, be the
// copy one or an interrupted one; the fingerprint is then that of a copy made
// afterwards. It kills a move that brings a deleted message back.
func TestErasedSince(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		from, to := memstore.New(), memstore.New()
		w := newSource(t, from, 10)
		w.say("conv-0", 300)
		w.say("conv-1", 20)
		c := begin(t, to, from)
		pass := func() {
			t.Helper()
			if interrupted {
				c = begin(t, to, from)
			}
			if err := c.Pass(t.Context(), from, migrate.Counts{}); err != nil {
				t.Fatal(err)
			}
		}
		pass()
		edit, feeling := w.add("conv-0", parley.KindEdit, 7, "edited"), w.add("conv-0", parley.KindReaction, 7, "!")
		pass()
		w.add("conv-0", parley.KindDelete, 7, "") // a crash comes before the body is erased
		pass()
		w.must(from.Erase(t.Context(), "conv-0", []parley.Seq{7, edit, feeling})) // a retry erases it, without another entry
		var n atomic.Int64
		to.FailAfter(func(op string) error {
			if op == "Erase" && n.Add(1)%2 == 1 {
				return store.ErrUnavailable // happened, and nobody says so
			}
			return nil
		})
		pass()
		to.FailAfter(nil)
		wantSame(t, from, to)
		if got, err := to.Read(t.Context(), "conv-0", 6, 1); err != nil || len(got[0].Body.Data) != 0 {
			t.Errorf("the deleted message reads %q, %v", got[0].Body.Data, err)
		}
		if n.Load() == 0 {
			t.Error("nothing was erased: this test means nothing")
		}
		_, print := c.Report()
		if _, fresh := carry(t, from, memstore.New()); print != fresh {
			t.Errorf("interrupted %v: the fingerprint is %s, and of a copy made now %s", interrupted, print, fresh)
		}
	}
}

// TestErasesNothingOfOthers: a target that only looks like a copy is refused,
// and keeps its bodies.
func TestErasesNothingOfOthers(t *testing.T) {
	from, to := memstore.New(), memstore.New()
	for s, by := range map[*memstore.Store]parley.UserID{from: "ann", to: "bob"} {
		e := parley.Entry{Seq: 1, Kind: parley.KindMessage, ID: "m", Sender: by, Count: 1, Body: parley.Body{Data: []byte("body")}}
		if err := s.Append(t.Context(), store.Append{Conversation: "c", Entries: []parley.Entry{e}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Erase(t.Context(), "c", []parley.Seq{1}); err != nil {
		t.Fatal(err)
	}
	if err := to.CommitRecords(t.Context(), "migrate", []store.Change{{Key: "state", Value: []byte(`{"state":"copying"}`)}}); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, begin(t, to, from).Pass(t.Context(), from, migrate.Counts{}), parley.Internal)
	if got, err := to.Read(t.Context(), "c", 0, 1); err != nil || string(got[0].Body.Data) != "body" {
		t.Errorf("another's message reads %q, %v", got[0].Body.Data, err)
	}
	// An erasure that the target only claims is noticed.
	from, to = memstore.New(), memstore.New()
	w := newSource(t, from, 11)
	w.say("conv-1", 50)
	c := begin(t, liar{Store: to, erase: true}, from)
	if err := c.Pass(t.Context(), from, migrate.Counts{}); err != nil {
		t.Fatal(err)
	}
	got, err := from.Read(t.Context(), "conv-1", 0, 50)
	if err != nil {
		t.Fatal(err)
	}
	k := slices.IndexFunc(got, func(e parley.Entry) bool { return e.Kind == parley.KindMessage && len(e.Body.Data) > 0 })
	w.add("conv-1", parley.KindDelete, got[k].Seq, "")
	w.must(from.Erase(t.Context(), "conv-1", []parley.Seq{got[k].Seq}))
	wantRefused(t, c.Pass(t.Context(), from, migrate.Counts{}), parley.Internal)
}
