package load

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
)

// namer makes message ids that look as random as a client's own (a store must
// not profit from ids that follow each other), and reads back which message
// of which lane an id names, without a table.
type namer struct {
	block cipher.Block
	buf   [16]byte
}

const (
	nameLen  = 27 // like parley.NewID with a prefix of one letter
	nameMark = 0x70617200
	digits   = "0123456789abcdefghjkmnpqrstvwxyz"
)

var digitOf = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(digits) {
		t[digits[i]] = byte(i)
	}
	return t
}()

func newNamer(rand io.Reader) (*namer, error) {
	var key [16]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return nil, fmt.Errorf("names of messages: %w", err)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("names of messages: %w", err)
	}
	return &namer{block: block}, nil
}

// append adds the id of message n of a lane to dst.
func (m *namer) append(dst []byte, lane uint32, n uint64) []byte {
	binary.BigEndian.PutUint32(m.buf[0:], nameMark)
	binary.BigEndian.PutUint32(m.buf[4:], lane)
	binary.BigEndian.PutUint64(m.buf[8:], n)
	m.block.Encrypt(m.buf[:], m.buf[:])
	hi, lo := binary.BigEndian.Uint64(m.buf[0:]), binary.BigEndian.Uint64(m.buf[8:])
	var out [nameLen]byte
	out[0] = 'm'
	for i := nameLen - 1; i > 0; i-- {
		out[i] = digits[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return append(dst, out[:]...)
}

// parse is false for an id that this namer did not make.
func (m *namer) parse(id []byte) (lane uint32, n uint64, ok bool) {
	if len(id) != nameLen || id[0] != 'm' {
		return 0, 0, false
	}
	var hi, lo uint64
	for _, c := range id[1:] {
		d := digitOf[c]
		if d == 0xff {
			return 0, 0, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(d)
	}
	binary.BigEndian.PutUint64(m.buf[0:], hi)
	binary.BigEndian.PutUint64(m.buf[8:], lo)
	m.block.Decrypt(m.buf[:], m.buf[:])
	if binary.BigEndian.Uint32(m.buf[0:]) != nameMark {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(m.buf[4:]), binary.BigEndian.Uint64(m.buf[8:]), true
}
