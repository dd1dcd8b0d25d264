package cassandra_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store/cassandra"
)

var (
	at         = time.Date(2026, 3, 1, 12, 0, 0, int(7*time.Millisecond), time.UTC)
	plainEntry = parley.Entry{Kind: parley.KindMessage, ID: "m1", Sender: "u1", Device: "v1", At: at,
		Body: parley.Body{Type: parley.TextPlain, Data: []byte("hallo")}, Ref: 3, ReplyTo: 200, Count: 7}
	plainState = parley.Conversation{ID: "c1", Kind: parley.Group, Title: "Häuser", Created: at,
		Members: []parley.Member{{User: "u1", Role: parley.RoleOwner, Since: 1}, {User: "u2", Role: parley.RoleMember, Since: 5, Until: 300}}}
	plainRow = parley.Row{Kind: parley.Direct, Pos: 1 << 40, Since: 2, Until: 9, Head: 8, Count: 7, Delivered: 6, Read: 5, ReadCount: 4,
		Own: []parley.Run{{From: 6, To: 7}}, Past: []parley.Checkpoint{{Pos: 0, Head: 1}, {Pos: 300, Head: 4}}}
)

var (
	newEntry = parley.Entry{Kind: parley.KindReaction, ID: "m1", Sender: "u1", At: at, Ref: 3, Count: 7,
		Mentions: []parley.UserID{"u2", "u3"}, Forwarded: true, Withheld: []parley.UserID{"u4"}}
	newState = parley.Conversation{ID: "c1", Kind: parley.Group, Created: at, Pins: []parley.Seq{300, 2}}
	newRow   = parley.Row{Kind: parley.Group, Pos: 7, Head: 8, Count: 7, Mentioned: []parley.Seq{6, 300}, Spoke: true, Personal: parley.Personal{
		Muted: at, Archived: true, Pinned: true, Hidden: []parley.Run{{From: 2, To: 5}, {From: 7, To: 300}},
		Draft: parley.Draft{Text: "entw\u00fcrfe", ReplyTo: 5, At: at}}}
)

// What version 2 of the schema wrote, beside the former.
const (
	entryV2 = "0101087265616374696f6e050275310807028ea8a894956703026d310d027532" +
		"0d0275330a010f0275340403"
	stateV2 = "0101026331030567726f7570028ea8a89495670903ac0202"
	rowV2   = "01010567726f7570020708080a071201070306ac02148fa8a894956716011801" +
		"0905020507ac020b09656e7477c3bc7266651a051c8fa8a8949567"
)

// What version 1 of the schema wrote. These lines are never changed: they are
// what stands in clusters.
const (
	entryV1 = "0101076d6573736167650502753107027631090a746578742f706c61696e080702" +
		"8ea8a894956703026d31040306c8010b0568616c6c6f"
	stateV1 = "0101026331030567726f7570050748c3a475736572028ea8a89495670" +
		"70e010102753103056f776e657202010712010102753203066d656d626572020504ac02"
	rowV1 = "010106646972656374028080808080200402060908080a070c060e05100403020607" +
		"05050001ac0204"
)

// TestFormat kills a change of the format that would leave what is written
// unreadable.
func TestFormat(t *testing.T) {
	for name, c := range map[string]struct {
		golden string
		value  []byte
		decode func([]byte) (any, error)
		want   any
	}{
		"entry": {entryV1, cassandra.EncodeEntry(&plainEntry), func(b []byte) (any, error) { return cassandra.DecodeEntry(b) }, plainEntry},
		"state": {stateV1, cassandra.EncodeState(&plainState), func(b []byte) (any, error) { return cassandra.DecodeState(b) }, &plainState},
		"row":   {rowV1, cassandra.EncodeRow(&plainRow), func(b []byte) (any, error) { return cassandra.DecodeRow(b) }, plainRow},

		"entry 2": {entryV2, cassandra.EncodeEntry(&newEntry), func(b []byte) (any, error) { return cassandra.DecodeEntry(b) }, newEntry},
		"state 2": {stateV2, cassandra.EncodeState(&newState), func(b []byte) (any, error) { return cassandra.DecodeState(b) }, &newState},
		"row 2":   {rowV2, cassandra.EncodeRow(&newRow), func(b []byte) (any, error) { return cassandra.DecodeRow(b) }, newRow},
	} {
		golden, err := hex.DecodeString(c.golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.value, golden) {
			t.Errorf("%s is written as\n%x, and was\n%x", name, c.value, golden)
		}
		if got, err := c.decode(golden); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s reads as\n%+v, %v", name, got, err)
		}
	}
}

// FuzzDecode kills a reader that panics, or makes room for what a damaged
// value only claims to hold.
func FuzzDecode(f *testing.F) {
	f.Add(cassandra.EncodeEntry(&plainEntry))
	f.Add(cassandra.EncodeState(&plainState))
	f.Add(cassandra.EncodeRow(&plainRow))
	f.Add(cassandra.EncodeEntry(&newEntry))
	f.Add(cassandra.EncodeState(&newState))
	f.Add(cassandra.EncodeRow(&newRow))
	f.Add([]byte{1, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := cassandra.DecodeEntry(b); err == nil {
			again, err := cassandra.DecodeEntry(cassandra.EncodeEntry(&e))
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Errorf("%+v is read again as %+v, %v", e, again, err)
			}
		}
		if c, err := cassandra.DecodeState(b); err == nil {
			again, err := cassandra.DecodeState(cassandra.EncodeState(c))
			if err != nil || !reflect.DeepEqual(c, again) {
				t.Errorf("%+v is read again as %+v, %v", c, again, err)
			}
		}
		if r, err := cassandra.DecodeRow(b); err == nil {
			again, err := cassandra.DecodeRow(cassandra.EncodeRow(&r))
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Errorf("%+v is read again as %+v, %v", r, again, err)
			}
		}
	})
}
