package load

import (
	"strconv"
	"time"
)

// ring is how many times its window of messages a lane can tell apart.
const ring = 2

// lane is one sender in one conversation. Messages of a lane are numbered from
// 0, and wait for their acknowledgement and their recipients in flights.
type lane struct {
	index      uint32
	of         *conversation
	seat       *seat
	recipients int    // devices but the sender's own that must hold each message
	window     int    // messages under way at once
	quota      uint64 // messages to be sent at all
	crowd      bool   // its messages are counted apart, too: many must hear them
	next       uint64 // number of the next message
	flights    []flight
	under      int // messages under way
}

// flight is one message under way.
type flight struct {
	live    bool
	acked   bool
	n       uint64
	seq     uint64 // its number in the conversation, once anybody said it; 0 before
	missing int    // recipients that do not hold it
	due     time.Duration
	again   time.Duration // when a refused message is tried again; 0: it waits for an answer
	id      []byte
	body    []byte // as JSON, for another try
	base    uint64
}

func newLane(index int, of *conversation, s *seat, recipients, window int) *lane {
	return &lane{index: uint32(index), of: of, seat: s, recipients: recipients, window: window,
		quota: 1 << 62, flights: make([]flight, ring*window)}
}

// open finds a flight for the next message; nil when the window is full, the
// quota reached, or a message still under way that was overtaken by a whole
// ring of others.
func (l *lane) open() *flight {
	f := &l.flights[l.next%uint64(len(l.flights))]
	if f.live || l.under >= l.window || l.next >= l.quota {
		return nil
	}
	*f = flight{live: true, n: l.next, missing: l.recipients, id: f.id[:0], body: f.body[:0]}
	l.next++
	l.under++
	return f
}

// flight returns message n if it is under way.
func (l *lane) flight(n uint64) *flight {
	if f := &l.flights[n%uint64(len(l.flights))]; f.live && f.n == n {
		return f
	}
	return nil
}

// stands takes note that somebody said f's number; it is false when somebody
// else said another.
func (f *flight) stands(seq uint64) bool {
	if f.seq == 0 {
		f.seq = seq
	}
	return f.seq == seq
}

// complete says that the sender has the acknowledgement and every recipient
// the message.
func (f *flight) complete() bool { return f.acked && f.missing == 0 }

// appendPost adds the post frame of f to dst.
func (l *lane) appendPost(dst []byte, f *flight, ref uint64) []byte {
	dst = strconv.AppendUint(append(dst, `{"t":"post","ref":`...), ref, 10)
	dst = append(append(dst, `,"conversation":"`...), l.of.id...)
	dst = append(append(dst, `","id":"`...), f.id...)
	dst = append(append(dst, `","body":`...), f.body...)
	if f.base > 0 {
		dst = strconv.AppendUint(append(dst, `,"base":`...), f.base, 10)
	}
	return append(dst, '}')
}
