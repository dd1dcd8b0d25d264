package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

var logCases = []testCase{
	{"log/nothing yet", "A conversation that does not exist has the zero Head. Nothing past the head: an empty slice.",
		"an error, or made-up state, for what does not exist",
		func(t *testing.T, w *world) {
			if h := w.load("c"); h != (store.Head{}) {
				t.Errorf("head is %+v", h)
			}
			if got := w.read("c", 0, 10); len(got) != 0 {
				t.Errorf("read %d entries", len(got))
			}
			if seq := w.find("c", "m1", 0); seq != 0 {
				t.Errorf("found at %d", seq)
			}
		}},
	{"log/append and read", "Append writes a.Entries at a.Base+1, a.Base+2, …. Read returns the entries after seq in order.",
		"a lost, reordered or doubled entry",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 3))
			w.append(texts("c", 3, 2))
			w.append(texts("other", 0, 1))
			w.again()
			all := texts("c", 0, 5).Entries
			wantEntries(t, w.read("c", 0, 100), all)
			wantEntries(t, w.read("c", 0, 2), all[:2])
			wantEntries(t, w.read("c", 2, 2), all[2:4])
			wantEntries(t, w.read("c", 4, 2), all[4:])
			for _, after := range []parley.Seq{5, 6, 1 << 40, ^parley.Seq(0)} {
				if got := w.read("c", after, 10); len(got) != 0 {
					t.Errorf("read %d entries after %d", len(got), after)
				}
			}
			for _, limit := range []int{0, -1} {
				if got := w.read("c", 0, limit); len(got) != 0 {
					t.Errorf("read %d entries with limit %d", len(got), limit)
				}
			}
			if h := w.load("c"); h.Seq != 5 || h.Count != 5 || h.State != nil {
				t.Errorf("head is %+v", h)
			}
		}},
	{"log/conflict", "… provided the head is a.Base; otherwise ErrConflict. A write that returned ErrConflict wrote nothing.",
		"an append at a stale head, which breaks the order or makes a gap",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 2))
			for _, base := range []parley.Seq{0, 1, 3, 100} {
				a := texts("c", base, 2)
				a.Entries[0].ID, a.State = "stale", &parley.Conversation{ID: "c"}
				if err := w.s.Append(w.ctx(), a); !errors.Is(err, store.ErrConflict) {
					t.Fatalf("append at %d: %v", base, err)
				}
			}
			w.again()
			if h := w.load("c"); h.Seq != 2 || h.Count != 2 || h.State != nil {
				t.Errorf("head is %+v", h)
			}
			w.settle("c", 2) // of a refused append no mark stays
			wantIDs(t, w.dirty("", 10))
			if seq := w.find("c", "stale", 0); seq != 0 {
				t.Errorf("the id of a refused append stands at %d", seq)
			}
			wantEntries(t, w.read("c", 0, 10), texts("c", 0, 2).Entries)
		}},
	{"log/malformed", "The entries must be numbered so; a.Entries is not empty.",
		"a gap or an overwritten number by a caller's mistake",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 1))
			gap := texts("c", 1, 2)
			gap.Entries[1].Seq++
			over := texts("c", 1, 1)
			over.Entries[0].Seq = 1
			for name, a := range map[string]store.Append{"gap": gap, "overwrite": over, "empty": {Conversation: "c", Base: 1}} {
				err := w.s.Append(w.ctx(), a)
				if err == nil || errors.Is(err, store.ErrConflict) {
					t.Errorf("%s: %v", name, err)
				}
			}
			wantEntries(t, w.read("c", 0, 10), texts("c", 0, 1).Entries)
		}},
	{"log/every field", "Values returned are what was written.", "a field the codec forgot", everyField},
	{"log/state", "Load returns … the state last written with an append. State: non-nil: replaces the state, in the same commit.",
		"a state that is merged, dropped, or written without its entries", states},
	{"log/values", "Values passed in are not kept, values returned are the caller's own.",
		"memory shared with callers", sharedValues},
	{"log/deep", "Read … without a gap; fewer only at the head. It takes the same time at any depth.",
		"numbers that sort as text; batches that end a page early", deep},
	{"log/close names", "A conversation's log is its own.",
		"one conversation's keys among those of another whose id begins alike",
		func(t *testing.T, w *world) {
			names := []parley.ConversationID{"a", "a.", "a0", "a~", "aa", "b", "A", "g0000000000000000000000000a",
				"g00000000000000000000000000", "g0000000000000000000000000", parley.ConversationID(strings.Repeat("a", parley.MaxID))}
			for i, c := range names {
				w.append(texts(c, 0, i+1))
			}
			w.again()
			for i, c := range names {
				if h := w.load(c); h.Seq != parley.Seq(i+1) {
					t.Errorf("%q stands at %d, want %d", c, h.Seq, i+1)
				}
				wantEntries(t, w.read(c, 0, 100), texts(c, 0, i+1).Entries)
			}
		}},
	{"log/canceled", "A write that returned any other error has an unknown outcome.",
		"an answer that a canceled caller takes for success",
		func(t *testing.T, w *world) {
			ctx, cancel := context.WithCancel(w.ctx())
			cancel()
			if err := w.s.Append(ctx, texts("c", 0, 1)); !errors.Is(err, context.Canceled) {
				t.Errorf("append: %v", err)
			}
			if _, err := w.s.Load(ctx, "c"); !errors.Is(err, context.Canceled) {
				t.Errorf("load: %v", err)
			}
			if h := w.load("c"); h.Seq > 1 {
				t.Errorf("head is %d", h.Seq)
			}
		}},
}

