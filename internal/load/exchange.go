package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// gapLimit is how many entries are asked for to fill a gap.
const gapLimit = wire.MaxLimit

// exchange is people who talk and listen: the handler of a load's loop. One
// goroutine owns it.
type exchange struct {
	o     *Options
	loop  *loop
	names *namer
	texts *texts
	seats []*seat
	lanes []*lane

	heard   heard
	frameOf []byte     // a frame in the making
	waiting []flightOf // refused, to be tried again
	quiet   bool       // no new messages
	under   int        // messages under way in all lanes
	fail    error

	every time.Duration // between two offered messages; 0: closed loop
	offer time.Duration // when the next one is due
	rota  rota          // whose turn it is

	tally tally
}

// flightOf is a message that waits to be tried again.
type flightOf struct {
	lane *lane
	n    uint64
}

func newExchange(o *Options, seats []*seat, lanes []*lane) (*exchange, error) {
	x := &exchange{o: o, seats: seats, lanes: lanes, rota: inTurn(lanes)}
	var err error
	if x.names, err = newNamer(o.Rand); err != nil {
		return nil, err
	}
	if x.texts, err = newTexts(o); err != nil {
		return nil, err
	}
	x.loop, err = newLoop(x, true, o.Now)
	return x, err
}

func (x *exchange) close() { x.loop.close() }

// frame implements handler.
func (x *exchange) frame(c *conn, payload []byte) error {
	h := &x.heard
	if err := h.read(payload); err != nil {
		return err
	}
	switch string(h.t) {
	case wire.FrameAck:
		x.acked()
	case wire.FrameEntries:
		x.entries(c.seat)
	case wire.FrameChanges:
		for _, r := range h.rows {
			if t := c.seat.track(r.conv); t != nil && r.head > t.have {
				x.ask(c.seat, t)
			}
		}
	case wire.FrameError:
		x.refused(c.seat)
	case wire.FrameGoaway:
		return errors.New("the server drains")
	}
	return nil
}

// closed implements handler. A load without one of its devices is another
// load, so the run ends.
func (x *exchange) closed(c *conn, err error) {
	c.seat.conn = nil
	x.tally.cut++
	x.failed(fmt.Errorf("a connection was lost: %w", err))
}

func (x *exchange) failed(err error) {
	if x.fail == nil {
		x.fail = err
	}
}

// refOf packs a lane and the number of a message into a ref; byRef is the
// reverse.
func (x *exchange) refOf(l *lane, n uint64) uint64 {
	return n*uint64(len(x.lanes)) + uint64(l.index) + 1
}

func (x *exchange) byRef(ref uint64) (*lane, uint64, bool) {
	if ref == 0 || ref >= gapRef || len(x.lanes) == 0 {
		return nil, 0, false
	}
	ref--
	return x.lanes[ref%uint64(len(x.lanes))], ref / uint64(len(x.lanes)), true
}

// post sends the next message of l, due at that time; false: its window is
// full.
func (x *exchange) post(l *lane, due time.Duration) bool {
	f := l.open()
	if f == nil {
		return false
	}
	x.under++
	f.due = due
	f.id = x.names.append(f.id, l.index, f.n)
	f.body = x.texts.appendBody(f.body)
	if t := l.seat.tracks[l.of.id]; t != nil {
		f.base = t.have
	}
	x.try(l, f)
	return true
}

// try sends f, the first time or again with the same id.
func (x *exchange) try(l *lane, f *flight) {
	f.again = 0
	if l.seat.conn == nil {
		return // the run ends
	}
	x.frameOf = l.appendPost(x.frameOf[:0], f, x.refOf(l, f.n))
	x.loop.send(l.seat.conn, ws.OpText, x.frameOf)
}

// acked takes an acknowledgement.
func (x *exchange) acked() {
	h := &x.heard
	l, n, ok := x.byRef(h.ref)
	if !ok {
		return
	}
	f := l.flight(n)
	if f == nil || f.acked {
		x.tally.faults.Doubled++ // an answer without a question
		return
	}
	if !bytes.Equal(f.id, h.id) || !f.stands(h.seq) {
		x.tally.faults.Disordered++
	}
	f.acked = true
	l.of.head = max(l.of.head, h.seq)
	x.tally.ack(x.loop.now, f.due)
	x.settleFlight(l, f)
}

