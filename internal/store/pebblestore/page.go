package pebblestore

import (
	"bytes"
	"slices"
	"strings"

	parley "github.com/parley-im/parley"
)

const (
	// fewAtFirst is the room made for entries before it is known how many
	// there are, manyNext the room made when there are more.
	fewAtFirst = 64
	manyNext   = 512
	// maxPiece bounds the memory that bodies of one page share, and that one
	// of them keeps alive.
	maxPiece = 16 << 10
	// rawID is an id that is written as 128 bits: a tag and those.
	rawID = 1 + 16
)

// page decodes entries that are read together. Few people speak in a page, so
// it keeps their names; bodies and ids stand in few pieces of memory. The zero
// value is ready.
type page struct {
	names  [16]name
	ids    strings.Builder
	bodies []byte
	stands int // bytes of bodies in all
}

// name is an id as it is written, and as it reads.
type name struct {
	raw  [rawID]byte
	text string
}

// room returns out with room for one more, of limit in all.
func (p *page) room(out []parley.Entry, limit int) []parley.Entry {
	if n := len(out); n < cap(out) {
		return out
	} else if n == 0 {
		return make([]parley.Entry, 0, min(limit, fewAtFirst))
	} else {
		return slices.Grow(out, min(limit, max(manyNext, 2*n))-n)
	}
}

// name reads the id of a user or device.
func (p *page) name(r *reader) string {
	if len(r.b) < rawID || r.b[0] <= tagLong {
		return readID[string](r)
	}
	n := &p.names[r.b[rawID-2]%byte(len(p.names))]
	if !bytes.Equal(n.raw[:], r.b[:rawID]) {
		raw := r.b
		if n.text = readID[string](r); r.err == nil {
			n.raw = [rawID]byte(raw)
		}
		return n.text
	}
	r.b = r.b[rawID:]
	return n.text
}

// id reads the id of a message.
func (p *page) id(r *reader) string {
	var text [maxIDText]byte
	id, rest, err := appendIDText(text[:0], r.b)
	if err != nil {
		r.fail(err)
		return ""
	}
	r.b = rest
	from := p.ids.Len()
	if p.ids.Cap()-from < len(id) {
		room := min(max(len(id), 2*from), maxPiece)
		p.ids.Reset() // what was written stays as it is
		p.ids.Grow(max(room, len(id)))
		from = 0
	}
	p.ids.Write(id)
	return p.ids.String()[from:]
}

// keep copies a body.
func (p *page) keep(data []byte) []byte {
	from := len(p.bodies)
	if cap(p.bodies)-from < len(data) {
		p.bodies, from = make([]byte, 0, max(len(data), min(2*p.stands, maxPiece))), 0
	}
	p.stands += len(data)
	p.bodies = append(p.bodies, data...)
	return p.bodies[from:len(p.bodies):len(p.bodies)]
}
