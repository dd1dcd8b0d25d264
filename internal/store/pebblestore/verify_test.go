package pebblestore

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// What the damaged store holds: five entries in one conversation, a row that
// has seen them all, and one entry in another conversation.
var verified, verifier = laneOf(0), userOf(0)

func damagedEntry(seq parley.Seq, change func(*parley.Entry)) []byte {
	e := entryOf(0, seq)
	change(&e)
	return appendEntry(nil, &e)
}

func damagedRow(change func(*parley.Row)) []byte {
	r := parley.Row{Conversation: verified, Pos: 1, Since: 1, Head: 5, Count: 5}
	change(&r)
	return appendRow(nil, &r)
}

// actOnTwo is an edit of the second entry where the fifth message was.
func actOnTwo() []byte {
	return damagedEntry(5, func(e *parley.Entry) { e.Kind, e.Ref, e.Count = parley.KindEdit, 2, 4 })
}

// damage is done below the store, and what Verify must say of it.
type damage struct {
	name, want string
	damage     func(s *Store, b *pebble.Batch) error
}

var damages = []damage{
	{"nothing", "", func(*Store, *pebble.Batch) error { return nil }},
	{"gap", "entry 3 follows entry 1", func(_ *Store, b *pebble.Batch) error { return b.Delete(entryKey(nil, verified, 2), nil) }},
	{"count", "counts 9 messages", func(_ *Store, b *pebble.Batch) error {
		return b.Set(entryKey(nil, verified, 4), damagedEntry(4, func(e *parley.Entry) { e.Count = 9 }), nil)
	}},
	{"unreadable", "entry 4 cannot be read", func(_ *Store, b *pebble.Batch) error {
		return b.Set(entryKey(nil, verified, 4), []byte{7}, nil)
	}},
	{"no index", "entry 2 cannot be found by its id", func(s *Store, b *pebble.Batch) error {
		return b.Delete(idKey(nil, verified, s.salt.hash(entryOf(0, 2).ID), 2), nil)
	}},
	{"index of another", "entry 2, which is another's", func(s *Store, b *pebble.Batch) error {
		return b.Set(idKey(nil, verified, s.salt.hash("other"), 2), nil, nil)
	}},
	{"index of none", "entry 77, which is not there", func(s *Store, b *pebble.Batch) error {
		return b.Set(idKey(nil, verified, s.salt.hash("other"), 77), nil, nil)
	}},
	{"one id twice", "entries 2 and 3 have the same id", func(s *Store, b *pebble.Batch) error {
		id := entryOf(0, 2).ID
		if err := b.Set(entryKey(nil, verified, 3), damagedEntry(3, func(e *parley.Entry) { e.ID = id }), nil); err != nil {
			return err
		}
		return b.Set(idKey(nil, verified, s.salt.hash(id), 3), nil, nil)
	}},
	{"act alone", "an act on entry 2 leads to entry 77, which is not there", func(_ *Store, b *pebble.Batch) error {
		return b.Set(actKey(nil, verified, 2, 77), damagedEntry(5, func(e *parley.Entry) { e.Kind = parley.KindEdit }), nil)
	}},
	{"act of another", "an act on entry 1 leads to entry 5, which does not act on it", func(_ *Store, b *pebble.Batch) error {
		return b.Set(actKey(nil, verified, 1, 5), nil, nil)
	}},
	{"act not found", "entry 5 cannot be found from entry 2", func(_ *Store, b *pebble.Batch) error {
		return b.Set(entryKey(nil, verified, 5), actOnTwo(), nil)
	}},
	{"act bent", "entry 5 cannot be found from entry 2", func(_ *Store, b *pebble.Batch) error {
		if err := b.Set(entryKey(nil, verified, 5), actOnTwo(), nil); err != nil {
			return err
		}
		return b.Set(actKey(nil, verified, 2, 5), damagedEntry(5, func(e *parley.Entry) { e.Kind, e.Sender = parley.KindEdit, "other" }), nil)
	}},
	{"act on nothing", "entry 5 acts on entry 0, which is no message", func(_ *Store, b *pebble.Batch) error {
		return b.Set(entryKey(nil, verified, 5), damagedEntry(5, func(e *parley.Entry) { e.Kind, e.Count = parley.KindDelete, 4 }), nil)
	}},
	{"act on an act", "entry 5 acts on entry 4, which is no message", func(_ *Store, b *pebble.Batch) error {
		for seq := parley.Seq(4); seq <= 5; seq++ {
			e := entryOf(0, seq)
			e.Kind, e.Ref, e.Count = parley.KindEdit, seq-1, 3
			if err := b.Set(entryKey(nil, verified, seq), appendEntry(nil, &e), nil); err != nil {
				return err
			}
			if err := b.Set(actKey(nil, verified, e.Ref, seq), appendAct(nil, &e), nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{"pin of nothing", "entry 6 is pinned and is no message", func(_ *Store, b *pebble.Batch) error {
		return b.Set(stateKey(nil, verified), appendState(nil, &parley.Conversation{ID: verified, Pins: []parley.Seq{1, 6}}), nil)
	}},
	{"mentioned ahead", "is mentioned at 6, ahead of its head 5", func(_ *Store, b *pebble.Batch) error {
		return b.Set(rowKey(nil, verifier, verified), damagedRow(func(r *parley.Row) { r.Mentioned = []parley.Seq{2, 6} }), nil)
	}},
	{"row ahead", "ahead of its head 5", func(_ *Store, b *pebble.Batch) error {
		return b.Set(rowKey(nil, verifier, verified), damagedRow(func(r *parley.Row) { r.Head, r.Count = 6, 6 }), nil)
	}},
	{"row count", "counts 4 messages at 5, not 5", func(_ *Store, b *pebble.Batch) error {
		return b.Set(rowKey(nil, verifier, verified), damagedRow(func(r *parley.Row) { r.Count = 4 }), nil)
	}},
	{"marker ahead", "a marker of conversation", func(_ *Store, b *pebble.Batch) error {
		return b.Set(rowKey(nil, verifier, verified), damagedRow(func(r *parley.Row) { r.Delivered = 6 }), nil)
	}},
	{"position", "the inbox stands at 9, its last row at 1", func(_ *Store, b *pebble.Batch) error {
		return b.Set(posKey(nil, verifier), uvarintValue(9), nil)
	}},
	{"position shared", "which is not its own", func(_ *Store, b *pebble.Batch) error {
		return b.Set(rowKey(nil, verifier, laneOf(1)), damagedRow(func(r *parley.Row) { r.Head, r.Count = 1, 1 }), nil)
	}},
	{"position alone", "has a position and no rows", func(_ *Store, b *pebble.Batch) error {
		return b.Set(posKey(nil, "nobody"), uvarintValue(9), nil)
	}},
	{"mark alone", "is marked and has no entries", func(_ *Store, b *pebble.Batch) error {
		return b.Set(dirtyKey(nil, "nowhere"), nil, nil)
	}},
	{"state alone", "has a state and no entries", func(_ *Store, b *pebble.Batch) error {
		return b.Set(stateKey(nil, "nowhere"), appendState(nil, &parley.Conversation{ID: "nowhere"}), nil)
	}},
	{"state unreadable", "its state cannot be read", func(_ *Store, b *pebble.Batch) error {
		return b.Set(stateKey(nil, verified), []byte{9}, nil)
	}},
	{"membership ahead", "a membership is ahead", func(_ *Store, b *pebble.Batch) error {
		return b.Set(stateKey(nil, verified), appendState(nil, &parley.Conversation{ID: verified, Members: []parley.Member{{User: verifier, Since: 6}}}), nil)
	}},
	{"record unreadable", "a record cannot be read", func(_ *Store, b *pebble.Batch) error {
		return b.Set(recordKey(nil, "p", "k"), []byte{0}, nil)
	}},
}

// TestVerify damages a store in each way that Verify is for, and wants to be
// told. Without damage it has nothing to say.
func TestVerify(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) { d.test(t) })
	}
}

func (d damage) test(t *testing.T) {
	fs := vfs.NewCrashableMem()
	written(t, fs, 5)
	s, err := Open(small("/data", fs))
	if err != nil {
		t.Fatal(err)
	}
	one := &store.InboxWrite{User: verifier, Rows: []parley.Row{{Conversation: verified, Pos: 1, Since: 1, Head: 5, Count: 5}}}
	if err := s.WriteInboxes(t.Context(), []*store.InboxWrite{one}); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), appendOf(1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	b := s.end.eng.db.NewBatch()
	if err := d.damage(s, b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if s, err = Open(small("/data", fs)); err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	var said []string
	done, err := s.Verify(t.Context(), func(p string) { said = append(said, p) })
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(said, "\n")
	if d.want == "" && (len(said) != 0 || done.Entries != 6 || done.Conversations != 2 || done.Rows != 1 || done.Users != 1) {
		t.Errorf("a sound store: %+v\n%s", done, all)
	}
	if !strings.Contains(all, d.want) || done.Problems != uint64(len(said)) {
		t.Errorf("said %q, want %q; %d problems", all, d.want, done.Problems)
	}
}

// TestVerifyActs: a sound store with acts has no problems; what is left of a
// deleted message, when a crash came before its body was erased, is counted.
func TestVerifyActs(t *testing.T) {
	s := openSmall(t, vfs.NewMem())
	defer closeStore(t, s)
	if err := s.Append(t.Context(), appendOf(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	a := store.Append{Conversation: laneOf(0), Base: 3}
	for i, kind := range []parley.Kind{parley.KindReaction, parley.KindEdit, parley.KindEdit, parley.KindPin, parley.KindDelete, parley.KindReaction} {
		e := entryOf(0, 4+parley.Seq(i))
		e.Kind, e.Ref, e.Count = kind, 2, 3
		if kind == parley.KindDelete {
			e.Body = parley.Body{}
		}
		a.Entries = append(a.Entries, e)
	}
	a.Entries[5].Ref = 1
	if err := s.Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for _, left := range []struct {
		erase   []parley.Seq
		remains uint64
	}{{nil, 3}, {[]parley.Seq{2}, 2}, {[]parley.Seq{5, 6, 4}, 0}} {
		if err := s.Erase(t.Context(), laneOf(0), left.erase); err != nil {
			t.Fatal(err)
		}
		done, err := s.Verify(t.Context(), func(p string) { t.Error(p) })
		if err != nil || done.Remains != left.remains || done.Entries != 9 {
			t.Errorf("after erasing %v: %+v, %v", left.erase, done, err)
		}
	}
}
