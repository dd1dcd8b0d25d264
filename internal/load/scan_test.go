package load

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)

// said is frames as the protocol writes them, escapes and nesting included.
func said() map[string][]byte {
	entry := func(seq parley.Seq, id, text string) []byte {
		return wire.AppendEntry(nil, &parley.Entry{Conversation: "dconv", Seq: seq, Kind: parley.KindMessage, ID: parley.MessageID(id),
			Sender: "u1", Device: "d1", At: at, Body: parley.Body{Type: parley.TextPlain, Data: []byte(text)}, ReplyTo: 1})
	}
	two := [][]byte{entry(7, "m7", `a "quoted" \ back\\slash }]{[`), entry(8, "m8", "né\n\x01")}
	rows := []wire.Row{{ID: "dconv", Kind: "direct", Title: `"seq":9`, Head: 12, With: &wire.User{ID: "u2", Handle: "b", Name: `}"`},
		Last: &wire.Last{Seq: 3, Sender: "u", At: "t", Text: `{"head":99}`}}, {ID: "g2", Head: 1 << 40}}
	return map[string][]byte{
		"welcome": wire.AppendWelcome(nil, &wire.Welcome{User: wire.User{ID: "u"}, Epoch: "e", Server: "parley/1", Limits: wire.DefaultLimits()}),
		"ack":     wire.AppendAck(nil, "42", parley.Ack{Conversation: "dconv", ID: "m1", Seq: 9, At: at}),
		"entries": wire.AppendEntries(nil, "5", "dconv", two, 8, "e.1"),
		"live":    wire.AppendEntries(nil, "", "dconv", two[:1], 8, ""),
		"none":    wire.AppendEntries(nil, "", "dconv", nil, 8, ""),
		"changes": wire.AppendChanges(nil, rows, "e.5", true),
		"error":   wire.AppendError(nil, "6", &parley.Error{Code: parley.Overloaded, Detail: "wait", After: 250 * time.Millisecond}),
		"goaway":  wire.AppendGoaway(nil, time.Second, ""),
	}
}

// TestHeardAgreesWithTheProtocol kills a scanner that loses its place in
// strings, nested values or lists: the library that decodes must find the same.
func TestHeardAgreesWithTheProtocol(t *testing.T) {
	var h heard
	for name, frame := range said() {
		agree(t, name, &h, frame)
		var spaced any
		if err := json.Unmarshal(frame, &spaced); err != nil {
			t.Fatal(err)
		}
		wide, err := json.MarshalIndent(spaced, " ", "\t") // other order, white space
		if err != nil {
			t.Fatal(err)
		}
		agree(t, name+" spaced", &h, wide)
	}
}

func agree(t *testing.T, name string, h *heard, frame []byte) {
	t.Helper()
	want, err := wire.DecodeServer(frame)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := h.read(frame); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var ref uint64
	if want.Ref != "" {
		if err := json.Unmarshal([]byte(want.Ref), &ref); err != nil {
			t.Fatal(err)
		}
	}
	if string(h.t) != want.T || h.ref != ref || string(h.conv) != want.Conversation || string(h.id) != want.ID || h.seq != want.Seq ||
		h.head != want.Head || string(h.code) != want.Code || string(h.message) != want.Message || string(h.server) != want.Server ||
		h.after != uint64(max(want.RetryAfterMS, want.AfterMS)) {
		t.Errorf("%s: heard %+v\nof %s", name, h, frame)
	}
	if len(h.entries) != len(want.Entries) || len(h.rows) != len(want.Rows) {
		t.Fatalf("%s: heard %d entries and %d rows of %s", name, len(h.entries), len(h.rows), frame)
	}
	for i, e := range want.Entries {
		if h.entries[i].seq != e.Seq || string(h.entries[i].id) != e.ID {
			t.Errorf("%s: heard entry %d as %+v", name, i, h.entries[i])
		}
	}
	for i, r := range want.Rows {
		if h.rows[i].head != r.Head || string(h.rows[i].conv) != r.ID {
			t.Errorf("%s: heard row %d as %+v", name, i, h.rows[i])
		}
	}
}