func everyField(t *testing.T, w *world) {
	long := strings.Repeat("x", parley.MaxID)
	entries := []parley.Entry{
		{Kind: parley.KindMembers, ID: "f", Sender: "u-ann", Body: parley.Body{Type: "application/vnd.parley.members+json", Data: []byte(`{"add":["u-bob"]}`)}},
		{Kind: parley.KindMessage, ID: parley.MessageID(long), Sender: parley.UserID(long), Device: parley.DeviceID(long), Count: 1,
			Body: parley.Body{Type: parley.TextPlain, Data: bytes.Repeat([]byte("ü"), 8<<10)}},
		{Kind: parley.KindMessage, ID: "0197e4a2-7d1c-7b7e-8a51-0d7f5f2c9e11", Sender: "u0123456789abcdefghjkmnpqrs", Device: "d00000000000000000000000000",
			Count: 2, ReplyTo: 2, Body: parley.Body{Type: "application/octet-stream", Data: []byte{0, 255, 0}}},
		{Kind: parley.KindEdit, ID: "e", Sender: "u", Ref: 2, Count: 2, Body: parley.Body{Type: parley.TextPlain, Data: []byte("mended")}},
		{Kind: parley.KindDelete, ID: "d", Sender: "u", Ref: 3, Count: 2},
		{Kind: parley.KindTitle, ID: "0197E4A2-7D1C-7B7E-8A51-0D7F5F2C9E11", Sender: "u", Count: 2, Body: parley.Body{Type: "a/b", Data: []byte{}}},
		{Kind: "kind.of.tomorrow", ID: "~", Sender: "u", Count: 2, At: time.Unix(1<<40, 0), Body: parley.Body{Data: []byte("?")}},
		{Kind: parley.KindMessage, ID: "z0123456789abcdefghijklmnop", Sender: "u", Count: 3, At: time.UnixMilli(-1)},
		{Kind: parley.KindWithheld, ID: "w", Sender: "u", Count: 3, Ref: 8, ReplyTo: 1, At: time.Unix(0, 999_999)},
		{Kind: parley.KindMessage, ID: "n", Sender: "u", Count: 4, Mentions: []parley.UserID{"u-bob", parley.UserID(long), "u0123456789abcdefghjkmnpqrs"}},
		{Kind: parley.KindMessage, ID: "o", Sender: "u", Count: 5, Forwarded: true},
		{Kind: parley.KindMessage, ID: "p", Sender: "u", Count: 6, Withheld: []parley.UserID{"u-eve"}, Body: parley.Body{Type: parley.TextPlain, Data: []byte("!")}},
		{Kind: parley.KindReaction, ID: "q", Sender: "u", Count: 6, Ref: 12, Mentions: []parley.UserID{"a"}, Forwarded: true, Withheld: []parley.UserID{"a", "b"},
			ReplyTo: 1, Body: parley.Body{Type: "x/y", Data: []byte("👍")}},
		{Kind: parley.KindPin, ID: "r", Sender: "u", Count: 6, Ref: 12},
		{Kind: parley.KindUnpin, ID: "s", Sender: "u", Count: 6, Ref: 12, Withheld: []parley.UserID{"b"}},
		{Kind: "kind.of.tomorrow", ID: "t", Sender: "u", Count: 6, Forwarded: true},
	}
	for i := range entries {
		entries[i].Conversation, entries[i].Seq = "c", parley.Seq(i+1)
		if entries[i].At.IsZero() {
			entries[i].At = clock
		}
	}
	w.append(store.Append{Conversation: "c", Entries: entries})
	w.again()
	entries[8].At = time.UnixMilli(0)
	folded := entries[9]
	folded.Seq, folded.ID, folded.Count, folded.Fold = 17, "u", 7, &parley.Fold{Deleted: true} // is not kept
	w.append(store.Append{Conversation: "c", Base: 16, Entries: []parley.Entry{folded}})
	folded.Fold = nil
	entries = append(entries, folded)
	wantEntries(t, w.read("c", 0, 100), entries)
	for i := range entries {
		if seq := w.find("c", entries[i].ID, 0); seq != parley.Seq(i+1) {
			t.Errorf("id of entry %d found at %d", i+1, seq)
		}
	}
	if h := w.load("c"); h.Count != 7 || h.Seq != 17 {
		t.Errorf("head is %d, %d", h.Seq, h.Count)
	}
}

