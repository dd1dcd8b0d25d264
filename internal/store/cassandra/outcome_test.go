package cassandra_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
)

// entries are the messages base+1..base+n of c, with ids of their own.
func entries(c parley.ConversationID, base parley.Seq, n int, by string) store.Append {
	a := store.Append{Conversation: c, Base: base}
	for i := range n {
		seq := base + parley.Seq(i) + 1
		a.Entries = append(a.Entries, parley.Entry{
			Conversation: c, Seq: seq, Kind: parley.KindMessage, ID: parley.MessageID(fmt.Sprintf("%s%d", by, seq)), Sender: "u", Device: "v",
			Body: parley.Body{Type: parley.TextPlain, Data: []byte(by)}, Count: uint64(seq),
		})
	}
	return a
}

// stands checks that the log of c is by these, in this order.
func stands(t *testing.T, s store.Store, c parley.ConversationID, by ...string) {
	t.Helper()
	got, err := s.Read(t.Context(), c, 0, len(by)+10)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if len(got) != len(by) {
		t.Fatalf("%d entries stand, want %d", len(got), len(by))
	}
	for i, e := range got {
		if string(e.Body.Data) != by[i] {
			t.Errorf("entry %d is by %q, want %q", e.Seq, e.Body.Data, by[i])
		}
		if seq, err := s.Find(t.Context(), c, e.ID, 0); err != nil || seq != e.Seq {
			t.Errorf("the id of entry %d is found at %d, %v", e.Seq, seq, err)
		}
	}
	if h, err := s.Load(t.Context(), c); err != nil || h.Seq != parley.Seq(len(by)) {
		t.Errorf("the head is %d, %v; want %d", h.Seq, err, len(by))
	}
}

// badNetwork is a store behind a network that does as it is told.
func badNetwork(t *testing.T) (*cassandra.Store, *network) {
	n := &network{}
	return open(t, config(t).Through(n)), n
}

// The fates after which a write has happened once, or happens once when it is
// run again.
var survivable = map[string][]fate{
	"request lost":            {refused},
	"answer lost":             {cut},
	"answer never comes":      {swallowed},
	"replayed":                {replayed},
	"lost, then answer lost":  {refused, cut},
	"answer lost, again lost": {cut, cut},
}

// TestAppendOutcome kills an engine, or a driver, that repeats a conditional
// write and believes the answer "not applied" to its own success.
func TestAppendOutcome(t *testing.T) {
	s, n := badNetwork(t)
	for name, fates := range survivable {
		t.Run(name, func(t *testing.T) {
			c := parley.DirectID(parley.UserID(name), "u")
			n.next(fates...)
			if err := s.Append(t.Context(), entries(c, 0, 2, "a")); err != nil {
				t.Fatalf("append: %v", err)
			}
			if n.happened() != len(fates) {
				t.Fatalf("%d batches met their fate, want %d", n.happened(), len(fates))
			}
			if err := s.Append(t.Context(), entries(c, 2, 1, "b")); err != nil {
				t.Fatalf("the next append: %v", err)
			}
			stands(t, s, c, "a", "a", "b")
		})
	}
}

// TestAppendLosesToAnother kills an engine that takes another owner's entry
// for its own when it resolves an unknown outcome: here the ids are the same,
// as when a client sends the same message through two nodes.
func TestAppendLosesToAnother(t *testing.T) {
	n := &network{}
	cfg := config(t)
	s, other := open(t, cfg.Through(n)), open(t, cfg)
	// The request is lost and the other owner comes first.
	if err := other.Append(t.Context(), entries("c", 0, 1, "a")); err != nil {
		t.Fatal(err)
	}
	n.next(refused)
	if err := s.Append(t.Context(), entries("c", 0, 1, "a")); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("append after another's: %v", err)
	}
	stands(t, s, "c", "a")
}

