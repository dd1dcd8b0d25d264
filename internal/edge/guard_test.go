package edge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// heard is what a guard let pass, in order.
type heard struct {
	messages, controls [][]byte
	stopAfter          int // things it takes before it says stop; 0: never
}

func (h *heard) message(text []byte) bool {
	h.messages = append(h.messages, bytes.Clone(text))
	return h.more()
}

func (h *heard) control(op ws.OpCode, payload []byte) bool {
	h.controls = append(h.controls, append([]byte{byte(op)}, payload...))
	return h.more()
}

func (h *heard) more() bool {
	return h.stopAfter == 0 || len(h.messages)+len(h.controls) < h.stopAfter
}

// guarded feeds stream in pieces of that size and returns what came of it.
func guarded(stream []byte, piece int) (*guard, *heard, error) {
	g, h := new(guard), new(heard)
	for p := range slices.Chunk(bytes.Clone(stream), piece) {
		if err := g.feed(p, h); err != nil {
			return g, h, err
		}
	}
	return g, h, nil
}

// masked makes a good client frame.
func masked(fin bool, op ws.OpCode, payload string) []byte {
	f := ws.NewFrame(op, fin, []byte(payload))
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4})); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestGuardHoldsNothing kills a guard that keeps memory between messages, or
// takes it for a length that was only declared.
func TestGuardHoldsNothing(t *testing.T) {
	stream := append(masked(false, ws.OpText, "{"), masked(true, ws.OpPing, "x")...)
	stream = append(stream, masked(true, ws.OpContinuation, "}")...)
	g, h, err := guarded(stream, 1)
	if err != nil || len(h.messages) != 1 || len(h.controls) != 1 {
		t.Fatalf("%v, %+v", err, h)
	}
	if g.msg != nil || g.ctl != nil || g.begun() {
		t.Errorf("after whole messages it holds %+v", g)
	}
	declared := []byte{0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 'x'}
	g, _, err = guarded(declared, len(declared))
	if err != nil || cap(g.msg) > firstGrowth || !g.begun() {
		t.Errorf("a declared 64 KiB took %d bytes: %v", cap(g.msg), err)
	}
}

// TestGuardStops kills a guard that goes on after it was told to stop.
func TestGuardStops(t *testing.T) {
	stream := bytes.Repeat(masked(true, ws.OpText, "{}"), 5)
	g, h := new(guard), &heard{stopAfter: 2}
	if err := g.feed(stream, h); err != nil || len(h.messages) != 2 {
		t.Errorf("%d messages, %v", len(h.messages), err)
	}
}

// TestGuardReasons: a reason fits a close frame and holds nothing of the
// client's.
func TestGuardReasons(t *testing.T) {
	for _, c := range []byte{0x81, 0x82, 0x83, 0x89, 0x09, 0xc1, 0x80} {
		_, _, err := guarded([]byte{c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 14)
		v, ok := errors.AsType[*violation](err)
		if !ok || len(v.reason) == 0 || len(v.reason) > 123 || !utf8.ValidString(v.reason) {
			t.Errorf("%#x: %v", c, err)
		}
	}
}

// FuzzGuard is S3: whatever comes, in whatever pieces, the outcome is the
// same, what passes keeps the rules, and memory is bounded by what came.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{}, uint8(1))
	f.Add(masked(true, ws.OpText, "{}"), uint8(1))
	f.Add(append(masked(false, ws.OpText, "a"), masked(true, ws.OpContinuation, "b")...), uint8(3))
	f.Add(append(masked(true, ws.OpPing, "a"), masked(true, ws.OpClose, "\x03\xe8bye")...), uint8(2))
	f.Add([]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, uint8(5))
	f.Add(masked(true, ws.OpText, string(bytes.Repeat([]byte("é"), 300))), uint8(7))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		if len(stream) > 4*wire.MaxFrame {
			return
		}
		_, whole, err := guarded(stream, max(1, len(stream)))
		g, pieces, err2 := guarded(stream, int(piece)+1)
		if !slices.EqualFunc(whole.messages, pieces.messages, bytes.Equal) || !slices.EqualFunc(whole.controls, pieces.controls, bytes.Equal) {
			t.Fatalf("whole %+v, in pieces %+v", whole, pieces)
		}
		v, _ := errors.AsType[*violation](err)
		v2, _ := errors.AsType[*violation](err2)
		if (v == nil) != (v2 == nil) || v != nil && *v != *v2 {
			t.Fatalf("whole %v, in pieces %v", err, err2)
		}
		if v != nil && len(ws.NewCloseFrameBody(v.code, v.reason)) > maxControl {
			t.Fatalf("the close frame of %v does not fit", v)
		}
		if c := cap(g.msg) + cap(g.ctl); c > 64*len(stream)+firstGrowth {
			t.Fatalf("%d bytes held for %d", c, len(stream))
		}
		for _, m := range whole.messages {
			if len(m) > wire.MaxFrame || !utf8.Valid(m) {
				t.Fatalf("let pass %q", m)
			}
		}
		for _, c := range whole.controls {
			if len(c)-1 > maxControl || c[0] == byte(ws.OpClose) && len(c) > 1 && binary.BigEndian.Uint16(c[1:]) < 1000 {
				t.Fatalf("let pass %q", c)
			}
		}
	})
}
