package edge

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// Bounds of what a client may send beside wire.MaxFrame.
const (
	maxFragments = 16  // frames of one message
	maxControl   = 125 // bytes of a control frame, RFC 6455 section 5.5
	maxHeader    = 14  // bytes of a frame's header
	firstGrowth  = 512 // what a begun message takes at first: a declared length is a claim, not a reason to allocate
)

// violation says that a client broke the protocol and with which code its
// connection closes.
type violation struct {
	code   ws.StatusCode
	reason string // at most 123 bytes, never what the client sent
}

func (v *violation) Error() string { return v.reason }

func protocolError(reason string) error { return &violation{ws.StatusProtocolError, reason} }
func policy(reason string) error        { return &violation{wire.ClosePolicy, reason} }

// sink takes what a guard has let pass. The bytes are good until the call
// returns. It answers whether the guard is to go on.
type sink interface {
	message(text []byte) bool
	control(op ws.OpCode, payload []byte) bool
}

// guard reads the frames of one client from whatever pieces its bytes come
// in. It checks everything of RFC 6455 that a client can get wrong, and our
// own stricter bounds, before a byte is kept. Between messages it holds no
// memory but itself. The zero value is ready; it is used by one goroutine at
// a time.
type guard struct {
	header  [maxHeader]byte
	have    uint8 // bytes of header so far
	inFrame bool  // the header is complete, its payload is not

	frame ws.Header // of the frame under way
	at    int64     // payload bytes of it so far

	fragments uint8  // frames of the message under way; 0: none
	msg       []byte // what came of it in earlier pieces
	ctl       []byte // what came of a control frame in earlier pieces
}

// begun reports whether a frame or a message is under way.
func (g *guard) begun() bool { return g.have > 0 || g.fragments > 0 }

// feed takes the next piece of the stream, which it unmasks in place. It
// returns a *violation at the first byte that is not good; then the guard is
// spent. It returns early, without an error, when s says stop.
func (g *guard) feed(data []byte, s sink) error {
	for {
		if !g.inFrame {
			rest, err := g.readHeader(data)
			if err != nil {
				return err
			}
			data = rest
			if !g.inFrame {
				return nil // the header is not complete
			}
		}
		take := min(g.frame.Length-g.at, int64(len(data)))
		piece := data[:take]
		data = data[take:]
		ws.Cipher(piece, g.frame.Mask, int(g.at))
		g.at += take
		whole := g.at == g.frame.Length
		more, err := g.takePiece(piece, whole, s)
		if err != nil || !more {
			return err
		}
		if !whole {
			return nil
		}
		g.inFrame, g.have, g.at = false, 0, 0
	}
}

// readHeader takes header bytes from data and returns the rest. When the
// header is complete and good, inFrame is set.
func (g *guard) readHeader(data []byte) ([]byte, error) {
	for {
		need := 2
		if g.have >= 2 {
			need = headerSize(g.header[1])
		}
		n := copy(g.header[g.have:need], data)
		g.have += uint8(n)
		data = data[n:]
		if int(g.have) < need {
			return nil, nil
		}
		if need == 2 {
			// Judged at once: a client that does not speak the protocol is
			// not waited for.
			if err := g.checkStart(); err != nil {
				return nil, err
			}
			continue
		}
		return data, g.checkLength()
	}
}

// headerSize returns how long a masked frame's header is; b is its second byte.
func headerSize(b byte) int {
	switch b & 0x7f {
	case 126:
		return 2 + 2 + 4
	case 127:
		return 2 + 8 + 4
	default:
		return 2 + 4
	}
}