// TestAppendTooLate kills an engine whose abandoned write makes a second entry
// when it arrives after all: it may arrive, and then finds its slot taken.
func TestAppendTooLate(t *testing.T) {
	n := &network{}
	cfg := config(t)
	s, other := open(t, cfg.Through(n)), open(t, cfg)
	n.next(overslept)
	if err := s.Append(t.Context(), entries("c", 0, 1, "a")); err != nil {
		t.Fatalf("append: %v", err)
	}
	if err := n.release(); err != nil {
		t.Logf("the late request found its connection closed: %v", err)
	}
	if err := other.Append(t.Context(), entries("c", 1, 1, "b")); err != nil {
		t.Fatal(err)
	}
	stands(t, s, "c", "a", "b")

	// Given up altogether: unknown, and it may happen later.
	n.next(overslept, silence, silence, silence)
	if err := s.Append(t.Context(), entries("c", 2, 1, "c")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("an append that nobody answers: %v", err)
	}
	if err := other.Append(t.Context(), entries("c", 2, 1, "d")); err != nil {
		t.Fatal(err)
	}
	if err := n.release(); err != nil {
		t.Logf("the late request found its connection closed: %v", err)
	}
	n.next()
	if err := other.Append(t.Context(), entries("c", 3, 1, "e")); err != nil {
		t.Fatal(err)
	}
	stands(t, other, "c", "a", "b", "d", "e")
}

// TestInboxOutcome kills an inbox writer that conflicts with itself.
func TestInboxOutcome(t *testing.T) {
	s, n := badNetwork(t)
	for name, fates := range survivable {
		t.Run(name, func(t *testing.T) {
			u := parley.UserID(parley.DirectID(parley.UserID(name), "u"))
			n.next(fates...)
			w := &store.InboxWrite{User: u, Rows: []parley.Row{{Conversation: "c", Pos: 1, Head: 1}}}
			if err := s.WriteInboxes(t.Context(), []*store.InboxWrite{w}); err != nil || w.Err != nil {
				t.Fatalf("write: %v, %v", err, w.Err)
			}
			w = &store.InboxWrite{User: u, Base: 1, Rows: []parley.Row{{Conversation: "c", Pos: 2, Head: 2}}}
			if err := s.WriteInboxes(t.Context(), []*store.InboxWrite{w}); err != nil || w.Err != nil {
				t.Fatalf("the next write: %v, %v", err, w.Err)
			}
			in, err := s.LoadInbox(t.Context(), u)
			if err != nil || in.Pos != 2 || len(in.Rows) != 1 || in.Rows[0].Head != 2 {
				t.Fatalf("the inbox is %+v, %v", in, err)
			}
		})
	}
}

// TestRecordsOutcome kills a commit that conflicts with itself, and one that
// claims an outcome it cannot know: a removal leaves nothing to know it by.
func TestRecordsOutcome(t *testing.T) {
	s, n := badNetwork(t)
	for name, fates := range survivable {
		t.Run(name, func(t *testing.T) {
			n.next(fates...)
			if err := s.CommitRecords(t.Context(), name, []store.Change{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("1")}}); err != nil {
				t.Fatalf("commit: %v", err)
			}
			n.next(fates...)
			change := []store.Change{{Key: "a", Version: 1, Remove: true}, {Key: "b", Version: 1, Value: []byte("2")}, {Key: "c", Value: []byte("2")}}
			if err := s.CommitRecords(t.Context(), name, change); err != nil {
				t.Fatalf("commit: %v", err)
			}
			if err := s.CommitRecords(t.Context(), name, change); !errors.Is(err, store.ErrConflict) {
				t.Fatalf("the same commit again: %v", err)
			}
			list, err := s.ListRecords(t.Context(), name, "", "", 9)
			if err != nil || len(list) != 2 || list[0].Version != 2 || list[1].Version != 1 {
				t.Fatalf("the records are %+v, %v", list, err)
			}
		})
	}
	if err := s.CommitRecords(t.Context(), "p", []store.Change{{Key: "a"}}); err != nil {
		t.Fatal(err)
	}
	n.next(cut)
	if err := s.CommitRecords(t.Context(), "p", []store.Change{{Key: "a", Version: 1, Remove: true}}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("a removal whose answer is lost: %v", err)
	}
}

// rowAt is one row at a position.
func rowAt(pos parley.Pos) []parley.Row { return []parley.Row{{Conversation: "c", Pos: pos}} }

// TestBuriedConnections kills a store that waits for connections on which
// nothing comes any more, although new ones would be well: the driver alone
// does so for 40 seconds, a kernel for minutes.
func TestBuriedConnections(t *testing.T) {
	s, n := badNetwork(t)
	if err := s.Append(t.Context(), entries("c", 0, 1, "a")); err != nil {
		t.Fatal(err)
	}
	n.bury()
	begun := time.Now()
	await(t, 30*time.Second, "an append over new connections", func() bool {
		return s.Append(t.Context(), entries("c", 1, 1, "b")) == nil
	})
	t.Logf("again after %v", time.Since(begun))
	stands(t, s, "c", "a", "b")
}
