package fanout_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

// act appends one act on a message.
func (l *log) act(kind parley.Kind, target parley.Seq) []parley.Entry {
	said := l.say("u-a", 1)
	said[0].Kind, said[0].Ref = kind, target
	if kind == parley.KindDelete {
		said[0].Body = parley.Body{}
	}
	return said
}

// TestTailForgetsWhatWasDeleted kills a tail that tells a body, or a body of
// an edit, after the delete, that changes what a reader holds already, that
// touches other messages, and one that encodes the old form once more.
func TestTailForgetsWhatWasDeleted(t *testing.T) {
	l := &log{}
	f := newFanout(&desk{}, l, 0)
	c := conversation("u-a")
	f.Publish(c, l.say("u-a", 3), told)
	for _, target := range []parley.Seq{2, 3} { // 4..9
		f.Publish(c, l.act(parley.KindEdit, target), told)
		f.Publish(c, l.act(parley.KindReaction, target), told)
		f.Publish(c, l.act(parley.KindPin, target), told)
	}
	text := func(e *parley.Entry) []byte { return e.Body.Data }
	before, err := f.Read(t.Context(), g, 0, 100)
	if err != nil || string(before[1].Wire(text)) != "hello" {
		t.Fatal(before, err)
	}
	f.Publish(c, l.act(parley.KindDelete, 2), told) // 10
	after, err := f.Read(t.Context(), g, 0, 100)
	if err != nil || len(after) != 10 || l.reads != 0 {
		t.Fatalf("%d entries, %v, %d reads of the log", len(after), err, l.reads)
	}
	for _, e := range after {
		gone := e.Seq == 2 || e.Ref == 2 && (e.Kind == parley.KindEdit || e.Kind == parley.KindReaction)
		silent := len(e.Body.Data) == 0 && e.Body.Type == "" && len(e.Wire(text)) == 0
		if deleted := e.Fold != nil && e.Fold.Deleted; deleted != gone || silent != (gone || e.Seq == 10) {
			t.Errorf("number %d reads %q, deleted %v; want deleted %v", e.Seq, e.Body.Data, deleted, gone)
		}
		if e.Sender != "u-a" || e.Count != uint64(e.Seq) || e.Conversation != g {
			t.Errorf("number %d is %+v", e.Seq, e.Entry)
		}
	}
	if string(before[1].Body.Data) != "hello" {
		t.Error("what a reader held was changed in its hands")
	}
}

// TestLogSaysWhatWasDeleted kills an erased message that reads as one without
// a word, and one that is read between its delete and its erasing.
func TestLogSaysWhatWasDeleted(t *testing.T) {
	l := &log{}
	l.say("u-a", 2)
	l.act(parley.KindEdit, 1)     // 3, erased
	l.act(parley.KindReaction, 1) // 4
	l.act(parley.KindEdit, 2)     // 5, not yet
	l.act(parley.KindReaction, 2) // 6
	l.say("u-a", 1)               // 7 stands
	l.act(parley.KindDelete, 2)   // 8
	l.entries[0].Body, l.entries[2].Body = parley.Body{}, parley.Body{}
	read, err := newFanout(&desk{}, l, 0).Read(t.Context(), g, 0, 100)
	if err != nil || len(read) != 8 {
		t.Fatal(read, err)
	}
	for _, e := range read {
		if deleted, want := e.Fold != nil && e.Fold.Deleted, e.Seq < 7; deleted != want || (len(e.Body.Data) == 0) != (want || e.Seq == 8) {
			t.Errorf("number %d reads %q, deleted %v; want %v", e.Seq, e.Body.Data, deleted, want)
		}
	}
}

