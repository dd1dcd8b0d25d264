package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

var actCases = []testCase{
	{"acts/nothing", "Whatever cannot be pointed at has no acts: an empty slice.", "an error for what nobody has acted on",
		func(t *testing.T, w *world) {
			w.wantActs("nowhere", 0, ^parley.Seq(0))
			w.append(texts("c", 0, 3))
			for _, r := range [][2]parley.Seq{{0, 0}, {1, 3}, {3, 1}, {4, 9}, {0, ^parley.Seq(0)}, {^parley.Seq(0), ^parley.Seq(0)}} {
				w.wantActs("c", r[0], r[1])
			}
		}},
	{"acts/found from their target", "Acts returns the acts that point at from..to, ascending by Target and then by Seq, as parley.ActOf makes them of their entries.",
		"an act that is not found, out of order, of another conversation, or without what folding needs", everyAct},
	{"acts/across buckets", "Acts returns the acts that point at from..to.", "an act forgotten because its target lies in an earlier bucket", farActs},
	{"acts/same commit", "An append makes its acts known in the same commit: after ErrConflict there is none of it, after an unknown outcome there are those of the entries that stand.",
		"a delete that stands and is not found; an edit that was refused and is", sameCommit},
	{"acts/values", "Values passed in are not kept, values returned are the caller's own.", "memory shared with callers",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 1))
			a := acts("c", 1, react(1, "u-bob", "x"))
			a.Entries[0].Withheld = []parley.UserID{"u-eve"}
			w.append(a)
			a.Entries[0].Withheld[0], a.Entries[0].Body.Data[0] = "!", '!'
			want := parley.ActOf(&acts("c", 1, react(1, "u-bob", "x")).Entries[0])
			want.Withheld = []parley.UserID{"u-eve"}
			for range 2 {
				w.wantActs("c", 1, 1, want)
				got, err := w.s.Acts(w.ctx(), "c", 1, 1)
				if err != nil {
					t.Fatal(err)
				}
				got[0].Withheld[0] = "!"
			}
		}},
}

var eraseCases = []testCase{
	{"erase/bodies", "Erase takes the bodies of those entries out of the store: they read without type and data from then on, and are otherwise as they were.",
		"a delete that leaves what was said, or takes more than that", erased},
	{"erase/repeated", "What has no body, or does not exist, is passed over; seqs may repeat and may be empty, so that erasing may be repeated.",
		"a retry of a delete that fails for ever",
		func(t *testing.T, w *world) {
			w.erase("nowhere", 1)
			w.erase("c")
			a := texts("c", 0, 3)
			w.append(a)
			for range 3 {
				w.erase("c", 2, 0, 4, 2, 1<<40, ^parley.Seq(0), 2)
				w.again()
			}
			a.Entries[1].Body = parley.Body{}
			wantEntries(t, w.read("c", 0, 9), a.Entries)
			if h := w.load("nowhere"); h != (store.Head{}) {
				t.Errorf("erasing made a conversation: %+v", h)
			}
			w.wantCensus([]parley.ConversationID{"c"}, nil, nil)
		}},
	{"erase/across buckets", "Erase takes the bodies of those entries out of the store.", "an entry of another bucket that keeps its body",
		func(t *testing.T, w *world) {
			var all []parley.Entry
			for base := parley.Seq(0); base < 2*store.BucketSize; base += store.BucketSize {
				a := texts("c", base, store.BucketSize)
				w.append(a)
				all = append(all, a.Entries...)
			}
			w.append(texts("c", 2*store.BucketSize, 1))
			all = append(all, texts("c", 2*store.BucketSize, 1).Entries...)
			gone := []parley.Seq{1, 2, store.BucketSize - 1, store.BucketSize, store.BucketSize + 1, 2 * store.BucketSize, 2*store.BucketSize + 1}
			for seq := parley.Seq(100); seq < 400; seq++ {
				gone = append(gone, seq)
			}
			w.erase("c", gone...)
			w.again()
			for _, seq := range gone {
				all[seq-1].Body = parley.Body{}
			}
			wantEntries(t, w.read("c", 0, len(all)+1), all)
		}},
	{"erase/reaction", "The act of an erased reaction has no Text.", "a reaction that is gone from the log and still stands in the acts",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, store.BucketSize-2))
			w.append(acts("c", store.BucketSize-2, react(1, "u-bob", "one"), react(1, "u-eve", "two")))
			w.erase("c", store.BucketSize-1)
			one, two := react(1, "u-bob", ""), react(1, "u-eve", "two")
			want := actsOf(acts("c", store.BucketSize-2, one, two).Entries)
			w.wantActs("c", 1, 1, want...)
			w.append(texts("c", store.BucketSize, 1))
			w.again()
			w.wantActs("c", 1, 1, want...)
			w.erase("c", store.BucketSize) // its bucket was left
			want[1].Text = ""
			w.wantActs("c", 1, 1, want...)
			w.again()
			w.wantActs("c", 1, 1, want...)
		}},
	{"erase/while others write", "Every method is safe for concurrent use.", "an erased body that comes back, or an append that is lost to it",
		func(t *testing.T, w *world) {
			const n = 40
			a := texts("c", 0, n)
			w.append(a)
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					for seq := parley.Seq(1); seq <= n; seq += 2 {
						if err := w.s.Erase(w.ctx(), "c", []parley.Seq{seq + parley.Seq(i), seq}); err != nil {
							t.Errorf("erase: %v", err)
						}
					}
				})
			}
			wg.Go(func() {
				for seq := parley.Seq(n); seq < 2*n; seq++ {
					if err := w.s.Append(w.ctx(), texts("c", seq, 1)); err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
			wg.Wait()
			w.again()
			for i := range a.Entries {
				a.Entries[i].Body = parley.Body{}
			}
			wantEntries(t, w.read("c", 0, 2*n+1), append(a.Entries, texts("c", n, n).Entries...))
		}},
}

