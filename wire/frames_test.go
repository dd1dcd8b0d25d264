package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
)

var noon = time.UnixMilli(1767323045006).UTC()

var welcome = Welcome{
	User:   User{ID: "u1", Handle: "ann", Name: "Ann \"A\" É"},
	Device: Device{ID: "d1", Name: "Phone", Created: Time(noon), LastSeen: Time(noon), Current: true},
	Epoch:  "e1", Server: "parley/0.1", Limits: DefaultLimits(),
}

// Every writer must write what its shape says: reading it back gives the
// shape's value.
func TestWritersKeepTheirShapes(t *testing.T) {
	row := Row{ID: "c1", Kind: "direct", Title: "Bob\n", With: &User{ID: "u2", Handle: "bob", Name: "Bob"}, Head: 4, Unread: 1,
		Read: 3, Delivered: 4, Last: &Last{Seq: 4, Sender: "u2", At: Time(noon), Text: "\"hi\"\x01"}, Pos: 7, Muted: true}
	entry := parley.Entry{Conversation: "c1", Seq: 3, Kind: parley.KindEdit, ID: "m3", Sender: "u1", Device: "d1", At: noon,
		Body: parley.Body{Type: "image/png", Data: []byte{0, 255}}, Ref: 1, ReplyTo: 2}
	presence := []Presence{{User: "u1", Online: true}, {User: "u2", LastSeen: Time(noon)}}
	rich := Row{ID: "c3", Last: &Last{Seq: 4, At: Time(noon), Deleted: true}, Kind: "group", With: &User{ID: "u2", Handle: "bot", Name: "B", Status: "\"busy\"", Avatar: "a1", Bot: true}, Mentions: 2,
		MutedUntil: Time(noon), Archived: true, Pinned: true, Request: true, Hidden: [][2]uint64{{1, 2}, {4, 4}},
		Draft: &Draft{Text: "hm\n", ReplyTo: 3, At: Time(noon)}, Since: 2, Until: 9}
	folded := parley.Entry{Conversation: "c1", Seq: 3, Kind: parley.KindMessage, ID: "m3", Sender: "u1", Device: "d1", At: noon,
		Body: parley.Body{Type: parley.TextPlain, Data: []byte("hi")}, Mentions: []parley.UserID{"u2", "u3"}, Forwarded: true,
		Fold: &parley.Fold{Edited: 5, EditedAt: noon, Reactions: []parley.Reaction{{Text: "👍", Count: 2, Users: []parley.UserID{"u1"}}, {Text: "!", Count: 0}}}}
	gone := parley.Entry{Conversation: "c1", Seq: 4, Kind: parley.KindMessage, ID: "m4", Sender: "u1", At: noon, Fold: &parley.Fold{Deleted: true}}
	for _, c := range []struct {
		got  []byte
		want ServerFrame
	}{
		{AppendWelcome(nil, &welcome), ServerFrame{T: FrameWelcome, User: &welcome.User, Device: &welcome.Device, Epoch: "e1", Server: "parley/0.1", Limits: &welcome.Limits}},
		{AppendAck(nil, "7", parley.Ack{Conversation: "c1", ID: "m1", Seq: 9, At: noon}), ServerFrame{T: FrameAck, Ref: "7", Conversation: "c1", ID: "m1", Seq: 9, At: Time(noon)}},
		{AppendAck(nil, "", parley.Ack{Conversation: "c1", ID: "m1", Seq: 9, At: noon}), ServerFrame{T: FrameAck, Conversation: "c1", ID: "m1", Seq: 9, At: Time(noon)}},
		{AppendEntries(nil, `"q"`, "c1", [][]byte{AppendEntry(nil, &entry), AppendEntry(nil, &entry)}, 3, "e1.7"), ServerFrame{T: FrameEntries, Ref: `"q"`, Conversation: "c1", Entries: []Entry{EntryOf(&entry), EntryOf(&entry)}, Head: 3, Cursor: "e1.7"}},
		{AppendEntries(nil, "", "c1", nil, 0, ""), ServerFrame{T: FrameEntries, Conversation: "c1", Entries: []Entry{}}},
		{AppendChanges(nil, []Row{row, {ID: "c2", Kind: "group"}}, "e1.7", true), ServerFrame{T: FrameChanges, Rows: []Row{row, {ID: "c2", Kind: "group"}}, Cursor: "e1.7", More: true}},
		{AppendChanges(nil, nil, "e1.7", false), ServerFrame{T: FrameChanges, Rows: []Row{}, Cursor: "e1.7"}},
		{AppendChanges(nil, []Row{rich}, "e1.7", true), ServerFrame{T: FrameChanges, Rows: []Row{rich}, Cursor: "e1.7", More: true}},
		{AppendEntries(nil, "", "c1", [][]byte{AppendEntry(nil, &folded), AppendEntry(nil, &gone)}, 4, ""), ServerFrame{T: FrameEntries, Conversation: "c1", Entries: []Entry{EntryOf(&folded), EntryOf(&gone)}, Head: 4}},
		{AppendContacts(nil, 7), ServerFrame{T: FrameContacts, Rev: 7}},
		{AppendReceipts(nil, parley.Receipt{Conversation: "c1", User: "u1", Delivered: 4}), ServerFrame{T: FrameReceipts, Conversation: "c1", Member: "u1", Delivered: 4}},
		{AppendWhisper(nil, "c1", "u1", "typing"), ServerFrame{T: FrameWhisper, Conversation: "c1", Sender: "u1", Kind: "typing"}},
		{AppendPresence(nil, presence), ServerFrame{T: FramePresence, Items: presence}},
		{AppendError(nil, "7", &parley.Error{Code: parley.RateLimited, Detail: "Wait.", After: 1500 * time.Microsecond}), ServerFrame{T: FrameError, Ref: "7", Code: "rate_limited", Message: "Wait.", RetryAfterMS: 2}},
		{AppendResync(nil, "e2"), ServerFrame{T: FrameResync, Epoch: "e2"}},
		{AppendGoaway(nil, 1500*time.Millisecond, ""), ServerFrame{T: FrameGoaway, AfterMS: 1500}},
		{AppendGoaway(nil, 0, "https://b.chat.example"), ServerFrame{T: FrameGoaway, URL: "https://b.chat.example"}},
	} {
		if !json.Valid(c.got) {
			t.Errorf("not JSON: %s", c.got)
		}
		if got, err := DecodeServer(c.got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\nreads  %+v, %v\nwanted %+v", c.got, got, err, c.want)
		}
		if c.want.T != FrameAck || c.want.Ref != "" { // every post has a ref
			checkFields(t, c.want.T, c.got)
		}
	}
}