func states(t *testing.T, w *world) {
	first := &parley.Conversation{ID: "c", Kind: parley.Group, Title: "Häuser & \x00 Gärten", Created: clock, Members: []parley.Member{
		{User: "u-ann", Role: parley.RoleOwner, Since: 1}, {User: "u-bob", Role: "role.of.tomorrow", Since: 1, Until: 9}},
		Pins: []parley.Seq{9, 2, 1 << 40}}
	a := texts("c", 0, 2)
	a.State = first
	w.append(a)
	w.append(texts("c", 2, 1))
	w.again()
	if h := w.load("c"); h.Seq != 3 || !reflect.DeepEqual(h.State, first) {
		t.Errorf("state is %+v", h.State)
	}
	w.append(store.Append{Conversation: "c", Base: 3, Entries: texts("c", 3, 1).Entries, State: &parley.Conversation{ID: "c", Pins: []parley.Seq{1}, Created: clock}})
	if h := w.load("c"); !slices.Equal(h.State.Pins, []parley.Seq{1}) {
		t.Errorf("the pins are %v", h.State.Pins)
	}
	second := &parley.Conversation{ID: "c", Kind: parley.Direct, Created: clock}
	a = texts("c", 4, 1)
	a.State = second
	w.append(a)
	if h := w.load("c"); h.Seq != 5 || !reflect.DeepEqual(h.State, second) {
		t.Errorf("state is %+v", h.State)
	}
}

func sharedValues(t *testing.T, w *world) {
	a := texts("c", 0, 1)
	a.Entries[0].Mentions, a.Entries[0].Withheld = []parley.UserID{"u-bob"}, []parley.UserID{"u-eve"}
	a.State = &parley.Conversation{ID: "c", Created: clock, Members: []parley.Member{{User: "u-ann"}}, Pins: []parley.Seq{1}}
	w.append(a)
	bend := func(e *parley.Entry, c *parley.Conversation) {
		e.Body.Data[0], e.Mentions[0], e.Withheld[0] = '!', "!", "!"
		c.Members[0].User, c.Title, c.Pins[0] = "!", "!", 77
	}
	bend(&a.Entries[0], a.State)
	for range 2 {
		got := w.read("c", 0, 1)
		want := texts("c", 0, 1).Entries
		want[0].Mentions, want[0].Withheld = []parley.UserID{"u-bob"}, []parley.UserID{"u-eve"}
		wantEntries(t, got, want)
		h := w.load("c")
		if h.State == nil || h.State.Title != "" || h.State.Members[0].User != "u-ann" || h.State.Pins[0] != 1 {
			t.Fatalf("state is %+v", h.State)
		}
		bend(&got[0], h.State)
	}
}

