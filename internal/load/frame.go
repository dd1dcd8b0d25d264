package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

var (
	errFragments = errors.New("the peer fragments its frames; a load reads whole ones only")
	errTooBig    = fmt.Errorf("a frame is longer than %d bytes", wire.MaxFrame)
)

// maxHeader is the longest header of a frame: two bytes, a length of eight, a mask.
const maxHeader = 14

// parseFrame reads the first frame of b. Size 0 means that more bytes are
// needed. The payload points into b and is unmasked there.
func parseFrame(b []byte) (op ws.OpCode, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&0x80 == 0 || b[0]&0x0f == 0 {
		return 0, nil, 0, errFragments
	}
	head, length := 2, uint64(b[1]&0x7f)
	switch length {
	case 126:
		if head = 4; len(b) < head {
			return 0, nil, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return 0, nil, 0, nil
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	masked := b[1]&0x80 != 0
	if masked {
		head += 4
	}
	if length > wire.MaxFrame {
		return 0, nil, 0, errTooBig
	}
	size = head + int(length)
	if len(b) < size {
		return 0, nil, 0, nil
	}
	payload = b[head:size]
	if masked {
		xor(payload, payload, binary.LittleEndian.Uint32(b[head-4:]))
	}
	return ws.OpCode(b[0] & 0x0f), payload, size, nil
}

// appendFrame adds one whole frame to dst, masked if mask is not zero: that is
// how a client must send and a server must not.
func appendFrame(dst []byte, op ws.OpCode, payload []byte, mask uint32) []byte {
	var bit byte
	if mask != 0 {
		bit = 0x80
	}
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, bit|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, bit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, bit|127), uint64(n))
	}
	if mask == 0 {
		return append(dst, payload...)
	}
	dst = binary.LittleEndian.AppendUint32(dst, mask)
	from := len(dst)
	dst = append(dst, payload...)
	xor(dst[from:], payload, mask)
	return dst
}

// xor writes src under the mask to dst, eight bytes at a time.
func xor(dst, src []byte, mask uint32) {
	wide := uint64(mask)<<32 | uint64(mask)
	for len(src) >= 8 && len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^wide)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(mask>>(8*(i&3)))
	}
}