// TestWithheldForm kills one form for everybody, a form that says who or what,
// and an ordinary reader who pays for it.
func TestWithheldForm(t *testing.T) {
	l := &log{}
	f := newFanout(&desk{}, l, 0)
	said := l.say("u-a", 1)
	said[0].Withheld, said[0].ID, said[0].Device, said[0].Ref, said[0].Mentions = []parley.UserID{"u-b"}, "m1", "d", 7, []parley.UserID{"u-b"}
	f.Publish(conversation("u-a", "u-b", "u-c"), said, told)
	read, err := f.Read(t.Context(), g, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	e, made := read[0], 0
	encode := func(e *parley.Entry) []byte { made++; return fmt.Appendf(nil, "%+v", *e) }
	bare := parley.Entry{Conversation: g, Seq: 1, Kind: parley.KindWithheld, Count: 1, At: e.At}
	for range 3 {
		if got, want := string(e.WireFor("u-b", encode)), fmt.Sprintf("%+v", bare); got != want {
			t.Errorf("u-b reads %s, want %s", got, want)
		}
		if got, want := string(e.WireFor("u-c", encode)), fmt.Sprintf("%+v", said[0]); got != want {
			t.Errorf("u-c reads %s, want %s", got, want)
		}
	}
	if made != 2 {
		t.Errorf("encoded %d times, want each form once", made)
	}
	if got := e.For("u-b"); fmt.Sprint(got) != fmt.Sprint(bare) {
		t.Errorf("u-b has %+v", got)
	}
	if n := testing.AllocsPerRun(100, func() { e.WireFor("u-c", encode) }); n != 0 {
		t.Errorf("an ordinary reader costs %v allocations", n)
	}
}

// nodesOf is switchboards of several nodes over one store.
func nodesOf(s *memstore.Store, n int) (all []*fanout.Fanout) {
	for range n {
		d := &desk{}
		all = append(all, fanout.New(fanout.Config{Inboxes: d, Everywhere: func() fanout.Inboxes { return d }, Log: s, Logger: slog.New(slog.DiscardHandler)}))
	}
	return all
}

// TestDeletedEverywhere says, edits and deletes at one node, of which the other
// hears late or never. It kills a read of the other that begins after the
// delete was acknowledged and tells the body: from its tail, for whoever does
// not know where the conversation stands, or does and is not asked. The
// control reads as live pushes do, and finds bodies.
func TestDeletedEverywhere(t *testing.T) {
	leaked := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		s := memstore.New()
		nodes := nodesOf(s, 2)
		c := conversation("u-a")
		var entries []parley.Entry
		gone := map[parley.Seq]bool{}
		heard := 0 // by the other node
		commit := func(kind parley.Kind, ref parley.Seq, text string) {
			e := parley.Entry{Conversation: g, Seq: parley.Seq(len(entries) + 1), Kind: kind, Ref: ref, Sender: "u-a", ID: parley.MessageID(fmt.Sprint(len(entries)))}
			if text != "" {
				e.Body = parley.Body{Type: parley.TextPlain, Data: []byte(text)}
			}
			if err := s.Append(t.Context(), store.Append{Conversation: g, Base: e.Seq - 1, Entries: []parley.Entry{e}, State: c}); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
			if kind == parley.KindDelete {
				var erase []parley.Seq
				for _, e := range entries {
					if e.Seq == ref || e.Kind == parley.KindEdit && e.Ref == ref {
						erase = append(erase, e.Seq)
						gone[e.Seq] = true
					}
				}
				if err := s.Erase(t.Context(), g, erase); err != nil {
					t.Fatal(err)
				}
			}
			nodes[0].Deliver(c, entries[len(entries)-1:], false)
		}
		look := func(f *fanout.Fanout, how string, read func(after parley.Seq, limit int) ([]*fanout.Told, error)) (bodies int) {
			after := rng.IntN(len(entries))
			got, err := read(parley.Seq(after), 1+rng.IntN(len(entries)))
			if err != nil || len(got) == 0 || got[0].Seq != parley.Seq(after+1) {
				t.Fatalf("%s after %d: %d entries, %v", how, after, len(got), err)
			}
			for _, e := range got {
				if gone[e.Seq] && len(e.Body.Data) > 0 {
					bodies++
				}
				if !gone[e.Seq] && e.Kind == parley.KindMessage && len(e.Body.Data) == 0 {
					t.Errorf("%s: number %d lost its body", how, e.Seq)
				}
			}
			return bodies
		}
		commit(parley.KindMessage, 0, "secret")
		for range 60 {
			target := parley.Seq(1 + rng.IntN(len(entries)))
			switch ok := entries[target-1].Kind == parley.KindMessage && !gone[target]; {
			case ok && rng.IntN(6) == 0:
				commit(parley.KindDelete, target, "")
			case ok && rng.IntN(4) == 0:
				commit(parley.KindEdit, target, "secret, edited")
			default:
				commit(parley.KindMessage, 0, "secret")
			}
			switch rng.IntN(6) {
			case 0, 1, 2:
				nodes[1].Deliver(c, entries[heard:], false)
				heard = len(entries)
			case 3:
				if rng.IntN(4) == 0 {
					heard = len(entries) // it never hears of those
				}
			}
			head := parley.Seq(len(entries))
			for i, f := range nodes {
				if n := look(f, "Read", func(after parley.Seq, limit int) ([]*fanout.Told, error) { return f.Read(t.Context(), g, after, limit) }); n > 0 {
					t.Fatalf("seed %d: node %d told %d bodies that were deleted", seed, i, n)
				}
				if n := look(f, "ReadAt", func(after parley.Seq, limit int) ([]*fanout.Told, error) {
					return f.ReadAt(t.Context(), g, after, limit, head)
				}); n > 0 {
					t.Fatalf("seed %d: node %d told %d bodies that were deleted to who knows the head", seed, i, n)
				}
				for _, known := range []parley.Seq{0, head} {
					if n := look(f, "Entries", func(after parley.Seq, limit int) (told []*fanout.Told, err error) {
						entries, err := f.Entries(t.Context(), g, after, limit, known)
						for i := range entries {
							told = append(told, &fanout.Told{Entry: entries[i]})
						}
						return told, err
					}); n > 0 {
						t.Fatalf("seed %d: node %d told %d bodies that were deleted to who knows %d", seed, i, n, known)
					}
				}
				leaked += look(f, "live", func(after parley.Seq, limit int) ([]*fanout.Told, error) {
					return f.ReadAt(t.Context(), g, after, limit, 0)
				})
			}
		}
	}
	if leaked == 0 {
		t.Error("the other node's tail never held what was deleted: this test shows nothing")
	}
}

