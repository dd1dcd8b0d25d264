package pebblestore

import (
	"encoding/binary"
	"slices"
)

func appendWord[T ~string](b []byte, w T, codes []T) []byte {
	if i := slices.Index(codes, w); i > 0 && w != "" {
		return append(b, byte(i))
	}
	return appendString(append(b, 0), string(w))
}

func word[T ~string](r *reader, code byte, codes []T) T {
	if code == 0 {
		return T(r.bytes())
	}
	if int(code) >= len(codes) {
		r.fail(errValue)
		return ""
	}
	return codes[code]
}

// reader takes a value apart and remembers the first failure.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(errShort)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many items of at least size bytes follow; a number that
// cannot be true fails before anything is made for it.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	s, rest, err := takeBytes(r.b)
	if err != nil {
		r.fail(err)
		return nil
	}
	r.b = rest
	return s
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		return errValue
	}
	return r.err
}

func readID[T ~string](r *reader) T {
	id, rest, err := takeID[T](r.b)
	if err != nil {
		r.fail(err)
		return ""
	}
	r.b = rest
	return id
}
