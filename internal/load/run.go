package load

import (
	"context"
	"fmt"
	"time"
)

// longStep is how long a loop waits when nothing is due, and so the longest
// that an interruption goes unnoticed.
const longStep = 50 * time.Millisecond

// round is what one round of an exchange came to.
type round struct {
	tally
	seconds     float64 // measured
	used        usage
	interrupted bool
}

// settle works until nothing came for a while: what a new connection is told
// of the past must not fall into the measurement.
func (x *exchange) settle(ctx context.Context) error {
	l := x.loop
	l.now = l.clock().Sub(l.start)
	began := l.now
	l.heardAt = began
	for l.now-l.heardAt < x.o.quiet && l.now-began < settlePatience {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.step(longStep); err != nil {
			return err
		}
		if x.fail != nil {
			return x.fail
		}
	}
	return nil
}

// step is one step of the loop, that wakes up after d even if that is less
// than a millisecond.
func (x *exchange) step(d time.Duration) error {
	if d < longStep {
		if err := x.loop.poll.arm(d); err != nil {
			return err
		}
	}
	return x.loop.step(longStep)
}

// span is a warm-up and a measured time, and what happens within.
type span struct {
	warmup, measured time.Duration
	work             func() time.Duration // before each step: does what is due, says when to come again
	second           func()               // once a second
}

// measure drives the loop through s and looks at the server at both ends of
// the measured time. When ctx ends or the exchange fails it ends early, with
// what has been measured. The round has no tally yet.
func (x *exchange) measure(ctx context.Context, w watch, s span) (r round, err error) {
	t, l := &x.tally, x.loop
	l.now = l.clock().Sub(l.start)
	t.from = l.now + s.warmup
	t.until = t.from + s.measured
	next := l.now + time.Second
	var before usage
	measuring := false
	for err == nil && x.fail == nil && l.now < t.until {
		if ctx.Err() != nil {
			r.interrupted = true
			break
		}
		edge := t.until
		if !measuring && l.now >= t.from {
			measuring, before = true, w.look()
		} else if !measuring {
			edge = t.from
		}
		err = x.step(min(s.work(), edge-l.now))
		if l.now >= next {
			next += time.Second
			s.second()
		}
	}
	if measuring {
		r.used = w.look().since(before)
		t.until = min(t.until, l.now)
		r.seconds = (t.until - t.from).Seconds()
	}
	return r, err
}

// run lays the load for o.Warmup and o.Duration, measures the latter, and
// waits for the last answers. The round is good for reading also beside an
// error.
func (x *exchange) run(ctx context.Context, w watch) (round, error) {
	if err := x.settle(ctx); err != nil {
		return round{}, err
	}
	var p progress
	x.start(x.loop.now)
	r, err := x.measure(ctx, w, span{warmup: x.o.Warmup, measured: x.o.Duration, work: x.pump, second: func() { p.show(x) }})
	if err == nil {
		x.pump() // what was due within the span and not yet sent
		err = x.drain(ctx)
	}
	r.tally = x.tally
	return r, err
}

// start has the first messages sent.
func (x *exchange) start(now time.Duration) {
	if x.every > 0 {
		x.offer = now
		return
	}
	for _, l := range x.lanes {
		for x.post(l, now) {
		}
	}
}

// fill sends the quota of every lane and waits until everybody has it.
func (x *exchange) fill(ctx context.Context) error {
	if err := x.settle(ctx); err != nil {
		return err
	}
	var all uint64
	for _, l := range x.lanes {
		all += l.quota
	}
	x.start(x.loop.now)
	next := x.loop.now + time.Second
	for x.under > 0 && x.fail == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.step(x.pump()); err != nil {
			return err
		}
		if now := x.loop.now; now >= next {
			next = now + time.Second
			x.o.say("%d of %d messages written", x.tally.committed, all)
		}
	}
	if err := x.drain(ctx); err != nil {
		return err
	}
	return x.tally.verdict()
}

// drain waits for the last answers and counts what did not come. Only if no
// connection was lost and nobody hurries is what is missing known to be lost.
func (x *exchange) drain(ctx context.Context) error {
	x.quiet = true
	began, patience := x.loop.now, x.o.drain
	hurried := false
	for x.fail == nil && (x.under > 0 || x.behind() > 0) && x.loop.now-began < patience {
		if ctx.Err() != nil {
			patience, hurried = min(patience, hurriedPatience), true
		}
		if err := x.step(x.pump()); err != nil {
			return err
		}
	}
	for _, l := range x.lanes {
		for i := range l.flights {
			if f := &l.flights[i]; f.live && !f.acked {
				x.tally.unanswered++
			}
		}
	}
	if x.fail == nil && !hurried {
		x.tally.faults.Lost += x.behind()
	}
	return x.fail
}

// behind is how many entries the devices together lack of the logs they
// listen to.
func (x *exchange) behind() (n uint64) {
	for _, s := range x.seats {
		for _, t := range s.tracks {
			n += t.of.head - min(t.have, t.of.head)
		}
	}
	return n
}

// verdict is nil if every promise was kept.
func (t *tally) verdict() error {
	if t.faults.any() {
		return fmt.Errorf("%w: %d lost, %d doubled, %d out of order", ErrFault, t.faults.Lost, t.faults.Doubled, t.faults.Disordered)
	}
	return nil
}

// progress says once a second how it goes.
type progress struct{ seen uint64 }

func (p *progress) show(x *exchange) {
	now, t := x.loop.now, &x.tally
	mark := "warming up"
	if now >= t.from {
		mark = fmt.Sprintf("%9.0fs", (now - t.from).Seconds())
	}
	x.o.say("%s  %d msgs/s  end to end p50 %.2f p99 %.2f ms  under way %d", mark, t.committed-p.seen,
		millis(t.second.Quantile(.5)), millis(t.second.Quantile(.99)), x.under)
	p.seen = t.committed
	t.second.Reset()
}
