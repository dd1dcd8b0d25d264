package load

import (
	"time"

	"github.com/parley-im/parley"
)

// Faults is promises broken. Each is counted once per device that saw it.
type Faults struct {
	Lost       uint64 `json:"lost"`       // acknowledged or sent, and not heard by everybody in the end
	Doubled    uint64 `json:"doubled"`    // heard twice by one device
	Disordered uint64 `json:"disordered"` // at different numbers for different devices, or in another conversation
}

func (f Faults) any() bool { return f != Faults{} }

func (f Faults) plus(g Faults) Faults {
	return Faults{f.Lost + g.Lost, f.Doubled + g.Doubled, f.Disordered + g.Disordered}
}

// tally counts what happens in the span that is measured. A rate counts what
// ended within it; a latency is that of what began within it, however late it
// ended, so that the slowest are not left out.
type tally struct {
	from, until time.Duration // of the loop's clock
	messages    uint64        // completed within the span
	deliveries  uint64        // of single recipients, within the span
	committed   uint64        // completed at all
	acks, ends  Histogram
	arrivals    Histogram // of each recipient
	crowds      Histogram // end to end, of lanes that speak to a crowd
	second      Histogram // end to end, since the last line of progress
	refusals    map[parley.Code]uint64
	asked       uint64 // gaps that had to be filled by a read
	cut         uint64 // connections lost
	unanswered  uint64 // messages that were never acknowledged
	unsent      uint64 // messages offered while their lane was full
	faults      Faults
}

func (t *tally) within(at time.Duration) bool { return t.from <= at && at < t.until }

func (t *tally) ack(now, due time.Duration) {
	if t.within(due) {
		t.acks.Record(now - due)
	}
}

func (t *tally) delivery(now, due time.Duration) {
	if t.within(now) {
		t.deliveries++
	}
	if t.within(due) {
		t.arrivals.Record(now - due)
	}
}

func (t *tally) complete(now, due time.Duration, crowd bool) {
	t.committed++
	t.second.Record(now - due)
	if t.within(now) {
		t.messages++
	}
	if t.within(due) {
		t.ends.Record(now - due)
		if crowd {
			t.crowds.Record(now - due)
		}
	}
}

func (t *tally) refuse(code parley.Code) {
	if t.refusals == nil {
		t.refusals = map[parley.Code]uint64{}
	}
	if _, known := t.refusals[code]; !known && len(t.refusals) >= maxCodes {
		code = parley.Internal
	}
	t.refusals[code]++
}

// maxCodes bounds the codes told apart: a peer may say anything.
const maxCodes = 64

// add counts what another round counted.
func (t *tally) add(u *tally) {
	t.messages += u.messages
	t.deliveries += u.deliveries
	t.committed += u.committed
	t.acks.Add(&u.acks)
	t.ends.Add(&u.ends)
	t.arrivals.Add(&u.arrivals)
	t.crowds.Add(&u.crowds)
	for code, n := range u.refusals {
		if t.refusals == nil {
			t.refusals = map[parley.Code]uint64{}
		}
		t.refusals[code] += n
	}
	t.asked += u.asked
	t.cut += u.cut
	t.unanswered += u.unanswered
	t.unsent += u.unsent
	t.faults = t.faults.plus(u.faults)
}
