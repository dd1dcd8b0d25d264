package edge_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// frameRow is a frame of the matrix, without its "t", and how it is answered
// for each part: with a frame, the code of an error, or not at all. To be
// "unheard" is that and that nobody else notices.
type frameRow struct {
	op   string // of a post, with its kind
	rest string
	want string
}

const (
	hiBody    = `"body":{"type":"text/plain","text":"hi"}`
	inGroup   = `"ref":1,"conversation":"{group}","id":"new"`
	inDirect  = `"ref":1,"conversation":"{direct}","id":"new"`
	presentWS = "unauthorized unauthorized not_found not_found not_found not_found ack ack ack ack"
	wrongWS   = "unauthorized unauthorized bad_request bad_request bad_request bad_request bad_request bad_request bad_request bad_request"
)

// frameMatrix is S4 over WebSocket.
var frameMatrix = []frameRow{
	{"hello", ``, "unauthorized unauthorized welcome welcome welcome welcome welcome welcome welcome welcome"},
	{"post/message", inGroup + `,` + hiBody, presentWS},
	{"post/message", inDirect + `,` + hiBody, "unauthorized unauthorized not_found not_found not_found not_found ack not_found not_found forbidden"},
	{"post/message", inGroup + `,` + hiBody + `,"mentions":["{stranger}"]`, "unauthorized unauthorized not_found not_found not_found not_found bad_request bad_request bad_request bad_request"},
	{"post/edit", inGroup + `,"target":3,` + hiBody, "unauthorized unauthorized not_found not_found not_found not_found forbidden ack forbidden forbidden"},
	{"post/delete", inGroup + `,"target":3`, "unauthorized unauthorized not_found not_found not_found not_found forbidden ack ack ack"},
	{"post/delete", inGroup + `,"target":5`, "unauthorized unauthorized not_found not_found not_found not_found forbidden forbidden ack ack"},
	{"post/delete", inDirect + `,"target":2`, "unauthorized unauthorized not_found not_found not_found not_found forbidden not_found not_found ack"},
	{"post/reaction", inGroup + `,"target":3,` + hiBody, presentWS},
	{"post/reaction", inDirect + `,"target":3,` + hiBody, "unauthorized unauthorized not_found not_found not_found not_found ack not_found not_found forbidden"},
	{"post/pin", inGroup + `,"target":3`, "unauthorized unauthorized not_found not_found not_found not_found forbidden forbidden ack ack"},
	{"post/unpin", inGroup + `,"target":5`, "unauthorized unauthorized not_found not_found not_found not_found forbidden forbidden ack ack"},
	{"post/title", inGroup + `,` + hiBody, wrongWS},
	{"post/members", inGroup + `,"body":{"type":"application/vnd.parley.members+json","data":"e30="}`, wrongWS},
	{"post/withheld", inGroup, wrongWS},
	{"mark", `"conversation":"{group}","read":8`, "unauthorized unauthorized unheard unheard unheard unheard heard heard heard heard"},
	{"read", `"ref":1,"conversation":"{group}"`, "unauthorized unauthorized not_found not_found not_found entries entries entries entries entries"},
	{"read", `"ref":1,"conversation":"{direct}","after":0`, "unauthorized unauthorized not_found not_found not_found not_found entries not_found not_found entries"},
	{"whisper", `"conversation":"{group}","kind":"typing"`, "unauthorized unauthorized unheard unheard unheard unheard unheard heard heard heard"},
	{"watch", `"users":["{owner}"]`, "unauthorized unauthorized presence presence presence presence presence presence presence presence"},
}

// frame is what is sent of a row.
func (r *frameRow) frame() string {
	op, kind, _ := strings.Cut(r.op, "/")
	out := `{"t":"` + op + `"`
	if kind != "" {
		out += `,"kind":"` + kind + `"`
	}
	if r.rest != "" {
		out += "," + r.rest
	}
	return out + "}"
}