// checkStart judges the first two bytes of a header.
func (g *guard) checkStart() error {
	b0, b1 := g.header[0], g.header[1]
	h := ws.Header{Fin: b0&0x80 != 0, Rsv: b0 & 0x70 >> 4, OpCode: ws.OpCode(b0 & 0x0f), Masked: b1&0x80 != 0, Length: int64(b1 & 0x7f)}
	if h.Rsv != 0 {
		return protocolError("a reserved bit is set, and no extension was agreed")
	}
	if h.OpCode.IsReserved() {
		return protocolError("the opcode is unknown")
	}
	if !h.Masked {
		return protocolError("a client masks its frames")
	}
	if h.OpCode.IsControl() {
		if !h.Fin {
			return protocolError("a control frame is not fragmented")
		}
		if h.Length > maxControl {
			return protocolError("a control frame has at most 125 bytes")
		}
		g.frame = h
		return nil
	}
	if h.OpCode == ws.OpContinuation {
		if g.fragments == 0 {
			return protocolError("a continuation without a beginning")
		}
		if h.Length == 0 {
			return policy("an empty continuation")
		}
		if g.fragments >= maxFragments {
			return policy("a message has at most 16 fragments")
		}
	} else {
		if g.fragments > 0 {
			return protocolError("a new message inside another")
		}
		if h.OpCode == ws.OpBinary {
			return &violation{ws.StatusUnsupportedData, "only text is spoken here"}
		}
	}
	g.frame = h
	return nil
}

// checkLength judges a complete header whose start was good. Nothing has been
// allocated for the frame yet.
func (g *guard) checkLength() error {
	var length uint64
	mask := g.header[2:6]
	switch g.header[1] & 0x7f {
	case 126:
		length = uint64(binary.BigEndian.Uint16(g.header[2:]))
		mask = g.header[4:8]
		if length < 126 {
			return protocolError("the length is not encoded in the fewest bytes")
		}
	case 127:
		length = binary.BigEndian.Uint64(g.header[2:])
		mask = g.header[10:14]
		if length>>63 != 0 {
			return protocolError("the length has its highest bit set")
		}
		if length < 1<<16 {
			return protocolError("the length is not encoded in the fewest bytes")
		}
	default:
		length = uint64(g.header[1] & 0x7f)
	}
	if !g.frame.OpCode.IsControl() {
		if length > wire.MaxFrame || uint64(len(g.msg))+length > wire.MaxFrame {
			return &violation{wire.CloseTooBig, "a message has at most 65536 bytes"}
		}
		g.fragments++
	}
	g.frame.Length = int64(length)
	g.frame.Mask = [4]byte(mask)
	g.inFrame = true
	return nil
}

// takePiece takes unmasked payload of the frame under way; whole says that it
// ends the frame.
func (g *guard) takePiece(piece []byte, whole bool, s sink) (more bool, err error) {
	if g.frame.OpCode.IsControl() {
		if !whole || g.ctl != nil {
			g.ctl = append(g.ctl, piece...)
			piece = g.ctl
		}
		if !whole {
			return true, nil
		}
		g.ctl = nil
		if g.frame.OpCode == ws.OpClose {
			if err := checkClose(piece); err != nil {
				return false, err
			}
		}
		return s.control(g.frame.OpCode, piece), nil
	}
	end := whole && g.frame.Fin
	if !end || g.msg != nil {
		g.keep(piece)
		piece = g.msg
	}
	if !end {
		return true, nil
	}
	g.msg, g.fragments = nil, 0
	if !utf8.Valid(piece) {
		return false, &violation{wire.CloseBadUTF8, "the text is not UTF-8"}
	}
	return s.message(piece), nil
}

// keep appends piece to the message under way. Memory follows what came, not
// what was declared.
func (g *guard) keep(piece []byte) {
	if g.msg == nil {
		g.msg = make([]byte, 0, max(firstGrowth, len(piece)))
	}
	g.msg = append(g.msg, piece...)
}

// checkClose judges the payload of a close frame, RFC 6455 sections 5.5.1 and 7.4.
func checkClose(p []byte) error {
	switch {
	case len(p) == 0:
		return nil
	case len(p) == 1:
		return protocolError("a close code has two bytes")
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(p))
	if !utf8.Valid(p[2:]) {
		return &violation{wire.CloseBadUTF8, "the close reason is not UTF-8"}
	}
	switch {
	case 1000 <= code && code <= 1003, 1007 <= code && code <= 1014, 3000 <= code && code <= 4999:
		return nil
	}
	return protocolError("the close code is not one that is sent")
}
