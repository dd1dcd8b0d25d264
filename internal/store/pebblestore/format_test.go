package pebblestore

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// remake writes testdata/v<Format> anew. A format that was released is never
// remade: its data must go on being readable as it is.
var remake = flag.Bool("remake", false, "write the test data of the newest format anew")

func formatDir(name string) string { return filepath.Join("testdata", name) }

// formatData writes the store that testdata/v<Format> holds: tables and a log,
// every kind of value.
func formatData(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(small(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	for i := range 60 {
		if err := l.write(t.Context(), s, i%crashLanes); err != nil {
			t.Fatal(err)
		}
		if i == 40 {
			formatActs(t, s)
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.CommitRecords(t.Context(), "kept", []store.Change{{Key: "ledger", Value: []byte(s.Epoch())}}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
}

// The conversation with everything that format 2 brought.
const actedOn = parley.ConversationID("g00000000000000000000000000")

var (
	actedState = parley.Conversation{ID: actedOn, Kind: parley.Group, Created: time.UnixMilli(7).UTC(), Pins: []parley.Seq{2, 1}}
	actedRow   = parley.Row{Conversation: actedOn, Kind: parley.Group, Pos: 1, Since: 1, Head: 7, Count: 3, Mentioned: []parley.Seq{2}, Spoke: true,
		Personal: parley.Personal{Muted: time.UnixMilli(1772366400000).UTC(), Pinned: true, Hidden: []parley.Run{{From: 1, To: 1}},
			Draft: parley.Draft{Text: "draft", ReplyTo: 2, At: time.UnixMilli(9).UTC()}}}
)

// actedEntries are what stands there after the deleted message was erased.
func actedEntries() []parley.Entry {
	text := func(s string) parley.Body { return parley.Body{Type: parley.TextPlain, Data: []byte(s)} }
	all := []parley.Entry{
		{Kind: parley.KindMessage, Count: 1, Body: text("one"), Withheld: []parley.UserID{"u0123456789abcdefghjkmnpqrs"}},
		{Kind: parley.KindMessage, Count: 2, Body: text("two"), Mentions: []parley.UserID{"b", "c"}, Forwarded: true},
		{Kind: parley.KindMessage, Count: 3}, // erased
		{Kind: parley.KindEdit, Count: 3, Ref: 2, Body: text("three")},
		{Kind: parley.KindReaction, Count: 3, Ref: 2, Body: text("!"), Withheld: []parley.UserID{"b"}},
		{Kind: parley.KindPin, Count: 3, Ref: 2},
		{Kind: parley.KindDelete, Count: 3, Ref: 3},
	}
	for i := range all {
		e := &all[i]
		e.Conversation, e.Seq, e.ID, e.Sender, e.Device = actedOn, parley.Seq(i+1), parley.MessageID(fmt.Sprint("m", i)), "a", "d"
		e.At = time.UnixMilli(1772366400000 + int64(i)).UTC()
	}
	return all
}

func formatActs(t *testing.T, s *Store) {
	t.Helper()
	a := store.Append{Conversation: actedOn, Entries: actedEntries(), State: &actedState}
	a.Entries[2].Body = parley.Body{Type: parley.TextPlain, Data: []byte("deleted")}
	w := &store.InboxWrite{User: "a", Rows: []parley.Row{actedRow}}
	err := errors.Join(s.Append(t.Context(), a), s.Erase(t.Context(), actedOn, []parley.Seq{3}),
		s.WriteInboxes(t.Context(), []*store.InboxWrite{w}), w.Err)
	if err != nil {
		t.Fatal(err)
	}
}

// auditActs wants what formatActs wrote.
func auditActs(t *testing.T, s *Store) {
	t.Helper()
	want := actedEntries()
	got, err := s.Read(t.Context(), actedOn, 0, 99)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the entries are %+v, %v", got, err)
	}
	acts, err := s.Acts(t.Context(), actedOn, 1, 7)
	if err != nil || !reflect.DeepEqual(acts, []parley.Act{parley.ActOf(&want[3]), parley.ActOf(&want[4]), parley.ActOf(&want[6])}) {
		t.Errorf("the acts are %+v, %v", acts, err)
	}
	h, err := s.Load(t.Context(), actedOn)
	if err != nil || !reflect.DeepEqual(h.State, &actedState) {
		t.Errorf("the state is %+v, %v", h.State, err)
	}
	in, err := s.LoadInbox(t.Context(), "a")
	if err != nil || len(in.Rows) != 1 || !reflect.DeepEqual(in.Rows[0], actedRow) {
		t.Errorf("the row is %+v, %v", in.Rows, err)
	}
}

// TestFirstShapes: what has nothing of format 2 is written as format 1 wrote
// it, key by key and byte by byte. It kills an append that became longer for
// everybody because of acts.
func TestFirstShapes(t *testing.T) {
	dir := t.TempDir()
	if ok, err := vfs.Clone(vfs.Default, vfs.Default, formatDir("v1"), filepath.Join(dir, "v1")); err != nil || !ok {
		t.Fatalf("no test data: %v", err)
	}
	s, err := Open(small(filepath.Join(dir, "v1"), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	spaces := map[byte]int{}
	it, err := s.end.eng.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		k, v := it.Key(), it.Value()
		spaces[k[0]]++
		var again []byte
		switch k[0] {
		case spaceEntry:
			id, seq, _ := takeEntryKey(k)
			e, err := decodeEntry(v, id, seq)
			if again = appendEntry(nil, &e); err != nil {
				t.Fatal(err)
			}
		case spaceState:
			c, err := decodeState(v)
			if again = appendState(nil, c); err != nil {
				t.Fatal(err)
			}
		case spaceRow:
			_, id, _ := takeRowKey(k)
			r, err := decodeRow(v, id)
			if again = appendRow(nil, &r); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		if !bytes.Equal(again, v) {
			t.Errorf("a value of space %x was %x and is written %x", k[0], v, again)
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if spaces[spaceEntry] != 88 || spaces[spaceID] != 88 || spaces[spaceAct] != 0 || spaces[spaceRow] == 0 || spaces[spaceState] == 0 {
		t.Errorf("keys by space: %v", spaces)
	}
}

// TestReleasedFormats: a store of every format that was released is opened,
// is whole, keeps its epoch, and takes writes. It kills a change of a key, a
// code or a value that forgets what is on people's disks.
func TestReleasedFormats(t *testing.T) {
	if *remake {
		dir := formatDir(fmt.Sprintf("v%d", Format))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		formatData(t, dir)
	}
	for name, heads := range map[string][]parley.Seq{"v1": {22, 22, 22, 22}, "v2": {22, 22, 22, 22}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if ok, err := vfs.Clone(vfs.Default, vfs.Default, formatDir(name), filepath.Join(dir, name)); err != nil || !ok {
				t.Fatalf("no test data: %v", err)
			}
			s, err := Open(small(filepath.Join(dir, name), nil))
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, s)
			l := newLedger()
			for lane, head := range heads {
				l.heads[lane], l.inboxes[lane], l.records[lane] = head, 1, 1
			}
			if err := l.audit(t.Context(), s, len(heads)); err != nil {
				t.Error(err)
			}
			for lane, head := range heads {
				h, err := s.Load(t.Context(), laneOf(lane))
				if err != nil || h.Seq != head || h.Count != uint64(head) || h.State == nil || h.State.Members[0].User != userOf(lane) {
					t.Errorf("lane %d: %+v, want %d: %v", lane, h, head, err)
				}
			}
			r, err := s.GetRecord(t.Context(), "kept", "ledger")
			if err != nil || parley.Epoch(r.Value) != s.Epoch() {
				t.Errorf("the epoch was %q and is %q: %v", r.Value, s.Epoch(), err)
			}
			if name == "v1" {
				formatActs(t, s) // what that format had not
			}
			auditActs(t, s)
			if err := l.write(t.Context(), s, 0); err != nil {
				t.Error(err)
			}
			if err := l.audit(t.Context(), s, len(heads)); err != nil {
				t.Error(err)
			}
		})
	}
}