// act is an entry that points at another, before it has a number.
func act(kind parley.Kind, target parley.Seq, by parley.UserID, text string) parley.Entry {
	e := parley.Entry{Kind: kind, Sender: by, Device: "v", Ref: target}
	if text != "" {
		e.Body = parley.Body{Type: parley.TextPlain, Data: []byte(text)}
	}
	return e
}

func react(target parley.Seq, by parley.UserID, text string) parley.Entry {
	return act(parley.KindReaction, target, by, text)
}

// acts appends these after base, where base messages and nothing else stand.
func acts(c parley.ConversationID, base parley.Seq, entries ...parley.Entry) store.Append {
	a := store.Append{Conversation: c, Base: base, Entries: slices.Clone(entries)}
	for i := range a.Entries {
		e := &a.Entries[i]
		e.Conversation, e.Seq, e.Count = c, base+parley.Seq(i)+1, uint64(base)
		e.ID, e.At = parley.MessageID(fmt.Sprintf("a%d", e.Seq)), clock.Add(time.Duration(e.Seq)*time.Second)
	}
	return a
}

// actsOf is what a store must find of these.
func actsOf(entries []parley.Entry) (out []parley.Act) {
	for i := range entries {
		if e := &entries[i]; e.Kind.IsAct() && 0 < e.Ref && e.Ref < e.Seq {
			out = append(out, parley.ActOf(e))
		}
	}
	slices.SortStableFunc(out, func(a, b parley.Act) int { return int(a.Target) - int(b.Target) })
	return out
}

// wantActs wants exactly those between from and to; of one sender's reactions
// to one entry the last is enough.
func (w *world) wantActs(c parley.ConversationID, from, to parley.Seq, want ...parley.Act) {
	w.t.Helper()
	got, err := w.s.Acts(w.ctx(), c, from, to)
	if err != nil {
		w.t.Fatalf("acts on %d..%d: %v", from, to, err)
	}
	for i := range want {
		want[i].At = want[i].At.Truncate(time.Millisecond)
	}
	all := want
	want = nil
	for i, a := range all {
		replaced := slices.ContainsFunc(all[i+1:], func(b parley.Act) bool {
			return a.Kind == parley.KindReaction && b.Kind == a.Kind && b.Target == a.Target && b.Sender == a.Sender
		})
		if !replaced || slices.ContainsFunc(got, func(b parley.Act) bool { return b.Seq == a.Seq }) {
			want = append(want, a)
		}
	}
	if len(got) != len(want) {
		w.t.Fatalf("%d acts on %d..%d, want %d:\n%+v, want\n%+v", len(got), from, to, len(want), got, want)
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			w.t.Fatalf("act %d on %d..%d is\n%+v, want\n%+v", i, from, to, got[i], want[i])
		}
	}
}