// checkFields fails unless frame has the fields that Frames says. It kills a
// writer and a table that disagree: the TypeScript is made of the table.
func checkFields(t *testing.T, name string, frame []byte) {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(frame, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "t")
	for _, f := range Frames() {
		if f.Name != name {
			continue
		}
		for _, field := range f.Always {
			if fields[field] == nil {
				t.Errorf("a frame %s without %s: %s", name, field, frame)
			}
			delete(fields, field)
		}
		for _, field := range f.Sometimes {
			delete(fields, field)
		}
		for field := range fields {
			t.Errorf("a frame %s with %s, of which Frames knows nothing", name, field)
		}
		return
	}
	t.Errorf("Frames has no %s", name)
}

// TestNoBodyIsNoBody: what says nothing has no body on the wire, also after a
// way on which nothing became an empty slice. It kills a taken-back reaction,
// or a deleted message, that seems to have a body of no type.
func TestNoBodyIsNoBody(t *testing.T) {
	e := parley.Entry{Conversation: "c", Seq: 1, Kind: parley.KindReaction, ID: "m", Sender: "u", Device: "d", At: time.Unix(0, 0), Body: parley.Body{Data: []byte{}}}
	if b := EntryOf(&e).Body; b != nil {
		t.Errorf("a body of %+v", *b)
	}
	if b := AppendEntry(nil, &e); bytes.Contains(b, []byte("body")) {
		t.Errorf("a body in %s", b)
	}
}

