package load

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gobwas/ws"
)

var sizes = []int{0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536}

// TestFrames reads with the library what appendFrame wrote, and the reverse.
func TestFrames(t *testing.T) {
	for _, n := range sizes {
		payload := bytes.Repeat([]byte("parley!"), n/7+1)[:n]
		for _, mask := range []uint32{0, 1, 0x5eed1e55} {
			raw := appendFrame(nil, ws.OpText, payload, mask)
			rest := bytes.NewReader(raw)
			h, err := ws.ReadHeader(rest)
			if err != nil {
				t.Fatal(err)
			}
			if h.Masked != (mask != 0) || h.OpCode != ws.OpText || !h.Fin || h.Length != int64(n) || rest.Len() != n {
				t.Errorf("%d bytes, mask %x: header %+v, %d bytes follow", n, mask, h, rest.Len())
			}
			ours := raw[len(raw)-n:]
			if h.Masked {
				ws.Cipher(ours, h.Mask, 0)
			}
			if !bytes.Equal(ours, payload) {
				t.Errorf("%d bytes, mask %x: another payload", n, mask)
			}
			var theirs bytes.Buffer
			frame := ws.NewTextFrame(bytes.Clone(payload))
			if mask != 0 {
				frame = ws.MaskFrame(frame)
			}
			if err := ws.WriteFrame(&theirs, frame); err != nil {
				t.Fatal(err)
			}
			op, got, size, err := parseFrame(theirs.Bytes())
			if err != nil || op != ws.OpText || size != theirs.Len() || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes, mask %x: parsed %v, %d bytes of %d, %v", n, mask, op, size, theirs.Len(), err)
			}
		}
	}
}

// TestParseFrameWaits kills a parser that takes a part of a frame for all of
// it, or unmasks bytes before all are there.
func TestParseFrameWaits(t *testing.T) {
	for _, n := range []int{5, 200, 65536} {
		raw := appendFrame(nil, ws.OpText, bytes.Repeat([]byte{'x'}, n), 0x01020304)
		kept := bytes.Clone(raw)
		for cut := 0; cut < len(raw); cut += 1 + len(raw)/100 {
			if _, _, size, err := parseFrame(raw[:cut]); size != 0 || err != nil {
				t.Fatalf("%d of %d bytes: size %d, %v", cut, len(raw), size, err)
			}
		}
		if !bytes.Equal(raw, kept) {
			t.Error("an incomplete frame was changed")
		}
	}
}

func TestParseFrameRefuses(t *testing.T) {
	if _, _, _, err := parseFrame([]byte{0x01, 0x01, 'x'}); !errors.Is(err, errFragments) {
		t.Errorf("a first fragment: %v", err)
	}
	if _, _, _, err := parseFrame([]byte{0x80, 0x01, 'x'}); !errors.Is(err, errFragments) {
		t.Errorf("a continuation: %v", err)
	}
	if _, _, _, err := parseFrame([]byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 1}); !errors.Is(err, errTooBig) {
		t.Errorf("65,537 bytes: %v", err)
	}
}
