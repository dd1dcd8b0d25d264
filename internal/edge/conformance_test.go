package edge_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/internal/edge"
)

// frameCase is bytes that a client sends after a good hello, and the story
// that must follow: see socket.story.
type frameCase struct {
	section, name string
	stream        []byte
	want          string
}

// post is a good frame whose text frame is n bytes; the session acknowledges m1.
func post(n int) string {
	const good = `{"t":"post","ref":1,"conversation":"c","id":"m1","body":{"type":"text/plain","text":"hé"}}`
	return good + strings.Repeat(" ", max(0, n-len(good)))
}

const watch = `{"t":"watch","users":[]}`

// frameCases is what RFC 6455 says of frames, by section.
func frameCases() []frameCase {
	var cases []frameCase
	add := func(section, name, want string, frames ...[]byte) {
		cases = append(cases, frameCase{section, name, join(frames...), want})
	}
	headerCases(add)
	fragmentCases(add)
	controlCases(add)
	closeCases(add)
	dataCases(add)
	return cases
}

type adder func(section, name, want string, frames ...[]byte)

// headerCases is sections 5.1 and 5.2: masks, bits, opcodes, lengths.
func headerCases(add adder) {
	for _, op := range []ws.OpCode{ws.OpText, ws.OpPing, ws.OpPong, ws.OpClose} {
		add("5.1", fmt.Sprintf("opcode %d without a mask", op), "close:1002", []byte{0x80 | byte(op), 0})
	}
	add("5.1", "not masked after a good frame", "ack:watch close:1002", text(watch), []byte{0x81, 2, '{', '}'})
	for _, bits := range []byte{0x40, 0x20, 0x10, 0x70} {
		for _, op := range []ws.OpCode{ws.OpText, ws.OpPing, ws.OpClose} {
			add("5.2", fmt.Sprintf("reserved bits %#x on opcode %d", bits, op), "close:1002", raw(0x80|bits|byte(op), short(0), ""))
		}
	}
	add("5.2", "a reserved bit on a continuation", "close:1002", part(ws.OpText, "{"), raw(0xc0, short(1), "}"))
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add("5.2", fmt.Sprintf("unknown opcode %d", op), "close:1002", raw(0x80|op, short(0), ""))
	}
	add("5.2", "unknown opcode inside a message", "close:1002", part(ws.OpText, "{"), raw(0x83, short(1), "}"))
	for _, n := range []int{125, 126, 127, 128, 255, 256, 65535, 65536} {
		add("5.2", fmt.Sprintf("a message of %d bytes", n), "ack:m1 open", text(post(n)))
	}
	for _, n := range []int{0, 2, 125} {
		add("5.2", fmt.Sprintf("length %d in two bytes", n), "close:1002", raw(0x81, medium(n), strings.Repeat(" ", n)))
		add("5.2", fmt.Sprintf("length %d in eight bytes", n), "close:1002", raw(0x81, long(uint64(n)), strings.Repeat(" ", n)))
	}
	add("5.2", "length 126 in eight bytes", "close:1002", raw(0x81, long(126), post(126)))
	add("5.2", "length 65535 in eight bytes", "close:1002", raw(0x81, long(65535), post(65535)))
	add("5.2", "the highest bit of a length", "close:1002", raw(0x81, long(1<<63|70000), ""))
	add("5.2", "every bit of a length", "close:1002", raw(0x81, long(1<<64-1), ""))
	for _, n := range []uint64{65537, 1 << 20, 1 << 31, 1 << 32, 1 << 62} {
		add("5.2", fmt.Sprintf("a declared length of %d", n), "close:1009", raw(0x81, long(n), ""))
	}
	zero := append([]byte{0x81, 0x80 | byte(len(watch)), 0, 0, 0, 0}, watch...)
	add("5.3", "a mask of zeros", "ack:watch open", zero)
}

