package pebblestore

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// An id is written as a tag byte and what the tag says. Ids that Parley makes
// are 128 bits in Crockford's base 32 behind one letter: those take 17 bytes.
// Anything else is kept as it is. Reading back gives exactly what was
// written, and no code is the beginning of another, so codes may be followed
// by more in a key.
const (
	maxRawID  = 0x40 // tags 0x00..0x40: that many bytes follow
	tagLong   = 0x7d // a uvarint length and that many bytes follow
	tagUUID   = 0x7e // 16 bytes: 8-4-4-4-12 hexadecimal digits in lower case
	tagBase32 = 0x7f // 16 bytes: 26 letters of base 32
	tagLetter = 0x80 // tag&0x7f is an ASCII character, then as tagBase32
)

var errShort = errors.New("pebblestore: value ends early")

const base32Letters = "0123456789abcdefghjkmnpqrstvwxyz"

var base32Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(base32Letters) {
		t[base32Letters[i]] = byte(i)
	}
	return t
}()

func appendID[T ~string](b []byte, id T) []byte {
	s := string(id)
	switch {
	case len(s) == 27 && s[0] < 0x80:
		if out, ok := appendBase32(append(b, tagLetter|s[0]), s[1:]); ok {
			return out
		}
	case len(s) == 26:
		if out, ok := appendBase32(append(b, tagBase32), s); ok {
			return out
		}
	case len(s) == 36:
		if out, ok := appendUUID(append(b, tagUUID), s); ok {
			return out
		}
	}
	if len(s) > maxRawID {
		b = binary.AppendUvarint(append(b, tagLong), uint64(len(s)))
	} else {
		b = append(b, byte(len(s)))
	}
	return append(b, s...)
}

// appendBase32 appends the 128 bits of 26 letters: 25 of five bits and one of
// three. It is false when s is not exactly how NewID writes some 128 bits.
func appendBase32(b []byte, s string) ([]byte, bool) {
	var acc uint64
	var bits uint
	for i := range len(s) {
		v := base32Values[s[i]]
		if v == 0xff {
			return nil, false
		}
		acc, bits = acc<<5|uint64(v), bits+5
		if bits >= 8 {
			bits -= 8
			b = append(b, byte(acc>>bits))
		}
	}
	return b, acc&3 == 0
}

// base32Text appends 16 bytes as the 26 letters they came from.
func base32Text(dst, raw []byte) []byte {
	hi, lo := binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	var text [26]byte
	for i := range text {
		text[i] = base32Letters[hi>>59]
		hi, lo = hi<<5|lo>>59, lo<<5
	}
	return append(dst, text[:]...)
}

func appendUUID(b []byte, s string) ([]byte, bool) {
	if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || strings.ToLower(s) != s {
		return nil, false
	}
	var raw [16]byte
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(raw[:], []byte(digits)); err != nil {
		return nil, false
	}
	return append(b, raw[:]...), true
}

// maxIDText is how long an id reads that is not written as it is.
const maxIDText = 36

// takeID reads an id and returns what follows it.
func takeID[T ~string](b []byte) (T, []byte, error) {
	var text [maxIDText]byte
	id, rest, err := appendIDText(text[:0], b)
	return T(id), rest, err
}

// appendIDText adds to out, which is empty, what an id reads, and returns what
// follows it in b. An id that is written as it is is returned as part of b.
func appendIDText(out, b []byte) (id, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	tag, b := b[0], b[1:]
	if tag < tagLong {
		if tag > maxRawID {
			return nil, nil, errors.New("pebblestore: unknown id tag")
		}
		if len(b) < int(tag) {
			return nil, nil, errShort
		}
		return b[:tag], b[tag:], nil
	}
	if tag == tagLong {
		return takeBytes(b)
	}
	if len(b) < 16 {
		return nil, nil, errShort
	}
	switch {
	case tag == tagUUID:
		h := hex.AppendEncode(nil, b[:16])
		for i, c := range h {
			if i == 8 || i == 12 || i == 16 || i == 20 {
				out = append(out, '-')
			}
			out = append(out, c)
		}
	case tag == tagBase32:
		out = base32Text(out, b[:16])
	default:
		out = base32Text(append(out, tag&0x7f), b[:16])
	}
	return out, b[16:], nil
}

// A number in a key is written so that bytes sort as numbers do: small ones
// in one byte, others as a length and big-endian bytes.
const seqOneByte = 0xf8

func appendSeq(b []byte, n uint64) []byte {
	if n < seqOneByte {
		return append(b, byte(n))
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], n)
	i := 0
	for be[i] == 0 {
		i++
	}
	b = append(b, byte(seqOneByte+7-i))
	return append(b, be[i:]...)
}

func takeSeq(b []byte) (uint64, []byte, error) {
	if len(b) == 0 {
		return 0, nil, errShort
	}
	if b[0] < seqOneByte {
		return uint64(b[0]), b[1:], nil
	}
	n := int(b[0]-seqOneByte) + 1
	if len(b) < 1+n {
		return 0, nil, errShort
	}
	var v uint64
	for _, c := range b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	return v, b[1+n:], nil
}

func takeUvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, b[n:], nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func takeBytes(b []byte) (s, rest []byte, err error) {
	n, b, err := takeUvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if uint64(len(b)) < n {
		return nil, nil, errShort
	}
	return b[:n], b[n:], nil
}
