package cassandra_test

import (
	"errors"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
)

const full = store.BucketSize

func mustAppend(t *testing.T, s store.Store, a store.Append) {
	t.Helper()
	if err := s.Append(t.Context(), a); err != nil {
		t.Fatalf("append of %d at %d: %v", len(a.Entries), a.Base, err)
	}
}

func wantHead(t *testing.T, s store.Store, c parley.ConversationID, want parley.Seq, title string) {
	t.Helper()
	h, err := s.Load(t.Context(), c)
	if err != nil || h.Seq != want || h.Count != uint64(want) || h.State == nil || h.State.Title != title {
		t.Fatalf("the head is %d, %d messages, state %+v, %v; want %d and the state %q", h.Seq, h.Count, h.State, err, want, title)
	}
}

// TestBucketEdges kills an append that skips or shares the last number of a
// bucket, and a new bucket that forgets the state of the one before.
func TestBucketEdges(t *testing.T) {
	cfg := config(t)
	s := open(t, cfg)
	first := entries("c", 0, full-1, "a")
	first.State = &parley.Conversation{ID: "c", Title: "first"}
	mustAppend(t, s, first)
	wantHead(t, s, "c", full-1, "first")
	if err := s.Append(t.Context(), entries("c", full-1, 2, "x")); err == nil || errors.Is(err, store.ErrConflict) {
		t.Fatalf("an append across the edge: %v", err)
	}
	for _, base := range []parley.Seq{full, full + 1, 2 * full, full - 2, 3*full - 1} {
		if err := s.Append(t.Context(), entries("c", base, 1, "x")); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("an append at %d where the head is %d: %v", base, full-1, err)
		}
	}
	mustAppend(t, s, entries("c", full-1, 1, "b"))
	wantHead(t, s, "c", full, "first")
	if err := s.Append(t.Context(), entries("c", full+1, 1, "x")); !errors.Is(err, store.ErrConflict) {
		t.Fatal("an append that leaves the first number of a bucket out")
	}
	mustAppend(t, s, entries("c", full, 1, "c"))
	wantHead(t, s, "c", full+1, "first")
	next := entries("c", full+1, 2, "d")
	next.State = &parley.Conversation{ID: "c", Title: "second"}
	mustAppend(t, s, next)
	for _, one := range []*cassandra.Store{s, open(t, cfg)} {
		wantHead(t, one, "c", full+3, "second")
		if !marked(t, one, "c") {
			t.Error("the mark of the first bucket is gone")
		}
		got, err := one.Read(t.Context(), "c", full-2, 100)
		if err != nil || len(got) != 5 {
			t.Fatalf("%d entries across the edge, %v", len(got), err)
		}
		for i, want := range []string{"a", "b", "c", "d", "d"} {
			if got[i].Seq != parley.Seq(full-1+i) || string(got[i].Body.Data) != want {
				t.Errorf("entry %d is by %q where %q belongs", got[i].Seq, got[i].Body.Data, want)
			}
			if seq, err := one.Find(t.Context(), "c", got[i].ID, 0); err != nil || seq != got[i].Seq {
				t.Errorf("the id of %d is found at %d, %v", got[i].Seq, seq, err)
			}
		}
	}
}

// TestLongLog kills a store that trusts a hint: one that is lost, behind, or
// of a bucket that was never begun.
func TestLongLog(t *testing.T) {
	const buckets = 6
	cfg := config(t)
	writer := open(t, cfg)
	for k := range parley.Seq(buckets) {
		a := entries("c", k*full, full, "m")
		if k == 0 {
			a.State = &parley.Conversation{ID: "c", Title: "long"}
		}
		mustAppend(t, writer, a)
	}
	for _, head := range []parley.Seq{buckets * full, buckets*full + 1} {
		if head%full == 1 {
			mustAppend(t, writer, entries("c", head-1, 1, "m"))
		}
		for name, set := range map[string]func(s *cassandra.Store) error{
			"as it is": func(*cassandra.Store) error { return nil },
			"lost": func(s *cassandra.Store) error {
				return s.Session().Query(`DELETE FROM hint WHERE conversation = 'c'`).Exec()
			},
			"behind": func(s *cassandra.Store) error {
				return s.Session().Query(`INSERT INTO hint (conversation, bucket) VALUES ('c', 2)`).Exec()
			},
			"ahead": func(s *cassandra.Store) error {
				return s.Session().Query(`INSERT INTO hint (conversation, bucket) VALUES ('c', 99)`).Exec()
			},
		} {
			s := open(t, cfg)
			if err := set(s); err != nil {
				t.Fatal(err)
			}
			wantHead(t, s, "c", head, "long")
			s = open(t, cfg)
			for _, seq := range []parley.Seq{1, full, full + 1, 3*full + 7, head} {
				if got, err := s.Find(t.Context(), "c", entries("c", seq-1, 1, "m").Entries[0].ID, seq-1); err != nil || got != seq {
					t.Fatalf("hint %s: the id of %d is found at %d, %v", name, seq, got, err)
				}
			}
			if got, err := s.Find(t.Context(), "c", "none", 0); err != nil || got != 0 {
				t.Fatalf("hint %s: what never was is found at %d, %v", name, got, err)
			}
		}
	}
	// A bucket that another store began is not hidden by what this one knows.
	other := open(t, cfg)
	wantHead(t, other, "c", buckets*full+1, "long")
	mustAppend(t, writer, entries("c", buckets*full+1, full-1, "m"))
	mustAppend(t, writer, entries("c", (buckets+1)*full, 1, "n"))
	if got, err := other.Find(t.Context(), "c", entries("c", (buckets+1)*full, 1, "n").Entries[0].ID, 0); err != nil || got != (buckets+1)*full+1 {
		t.Fatalf("an id in another store's bucket is found at %d, %v", got, err)
	}
	wantHead(t, other, "c", (buckets+1)*full+1, "long")
}

// TestLargeAppend kills a limit nobody knew of: Cassandra's threshold for
// batches, 50 KiB by default, must not hold for an append.
func TestLargeAppend(t *testing.T) {
	s := open(t, config(t))
	a := entries("c", 0, 512, "a")
	for i := range a.Entries {
		a.Entries[i].Body.Data = make([]byte, 2<<10)
	}
	mustAppend(t, s, a)
	one := entries("c", 512, 1, "b")
	one.Entries[0].Body.Data = make([]byte, 6<<20)
	mustAppend(t, s, one)
	got, err := s.Read(t.Context(), "c", 0, 1000)
	if err != nil || len(got) != 513 || len(got[512].Body.Data) != 6<<20 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	one.Base, one.Entries[0].Seq = 513, 514
	one.Entries[0].Body.Data = make([]byte, 9<<20)
	if err := s.Append(t.Context(), one); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("an append of 9 MiB: %v", err)
	}
}
