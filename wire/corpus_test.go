package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley"
)

// goldenCase is one line of testdata/corpus.
type goldenCase struct {
	Name string `json:"name"`
	To   string `json:"to"` // client, server, or the shape of a request
	Code string `json:"code,omitzero"`
	Want string `json:"want,omitzero"` // a fragment of the detail
	Echo string `json:"ref,omitzero"`
	Text string `json:"text,omitzero"`
	Hex  string `json:"hex,omitzero"` // for what is not UTF-8
}

func (c *goldenCase) bytes(t testing.TB) []byte {
	if c.Hex == "" {
		return []byte(c.Text)
	}
	b, err := hex.DecodeString(c.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func corpus(t testing.TB, name string) []goldenCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "corpus", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []goldenCase
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c goldenCase
		if err := json.Unmarshal(lines.Bytes(), &c, json.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%s: %v in %s", name, err, lines.Bytes())
		}
		out = append(out, c)
	}
	return out
}

// requestShapes are the shapes that DecodeRequest is for.
var requestShapes = map[string]func() any{
	"NewAccount":        func() any { return new(NewAccount) },
	"NewSession":        func() any { return new(NewSession) },
	"MePatch":           func() any { return new(MePatch) },
	"NewConversation":   func() any { return new(NewConversation) },
	"ConversationPatch": func() any { return new(ConversationPatch) },
	"NewMembers":        func() any { return new(NewMembers) },
	"MemberPatch":       func() any { return new(MemberPatch) },
	"NewEntry":          func() any { return new(NewEntry) },
	"EntryEdit":         func() any { return new(EntryEdit) },
	"EntryDelete":       func() any { return new(EntryDelete) },
	"Markers":           func() any { return new(Markers) },
	"ContactChange":     func() any { return new(ContactChange) },
	"NewInvite":         func() any { return new(NewInvite) },
	"NewGroupInvite":    func() any { return new(NewGroupInvite) },
	"Hide":              func() any { return new(Hide) },
	"Feeling":           func() any { return new(Feeling) },
	"EntryPin":          func() any { return new(EntryPin) },
	"NewBot":            func() any { return new(NewBot) },
	"BotPatch":          func() any { return new(BotPatch) },
	"Replay":            func() any { return new(Replay) },
}

// roundTrip decodes frame as what to says and, if it is accepted, checks that
// writing and reading it again gives the same value.
func roundTrip(t testing.TB, to string, frame []byte) (ClientFrame, error) {
	t.Helper()
	switch to {
	case "client":
		f, err := DecodeClient(frame)
		if err != nil {
			return f, err
		}
		again, err := DecodeClient(AppendClient(nil, &f))
		if err != nil || !reflect.DeepEqual(f, again) {
			t.Fatalf("read %+v, then %+v, %v", f, again, err)
		}
		return f, nil
	case "server":
		f, err := DecodeServer(frame)
		if err != nil {
			return ClientFrame{}, err
		}
		out, err := Encode(f)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeServer(out); err != nil || !reflect.DeepEqual(f, again) {
			t.Fatalf("read %+v, then %+v, %v", f, again, err)
		}
		return ClientFrame{}, nil
	}
	v, again := requestShapes[to](), requestShapes[to]()
	if err := DecodeRequest(frame, v); err != nil {
		return ClientFrame{}, err
	}
	out, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := DecodeRequest(out, again); err != nil || !reflect.DeepEqual(v, again) {
		t.Fatalf("read %+v, then %+v, %v", v, again, err)
	}
	return ClientFrame{}, nil
}

func TestGoodCorpus(t *testing.T) {
	cases := corpus(t, "good")
	if len(cases) < 60 {
		t.Errorf("%d good cases, want 60 at least", len(cases))
	}
	for _, c := range cases {
		t.Run(c.To+"/"+c.Name, func(t *testing.T) {
			if _, err := roundTrip(t, c.To, c.bytes(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBadCorpus(t *testing.T) {
	cases := corpus(t, "bad")
	if len(cases) < 120 {
		t.Errorf("%d bad cases, want 120 at least", len(cases))
	}
	for _, c := range cases {
		t.Run(c.To+"/"+c.Name, func(t *testing.T) {
			f, err := roundTrip(t, c.To, c.bytes(t))
			var e *parley.Error
			if !errors.As(err, &e) {
				t.Fatalf("accepted, or refused without a code: %+v, %v", f, err)
			}
			if string(e.Code) != c.Code || !strings.Contains(e.Detail, c.Want) {
				t.Errorf("got %s: %s\nwant %s: … %s …", e.Code, e.Detail, c.Code, c.Want)
			}
			if len(e.Detail) > 250 {
				t.Errorf("the detail has %d bytes: it grows with the input", len(e.Detail))
			}
			if string(f.Ref) != c.Echo {
				t.Errorf("ref %s comes back, want %s", f.Ref, c.Echo)
			}
			if f.Token != "" || f.Body != nil || f.Conversation != "" {
				t.Errorf("a refused frame gives more than its op and ref: %+v", f)
			}
		})
	}
}

// A refusal must never repeat what was said: errors are logged.
func TestRefusalsHoldNoContent(t *testing.T) {
	const canary = "kanarienvogel"
	for _, frame := range []string{
		`{"t":"post","ref":1,"conversation":"c1","id":"m1","body":{"type":"text/plain","text":"` + canary + `\q"}}`,
		`{"t":"post","ref":1,"conversation":"c1","id":"` + canary + ` x","body":{"type":"a/b"}}`,
		`{"t":"post","ref":1,"conversation":"c1","id":"m","body":{"type":"image/png","data":"` + canary + `!"}}`,
		`{"t":"post","ref":1,"conversation":"c1","id":"m","body":"` + canary + `"}`,
		`{"t":"hello","token":"` + canary + `","ref":1}`,
		`{"t":"hello","token":"` + canary,
	} {
		if _, err := DecodeClient([]byte(frame)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%v for %s", err, frame)
		}
	}
	for _, body := range []string{
		`{"handle":"ann","password":"` + canary + `","x":1}`,
		`{"handle":"ann","password":{"` + canary + `":1}}`,
		`{"handle":"ann","password":"` + canary + `\q"}`,
	} {
		if err := DecodeRequest([]byte(body), new(NewAccount)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%v for %s", err, body)
		}
	}
}