func TestEntriesRoundTrip(t *testing.T) {
	for _, body := range []parley.Body{
		{}, {Type: parley.TextPlain, Data: []byte("hi \"x\" \u2028 👋")}, {Type: "application/json", Data: []byte(`{}`)}, {Type: "image/png", Data: []byte{0, 1, 255}},
	} {
		for _, kind := range []parley.Kind{parley.KindMessage, parley.KindEdit, parley.KindDelete, parley.KindMembers, parley.KindTitle, parley.KindWithheld} {
			in := parley.Entry{Conversation: "c", Seq: MaxNumber, Kind: kind, ID: "m", Sender: "u", Device: "d", At: noon, Body: body, Ref: 4, ReplyTo: 5}
			out, err := DecodeServer(AppendEntries(nil, "", "c", [][]byte{AppendEntry(nil, &in)}, 1, ""))
			if err != nil || len(out.Entries) != 1 || !reflect.DeepEqual(out.Entries[0], EntryOf(&in)) {
				t.Fatalf("%+v: %+v, %v", in, out, err)
			}
			if back, err := out.Entries[0].Parley(); err != nil || !reflect.DeepEqual(back, in) {
				t.Errorf("%+v comes back as %+v, %v", in, back, err)
			}
			if has := out.Entries[0].Body != nil; has != (body.Type != "") {
				t.Errorf("%+v has a body: %v", in, has)
			}
		}
	}
	for _, e := range []Entry{{Kind: "message", At: Time(noon)}, {Seq: 1, At: Time(noon)}, {Seq: 1, Kind: "message"}, {Seq: MaxNumber + 1, Kind: "message", At: Time(noon)}} {
		if _, err := e.Parley(); parley.CodeOf(err) != parley.BadRequest {
			t.Errorf("%+v passes: %v", e, err)
		}
	}
}

// Whatever CheckBody lets pass fits a frame on its own, with room for the rest.
func TestEveryEntryFitsAFrame(t *testing.T) {
	long := strings.Repeat("x", 64)
	for name, body := range map[string]Body{
		"quotes":   {Type: parley.TextPlain, Text: ptr(strings.Repeat(`"`, MaxBodyBytes))},
		"controls": {Type: parley.TextPlain, Text: ptr(strings.Repeat("\x01", 10_000))},
		"data":     {Type: "a/" + strings.Repeat("b", 125), Data: make([]byte, MaxBodyBytes)},
	} {
		b, err := body.Parley(Limits{Text: MaxBodyBytes})
		if err != nil {
			t.Fatal(name, err)
		}
		crowd := make([]parley.UserID, parley.MaxReactors)
		for i := range crowd {
			crowd[i] = parley.UserID(long)
		}
		fold := &parley.Fold{Edited: 1, EditedAt: noon, Reactions: make([]parley.Reaction, parley.MaxReactions)}
		for i := range fold.Reactions {
			fold.Reactions[i] = parley.Reaction{Text: long, Count: 1000, Users: crowd}
		}
		e := AppendEntry(nil, &parley.Entry{Mentions: crowd[:parley.MaxMentions], Forwarded: true, Fold: fold, Conversation: parley.ConversationID(long), Seq: MaxNumber, Kind: "withheld", ID: parley.MessageID(long),
			Sender: parley.UserID(long), Device: parley.DeviceID(long), At: noon, Body: b, Ref: MaxNumber, ReplyTo: MaxNumber})
		frame := AppendEntries(nil, Ref(`"`+long[:62]+`"`), parley.ConversationID(long), [][]byte{e}, MaxNumber, long+"."+long)
		if len(frame) > MaxFrame || len(frame)-len(e) > EntriesOverhead {
			t.Errorf("%s: %d bytes in a frame, %d beside the entry", name, len(frame), len(frame)-len(e))
		}
	}
}

