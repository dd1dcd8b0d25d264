package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley"
)

// seed adds the corpus for to; "" is all requests.
func seed(f *testing.F, to string) {
	for _, name := range []string{"good", "bad"} {
		for _, c := range corpus(f, name) {
			isRequest := c.To != "client" && c.To != "server"
			if len(c.Text) < 10_000 && (c.To == to || to == "" && isRequest) {
				f.Add(c.bytes(f))
			}
		}
	}
}

// bounded runs decode and fails if it allocates over 64 bytes for each of
// input, beside a constant for errors and the fuzzer's own noise.
func bounded(t *testing.T, input []byte, decode func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decode()
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64*uint64(len(input))+64<<10 {
		t.Errorf("%d bytes allocated for %d of input", grown, len(input))
	}
}

// coded fails unless err is nil or an *Error that a client may be shown.
func coded(t *testing.T, err error) {
	t.Helper()
	var e *parley.Error
	if err != nil && (!errors.As(err, &e) || e.Detail == "" || len(e.Detail) > 250 || !utf8.ValidString(e.Detail)) {
		t.Errorf("not an error to show: %v", err)
	}
}

// oracle is what the library makes of a client's frame: whether it is accepted
// under the rules that are the scanner's and not the shape's, and its value.
func oracle(frame []byte) (f ClientFrame, ok bool) {
	var fields map[string]jsontext.Value
	if json.Unmarshal(frame, &fields) != nil || fields == nil ||
		json.Unmarshal(frame, &f, json.RejectUnknownMembers(true)) != nil {
		return f, false
	}
	if !plainValue(fields, "cursor") {
		return f, false
	}
	if raw, found := fields["users"]; found {
		var users []jsontext.Value
		_ = json.Unmarshal(raw, &users)
		for _, u := range users {
			if u.Kind() != '"' {
				return f, false
			}
		}
		if f.Users == nil {
			return f, false
		}
	}
	if raw, found := fields["body"]; found {
		var body map[string]jsontext.Value
		if json.Unmarshal(raw, &body) != nil || body["type"] == nil || !plainValue(body, "") {
			return f, false
		}
		// The library lets stray bits after the last byte pass; the protocol has
		// one way to write each body.
		var data string
		if json.Unmarshal(body["data"], &data) == nil && data != base64.StdEncoding.EncodeToString(f.Body.Data) {
			return f, false
		}
	}
	return f, oracleRules(&f, fields)
}

// plainValue reports whether no value but that of nullable is null and no
// number is other than the protocol's.
func plainValue(fields map[string]jsontext.Value, nullable string) bool {
	for name, v := range fields {
		if v.Kind() == 'n' && name != nullable {
			return false
		}
		if v.Kind() == '0' && (strings.ContainsAny(string(v), "-.eE") || len(v) > 16 || len(v) == 16 && string(v) > "9007199254740991") {
			return false
		}
	}
	return true
}

// oracleRules checks the table of Ops against the fields that are there.
func oracleRules(f *ClientFrame, fields map[string]jsontext.Value) bool {
	for _, op := range Ops() {
		if op.Name != f.T {
			continue
		}
		allowed := map[string]bool{"t": true}
		for _, name := range op.Optional {
			allowed[name] = true
		}
		for _, name := range op.Required {
			allowed[name] = true
			if fields[name] == nil {
				return false
			}
		}
		for name := range fields {
			if !allowed[name] {
				return false
			}
		}
		for name, id := range map[string]string{"conversation": f.Conversation, "id": f.ID, "kind": f.Kind} {
			if fields[name] != nil && !parley.ValidID(id) {
				return false
			}
		}
		for _, u := range f.Users {
			if !parley.ValidID(u) {
				return false
			}
		}
		for _, u := range f.Mentions {
			if !parley.ValidID(u) {
				return false
			}
		}
		if f.T == OpPost && !postOracle(f, fields) {
			return false
		}
		return len(f.Users) <= MaxMembers && len(f.Mentions) <= parley.MaxMentions && (f.After == nil || f.Before == nil) &&
			(f.T != OpMark || fields["delivered"] != nil || fields["read"] != nil)
	}
	return false
}

// postOracle says in other words what a post of each kind may hold.
func postOracle[T any](f *ClientFrame, fields map[string]T) bool {
	has := func(name string) bool { _, ok := fields[name]; return ok }
	kind := f.Kind
	if !has("kind") {
		kind = "message"
	}
	body, target := true, f.Target > 0
	switch kind {
	case "message":
		body, target = has("body"), !has("target")
	case "edit":
		body = has("body")
	case "reaction":
	case "delete", "pin", "unpin":
		body = !has("body")
	default:
		return false
	}
	alone := kind == "message" || !has("reply_to") && !has("forwarded")
	return body && target && alone && (kind == "message" || !has("mentions"))
}