// entries takes what a device is told of a conversation.
func (x *exchange) entries(s *seat) {
	h := &x.heard
	t := s.track(h.conv)
	if t == nil {
		return
	}
	answer := h.ref >= gapRef
	if answer {
		t.asking = false
	}
	for i := range h.entries {
		switch t.hear(h.entries[i].seq, answer) {
		case fresh:
			x.delivered(s, &h.entries[i])
		case double:
			x.tally.faults.Doubled++
		case gap:
			x.ask(s, t)
			return
		}
	}
	if answer && t.have < h.head {
		x.ask(s, t)
	}
}

// delivered takes note that s holds an entry.
func (x *exchange) delivered(s *seat, e *heardEntry) {
	index, n, ok := x.names.parse(e.id)
	if !ok || int(index) >= len(x.lanes) {
		return // somebody else's, or not a message
	}
	l := x.lanes[index]
	f := l.flight(n)
	if l.of != s.last.of {
		x.tally.faults.Disordered++ // in another conversation
		return
	}
	if f == nil {
		// The sender's own device may hear of it after everybody else.
		if n >= l.next || l.seat != s {
			x.tally.faults.Doubled++
		}
		return
	}
	if !f.stands(e.seq) {
		x.tally.faults.Disordered++
	}
	if l.seat == s {
		return
	}
	if f.missing == 0 {
		x.tally.faults.Doubled++
		return
	}
	f.missing--
	x.tally.delivery(x.loop.now, f.due)
	x.settleFlight(l, f)
}

// settleFlight counts f once it is complete, and lets the next one start.
func (x *exchange) settleFlight(l *lane, f *flight) {
	if !f.complete() {
		return
	}
	f.live = false
	l.under--
	x.under--
	x.tally.complete(x.loop.now, f.due, l.crowd)
	if x.every == 0 && !x.quiet {
		x.post(l, x.loop.now)
	}
}

// ask asks for what t lacks, one stretch at a time.
func (x *exchange) ask(s *seat, t *track) {
	if t.asking || s.conn == nil {
		return
	}
	t.asking = true
	x.tally.asked++
	x.frameOf = appendRead(x.frameOf[:0], gapRef, t.of.id, "after", t.have, gapLimit)
	x.loop.send(s.conn, ws.OpText, x.frameOf)
}

// refused takes an error frame: what may succeed again is tried again with
// the same id, everything else ends the run.
func (x *exchange) refused(s *seat) {
	h := &x.heard
	code := parley.Code(h.code)
	l, n, ok := x.byRef(h.ref)
	x.tally.refuse(code)
	var f *flight
	if ok {
		f = l.flight(n)
	}
	if f == nil || code == parley.RateLimited || code == parley.StorageFull || code.Retry() == parley.GiveUp {
		x.failed(refusal(string(h.code), string(h.message)))
		return
	}
	f.again = x.loop.now + max(time.Duration(min(h.after, 60_000))*time.Millisecond, 10*time.Millisecond)
	x.waiting = append(x.waiting, flightOf{l, n})
}

// pump sends what is due: messages offered and messages refused before. It
// returns how long until the next may be.
func (x *exchange) pump() time.Duration {
	now := x.loop.clock().Sub(x.loop.start)
	next := longStep
	kept := x.waiting[:0]
	for _, w := range x.waiting {
		f := w.lane.flight(w.n)
		switch {
		case f == nil || f.again == 0:
		case f.again <= now:
			x.try(w.lane, f)
		default:
			next = min(next, f.again-now)
			kept = append(kept, w)
		}
	}
	x.waiting = kept
	if x.every == 0 || x.quiet {
		return next
	}
	for x.offer <= now && x.offer < x.tally.until {
		if !x.post(x.rota.next(), x.offer) {
			x.tally.unsent++
		}
		x.offer += x.every
	}
	return min(next, x.offer-now)
}