// TestHeardRefusesCutFrames kills a scanner that takes half a frame for a whole
// one: every proper prefix of every frame must be refused.
func TestHeardRefusesCutFrames(t *testing.T) {
	var h heard
	for name, frame := range said() {
		for n := range frame {
			if h.read(frame[:n]) == nil {
				t.Fatalf("%s: took %s", name, frame[:n])
			}
		}
		if h.read(append(frame[:len(frame):len(frame)], '}')) == nil {
			t.Errorf("%s: took what follows the frame", name)
		}
	}
}

func TestHeardRefuses(t *testing.T) {
	for _, frame := range []string{
		``, `[]`, `"x"`, `null`, `{"t"}`, `{"t":}`, `{"t":"ack",}`, `{,"t":"ack"}`, `{"t":"ack" "seq":1}`, `{"seq":-1}`, `{"seq":01}`,
		`{"seq":1.5}`, `{"seq":12345678901234567}`, `{"seq":"1"}`, `{"entries":{}}`, `{"entries":[1]}`, `{"entries":[{"id":"x"}]}`,
		`{"entries":[{"seq":1},]}`, `{"x":[}`, `{"x":]}`, `{"t":"ack"`, `{"rows":[{"id":1}]}`, `{x:1}`,
	} {
		if (&heard{}).read([]byte(frame)) == nil {
			t.Errorf("took %s", frame)
		}
	}
}

func TestAsked(t *testing.T) {
	text := `brace } quote " and \`
	frame, err := wire.Encode(&wire.ClientFrame{T: wire.OpPost, Ref: "17", Conversation: "c1", ID: "m1", Body: &wire.Body{Type: "text/plain", Text: &text}, Base: 3})
	if err != nil {
		t.Fatal(err)
	}
	var a asked
	if err := a.read(frame); err != nil {
		t.Fatal(err)
	}
	var body wire.Body
	if err := json.Unmarshal(a.body, &body); err != nil || body.Text == nil || *body.Text != text {
		t.Errorf("body %s: %v", a.body, err)
	}
	if string(a.t) != "post" || string(a.ref) != "17" || string(a.conversation) != "c1" || string(a.id) != "m1" {
		t.Errorf("asked %+v of %s", a, frame)
	}
}

// TestPostIsOfTheProtocol kills a hand-made frame that the server would refuse.
func TestPostIsOfTheProtocol(t *testing.T) {
	o := Options{}.withDefaults()
	words, err := newTexts(&o)
	if err != nil {
		t.Fatal(err)
	}
	l := newLane(0, &conversation{id: "dconv"}, &seat{}, 1, 1)
	f := l.open()
	f.id, f.body, f.base = append(f.id, "m1"...), words.appendBody(f.body), 5
	got, err := wire.DecodeClient(l.appendPost(nil, f, 9))
	if err != nil {
		t.Fatal(err)
	}
	if got.Body == nil || got.Body.Text == nil || len(*got.Body.Text) != textBytes || got.Base != 5 || got.ID != "m1" || got.Ref != "9" {
		t.Errorf("%+v", got)
	}
	for _, side := range []string{"after", "before"} {
		got, err := wire.DecodeClient(appendRead(nil, gapRef, "dconv", side, 7, 50))
		if err != nil {
			t.Fatal(err)
		}
		if n := map[string]*uint64{"after": got.After, "before": got.Before}[side]; n == nil || *n != 7 || got.Limit != 50 {
			t.Errorf("%s: %+v", side, got)
		}
	}
}

func FuzzHeard(f *testing.F) {
	for _, frame := range said() {
		f.Add(frame)
	}
	f.Add([]byte(`{"t":"ack","x":[[[{"a":"\\"}]]],"seq":1}`))
	f.Add([]byte(strings.Repeat(`{"x":[`, 1000)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var h heard
		if h.read(frame) == nil && json.Valid(frame) {
			var top map[string]json.RawMessage
			if err := json.Unmarshal(frame, &top); err != nil {
				t.Fatalf("took %q, which is no object", frame)
			}
		}
		var a asked
		_ = a.read(frame) // must not panic
	})
}