func TestFit(t *testing.T) {
	entries := make([][]byte, 500)
	rows := make([]Row, 500)
	for i := range entries {
		entries[i] = AppendEntry(nil, &parley.Entry{Conversation: "c", Seq: parley.Seq(i + 1), Kind: parley.KindMessage, At: noon,
			Body: parley.Body{Type: parley.TextPlain, Data: []byte(strings.Repeat("\n", i))}})
		rows[i] = Row{ID: fmt.Sprint("c", i), Title: strings.Repeat("é\x02", i%64), Last: &Last{Text: strings.Repeat("\"", i)}, With: &User{Name: "\x01", Status: "\x02\x03", Avatar: "a", Bot: true},
			Head: MaxNumber, Mentions: MaxNumber, MutedUntil: Time(noon), Archived: true, Pinned: true, Request: true, Since: MaxNumber, Until: MaxNumber,
			Hidden: slices.Repeat([][2]uint64{{MaxNumber, MaxNumber}}, i%257), Draft: &Draft{Text: strings.Repeat("\n", i), ReplyTo: MaxNumber, At: Time(noon)}, Unread: MaxNumber, Read: MaxNumber, Delivered: MaxNumber, Pos: MaxNumber}
		if n := len(AppendRow(nil, &rows[i])); n >= rowSize(&rows[i]) {
			t.Errorf("row of %d bytes, foretold %d", n, rowSize(&rows[i]))
		}
	}
	for rest := entries; len(rest) > 0; {
		n := FitEntries(rest)
		if size := len(AppendEntries(nil, "", "c", rest[:n], 500, "e1.7")); n == 0 || size > MaxFrame {
			t.Fatalf("%d entries make a frame of %d bytes", n, size)
		}
		rest = rest[n:]
	}
	for rest := rows; len(rest) > 0; {
		n := FitRows(rest)
		if size := len(AppendChanges(nil, rest[:n], "e1.7", true)); n == 0 || size > MaxFrame {
			t.Fatalf("%d rows make a frame of %d bytes", n, size)
		}
		rest = rest[n:]
	}
	if FitEntries(nil) != 0 || FitRows(nil) != 0 {
		t.Error("none do not fit")
	}
}

func TestHotPathMakesNoGarbage(t *testing.T) {
	buf := make([]byte, 0, MaxFrame)
	entry := AppendEntry(nil, &benchEntry)
	entries := [][]byte{entry}
	ack := parley.Ack{Conversation: "c", ID: "m", Seq: 1, At: noon}
	for name, f := range map[string]func(){
		"entry":   func() { AppendEntry(buf, &benchEntry) },
		"entries": func() { AppendEntries(buf, "1", "c", entries, 1, "e1.1") },
		"ack":     func() { AppendAck(buf, "1", ack) },
		"whisper": func() { AppendWhisper(buf, "c", "u", "typing") },
		"receipts": func() {
			AppendReceipts(buf, parley.Receipt{Conversation: "c", User: "u", Delivered: 2, Read: 1})
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeClient(benchPost) }); n > 5 {
		t.Errorf("post: %v allocations", n)
	}
}

func TestErrorsHideTheirCauses(t *testing.T) {
	secret := errors.New("open /srv/secret: permission denied")
	for _, err := range []error{
		secret,
		fmt.Errorf("around: %w", secret),
		&parley.Error{Code: parley.Internal, Op: "store.secret", Err: secret},
		&parley.Error{Code: "secret", Err: secret},
	} {
		frame := string(AppendError(nil, "1", err))
		p := ProblemOf(err)
		if strings.Contains(frame, "secret") || strings.Contains(fmt.Sprint(p), "secret") {
			t.Errorf("%s, %+v", frame, p)
		}
		if p.Status != 500 || p.Code != "internal" || p.Detail == "" {
			t.Errorf("%+v", p)
		}
	}
	wrapped := fmt.Errorf("edge: %w", parley.E(parley.Forbidden, "convo.post", "Ask an owner."))
	if p := ProblemOf(wrapped); p.Status != 403 || p.Detail != "Ask an owner." || p.Type != "/docs/protocol#forbidden" {
		t.Errorf("%+v", p)
	}
}
