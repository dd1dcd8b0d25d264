package pebblestore

import (
	"bytes"
	"cmp"
	"reflect"
	"strings"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
)

// What the codecs must be: total (any bytes give a value or an error, never a
// panic), and exact (what is written is read back). Keys must also sort as
// what they stand for, and none may be the beginning of another.

func FuzzID(f *testing.F) {
	for _, s := range []string{"", "a", "u0123456789abcdefghjkmnpqrs", "00000000000000000000000000", "0000000000000000000000000z",
		"0197e4a2-7d1c-7b7e-8a51-0d7f5f2c9e11", "0197E4A2-7D1C-7B7E-8A51-0D7F5F2C9E11", "0197e4a2-7d1c-7b7e-8a51_0d7f5f2c9e11",
		strings.Repeat("x", 64), strings.Repeat("x", 65), "\x80000000000000000000000000"} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > parley.MaxID || len(b) > parley.MaxID {
			return
		}
		ka, kb := appendID(nil, a), appendID(nil, b)
		got, rest, err := takeID[string](append(ka, "rest"...))
		if err != nil || got != a || string(rest) != "rest" {
			t.Fatalf("%q read as %q, rest %q: %v", a, got, rest, err)
		}
		if a != b && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("one of %q and %q is written as the beginning of the other", a, b)
		}
	})
}

func FuzzSeq(f *testing.F) {
	for _, n := range []uint64{0, 1, 246, 247, 248, 255, 256, 65535, 65536, 1<<53 - 1, 1 << 63, ^uint64(0)} {
		f.Add(n, n+1)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		ka, kb := appendSeq(nil, a), appendSeq(nil, b)
		if got, rest, err := takeSeq(ka); err != nil || got != a || len(rest) != 0 {
			t.Fatalf("%d read as %d: %v", a, got, err)
		}
		if cmp.Compare(a, b) != bytes.Compare(ka, kb) {
			t.Fatalf("%d and %d do not sort as their keys do", a, b)
		}
	})
}

// FuzzKeys reads any bytes as a key of each kind; what can be read is written
// again as a key that reads the same.
func FuzzKeys(f *testing.F) {
	f.Add(entryKey(nil, "c", 300))
	f.Add(idKey(nil, "g00000000000000000000000000", [hashLen]byte{1, 2, 3, 4, 5}, 1<<40))
	f.Add(actKey(nil, "g00000000000000000000000000", 3, 1<<40))
	f.Add(rowKey(nil, "u", "c"))
	f.Add(recordKey(nil, "partition", "key"))
	f.Add([]byte{spaceEntry, tagUUID, 1, 2})
	f.Add([]byte{spaceRecord, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, k []byte) {
		if c, seq, err := takeEntryKey(k); err == nil {
			if c2, seq2, err := takeEntryKey(entryKey(nil, c, seq)); err != nil || c2 != c || seq2 != seq {
				t.Errorf("entry key of %q %d: %q %d %v", c, seq, c2, seq2, err)
			}
		}
		if c, h, seq, err := takeIDKey(k); err == nil {
			if c2, h2, seq2, err := takeIDKey(idKey(nil, c, h, seq)); err != nil || c2 != c || h2 != h || seq2 != seq {
				t.Errorf("id key of %q %d: %q %d %v", c, seq, c2, seq2, err)
			}
		}
		if c, target, seq, err := takeActKey(k); err == nil {
			if c2, target2, seq2, err := takeActKey(actKey(nil, c, target, seq)); err != nil || c2 != c || target2 != target || seq2 != seq {
				t.Errorf("act key of %q %d %d: %q %d %d %v", c, target, seq, c2, target2, seq2, err)
			}
		}
		if u, c, err := takeRowKey(k); err == nil {
			if u2, c2, err := takeRowKey(rowKey(nil, u, c)); err != nil || u2 != u || c2 != c {
				t.Errorf("row key of %q %q: %q %q %v", u, c, u2, c2, err)
			}
		}
		if p, key, err := takeRecordKey(k); err == nil {
			if p2, key2, err := takeRecordKey(recordKey(nil, p, key)); err != nil || p2 != p || key2 != key {
				t.Errorf("record key of %q %q: %q %q %v", p, key, p2, key2, err)
			}
		}
	})
}

