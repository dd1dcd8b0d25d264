package load

import "strconv"

// conversation is a log that a load speaks in, as far as the load knows it.
// It outlives the connections of one round.
type conversation struct {
	id   string
	head uint64 // the greatest number acknowledged or heard
}

// seat is one device of a load.
type seat struct {
	account account
	conn    *conn
	tracks  map[string]*track
	last    *track // the one last asked for
}

// track is what a seat holds of one conversation: everything up to have.
type track struct {
	of     *conversation
	have   uint64
	filled uint64 // up to here an entry may come twice: it is older than the load, or was asked for
	asking bool   // a stretch was asked for and has not come
}

// sit lets the seat listen to c from its head on.
func (s *seat) sit(c *conversation) {
	if s.tracks == nil {
		s.tracks = map[string]*track{}
	}
	s.tracks[c.id] = &track{of: c, have: c.head, filled: c.head}
}

// track returns what the seat holds of a conversation; nil: it does not listen.
func (s *seat) track(conv []byte) *track {
	if s.last == nil || s.last.of.id != string(conv) {
		s.last = s.tracks[string(conv)]
	}
	return s.last
}

// fate is what an entry is to the device that hears it.
type fate int

const (
	fresh  fate = iota // the next number
	old                // known, and that is all right
	double             // told twice without having been asked for
	gap                // numbers before it are missing
)

// hear takes note of an entry and says what it is. answer says that it came
// as the answer to a read.
func (t *track) hear(seq uint64, answer bool) fate {
	switch {
	case seq == t.have+1:
		t.have = seq
		if answer {
			t.filled = seq
		}
		t.of.head = max(t.of.head, seq)
		return fresh
	case seq > t.have:
		return gap
	case seq <= t.filled || answer:
		return old
	default:
		return double
	}
}

// gapRef is the ref of reads that fill a gap. Refs of posts stay below it.
const gapRef = 1 << 50

// appendRead adds a read frame to dst: limit entries after a number, or before
// it, the nearest first.
func appendRead(dst []byte, ref uint64, conv, side string, seq uint64, limit int) []byte {
	dst = strconv.AppendUint(append(dst, `{"t":"read","ref":`...), ref, 10)
	dst = append(append(dst, `,"conversation":"`...), conv...)
	dst = append(append(append(dst, `","`...), side...), `":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = strconv.AppendInt(append(dst, `,"limit":`...), int64(limit), 10)
	return append(dst, '}')
}
