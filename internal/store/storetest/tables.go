package storetest

import (
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

var dirtyCases = []testCase{
	{"dirty/mark and settle", "In the same commit it sets the dirty mark, also where one stands. Settle removes the mark of c if the head is still head, and otherwise leaves it.",
		"an entry whose inboxes nobody sweeps after a crash",
		func(t *testing.T, w *world) {
			w.append(texts("c", 0, 1))
			w.again()
			wantIDs(t, w.dirty("", 10), "c")
			w.append(texts("c", 1, 1))
			for _, head := range []parley.Seq{0, 1, 3} {
				w.settle("c", head)
				wantIDs(t, w.dirty("", 10), "c") // the head is 2
			}
			w.settle("c", 2)
			if h := w.load("c"); h.Seq != 2 {
				t.Fatalf("head is %+v", h)
			}
			w.settle("c", 2)
			w.settle("never was", 0)
			wantIDs(t, w.dirty("", 10))
			w.append(texts("c", 2, 1)) // a settled mark is set again
			w.again()
			wantIDs(t, w.dirty("", 10), "c")
		}},
	{"dirty/list", "DirtyAfter lists marked conversations of the shards asked for, after c in the engine's order, at most limit.", "a sweep that misses one",
		func(t *testing.T, w *world) {
			marked := []parley.ConversationID{"a", "ab", "b", "g00000000000000000000000000", "z~"}
			for _, c := range marked {
				w.append(texts(c, 0, 1))
			}
			w.append(texts("clean", 0, 1))
			w.settle("clean", 1)
			w.again()
			all := w.dirty("", 10)
			wantIDs(t, slices.Sorted(slices.Values(all)), marked...)
			for i, c := range all {
				wantIDs(t, w.dirty(c, 2), all[i+1:min(i+3, len(all))]...)
				of := func(shard int) bool { return shard == parley.ShardOf(c) }
				if got, err := w.s.DirtyAfter(w.ctx(), of, "", 10); err != nil || !slices.Contains(got, c) || len(got) == len(all) {
					t.Errorf("of the shard of %s: %v, %v", c, got, err)
				}
			}
			wantIDs(t, w.dirty("", 0))
		}},
}

func (w *world) settle(c parley.ConversationID, head parley.Seq) {
	w.t.Helper()
	if err := w.s.Settle(w.ctx(), c, head); err != nil {
		w.t.Fatalf("settle: %v", err)
	}
}

// row is a row with every field set, so that two positions differ everywhere.
func row(c parley.ConversationID, pos parley.Pos) parley.Row {
	n := parley.Seq(pos) * 10
	return parley.Row{
		Conversation: c, Kind: parley.Group, Pos: pos, Since: 2, Until: n, Head: n, Count: uint64(n) - 1,
		Delivered: n - 1, Read: n - 5, ReadCount: uint64(n) - 6,
		Own:  []parley.Run{{From: n - 4, To: n - 3}, {From: n - 1, To: n - 1}},
		Past: []parley.Checkpoint{{Pos: 0, Head: 1}, {Pos: pos - 1, Head: n - 2}},

		Mentioned: []parley.Seq{n - 4, n - 2}, Spoke: true,
		Personal: parley.Personal{
			Muted: clock.Add(time.Duration(pos) * time.Hour), Archived: pos%2 == 0, Pinned: pos%2 == 1,
			Hidden: []parley.Run{{From: 2, To: 2}, {From: n - 9, To: n - 6}},
			Draft:  parley.Draft{Text: "unfinished ü", ReplyTo: n - 3, At: clock.Add(time.Duration(pos) * time.Minute)},
		},
	}
}

// write commits one user's rows and returns what became of it.
func (w *world) write(u parley.UserID, base parley.Pos, rows ...parley.Row) error {
	w.t.Helper()
	one := &store.InboxWrite{User: u, Base: base, Rows: rows}
	if err := w.s.WriteInboxes(w.ctx(), []*store.InboxWrite{one}); err != nil {
		w.t.Fatalf("write inboxes: %v", err)
	}
	return one.Err
}

func (w *world) wantInbox(u parley.UserID, pos parley.Pos, rows ...parley.Row) {
	w.t.Helper()
	in := w.inbox(u)
	if in.Pos != pos {
		w.t.Fatalf("the inbox stands at %d, want %d", in.Pos, pos)
	}
	if len(in.Rows) != len(rows) {
		w.t.Fatalf("got %d rows, want %d", len(in.Rows), len(rows))
	}
	for i := range rows {
		if !reflect.DeepEqual(in.Rows[i], rows[i]) {
			w.t.Fatalf("row %d is\n%+v, want\n%+v", i, in.Rows[i], rows[i])
		}
	}
}

var inboxCases = []testCase{
	{"inbox/nothing yet", "A user without rows has an empty inbox.", "an error for a new user",
		func(t *testing.T, w *world) { w.wantInbox("u", 0) }},
	{"inbox/rows", "LoadInbox returns the rows of u in ascending order of Pos, and the greatest position ever written. It replaces the rows (by conversation).",
		"a row that stands twice, or out of order",
		func(t *testing.T, w *world) {
			if err := w.write("u", 0, row("b", 2), row("a", 1), row("c", 7)); err != nil {
				t.Fatal(err)
			}
			if err := w.write("u", 7, row("a", 8)); err != nil {
				t.Fatal(err)
			}
			if err := w.write("u2", 0, row("a", 3)); err != nil {
				t.Fatal(err)
			}
			bare := parley.Row{Conversation: "d", Pos: 300}
			if err := w.write("u", 8, bare); err != nil {
				t.Fatal(err)
			}
			w.again()
			w.wantInbox("u", 300, row("b", 2), row("c", 7), row("a", 8), bare)
			w.wantInbox("u2", 3, row("a", 3))
		}},
	{"inbox/every wish", "Values returned are what was written.", "a wish that the codec forgot, or that takes another along", wishes},
	{"inbox/fence", "If the inbox's position is still Base …; otherwise that write's Err is ErrConflict and nothing of it is written.",
		"two writers of one inbox that give the same positions away",
		func(t *testing.T, w *world) {
			if err := w.write("u", 0, row("a", 5)); err != nil {
				t.Fatal(err)
			}
			for _, base := range []parley.Pos{0, 4, 6} {
				if err := w.write("u", base, row("a", base+9), row("b", base+10)); !errors.Is(err, store.ErrConflict) {
					t.Fatalf("base %d: %v", base, err)
				}
			}
			w.again()
			w.wantInbox("u", 5, row("a", 5))
		}},
	{"inbox/each for itself", "WriteInboxes commits each write for itself.", "one user's conflict that takes the others along",
		func(t *testing.T, w *world) {
			if err := w.write("stale", 0, row("a", 1)); err != nil {
				t.Fatal(err)
			}
			writes := []*store.InboxWrite{
				{User: "u1", Rows: []parley.Row{row("a", 1)}},
				{User: "stale", Base: 9, Rows: []parley.Row{row("a", 10)}, Err: errors.New("left over")},
				{User: "u2", Rows: []parley.Row{row("a", 4)}, Err: errors.New("left over")},
				{User: "u1", Rows: []parley.Row{row("a", 3)}},          // not where it was any more
				{User: "u1", Base: 1, Rows: []parley.Row{row("b", 2)}}, // but here
			}
			if err := w.s.WriteInboxes(w.ctx(), writes); err != nil {
				t.Fatal(err)
			}
			for i, conflict := range []bool{false, true, false, true, false} {
				if got := errors.Is(writes[i].Err, store.ErrConflict); got != conflict || !conflict && writes[i].Err != nil {
					t.Errorf("write %d: %v", i, writes[i].Err)
				}
			}
			w.again()
			w.wantInbox("stale", 1, row("a", 1))
			w.wantInbox("u1", 2, row("a", 1), row("b", 2))
			w.wantInbox("u2", 4, row("a", 4))
		}},
	{"inbox/malformed", "Rows carry positions above Base, each its own.", "two rows a cursor cannot tell apart",
		func(t *testing.T, w *world) {
			for name, rows := range map[string][]parley.Row{
				"none": nil, "not above base": {row("a", 5)}, "same": {row("a", 7), row("b", 6), row("c", 7)},
			} {
				err := w.s.WriteInboxes(w.ctx(), []*store.InboxWrite{{User: "u", Base: 5, Rows: rows}})
				if err == nil || errors.Is(err, store.ErrConflict) {
					t.Errorf("%s: %v", name, err)
				}
			}
			w.wantInbox("u", 0)
		}},
	{"inbox/values", "Values passed in are not kept, values returned are the caller's own.", "memory shared with callers",
		func(t *testing.T, w *world) {
			r := row("a", 1)
			if err := w.write("u", 0, r); err != nil {
				t.Fatal(err)
			}
			bend := func(r *parley.Row) {
				r.Own[0].From, r.Past[0].Head, r.Mentioned[0], r.Personal.Hidden[0].From = 77, 77, 77, 77
			}
			bend(&r)
			for range 2 {
				w.wantInbox("u", 1, row("a", 1))
				in := w.inbox("u")
				bend(&in.Rows[0])
			}
		}},
	{"inbox/many", "It grows with conversations, not with messages.", "rows lost between many users and conversations",
		func(t *testing.T, w *world) {
			var writes []*store.InboxWrite
			for u := range 50 {
				one := &store.InboxWrite{User: parley.UserID(fmt.Sprintf("u%d", u))}
				for c := range 40 {
					one.Rows = append(one.Rows, row(parley.ConversationID(fmt.Sprintf("c%d", c)), parley.Pos(c+1)))
				}
				writes = append(writes, one)
			}
			if err := w.s.WriteInboxes(w.ctx(), writes); err != nil {
				t.Fatal(err)
			}
			w.again()
			for _, one := range writes {
				w.wantInbox(one.User, 40, one.Rows...)
			}
		}},
}

// wishes writes rows that each have one of a user's wishes, and nothing else.
func wishes(t *testing.T, w *world) {
	rows := []parley.Row{
		{},
		{Spoke: true},
		{Mentioned: []parley.Seq{1, 300, 1 << 40}},
		{Personal: parley.Personal{Archived: true}},
		{Personal: parley.Personal{Pinned: true}},
		{Personal: parley.Personal{Muted: clock}},
		{Personal: parley.Personal{Muted: time.UnixMilli(0).UTC()}},
		{Personal: parley.Personal{Muted: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{Personal: parley.Personal{Hidden: []parley.Run{{From: 1, To: 1}, {From: 3, To: 1 << 40}}}},
		{Personal: parley.Personal{Draft: parley.Draft{Text: "t"}}},
		{Personal: parley.Personal{Draft: parley.Draft{ReplyTo: 7}}},
		{Personal: parley.Personal{Draft: parley.Draft{At: clock}}},
		{Spoke: true, Head: 9, Count: 9, Personal: parley.Personal{Pinned: true, Muted: clock, Draft: parley.Draft{Text: strings.Repeat("d", 16<<10), At: clock}}},
	}
	for i := range rows {
		rows[i].Conversation, rows[i].Pos = parley.ConversationID(fmt.Sprintf("c%d", i)), parley.Pos(i+1)
	}
	if err := w.write("u", 0, rows...); err != nil {
		t.Fatal(err)
	}
	w.again()
	w.wantInbox("u", parley.Pos(len(rows)), rows...)
}

func (w *world) commit(partition string, changes ...store.Change) error {
	w.t.Helper()
	return w.s.CommitRecords(w.ctx(), partition, changes)
}

func (w *world) mustCommit(partition string, changes ...store.Change) {
	w.t.Helper()
	if err := w.commit(partition, changes...); err != nil {
		w.t.Fatalf("commit records: %v", err)
	}
}

func (w *world) list(partition, prefix, after string, limit int) []string {
	w.t.Helper()
	list, err := w.s.ListRecords(w.ctx(), partition, prefix, after, limit)
	if err != nil {
		w.t.Fatalf("list records: %v", err)
	}
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = fmt.Sprintf("%s@%d=%s", r.Key, r.Version, r.Value)
	}
	return out
}

func put(key string, version uint64, value string) store.Change {
	return store.Change{Key: key, Version: version, Value: []byte(value)}
}

var recordCases = []testCase{
	{"records/versions", "1 when first written, one more with each change; 1 again when written after a removal. Version 0 when there is none.",
		"a version that is used twice in one life of a record",
		func(t *testing.T, w *world) {
			if r := w.record("p", "k"); r.Version != 0 || len(r.Value) != 0 {
				t.Fatalf("record is %+v", r)
			}
			w.mustCommit("p", put("k", 0, "one"))
			w.mustCommit("p", put("k", 1, "two"))
			w.again()
			if r := w.record("p", "k"); r.Key != "k" || r.Version != 2 || string(r.Value) != "two" {
				t.Fatalf("record is %+v", r)
			}
			w.mustCommit("p", store.Change{Key: "k", Version: 2, Remove: true})
			if r := w.record("p", "k"); r.Version != 0 || len(r.Value) != 0 {
				t.Fatalf("removed record is %+v", r)
			}
			w.mustCommit("p", put("k", 0, ""))
			w.again()
			if r := w.record("p", "k"); r.Version != 1 || len(r.Value) != 0 {
				t.Fatalf("record is %+v", r)
			}
		}},
	{"records/condition", "… all or none, if each record still has the version its change expects; otherwise ErrConflict.",
		"an invite used twice; half of a change",
		func(t *testing.T, w *world) {
			w.mustCommit("p", put("a", 0, "a1"), put("b", 0, "b1"))
			for name, changes := range map[string][]store.Change{
				"must not exist": {put("c", 0, "c1"), put("a", 0, "a2")},
				"older":          {put("a", 1, "a2"), put("b", 9, "b2")},
				"none":           {put("a", 1, "a2"), put("nothing", 1, "x")},
				"remove none":    {put("a", 1, "a2"), {Key: "nothing", Version: 1, Remove: true}},
			} {
				if err := w.commit("p", changes...); !errors.Is(err, store.ErrConflict) {
					t.Errorf("%s: %v", name, err)
				}
			}
			w.again()
			wantIDs(t, w.list("p", "", "", 10), "a@1=a1", "b@1=b1")
			w.mustCommit("p", put("a", 1, "a2"), store.Change{Key: "b", Version: 1, Remove: true}, put("c", 0, "c1"))
			wantIDs(t, w.list("p", "", "", 10), "a@2=a2", "c@1=c1")
		}},
	{"records/list", "ListRecords returns the records of a partition whose key begins with prefix and is greater than after, ascending by key, at most limit.",
		"a page that repeats or skips; a partition that leaks into another",
		func(t *testing.T, w *world) {
			for _, k := range []string{"b", "ab", "a", "a\x00", "a\xff", "a\xff\xff", "c", ""} {
				w.mustCommit("p", put(k, 0, ""))
			}
			w.mustCommit("p2", put("a", 0, "other"))
			w.mustCommit("", put("pa", 0, "other"))
			w.again()
			wantIDs(t, w.list("p", "", "", 10), "a@1=", "a\x00@1=", "ab@1=", "a\xff@1=", "a\xff\xff@1=", "b@1=", "c@1=")
			wantIDs(t, w.list("p", "a", "", 10), "a@1=", "a\x00@1=", "ab@1=", "a\xff@1=", "a\xff\xff@1=")
			wantIDs(t, w.list("p", "a", "a", 2), "a\x00@1=", "ab@1=")
			wantIDs(t, w.list("p", "a\xff", "a\xff", 10), "a\xff\xff@1=")
			wantIDs(t, w.list("p", "a", "b", 10))
			wantIDs(t, w.list("p", "b", "a", 10), "b@1=")
			wantIDs(t, w.list("p", "", "b", 1), "c@1=")
			wantIDs(t, w.list("p", "", "", 0))
			wantIDs(t, w.list("nowhere", "", "", 10))
			if r := w.record("p", ""); r.Version != 1 {
				t.Error("the empty key is a key")
			}
		}},
	{"records/values", "Values passed in are not kept, values returned are the caller's own.", "memory shared with callers",
		func(t *testing.T, w *world) {
			value := []byte("value")
			w.mustCommit("p", store.Change{Key: "k", Value: value})
			value[0] = '!'
			for range 2 {
				r := w.record("p", "k")
				if string(r.Value) != "value" {
					t.Fatalf("value is %q", r.Value)
				}
				r.Value[0] = '!'
			}
		}},
	{"records/malformed", "changes is not empty.", "a commit of nothing that says it is done",
		func(t *testing.T, w *world) {
			if err := w.commit("p"); err == nil || errors.Is(err, store.ErrConflict) {
				t.Errorf("a commit of nothing: %v", err)
			}
		}},
	{"records/large", "Records is small named values", "a length that does not fit its field",
		func(t *testing.T, w *world) {
			key, value := strings.Repeat("k", 1000), strings.Repeat("v", 300<<10)
			w.mustCommit(strings.Repeat("p", 1000), put(key, 0, value))
			w.again()
			if r := w.record(strings.Repeat("p", 1000), key); r.Version != 1 || string(r.Value) != value {
				t.Errorf("version %d, %d bytes", r.Version, len(r.Value))
			}
		}},
}