// TestFrameMatrix is S4 over WebSocket: see TestMatrix.
func TestFrameMatrix(t *testing.T) {
	var want []string
	for _, op := range wire.Ops() {
		if op.Name != wire.OpPost {
			want = append(want, op.Name)
		}
	}
	for _, kind := range []parley.Kind{parley.KindMessage, parley.KindMembers, parley.KindTitle, parley.KindEdit, parley.KindDelete, parley.KindWithheld, parley.KindReaction, parley.KindPin, parley.KindUnpin} {
		want = append(want, wire.OpPost+"/"+string(kind))
	}
	for _, op := range want {
		if !slices.ContainsFunc(frameMatrix, func(r frameRow) bool { return r.op == op }) {
			t.Errorf("%s is not in the matrix", op)
		}
	}
	calm := newHouse(t)
	for i := range frameMatrix {
		row := &frameMatrix[i]
		wants := strings.Fields(row.want)
		if !slices.Contains(want, row.op) || len(wants) != len(parts) {
			t.Fatalf("%s: no such op, or %d parts", row.op, len(wants))
		}
		for i, part := range parts {
			if wants[i] == wire.FrameAck || wants[i] == "heard" || wants[i] == "unheard" && part == "ex" { // who has a row of their own
				t.Run(row.op+"/"+part, func(t *testing.T) { newHouse(t).tryFrame(part, row, wants[i]) })
				continue
			}
			calm.tryFrame(part, row, wants[i])
		}
		calm.unchanged(row.frame())
	}
	if got := calm.metric("parley_http_panics_total"); got != "0" {
		t.Errorf("panics: %q", got)
	}
}

// answered sends frame as somebody in that part, and returns the answer in one
// word, "" if there is none, and as it is. Nothing may come twice, and who is
// not signed in gets nothing beside.
func (h *house) answered(part, frame string) (word, raw string) {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	s := open(h.t, nc)
	defer func() { _ = nc.Close() }()
	s.send(text(fmt.Sprintf(`{"t":"hello","token":%q,"cursor":null}`, h.tokens[part])))
	if first := s.next(patience); first != wire.FrameWelcome || strings.Contains(frame, `"hello"`) {
		raw = string(s.last)
		if story := s.story(); first != wire.FrameWelcome && story != "close:4001" {
			h.t.Errorf("%s: %s, then %s", part, first, story)
		}
		return strings.TrimPrefix(first, "error:"), raw
	}
	s.send(join(text(h.names.Replace(frame)), text(`{"t":"read","ref":"end","conversation":"gnothere"}`)))
	for {
		got := s.next(patience)
		switch {
		case strings.Contains(string(s.last), `"ref":"end"`):
			if word == "" && (strings.Contains(frame, `"ref"`) || strings.Contains(frame, `"watch"`)) {
				continue // what was asked is answered when it is known
			}
			return word, raw
		case strings.Contains(string(s.last), `"ref":1`), got == wire.FramePresence:
			word, raw = strings.TrimPrefix(got, "error:"), string(s.last)
			got, _, _ = strings.Cut(word, ":") // of an ack: its id
			return got, raw
		case got == wire.FrameChanges, got == wire.FrameEntries, got == wire.FrameReceipts, got == wire.FramePresence:
		default:
			h.t.Errorf("%s: %s came after %s", part, got, frame)
			return word, raw
		}
	}
}

// tryFrame sends one frame of the matrix.
func (h *house) tryFrame(part string, row *frameRow, want string) {
	h.t.Helper()
	what := fmt.Sprintf("%s: %s", part, row.frame())
	got, raw := h.answered(part, row.frame())
	if (want == "heard" || want == "unheard") && got == "" {
		got = want
	}
	if got != want {
		h.t.Errorf("%s: %q, want %s: %.300s", what, got, want, raw)
		return
	}
	if want == wire.FrameAck || want == "heard" {
		return
	}
	if want == "unheard" { // the others', and one's own row aside
		others := slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == part })
		if was, is := h.only(h.was, others), h.seen(others...); was != is {
			h.t.Errorf("%s: unheard, and yet: %.600s", what, changed(was, is))
		}
	}
	if want == string(parley.NotFound) {
		if _, other := h.answered(part, nowhere.Replace(row.frame())); raw != other {
			h.t.Errorf("%s: %s, but %s where there is nothing", what, raw, other)
		}
	}
	outside := part == "stranger" || part == "operator" || part == "bot" || part == "none" || part == "revoked"
	if outside && strings.Contains(raw, insideCanary) || (outside || part == "ex") && strings.Contains(raw, lateCanary) {
		h.t.Errorf("%s: gives away %s", what, raw)
	}
	if row.op == wire.OpWatch && outside && strings.Contains(raw, `"user"`) {
		h.t.Errorf("%s: gives away %s", what, raw)
	}
}