func FuzzDecodeClient(f *testing.F) {
	seed(f, "client")
	f.Fuzz(func(t *testing.T, frame []byte) {
		bounded(t, frame, func() {
			_, err := DecodeClient(frame)
			coded(t, err)
		})
		got, err := roundTrip(t, "client", frame)
		if len(frame) > MaxFrame {
			return
		}
		want, ok := oracle(frame)
		if ok != (err == nil) {
			t.Fatalf("the library says %v, the scanner %v", ok, err)
		}
		if ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("the library reads %+v, the scanner %+v", want, got)
		}
	})
}

func FuzzDecodeServer(f *testing.F) {
	seed(f, "server")
	f.Fuzz(func(t *testing.T, frame []byte) {
		bounded(t, frame, func() {
			_, err := DecodeServer(frame)
			coded(t, err)
		})
		_, _ = roundTrip(t, "server", frame)
		var fast, slow ServerFrame
		if fastServer(frame, &fast) {
			if err := json.Unmarshal(frame, &slow); err != nil || !reflect.DeepEqual(fast, slow) {
				t.Fatalf("the fast way reads %+v, the library %+v, %v", fast, slow, err)
			}
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	seed(f, "")
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, shape := range requestShapes {
			bounded(t, body, func() { coded(t, DecodeRequest(body, shape())) })
			_, err := roundTrip(t, name, body)
			// What the scanner lets pass, the library must not have to refuse.
			var e *parley.Error
			if errors.As(err, &e) && e.Err != nil {
				t.Errorf("%s: the scanner let pass what the library refuses: %v", name, err)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", ".", "e1.0", "e1.42", "e.1.42", "e1.-1", "e1.042", "e1.9007199254740991", "e1.9007199254740992", "e1.18446744073709551616", ".5", "e1.", "e1.+1", "é.1", "e1.9~3", "e1.9~9", "e1.9~10", "e1.9~0", "e1.9~", "e1.9~03"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parley.ParseCursor(s)
		if ok && c.String() != s {
			t.Errorf("%q is read as %q", s, c)
		}
		// A cursor travels in a hello and an entries frame unchanged.
		if !ok || !utf8.ValidString(s) {
			return
		}
		hello, err := DecodeClient(AppendClient(nil, &ClientFrame{T: OpHello, Token: "t", Cursor: s}))
		if err != nil || hello.Cursor != s {
			t.Errorf("hello carries %q for %q, %v", hello.Cursor, s, err)
		}
		frame, err := DecodeServer(AppendEntries(nil, "", "c", nil, 0, s))
		if err != nil || frame.Cursor != s {
			t.Errorf("entries carries %q for %q, %v", frame.Cursor, s, err)
		}
	})
}

// FuzzString holds the writer of strings to the library: same meaning, the
// size foretold, and never a frame that is not UTF-8.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é👩‍👩‍👧\u2028", "\xff\xc0\xaf\xed\xa0\x80\xe2\x82"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		out := appendString(nil, s)
		if !bytes.Equal(out, appendString(nil, string(s))) || len(out) != stringSize(s) {
			t.Errorf("%q: %q, size %d", s, out, stringSize(s))
		}
		var got string
		// Ranging over a string gives one U+FFFD for each byte that is none.
		if err := json.Unmarshal(out, &got); err != nil || got != string([]rune(string(s))) {
			t.Errorf("%q is read as %q, %v", s, got, err)
		}
	})
}

// The worst that a full frame of each kind can ask for, measured: an entry is
// a hundred and fifty bytes of memory, "{}," is three of input.
func TestMemoryIsBounded(t *testing.T) {
	fill := func(head, item, tail string) []byte {
		n := (MaxFrame - len(head) - len(tail)) / len(item)
		return []byte(head + strings.Repeat(item, n-1) + strings.TrimSuffix(item, ",") + tail)
	}
	padded := strings.Repeat(" ", 60)
	for _, frame := range [][]byte{
		fill(`{"t":"entries","entries":[`, `{},`, `]}`),
		fill(`{"t":"entries","entries":[`, `{}`+padded[:14]+`,`, `]}`),
		fill(`{"t":"entries","entries":[`, `{"body":{"type":"a"}},`, `]}`),
		fill(`{"t":"changes","rows":[`, `{},`, `]}`),
		fill(`{"t":"changes","rows":[`, `{"with":{},"last":{}}`+padded+`,`, `]}`),
		fill(`{"t":"presence","items":[`, `{},`, `]}`),
		fill(`{"t":"later","x":`, `[`, ``),
		fill(`{"t":"watch","users":[`, `"",`, `]}`),
		fill(`{"t":"watch","users":[`, `"a",`, `]}`),
		fill(`{"t":"post","body":{"text":"`, `\n`, `"}}`),
		fill(`{"t":"post","body":{"data":"`, `\u0041`, `"}}`),
		fill(`{`, `"ref":1,`, `}`),
	} {
		bounded(t, frame, func() { _, _ = DecodeClient(frame) })
		bounded(t, frame, func() { _, _ = DecodeServer(frame) })
	}
	body := fill(`{"kind":"group","members":[`, `"",`, `]}`)
	bounded(t, body, func() { _ = DecodeRequest(body, new(NewConversation)) })
}