// fragmentCases is section 5.4.
func fragmentCases(add adder) {
	pieces := func(n int, s string) (frames [][]byte) {
		for i := range n {
			from, to := i*len(s)/n, (i+1)*len(s)/n
			switch {
			case i == 0:
				frames = append(frames, part(ws.OpText, s[from:to]))
			case i == n-1:
				frames = append(frames, frame(ws.OpContinuation, s[from:to]))
			default:
				frames = append(frames, part(ws.OpContinuation, s[from:to]))
			}
		}
		return frames
	}
	for _, n := range []int{2, 3, 15, 16} {
		add("5.4", fmt.Sprintf("%d fragments", n), "ack:m1 open", pieces(n, post(0))...)
	}
	add("5.4", "a message of 65536 bytes in 16 fragments", "ack:m1 open", pieces(16, post(65536))...)
	add("5.4", "17 fragments", "close:1008", pieces(17, post(0))...)
	add("5.4", "a message of 65537 bytes in 2 fragments", "close:1009", pieces(2, post(65537))...)
	add("5.4", "a message that grows over 65536 bytes", "close:1009", pieces(5, post(5*20000))...)
	add("5.4", "a last fragment that is declared too long", "close:1009", part(ws.OpText, "{"), raw(0x80, long(65536), ""))
	add("5.4", "two messages in fragments", "ack:m1 ack:watch open", join(pieces(2, post(0))...), join(pieces(3, watch)...))
	add("5.4", "a character across fragments", "ack:m1 open", pieces(len(post(0))/6, post(0))...)
	add("5.4", "an empty first fragment", "ack:watch open", part(ws.OpText, ""), frame(ws.OpContinuation, watch))
	add("5.4", "an empty continuation", "close:1008", part(ws.OpText, watch), part(ws.OpContinuation, ""))
	add("5.4", "an empty last continuation", "close:1008", part(ws.OpText, watch), frame(ws.OpContinuation, ""))
	add("5.4", "a continuation of nothing", "close:1002", part(ws.OpContinuation, watch))
	add("5.4", "a last continuation of nothing", "close:1002", frame(ws.OpContinuation, watch))
	add("5.4", "a continuation after a whole message", "ack:watch close:1002", text(watch), frame(ws.OpContinuation, " "))
	add("5.4", "a message inside a message", "close:1002", part(ws.OpText, "{"), text(watch))
	add("5.4", "a begun message inside a message", "close:1002", part(ws.OpText, "{"), part(ws.OpText, "}"))
	add("5.4", "binary inside a message", "close:1002", part(ws.OpText, "{"), frame(ws.OpBinary, "}"))
	add("5.4", "a ping between fragments", "pong:x ack:watch open", part(ws.OpText, watch[:5]), frame(ws.OpPing, "x"), frame(ws.OpContinuation, watch[5:]))
	add("5.4", "a pong between fragments", "ack:watch open", part(ws.OpText, watch[:5]), frame(ws.OpPong, "x"), frame(ws.OpContinuation, watch[5:]))
	add("5.4", "a close between fragments", "close:1000", part(ws.OpText, watch[:5]), closing(1000, ""), frame(ws.OpContinuation, watch[5:]))
	add("5.4", "pings between fragments count for none", "pong:1 pong:2 pong:3 ack:m1 open",
		join(pieces(16, post(0))[:8]...), frame(ws.OpPing, "1"), frame(ws.OpPing, "2"), frame(ws.OpPing, "3"), join(pieces(16, post(0))[8:]...))
}

