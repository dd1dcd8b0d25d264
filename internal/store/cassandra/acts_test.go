package cassandra_test

import (
	"errors"
	"slices"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/cassandra"
)

// acts appends these after base, which points at earlier entries.
func acts(c parley.ConversationID, base parley.Seq, of ...parley.Entry) store.Append {
	a := entries(c, base, len(of), "a")
	for i, e := range of {
		one := &a.Entries[i]
		one.Kind, one.Ref, one.Sender, one.Body, one.Count = e.Kind, e.Ref, e.Sender, e.Body, uint64(base)
	}
	return a
}

func reaction(target parley.Seq, text string) parley.Entry {
	return parley.Entry{Kind: parley.KindReaction, Ref: target, Sender: "u", Body: parley.Body{Type: parley.TextPlain, Data: []byte(text)}}
}

func deletion(target parley.Seq) parley.Entry {
	return parley.Entry{Kind: parley.KindDelete, Ref: target, Sender: "u"}
}

// wantActs wants acts on 1..to from the entries with these numbers, in order.
func wantActs(t *testing.T, s store.Store, c parley.ConversationID, to parley.Seq, want ...parley.Seq) []parley.Act {
	t.Helper()
	got, err := s.Acts(t.Context(), c, 1, to)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []parley.Seq
	for _, a := range got {
		seqs = append(seqs, a.Seq)
	}
	if !slices.Equal(seqs, want) {
		t.Fatalf("the acts are those of %v, want %v", seqs, want)
	}
	return got
}

func mustErase(t *testing.T, s store.Store, c parley.ConversationID, seqs ...parley.Seq) {
	t.Helper()
	if err := s.Erase(t.Context(), c, seqs); err != nil {
		t.Fatalf("erase: %v", err)
	}
}