func (w *world) erase(c parley.ConversationID, seqs ...parley.Seq) {
	w.t.Helper()
	if err := w.s.Erase(w.ctx(), c, seqs); err != nil {
		w.t.Fatalf("erase: %v", err)
	}
}

func everyAct(t *testing.T, w *world) {
	withheld := react(2, "u-bob", "👍🏽")
	withheld.Withheld = []parley.UserID{"u-eve", "u0123456789abcdefghjkmnpqrs"}
	edit := act(parley.KindEdit, 3, "u-ann", "mended")
	edit.Withheld = []parley.UserID{"u-eve"}
	a := acts("c", 300,
		withheld, edit, act(parley.KindEdit, 2, "u-ann", "once more"),
		act(parley.KindDelete, 3, "u-ann", ""), act(parley.KindDelete, 299, "u-own", ""),
		react(2, "u-eve", "a text of sixty-four bytes, which is as much as a reaction may be"[:64]),
		react(2, "u-bob", "again"), react(2, "u-eve", ""), // replaced, taken back
		act(parley.KindPin, 2, "u-ann", ""), act(parley.KindUnpin, 2, "u-ann", ""), // not acts to be found
		act(parley.KindEdit, 0, "u-ann", "of nothing"), act(parley.KindEdit, 311+1, "u-ann", "of itself"), act(parley.KindDelete, 900, "u-ann", ""),
		react(301, "u-own", "on an act"),
	)
	w.append(texts("c", 0, 300))
	w.append(a)
	w.append(texts("other", 0, 300))
	w.append(acts("other", 300, act(parley.KindDelete, 2, "u-ann", "")))
	w.again()
	want := actsOf(a.Entries)
	if len(want) != 9 {
		t.Fatalf("%d acts in the suite", len(want))
	}
	w.wantActs("c", 0, ^parley.Seq(0), want...)
	w.wantActs("c", 1, 301, want...)
	w.wantActs("c", 2, 2, want[:5]...)
	w.wantActs("c", 3, 298, want[5:7]...)
	w.wantActs("c", 4, 298)
	w.wantActs("c", 299, 301, want[7:]...)
	w.wantActs("c", 302, 2000)
	w.wantActs("other", 1, 300, parley.ActOf(&acts("other", 300, act(parley.KindDelete, 2, "u-ann", "")).Entries[0]))
	wantEntries(t, w.read("c", 300, 100), a.Entries)
	if h := w.load("c"); h.Count != 300 || h.Seq != 314 {
		t.Errorf("the head is %d, %d messages", h.Seq, h.Count)
	}
}