// FuzzEntry reads any bytes as an entry, and writes what it read.
func FuzzEntry(f *testing.F) {
	for _, e := range []parley.Entry{
		{Kind: parley.KindMessage, ID: "m", Sender: "u", Device: "d", Count: 9, Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")}},
		{Kind: parley.KindEdit, ID: "0197e4a2-7d1c-7b7e-8a51-0d7f5f2c9e11", Sender: "u0123456789abcdefghjkmnpqrs", Ref: 3, ReplyTo: 1, Count: 4,
			Body: parley.Body{Type: "a/b"}},
		{Kind: "kind.of.tomorrow", At: time.Time{}, Count: 9},
		{Kind: parley.KindReaction, ID: "m", Sender: "u", Ref: 3, Count: 4, Withheld: []parley.UserID{"u", "u0123456789abcdefghjkmnpqrs"}},
		{Kind: parley.KindMessage, ID: "m", Sender: "u", Count: 9, Mentions: []parley.UserID{"u"}, Forwarded: true, Withheld: []parley.UserID{"v"}},
		{Kind: "kind.of.tomorrow", Forwarded: true, Count: 9},
	} {
		e.Seq = 9
		f.Add(appendEntry(nil, &e), uint64(9))
	}
	f.Add([]byte{}, uint64(0))
	f.Add([]byte{7}, uint64(1))
	f.Add([]byte{7, 7, 0}, uint64(1))
	f.Add([]byte{7, 1, 0xff}, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seq uint64) {
		count, headErr := entryCount(b, parley.Seq(seq))
		e, err := decodeEntry(b, "c", parley.Seq(seq))
		if err != nil {
			return
		}
		if headErr != nil || count != e.Count {
			t.Fatalf("the count alone reads as %d, with the entry as %d: %v", count, e.Count, headErr)
		}
		again, err := decodeEntry(appendEntry(nil, &e), "c", parley.Seq(seq))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("wrote %+v, read %+v: %v", e, again, err)
		}
	})
}

// FuzzValues reads any bytes as each of the other values, and writes what it
// read.
func FuzzValues(f *testing.F) {
	f.Add(appendState(nil, &parley.Conversation{ID: "c", Kind: parley.Group, Title: "title", Members: []parley.Member{{User: "u", Role: parley.RoleOwner, Since: 1, Until: 2}}}))
	f.Add(appendRow(nil, &parley.Row{Conversation: "c", Kind: parley.Direct, Pos: 9, Head: 9, Own: []parley.Run{{From: 3, To: 4}}, Past: []parley.Checkpoint{{Pos: 1, Head: 2}}}))
	f.Add(appendState(nil, &parley.Conversation{ID: "c", Pins: []parley.Seq{3, 1 << 40}}))
	f.Add(appendRow(nil, &actedRow))
	f.Add(appendRow(nil, &parley.Row{Spoke: true, Personal: parley.Personal{Archived: true}}))
	f.Add(appendRecord(nil, 3, []byte("value")))
	f.Add(markValue{turn: 1, commit: 2, epoch: "e", manifest: manifest{name: "MANIFEST-000001", size: 3, sum: 4}}.encode())
	f.Add([]byte{rowShape, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Add([]byte{stateShape, 1, 'c', 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := decodeState(b); err == nil {
			if again, err := decodeState(appendState(nil, c)); err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("wrote %+v, read %+v: %v", c, again, err)
			}
		}
		if r, err := decodeRow(b, "c"); err == nil {
			if again, err := decodeRow(appendRow(nil, &r), "c"); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("wrote %+v, read %+v: %v", r, again, err)
			}
		}
		if v, val, err := decodeRecord(b); err == nil {
			if v2, val2, err := decodeRecord(appendRecord(nil, v, val)); err != nil || v2 != v || !bytes.Equal(val2, val) {
				t.Errorf("wrote %d %q, read %d %q: %v", v, val, v2, val2, err)
			}
		}
		if m, ok := decodeMark(b); ok {
			if again, ok := decodeMark(m.encode()); !ok || again != m {
				t.Errorf("wrote %+v, read %+v", m, again)
			}
		}
	})
}

// TestUpperBound: the bound ends a prefix and takes in nothing else.
func TestUpperBound(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "a\x00": "a\x01", "\xff": "", "\xff\xff": ""} {
		if got := upperBound([]byte(prefix)); string(got) != want {
			t.Errorf("after all of %q comes %q, not %q", prefix, got, want)
		}
	}
}

// TestLRU: the map stays within its bound and keeps what is used.
func TestLRU(t *testing.T) {
	l := newLRU[int, int](100)
	l.put(-1, -1)
	for i := range 10_000 {
		l.put(i, i)
		if v, ok := l.get(-1); !ok || v != -1 {
			t.Fatalf("what is used was forgotten after %d others", i)
		}
		if v, ok := l.get(i); !ok || v != i {
			t.Fatalf("%d was forgotten at once", i)
		}
		if n := len(l.young) + len(l.old); n > 100 {
			t.Fatalf("%d kept, the bound is 100", n)
		}
	}
	if _, ok := l.get(0); ok {
		t.Error("the oldest is still there")
	}
}
