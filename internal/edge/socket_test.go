package edge_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// patience is how long a test waits for what must come at once.
const patience = 10 * time.Second

// handshake is a good one: the sample of RFC 6455 section 1.3.
var handshake = []string{
	"Host: chat.example.org", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: parley.v1",
}

const hello = `{"t":"hello","token":"` + goodToken + `","cursor":null}`

// socket is a client that can be as wrong as a test wants it.
type socket struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader

	rude bool   // it does not answer a close frame
	last []byte // the payload of the frame that next told of
}

func newSocket(t *testing.T, nc net.Conn) *socket {
	t.Cleanup(func() { _ = nc.Close() })
	return &socket{t: t, nc: nc, br: bufio.NewReader(nc)}
}

// shake sends a request for the WebSocket and returns the answer.
func shake(t *testing.T, nc net.Conn, method, proto string, headers ...string) (*socket, *http.Response) {
	t.Helper()
	s := newSocket(t, nc)
	s.send([]byte(method + " /v1/connect " + proto + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"))
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(s.br, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to the handshake: %v", err)
	}
	return s, res
}

// open connects and says nothing yet.
func open(t *testing.T, nc net.Conn) *socket {
	t.Helper()
	s, res := shake(t, nc, "GET", "HTTP/1.1", handshake...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered with %s", res.Status)
	}
	return s
}

// online connects and says hello.
func online(t *testing.T, f *fake) (*socket, *fakeSession) {
	t.Helper()
	s := open(t, f.dial())
	s.send(text(hello))
	select {
	case session := <-f.sessions.began:
		return s, session
	case <-time.After(patience):
		t.Fatal("no session began")
		return nil, nil
	}
}

// send writes bytes as they are. An error is not looked at: the server may
// close before it has read everything.
func (s *socket) send(raw []byte) {
	_ = s.nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = s.nc.Write(raw)
}

// next returns the next frame in one word: "ack:ID", "error:CODE", "T" for any
// other text frame, "ping", "pong:PAYLOAD", "close:CODE", "end" of the stream,
// "reset" of the connection, or "nothing" within that time.
func (s *socket) next(within time.Duration) string {
	s.t.Helper()
	_ = s.nc.SetReadDeadline(time.Now().Add(within))
	h, err := ws.ReadHeader(s.br)
	if err != nil {
		switch ne, ok := errors.AsType[net.Error](err); {
		case errors.Is(err, io.EOF):
			return "end"
		case ok && ne.Timeout():
			return "nothing"
		}
		return "reset"
	}
	if h.Masked || h.Rsv != 0 || !h.Fin {
		s.t.Errorf("a server's frame has header %+v", h)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(s.br, payload); err != nil {
		return "reset"
	}
	s.last = payload
	switch h.OpCode {
	case ws.OpPing:
		return "ping"
	case ws.OpPong:
		return "pong:" + string(payload)
	case ws.OpClose:
		if !s.rude {
			s.send(frame(ws.OpClose, string(payload)))
		}
		if len(payload) == 0 {
			return "close:0"
		}
		if len(payload) > 125 {
			s.t.Errorf("a close frame of %d bytes", len(payload))
		}
		return fmt.Sprintf("close:%d", binary.BigEndian.Uint16(payload))
	}
	frame, err := wire.DecodeServer(payload)
	switch {
	case err != nil:
		s.t.Errorf("the server said %q: %v", payload, err)
	case frame.T == wire.FrameAck:
		return "ack:" + frame.ID
	case frame.T == wire.FrameError:
		return "error:" + frame.Code
	}
	return frame.T
}

// story returns what comes from now on, until the connection ends or, if it
// lives, a ping of ours has come back.
func (s *socket) story() string {
	s.t.Helper()
	const mark = "are you there?"
	s.send(frame(ws.OpPing, mark))
	var words []string
	for {
		switch w := s.next(patience); w {
		case "pong:" + mark:
			return strings.Join(append(words, "open"), " ")
		case "end":
			return strings.Join(words, " ")
		case "reset", "nothing":
			return strings.Join(append(words, w), " ")
		default:
			words = append(words, w)
		}
	}
}

// maskKey is what tests mask with.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// raw makes a client's frame from its first byte, its length as it is to be
// written, and a payload, which need not be as long.
func raw(first byte, length []byte, payload string) []byte {
	out := append([]byte{first}, length...)
	out[1] |= 0x80
	out = append(out, maskKey[:]...)
	masked := []byte(payload)
	ws.Cipher(masked, maskKey, 0)
	return append(out, masked...)
}

// short, medium and long write a length in 1, 3 and 9 bytes.
func short(n int) []byte     { return []byte{byte(n)} }
func medium(n int) []byte    { return binary.BigEndian.AppendUint16([]byte{126}, uint16(n)) }
func long(n uint64) []byte   { return binary.BigEndian.AppendUint64([]byte{127}, n) }
func shortest(n int) []byte  { return [][]byte{short(n), medium(n), long(uint64(n))}[size(n)] }
func size(n int) (class int) { return min(n/126, 1) + min(n>>16, 1) }

// frame is a good final frame, part one that is not final.
func frame(op ws.OpCode, payload string) []byte {
	return raw(0x80|byte(op), shortest(len(payload)), payload)
}
func part(op ws.OpCode, payload string) []byte {
	return raw(byte(op), shortest(len(payload)), payload)
}
func text(payload string) []byte { return frame(ws.OpText, payload) }

// closing is a close frame.
func closing(code int, reason string) []byte {
	return frame(ws.OpClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// join makes one stream of frames.
func join(frames ...[]byte) (out []byte) {
	for _, f := range frames {
		out = append(out, f...)
	}
	return out
}