func deep(t *testing.T, w *world) {
	const n, batch = 5000, 125
	for base := parley.Seq(0); base < n; {
		a := texts("c", base, min(batch, store.Room(base), int(n-base)))
		w.append(a)
		base += parley.Seq(len(a.Entries))
	}
	w.again()
	if h := w.load("c"); h.Seq != n || h.Count != n {
		t.Fatalf("head is %d, %d", h.Seq, h.Count)
	}
	for _, after := range []parley.Seq{0, 1, 246, 247, 248, 254, 255, 256, 257, store.BucketSize - 1, store.BucketSize, store.BucketSize + 1, n - 300, n - 1} {
		want := min(n-int(after), 300)
		wantEntries(t, w.read("c", after, 300), texts("c", after, want).Entries)
	}
	next := parley.Seq(0)
	for page := w.read("c", 0, 777); len(page) > 0; page = w.read("c", next, 777) {
		for i := range page {
			if page[i].Seq != next+1 {
				t.Fatalf("number %d follows %d", page[i].Seq, next)
			}
			next++
		}
	}
	if next != n {
		t.Fatalf("paging ended at %d", next)
	}
}

var findCases = []testCase{
	{"find/by id", "Find returns the number that id has in c, or 0.", "a retry that appends again",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 3))
			w.append(texts("other", 0, 9))
			w.again()
			for seq := range parley.Seq(9) {
				want := seq + 1
				if want > 3 {
					want = 0
				}
				if got := w.find("c", messageID(seq+1), 0); got != want {
					t.Errorf("m%d found at %d, want %d", seq+1, got, want)
				}
			}
			for _, id := range []parley.MessageID{"", "m", "M1", "m01", "m1 "} {
				if got := w.find("c", id, 0); got != 0 {
					t.Errorf("%q found at %d", id, got)
				}
			}
		}},
	{"find/base", "base is a hint: the id is not at or below it.", "a hint that hides an id above it",
		func(t *testing.T, w *world) {
			const n = 100
			w.append(texts("c", 0, n))
			for seq := parley.Seq(1); seq <= n; seq += 9 {
				for _, base := range []parley.Seq{0, seq / 2, seq - 1} {
					if got := w.find("c", messageID(seq), base); got != seq {
						t.Errorf("m%d found at %d with base %d", seq, got, base)
					}
				}
			}
			for _, base := range []parley.Seq{0, 1, n - 1, n, n + 1, ^parley.Seq(0)} {
				if got := w.find("c", "none", base); got != 0 {
					t.Errorf("what never was found at %d with base %d", got, base)
				}
			}
		}},
	{"find/for life", "It finds an id for as long as its entry lives.", "a window of time or count for duplicates",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 1))
			for base := parley.Seq(1); base < 3000; base += 100 {
				a := texts("c", base, 100)
				for i := range a.Entries {
					a.Entries[i].At = clock.Add(time.Duration(base) * 24 * time.Hour)
				}
				w.append(a)
			}
			w.again()
			if got := w.find("c", "m1", 0); got != 1 {
				t.Errorf("the oldest id found at %d", got)
			}
		}},
	{"find/many", "Find returns the number that id has in c.", "ids that share a short hash taken for each other",
		func(t *testing.T, w *world) {
			a := texts("c", 0, 4000)
			for i := range a.Entries {
				a.Entries[i].ID = parley.MessageID(fmt.Sprintf("%026d", i))
			}
			w.append(a)
			for i := 0; i < len(a.Entries); i += 37 {
				if got := w.find("c", a.Entries[i].ID, 0); got != parley.Seq(i+1) {
					t.Fatalf("entry %d found at %d", i+1, got)
				}
			}
		}},
}