// controlCases is section 5.5 without close.
func controlCases(add adder) {
	full := strings.Repeat("p", 125)
	add("5.5.2", "an empty ping", "pong: open", frame(ws.OpPing, ""))
	add("5.5.2", "a ping of 125 bytes", "pong:"+full+" open", frame(ws.OpPing, full))
	add("5.5.2", "a ping that is not UTF-8", "pong:\xff\xfe open", frame(ws.OpPing, "\xff\xfe"))
	add("5.5.2", "three pings", "pong:1 pong:2 pong:3 open", frame(ws.OpPing, "1"), frame(ws.OpPing, "2"), frame(ws.OpPing, "3"))
	add("5.5.3", "a pong nobody asked for", "open", frame(ws.OpPong, ""))
	add("5.5.3", "a pong of 125 bytes", "open", frame(ws.OpPong, full))
	for _, op := range []ws.OpCode{ws.OpPing, ws.OpPong, ws.OpClose} {
		name := map[ws.OpCode]string{ws.OpPing: "ping", ws.OpPong: "pong", ws.OpClose: "close"}[op]
		add("5.5", "a "+name+" of 126 bytes", "close:1002", raw(0x80|byte(op), medium(126), full+"p"))
		add("5.5", "a "+name+" of 65536 bytes", "close:1002", raw(0x80|byte(op), long(65536), ""))
		add("5.5", "a "+name+" in fragments", "close:1002", part(op, "x"))
		add("5.5", "a "+name+" whose length takes two bytes", "close:1002", raw(0x80|byte(op), medium(2), "\x03\xe8"))
	}
	add("5.5", "a fragmented ping inside a message", "close:1002", part(ws.OpText, "{"), part(ws.OpPing, "x"))
}

// closeCases is sections 5.5.1, 7.1 and 7.4.
func closeCases(add adder) {
	add("5.5.1", "a close without a code", "close:0", frame(ws.OpClose, ""))
	add("5.5.1", "a close of one byte", "close:1002", frame(ws.OpClose, "\x03"))
	add("5.5.1", "a reason of 123 bytes", "close:1000", closing(1000, strings.Repeat("r", 123)))
	add("5.5.1", "a reason that is not UTF-8", "close:1007", closing(1000, "\xff"))
	add("5.5.1", "a reason cut inside a character", "close:1007", closing(1000, "gr\xc3"))
	add("5.5.1", "a message after the close", "close:1000", closing(1000, ""), text(watch))
	add("5.5.1", "a violation after the close", "close:1000", closing(1000, ""), []byte{0xff, 0xff, 0xff})
	add("5.5.1", "a second close", "close:1001", closing(1001, ""), closing(1000, ""))
	add("5.5.1", "a message before the close", "ack:watch close:1000", text(watch), closing(1000, "bye"))
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4001, 4999} {
		add("7.4.1", fmt.Sprintf("code %d", code), fmt.Sprintf("close:%d", code), closing(code, ""))
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add("7.4.2", fmt.Sprintf("code %d, which is not sent", code), "close:1002", closing(code, ""))
	}
	add("7.1.7", "a message after a violation", "close:1002", raw(0x83, short(0), ""), text(watch))
}

// dataCases is sections 5.6 and 8.1.
func dataCases(add adder) {
	add("5.6", "binary", "close:1003", frame(ws.OpBinary, watch))
	add("5.6", "empty binary", "close:1003", frame(ws.OpBinary, ""))
	add("5.6", "begun binary", "close:1003", part(ws.OpBinary, "x"))
	add("5.6", "an empty text", "error:bad_request open", text(""))
	add("5.6", "five messages at once", "ack:watch ack:m1 ack:watch pong:x ack:m1 ack:watch open",
		text(watch), text(post(0)), text(watch), frame(ws.OpPing, "x"), text(post(300)), text(watch))
	for name, bad := range map[string]string{
		"a byte that never occurs": "\xff", "a lone continuation byte": "\x80", "a cut character": "\xe2\x82",
		"an overlong slash": "\xc0\xaf", "an overlong NUL": "\xc0\x80", "an overlong of three bytes": "\xe0\x80\xaf",
		"an overlong of four bytes": "\xf0\x80\x80\xaf", "a high surrogate": "\xed\xa0\x80", "a low surrogate": "\xed\xbf\xbf",
		"beyond U+10FFFF": "\xf4\x90\x80\x80", "five bytes": "\xf8\x88\x80\x80\x80", "Latin-1": "caf\xe9 ",
	} {
		add("8.1", name, "close:1007", text(`{"t":"`+bad+`"}`))
	}
	add("8.1", "a bad byte in a fragment", "close:1007", part(ws.OpText, "{\xff"), frame(ws.OpContinuation, "}"))
	add("8.1", "a character that no fragment completes", "close:1007", part(ws.OpText, "{\xe2\x82"), frame(ws.OpContinuation, "}"))
	for name, good := range map[string]string{"U+10FFFF": "\U0010ffff", "U+FFFE": "\ufffe", "an emoji": "😀", "U+D7FF": "\ud7ff", "an escape": `\u0000`} {
		add("8.1", "good: "+name, "error:bad_request open", text(`{"t":"`+good+`"}`))
	}
}