// counting is a store that counts how often its log is read.
type counting struct {
	*memstore.Store
	reads int
}

func (c *counting) Read(ctx context.Context, id parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	c.reads++
	return c.Store.Read(ctx, id, after, limit)
}

// TestWhoKnowsTheHeadReadsMemory kills a rule that sends everybody to the log:
// pages on a node that has heard of everything, and live pushes, cost no read.
func TestWhoKnowsTheHeadReadsMemory(t *testing.T) {
	s := &counting{Store: memstore.New()}
	d := &desk{}
	f := fanout.New(fanout.Config{Inboxes: d, Everywhere: func() fanout.Inboxes { return d }, Log: s, Logger: slog.New(slog.DiscardHandler)})
	c, l := conversation("u-a"), &log{}
	said := l.say("u-a", 3)
	for i := range said {
		said[i].ID = parley.MessageID(fmt.Sprint(i))
	}
	if err := s.Append(t.Context(), store.Append{Conversation: g, Entries: said, State: c}); err != nil {
		t.Fatal(err)
	}
	f.Deliver(c, said[:2], false)
	for _, step := range []struct {
		head  parley.Seq
		reads int
	}{{2, 0}, {1, 0}, {0, 0}, {3, 1}} {
		s.reads = 0
		if got, err := f.ReadAt(t.Context(), g, 0, 2, step.head); err != nil || len(got) != 2 || s.reads != step.reads {
			t.Errorf("knowing %d: %d entries, %v, %d reads of the log, want %d", step.head, len(got), err, s.reads, step.reads)
		}
		if step.head == 0 {
			step.reads = 1 // nobody said where it stands
		}
		s.reads = 0
		if got, err := f.Entries(t.Context(), g, 0, 2, step.head); err != nil || len(got) != 2 || s.reads != step.reads {
			t.Errorf("entries, knowing %d: %d, %v, %d reads of the log, want %d", step.head, len(got), err, s.reads, step.reads)
		}
	}
}