// TestActsArePlaced kills a log that goes on in the next bucket before the acts
// of the last are where they are found, an owner that trips over what another,
// or its own earlier try, has placed, and a reader that believes the head to be
// where it last saw it.
func TestActsArePlaced(t *testing.T) {
	cfg := config(t)
	s, stale := open(t, cfg), open(t, cfg)
	mustAppend(t, s, entries("c", 0, full-3, "m"))
	mustAppend(t, s, acts("c", full-3, reaction(1, "x"), deletion(2), reaction(full-1, "y")))
	wantActs(t, stale, "c", full, full-2, full-1, full)
	if n := rowsOfAct(t, s); n != 0 {
		t.Errorf("%d acts are placed before their bucket is left", n)
	}
	for range 2 { // as by a try that came no further
		if err := s.Leave(t.Context(), "c", 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := rowsOfAct(t, s); n != 3 {
		t.Errorf("%d acts are placed, want 3", n)
	}
	mustAppend(t, s, acts("c", full, reaction(1, "z")))
	wantActs(t, stale, "c", full, full-2, full+1, full-1, full)
	mustAppend(t, s, entries("c", full+1, full-1, "m"))
	mustAppend(t, s, entries("c", 2*full, full, "m"))
	mustAppend(t, s, acts("c", 3*full, deletion(1), deletion(full+7)))
	stale = open(t, cfg)
	wantActs(t, stale, "c", full+6, full-2, full+1, 3*full+1, full-1, full)
	wantActs(t, stale, "c", 9*full, full-2, full+1, 3*full+1, full-1, full, 3*full+2)
}

func rowsOfAct(t *testing.T, s *cassandra.Store) (n int) {
	t.Helper()
	if err := s.Session().Query(`SELECT count(*) FROM act`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestErasedStaysErased kills an erasure that a copy made before it, arriving
// late, takes back, and one that takes an earlier try's half for the whole.
func TestErasedStaysErased(t *testing.T) {
	s := open(t, config(t))
	mustAppend(t, s, entries("c", 0, full-1, "m"))
	mustAppend(t, s, acts("c", full-1, reaction(1, "secret")))
	var old []byte
	if err := s.Session().Query(`SELECT entry FROM log WHERE conversation = 'c' AND bucket = 0 AND kind = 2`).Scan(&old); err != nil {
		t.Fatal(err)
	}
	mustErase(t, s, "c", full)
	late := func() {
		t.Helper()
		if err := s.Session().Query(`INSERT INTO act (conversation, bucket, target, seq, value) VALUES ('c', 0, 1, ?, ?) USING TIMESTAMP 1`, int64(full), old).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	late()
	mustAppend(t, s, entries("c", full, 1, "m"))
	late()
	if got := wantActs(t, s, "c", full, full); got[0].Text != "" {
		t.Errorf("an erased reaction says %q", got[0].Text)
	}

	// The log is erased, and the try ended there.
	mustAppend(t, s, entries("d", 0, full-1, "m"))
	mustAppend(t, s, acts("d", full-1, reaction(1, "secret")))
	mustAppend(t, s, entries("d", full, 1, "m"))
	bare := acts("d", full-1, reaction(1, "")).Entries[0]
	bare.Body = parley.Body{}
	if _, err := s.Session().Query(`UPDATE log SET entry = ? WHERE conversation = 'd' AND bucket = 0 AND kind = 0 AND seq = ? AND id = '' IF EXISTS`,
		cassandra.EncodeEntry(&bare), int64(full)).MapScanCAS(map[string]any{}); err != nil {
		t.Fatal(err)
	}
	if got := wantActs(t, s, "d", full, full); got[0].Text != "secret" {
		t.Fatalf("this test means nothing: the act says %q", got[0].Text)
	}
	mustErase(t, s, "d", full)
	if got := wantActs(t, s, "d", full, full); got[0].Text != "" {
		t.Errorf("an erased reaction says %q", got[0].Text)
	}
}

// TestActsOutcome kills an act that stands without its entry, twice, or not at
// all, when an answer is lost; and one of an append that lost to another.
func TestActsOutcome(t *testing.T) {
	n := &network{}
	cfg := config(t)
	s, other := open(t, cfg.Through(n)), open(t, cfg)
	for name, fates := range survivable {
		t.Run(name, func(t *testing.T) {
			c := parley.DirectID(parley.UserID(name), "u")
			mustAppend(t, s, entries(c, 0, 2, "m"))
			n.next(fates...)
			mustAppend(t, s, acts(c, 2, reaction(1, "x"), deletion(2)))
			wantActs(t, other, c, 9, 3, 4)
			n.next(fates...)
			mustErase(t, s, c, 2, 3)
			if n.happened() != len(fates) {
				t.Fatalf("%d batches met their fate, want %d", n.happened(), len(fates))
			}
			if got := wantActs(t, other, c, 9, 3, 4); got[0].Text != "" {
				t.Errorf("an erased reaction says %q", got[0].Text)
			}
			got, err := other.Read(t.Context(), c, 0, 9)
			if err != nil || len(got) != 4 || len(got[0].Body.Data) == 0 || len(got[1].Body.Data) != 0 || len(got[2].Body.Data) != 0 {
				t.Errorf("the entries are %+v, %v", got, err)
			}
		})
	}
	mustAppend(t, other, entries("c", 0, 1, "m"))
	mustAppend(t, other, acts("c", 1, reaction(1, "theirs")))
	n.next(refused)
	if err := s.Append(t.Context(), acts("c", 1, deletion(1))); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("append after another's: %v", err)
	}
	if got := wantActs(t, s, "c", 9, 2); got[0].Text != "theirs" {
		t.Errorf("the act is %+v", got[0])
	}
	n.next(silence, silence, silence, silence)
	if err := s.Erase(t.Context(), "c", []parley.Seq{1}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("an erasure that nobody answers: %v", err)
	}
	n.next()
	mustErase(t, s, "c", 1)
	if got, err := s.Read(t.Context(), "c", 0, 1); err != nil || len(got[0].Body.Data) != 0 {
		t.Errorf("an erased message reads %+v, %v", got, err)
	}
}

// TestFirstSchema kills a program that cannot open what the first schema wrote,
// or forgets to say that it is another now.
func TestFirstSchema(t *testing.T) {
	cfg := config(t)
	s := open(t, cfg)
	mustAppend(t, s, entries("c", 0, full, "m"))
	mustAppend(t, s, entries("c", full, 1, "m"))
	for _, stmt := range []string{`DROP TABLE act`, `UPDATE meta SET value = '1' WHERE name = 'schema'`} {
		if err := s.Session().Query(stmt).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	found, err := cassandra.Check(t.Context(), cfg)
	if err != nil || !slices.ContainsFunc(found, func(f cassandra.Finding) bool { return f.Level == cassandra.Advice }) {
		t.Errorf("the doctor says %+v, %v", found, err)
	}
	epoch := s.Epoch()
	s = open(t, cfg)
	if s.Epoch() != epoch {
		t.Error("a new schema changed the epoch")
	}
	mustAppend(t, s, acts("c", full+1, deletion(3), reaction(full+1, "x")))
	wantActs(t, s, "c", 2*full, full+2, full+3)
	if got, err := s.Read(t.Context(), "c", full-1, 9); err != nil || len(got) != 4 {
		t.Errorf("%d entries, %v", len(got), err)
	}
	var schema string
	if err := s.Session().Query(`SELECT value FROM meta WHERE name = 'schema'`).Scan(&schema); err != nil || schema != "2" {
		t.Errorf("the keyspace says schema %q, %v", schema, err)
	}
}
