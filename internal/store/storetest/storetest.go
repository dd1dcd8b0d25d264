// Package storetest is the suite that every engine passes. Each case quotes
// the sentence of package store that it holds the engine to, and names the
// fault it kills.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Place is where one store lives.
type Place struct {
	// Open opens the store that lives here. The suite closes what it opens
	// before it opens again.
	Open func() (store.Store, error)
	// Durable: what was written is there when the place is opened again.
	Durable bool
}

// Opener makes an empty place, which lasts as long as the test.
type Opener func(t *testing.T) Place

type testCase struct {
	name  string
	says  string // the contract
	kills string // the fault this case is for
	run   func(t *testing.T, w *world)
}

// Run holds the engine to the contract.
func Run(t *testing.T, open Opener) {
	for _, group := range [][]testCase{logCases, findCases, actCases, eraseCases, dirtyCases, inboxCases, recordCases, censusCases, lifeCases, concurrencyCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				w := &world{t: t, place: open(t)}
				t.Cleanup(func() {
					w.close()
					if t.Failed() {
						t.Logf("the contract: %s", c.says)
						t.Logf("the fault it kills: %s", c.kills)
					}
				})
				w.open()
				c.run(t, w)
			})
		}
	}
}

// world is one store under test, with calls that fail the test.
type world struct {
	t     *testing.T
	place Place
	s     store.Store
}

func (w *world) open() {
	w.t.Helper()
	s, err := w.place.Open()
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	w.s = s
}

func (w *world) close() {
	w.t.Helper()
	if w.s == nil {
		return
	}
	if err := w.s.Close(); err != nil {
		w.t.Errorf("close: %v", err)
	}
	w.s = nil
}

// again closes the store and opens it again, when that loses nothing.
func (w *world) again() {
	w.t.Helper()
	if w.place.Durable {
		w.close()
		w.open()
	}
}

func (w *world) append(a store.Append) {
	w.t.Helper()
	if err := w.s.Append(w.ctx(), a); err != nil {
		w.t.Fatalf("append at %d: %v", a.Base, err)
	}
}

func (w *world) ctx() context.Context { return w.t.Context() }

func (w *world) load(c parley.ConversationID) store.Head {
	w.t.Helper()
	h, err := w.s.Load(w.ctx(), c)
	if err != nil {
		w.t.Fatalf("load: %v", err)
	}
	return h
}

func (w *world) read(c parley.ConversationID, after parley.Seq, limit int) []parley.Entry {
	w.t.Helper()
	out, err := w.s.Read(w.ctx(), c, after, limit)
	if err != nil {
		w.t.Fatalf("read after %d: %v", after, err)
	}
	return out
}

func (w *world) find(c parley.ConversationID, id parley.MessageID, base parley.Seq) parley.Seq {
	w.t.Helper()
	seq, err := w.s.Find(w.ctx(), c, id, base)
	if err != nil {
		w.t.Fatalf("find: %v", err)
	}
	return seq
}

func (w *world) dirty(after parley.ConversationID, limit int) []parley.ConversationID {
	w.t.Helper()
	out, err := w.s.DirtyAfter(w.ctx(), nil, after, limit)
	if err != nil {
		w.t.Fatalf("dirty after: %v", err)
	}
	return out
}

func (w *world) inbox(u parley.UserID) store.Inbox {
	w.t.Helper()
	in, err := w.s.LoadInbox(w.ctx(), u)
	if err != nil {
		w.t.Fatalf("load inbox: %v", err)
	}
	return in
}

func (w *world) record(partition, key string) store.Record {
	w.t.Helper()
	r, err := w.s.GetRecord(w.ctx(), partition, key)
	if err != nil {
		w.t.Fatalf("get record: %v", err)
	}
	return r
}

// clock is when everything in the suite happened.
var clock = time.Date(2026, 3, 1, 12, 0, 0, int(7*time.Millisecond), time.UTC)

// text is a message that numbers itself: id "m<seq>", every field of a plain
// message set.
func text(c parley.ConversationID, seq parley.Seq) parley.Entry {
	return parley.Entry{
		Conversation: c, Seq: seq, Kind: parley.KindMessage, ID: messageID(seq), Sender: "u-ann", Device: "v-ann-1",
		At:    clock.Add(time.Duration(seq) * time.Second),
		Body:  parley.Body{Type: parley.TextPlain, Data: fmt.Appendf(nil, "number %d", seq)},
		Count: uint64(seq),
	}
}

func messageID(seq parley.Seq) parley.MessageID { return parley.MessageID(fmt.Sprintf("m%d", seq)) }

// texts appends the messages base+1..base+n.
func texts(c parley.ConversationID, base parley.Seq, n int) store.Append {
	a := store.Append{Conversation: c, Base: base}
	for i := range n {
		a.Entries = append(a.Entries, text(c, base+parley.Seq(i)+1))
	}
	return a
}

func wantEntries(t *testing.T, got, want []parley.Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d entries, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if !g.At.Equal(w.At.Truncate(time.Millisecond)) || !bytes.Equal(g.Body.Data, w.Body.Data) {
			t.Fatalf("entry %d: time or body differ", w.Seq)
		}
		g.At, w.At, g.Body.Data, w.Body.Data = time.Time{}, time.Time{}, nil, nil
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("entry %d is\n%+v, want\n%+v", w.Seq, g, w)
		}
	}
}

func wantIDs[T ~string](t *testing.T, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}