// farActs fills three buckets and the beginning of a fourth, with acts at their
// edges and far from what they point at.
func farActs(t *testing.T, w *world) {
	const full = store.BucketSize
	var want []parley.Act
	say := func(a store.Append) {
		t.Helper()
		w.append(a)
		want = append(want, actsOf(a.Entries)...)
	}
	look := func() {
		t.Helper()
		sorted := slices.Clone(want)
		slices.SortStableFunc(sorted, func(a, b parley.Act) int { return int(a.Target) - int(b.Target) })
		for _, r := range [][2]parley.Seq{{1, ^parley.Seq(0)}, {1, 1}, {full, full}, {full + 1, full + 1}, {full - 1, full + 1}, {2, 2*full + 1}, {2*full + 2, 4 * full}} {
			in := slices.DeleteFunc(slices.Clone(sorted), func(a parley.Act) bool { return a.Target < r[0] || a.Target > r[1] })
			w.wantActs("c", r[0], r[1], in...)
		}
	}
	say(texts("c", 0, full-1))
	say(acts("c", full-1, react(1, "u-bob", "last of its bucket")))
	look()
	say(acts("c", full, react(1, "u-eve", "first of the next"), act(parley.KindEdit, full-1, "u-ann", "mended")))
	look()
	say(texts("c", full+2, full-2))
	say(texts("c", 2*full, full-1))
	say(acts("c", 3*full-1, act(parley.KindEdit, full+3, "u-ann", "mended")))
	w.again()
	look()
	say(acts("c", 3*full, act(parley.KindDelete, 1, "u-ann", ""), act(parley.KindDelete, 2*full+5, "u-ann", ""), react(3*full, "u-own", "!")))
	w.again()
	look()
}

func sameCommit(t *testing.T, w *world) {
	w.append(texts("c", 0, 5))
	for _, base := range []parley.Seq{0, 4, 6, 100} {
		if err := w.s.Append(w.ctx(), acts("c", base, act(parley.KindDelete, 1, "u-ann", ""), react(2, "u-bob", "x"))); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("append at %d: %v", base, err)
		}
		w.wantActs("c", 0, 200)
	}
	w.append(acts("c", 5, react(2, "u-bob", "y")))
	ctx, cancel := context.WithCancel(w.ctx())
	cancel()
	if err := w.s.Append(ctx, acts("c", 6, act(parley.KindDelete, 3, "u-ann", ""))); !errors.Is(err, context.Canceled) {
		t.Fatalf("a canceled append: %v", err)
	}
	if err := w.s.Erase(ctx, "c", []parley.Seq{4}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a canceled erasure: %v", err)
	}
	if _, err := w.s.Acts(ctx, "c", 1, 9); !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled acts: %v", err)
	}
	w.again()
	w.wantActs("c", 0, 200, actsOf(w.read("c", 0, 100))...)
	if len(w.read("c", 0, 100)) < 6 {
		t.Error("an acknowledged act is gone")
	}
}

func erased(t *testing.T, w *world) {
	a := texts("c", 0, 5)
	m := &a.Entries[1]
	m.Device, m.ReplyTo, m.Forwarded = "v2", 1, true
	m.Mentions, m.Withheld = []parley.UserID{"u-bob", "u-eve"}, []parley.UserID{"u-eve"}
	a.Entries[2].Body.Type, a.Entries[2].Body.Data = "image/png", []byte{0, 1, 2}
	a.State = &parley.Conversation{ID: "c", Title: "title", Created: clock}
	w.append(a)
	b := acts("c", 5, act(parley.KindEdit, 2, "u-ann", "mended"), react(2, "u-bob", "x"), act(parley.KindDelete, 2, "u-ann", ""))
	w.append(b)
	w.append(texts("other", 0, 5))
	w.erase("c", 2, 3, 6)
	for range 2 {
		want := append(slices.Clone(a.Entries), b.Entries...)
		for _, seq := range []parley.Seq{2, 3, 6} {
			want[seq-1].Body = parley.Body{}
		}
		got := w.read("c", 0, 100)
		wantEntries(t, got, want)
		if got[1].Body.Data != nil {
			t.Error("an erased body is empty rather than not there")
		}
		w.wantActs("c", 1, 9, actsOf(want)...)
		wantEntries(t, w.read("other", 0, 9), texts("other", 0, 5).Entries)
		for i := range want {
			if seq := w.find("c", want[i].ID, 0); seq != want[i].Seq {
				t.Errorf("the id of %d is found at %d", want[i].Seq, seq)
			}
		}
		if h := w.load("c"); h.Seq != 8 || h.Count != 5 || h.State == nil || h.State.Title != "title" {
			t.Errorf("the head is %+v", h)
		}
		w.again()
	}
	next := texts("c", 8, 1)
	next.Entries[0].Count = 6
	w.append(next)
	wantEntries(t, w.read("c", 8, 9), next.Entries)
}