// TestConformance is S1: it kills a guard that forgets one rule of RFC 6455,
// and a close that never arrives, with either way of reading.
func TestConformance(t *testing.T) {
	cases := frameCases()
	if n := len(cases) + len(handshakeCases); n < 120 {
		t.Errorf("%d cases, want 120", n)
	}
	for _, way := range []string{"polling", "goroutines"} {
		f := startFake(t, false, func(_ *fake, c *edge.Config) { c.NoPolling = way == "goroutines" })
		for _, c := range cases {
			t.Run(way+"/"+c.section+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				s := open(t, f.dial())
				s.send(append(text(hello), c.stream...))
				if got := s.story(); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		}
	}
}

// TestPieces kills a reader that counts on frames coming whole: every case
// again in pieces of a few bytes, over a connection that keeps them apart.
func TestPieces(t *testing.T) {
	f := startFake(t, true)
	for _, c := range frameCases() {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			stream := append(text(hello), c.stream...)
			piece := 1 + len(stream)/500
			s := open(t, f.dial())
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for at := 0; at < len(stream); at += piece {
					s.send(stream[at:min(at+piece, len(stream))])
				}
			}()
			got := ""
			for _, want := range strings.Fields(c.want) {
				if want == "open" || got == c.want {
					break
				}
				got = strings.TrimSpace(got + " " + s.next(patience))
			}
			<-sent
			if want := strings.TrimSuffix(strings.TrimSuffix(c.want, "open"), " "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// handshakeCase is a handshake that differs from the good one.
type handshakeCase struct {
	section, name string
	method, proto string   // empty: GET, HTTP/1.1
	without       string   // a header of the good one that is left out
	with          []string // further headers
	status        int
	protocol      string // the subprotocol agreed
	then          string // the story after an upgrade; empty: not looked at
}

var handshakeCases = []handshakeCase{
	{section: "1.3", name: "good", status: 101, protocol: "parley.v1"},
	{section: "4.2.1", name: "upgrade in capitals", without: "Upgrade", with: []string{"UPGRADE: WebSocket"}, status: 101, protocol: "parley.v1"},
	{section: "4.2.1", name: "an upgrade among others", without: "Upgrade", with: []string{"Upgrade: h2c, websocket"}, status: 101, protocol: "parley.v1"},
	{section: "4.2.1", name: "a connection with more words", without: "Connection", with: []string{"Connection: keep-alive, Upgrade"}, status: 101, protocol: "parley.v1"},
	{section: "4.2.1", name: "a connection in two lines", without: "Connection", with: []string{"Connection: keep-alive", "Connection: upgrade"}, status: 101, protocol: "parley.v1"},
	{section: "4.2.1", name: "POST", method: "POST", status: 405},
	{section: "4.2.1", name: "PUT", method: "PUT", status: 405},
	{section: "4.2.1", name: "HEAD", method: "HEAD", status: 405},
	{section: "4.2.1", name: "HTTP/1.0", proto: "HTTP/1.0", status: 400},
	{section: "4.2.1", name: "without Host", without: "Host", status: 400},
	{section: "4.2.1", name: "a body", with: []string{"Content-Length: 3"}, status: 400},
	{section: "4.2.1", name: "a chunked body", with: []string{"Transfer-Encoding: chunked"}, status: 400},
	{section: "4.2.1", name: "no upgrade", without: "Upgrade", status: 426},
	{section: "4.2.1", name: "an upgrade to something else", without: "Upgrade", with: []string{"Upgrade: h2c"}, status: 426},
	{section: "4.2.1", name: "no connection", without: "Connection", status: 426},
	{section: "4.2.1", name: "a connection that closes", without: "Connection", with: []string{"Connection: close"}, status: 426},
	{section: "4.2.1", name: "no key", without: "Sec-WebSocket-Key", status: 400},
	{section: "4.2.1", name: "an empty key", without: "Sec-WebSocket-Key", with: []string{"Sec-WebSocket-Key:"}, status: 400},
	{section: "4.2.1", name: "a key that is not base64", without: "Sec-WebSocket-Key", with: []string{"Sec-WebSocket-Key: ????????????????????????"}, status: 400},
	{section: "4.2.1", name: "a key of 15 bytes", without: "Sec-WebSocket-Key", with: []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"}, status: 400},
	{section: "4.2.1", name: "a key of 17 bytes", without: "Sec-WebSocket-Key", with: []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA="}, status: 400},
	{section: "4.2.1", name: "a key with bits to spare", without: "Sec-WebSocket-Key", with: []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAB=="}, status: 400},
	{section: "4.2.1", name: "two keys", with: []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}, status: 400},
	{section: "4.4", name: "no version", without: "Sec-WebSocket-Version", status: 426},
	{section: "4.4", name: "version 8", without: "Sec-WebSocket-Version", with: []string{"Sec-WebSocket-Version: 8"}, status: 426},
	{section: "4.4", name: "version 14", without: "Sec-WebSocket-Version", with: []string{"Sec-WebSocket-Version: 14"}, status: 426},
	{section: "4.4", name: "version 013", without: "Sec-WebSocket-Version", with: []string{"Sec-WebSocket-Version: 013"}, status: 426},
	{section: "4.4", name: "two versions", with: []string{"Sec-WebSocket-Version: 13"}, status: 426},
	{section: "1.9", name: "no subprotocol", without: "Sec-WebSocket-Protocol", status: 400},
	{section: "1.9", name: "another subprotocol", without: "Sec-WebSocket-Protocol", with: []string{"Sec-WebSocket-Protocol: chat"}, status: 400},
	{section: "1.9", name: "a subprotocol in capitals", without: "Sec-WebSocket-Protocol", with: []string{"Sec-WebSocket-Protocol: PARLEY.V1"}, status: 400},
	{section: "1.9", name: "a subprotocol among others", without: "Sec-WebSocket-Protocol", with: []string{"Sec-WebSocket-Protocol: chat, parley.v1"}, status: 101, protocol: "parley.v1"},
	{section: "1.9", name: "a subprotocol in two lines", with: []string{"Sec-WebSocket-Protocol: parley.v2"}, status: 101, protocol: "parley.v1"},
	{section: "1.9", name: "another version of ours", without: "Sec-WebSocket-Protocol", with: []string{"Sec-WebSocket-Protocol: parley.v9"}, status: 101, protocol: "parley.v9", then: "close:4003"},
	{section: "1.9", name: "a subprotocol that breaks lines", without: "Sec-WebSocket-Protocol", with: []string{"Sec-WebSocket-Protocol: parley.v9\x01"}, status: 400},
	{section: "9.1", name: "an extension is not agreed", with: []string{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}, status: 101, protocol: "parley.v1"},
	{section: "10.2", name: "our own origin", with: []string{"Origin: https://chat.example.org"}, status: 101, protocol: "parley.v1"},
	{section: "10.2", name: "a further origin", with: []string{"Origin: https://app.example.org"}, status: 101, protocol: "parley.v1"},
	{section: "10.2", name: "a foreign origin", with: []string{"Origin: https://evil.example.org"}, status: 403},
	{section: "10.2", name: "an origin that begins like ours", with: []string{"Origin: https://chat.example.org.evil.org"}, status: 403},
	{section: "10.2", name: "our origin at another port", with: []string{"Origin: https://chat.example.org:8443"}, status: 403},
	{section: "10.2", name: "the null origin", with: []string{"Origin: null"}, status: 403},
	{section: "10.2", name: "an empty origin", with: []string{"Origin:"}, status: 403},
	{section: "10.2", name: "two origins", with: []string{"Origin: https://chat.example.org", "Origin: https://chat.example.org"}, status: 403},
}

// TestHandshake is the rest of S1.
func TestHandshake(t *testing.T) {
	f := startFake(t, false, func(_ *fake, c *edge.Config) { c.Origins = []string{"https://app.example.org"} })
	for _, c := range handshakeCases {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			var headers []string
			for _, h := range handshake {
				if name, _, _ := strings.Cut(h, ":"); name != c.without {
					headers = append(headers, h)
				}
			}
			method, proto := c.method, c.proto
			if method == "" {
				method = "GET"
			}
			if proto == "" {
				proto = "HTTP/1.1"
			}
			s, res := shake(t, f.dial(), method, proto, append(headers, c.with...)...)
			checkHandshakeAnswer(t, &c, res)
			if c.then != "" {
				if got := s.story(); got != c.then {
					t.Errorf("%q, want %q", got, c.then)
				}
			}
		})
	}
}

func checkHandshakeAnswer(t *testing.T, c *handshakeCase, res *http.Response) {
	t.Helper()
	h := res.Header
	if res.StatusCode != c.status || h.Get("Sec-WebSocket-Protocol") != c.protocol {
		t.Fatalf("%s with subprotocol %q, want %d with %q", res.Status, h.Get("Sec-WebSocket-Protocol"), c.status, c.protocol)
	}
	switch c.status {
	case 101:
		if h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" || h.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("upgraded with %v", h)
		}
	case 405:
		if h.Get("Allow") != "GET" {
			t.Errorf("405 allows %q", h.Get("Allow"))
		}
	case 426:
		if h.Get("Sec-WebSocket-Version") != "13" || h.Get("Upgrade") != "websocket" {
			t.Errorf("426 with %v", h)
		}
	}
}

// TestEarlyFrames kills an upgrade that loses what came along with the
// request.
func TestEarlyFrames(t *testing.T) {
	f := startFake(t, false)
	nc := f.dial()
	request := "GET /v1/connect HTTP/1.1\r\n" + strings.Join(handshake, "\r\n") + "\r\n\r\n"
	if _, err := nc.Write(append([]byte(request), join(text(hello), text(watch))...)); err != nil {
		t.Fatal(err)
	}
	s, res := shakeAnswer(t, nc)
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	if got := s.story(); got != "ack:watch open" {
		t.Errorf("%q", got)
	}
}

// TestHello: the first frame is hello, and it is a good one.
func TestHello(t *testing.T) {
	f := startFake(t, false)
	for _, c := range []struct{ name, first, want string }{
		{"no token", `{"t":"hello","cursor":null}`, "error:bad_request close:1008"},
		{"a token that is not good", `{"t":"hello","token":"x","cursor":null}`, "error:unauthorized close:4001"},
		{"an empty token", `{"t":"hello","token":"","cursor":null}`, "error:unauthorized close:4001"},
		{"something before hello", watch, "error:bad_request close:1008"},
		{"not JSON", `hello`, "error:bad_request close:1008"},
		{"an unknown field", `{"t":"hello","token":"t-alice","room":1}`, "error:bad_request close:1008"},
		{"without a cursor", `{"t":"hello","token":"t-alice"}`, "open"},
		{"a ping before it", "", "open"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, f.dial())
			if c.first != "" {
				s.send(text(c.first))
			}
			if got := s.story(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	t.Run("said twice", func(t *testing.T) {
		s := open(t, f.dial())
		s.send(join(text(hello), text(hello)))
		if got := s.story(); got != "error:bad_request open" {
			t.Errorf("%q", got)
		}
	})
}

// shakeAnswer reads the answer to a handshake that was sent already.
func shakeAnswer(t *testing.T, nc net.Conn) (*socket, *http.Response) {
	t.Helper()
	s := newSocket(t, nc)
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(s.br, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("no answer to the handshake: %v", err)
	}
	return s, res
}
