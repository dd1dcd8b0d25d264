package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/parley-im/parley/wire"
)

// HistoryPlan is W4: the last 50 entries of a random conversation, read by one
// of its members, Readers at once. Conversations that are not Depth deep are
// filled first; those of an earlier run with the same accounts are used again.
type HistoryPlan struct {
	Conversations int `json:"conversations"`
	Depth         int `json:"depth"`
	Readers       int `json:"readers"`
}

const (
	maxConversations = 1_000_000
	maxDepth         = 100_000_000
	maxReaders       = 1024
	// pageLimit is how many entries a page of history has.
	pageLimit = wire.DefaultLimit
	// fillLanes is how many conversations are filled at once, fillWindow how
	// many messages of each are under way.
	fillLanes  = 256
	fillWindow = 8
)

func (p HistoryPlan) check() error {
	switch {
	case p.Conversations < 1 || p.Conversations > maxConversations:
		return fmt.Errorf("a history has 1 to %d conversations", maxConversations)
	case p.Depth < 1 || p.Depth > maxDepth:
		return fmt.Errorf("a conversation is 1 to %d entries deep", maxDepth)
	case p.Readers < 1 || p.Readers > maxReaders:
		return fmt.Errorf("1 to %d read at once", maxReaders)
	}
	return nil
}

// String is the plan in words.
func (p HistoryPlan) String() string {
	return fmt.Sprintf("the last %d of %d conversations of %d entries, %d at once", pageLimit, p.Conversations, p.Depth, p.Readers)
}

// users is how many people have that many direct conversations among them.
func (p HistoryPlan) users() int {
	n := 2
	for n*(n-1)/2 < p.Conversations {
		n++
	}
	return n
}

// pair is the two people of a conversation, as indices of accounts.
type pair struct{ a, b int }

// pairsOf lists the first n pairs of people, each pair once: those of the
// first people first, so that more conversations keep the ones there are.
func pairsOf(n int) []pair {
	out := make([]pair, 0, n)
	for b := 1; len(out) < n; b++ {
		for a := 0; a < b && len(out) < n; a++ {
			out = append(out, pair{a, b})
		}
	}
	return out
}

// History lays W4 upon the server, like Pairs.
func History(ctx context.Context, o Options, plan HistoryPlan) (*Report, error) {
	o = o.withDefaults()
	if err := plan.check(); err != nil {
		return nil, err
	}
	w, folk, err := prepare(ctx, &o, plan.users())
	if err != nil {
		return nil, err
	}
	defer folk.close()
	pairs := pairsOf(plan.Conversations)
	w.conversations = make([]*conversation, len(pairs))
	err = each(ctx, len(pairs), dialers, func(i int) (err error) {
		w.conversations[i], err = folk.direct(ctx, w.accounts[pairs[i].a], w.accounts[pairs[i].b])
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.fill(ctx, &o, pairs, uint64(plan.Depth)); err != nil {
		return nil, err
	}
	r, err := newReaders(&o, w, pairs, plan.Readers)
	if err != nil {
		return nil, err
	}
	defer r.x.close()
	return r.report(ctx, &o, plan)
}

// fill writes messages until every conversation is that deep.
func (w *world) fill(ctx context.Context, o *Options, pairs []pair, depth uint64) error {
	for from := 0; from < len(pairs); from += fillLanes {
		seats := make([]*seat, len(w.accounts))
		for i := range seats {
			seats[i] = &seat{account: w.accounts[i]}
		}
		var used []*seat
		take := func(i int, c *conversation) {
			if len(seats[i].tracks) == 0 {
				used = append(used, seats[i])
			}
			seats[i].sit(c)
		}
		var lanes []*lane
		for i := from; i < min(from+fillLanes, len(pairs)); i++ {
			c := w.conversations[i]
			if c.head >= depth {
				continue
			}
			take(pairs[i].a, c)
			take(pairs[i].b, c)
			l := newLane(len(lanes), c, seats[pairs[i].a], 1, fillWindow)
			l.quota = depth - c.head
			lanes = append(lanes, l)
		}
		if len(lanes) == 0 {
			continue
		}
		o.say("filling conversations %d to %d of %d", from+1, min(from+fillLanes, len(pairs)), len(pairs))
		if err := w.fillLanes(ctx, o, used, lanes); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) fillLanes(ctx context.Context, o *Options, seats []*seat, lanes []*lane) error {
	x, err := newExchange(o, seats, lanes)
	if err != nil {
		return err
	}
	defer x.close()
	if err := connectAll(ctx, x.loop, w.place, seats, o); err != nil {
		return err
	}
	return x.fill(ctx)
}

// readers is people who read: the handler of W4's loop. It leaves all but the
// answers to an exchange without lanes, whose loop it shares.
type readers struct {
	x      *exchange
	w      *world
	pairs  []pair
	random *rand.Rand
	asked  []question // by ref, from 1
	making []byte     // a frame

	done         uint64 // answered within the measured span
	took, second Histogram
}

// question is one read under way.
type question struct {
	of *conversation
	at time.Duration
}

func newReaders(o *Options, w *world, pairs []pair, n int) (*readers, error) {
	seats := make([]*seat, len(w.accounts))
	for i := range seats {
		seats[i] = &seat{account: w.accounts[i]}
	}
	x, err := newExchange(o, seats, nil)
	if err != nil {
		return nil, err
	}
	seed, err := seedOf(o.Rand)
	if err != nil {
		x.close()
		return nil, err
	}
	r := &readers{x: x, w: w, pairs: pairs, random: rand.New(rand.NewPCG(seed, 4)), asked: make([]question, n)}
	x.loop.handler = r
	return r, nil
}

// closed implements handler.
func (r *readers) closed(c *conn, err error) { r.x.closed(c, err) }

// frame implements handler.
func (r *readers) frame(c *conn, payload []byte) error {
	h := &r.x.heard
	if err := h.read(payload); err != nil {
		return err
	}
	switch {
	case string(h.t) == wire.FrameError:
		return refusal(string(h.code), string(h.message))
	case string(h.t) == wire.FrameGoaway:
		return errors.New("the server drains")
	case string(h.t) != wire.FrameEntries || h.ref == 0 || h.ref > uint64(len(r.asked)):
		return nil
	}
	q := &r.asked[h.ref-1]
	if q.of == nil {
		r.x.tally.faults.Doubled++
		return nil
	}
	if !lastPage(h, q.of) {
		r.x.tally.faults.Lost++
	}
	now := r.x.loop.now
	if r.x.tally.within(q.at) {
		r.took.Record(now - q.at)
	}
	if r.x.tally.within(now) {
		r.done++
	}
	r.second.Record(now - q.at)
	q.of = nil
	if !r.x.quiet {
		r.ask(h.ref)
	}
	return nil
}

// lastPage says whether a page is the last of c: all its numbers up to the
// head without a gap.
func lastPage(h *heard, c *conversation) bool {
	if string(h.conv) != c.id || h.head < c.head || uint64(len(h.entries)) != min(pageLimit, h.head) {
		return false
	}
	for i := range h.entries {
		if h.entries[i].seq != h.head-uint64(len(h.entries)-1-i) {
			return false
		}
	}
	return true
}

// ask has some member ask for the last page of some conversation.
func (r *readers) ask(ref uint64) {
	i := r.random.IntN(len(r.pairs))
	who := r.pairs[i].a
	if r.random.IntN(2) == 1 {
		who = r.pairs[i].b
	}
	c := r.w.conversations[i]
	conn := r.x.seats[who].conn
	if conn == nil {
		return // the run ends
	}
	r.asked[ref-1] = question{of: c, at: r.x.loop.now}
	r.making = appendRead(r.making[:0], ref, c.id, "before", c.head+1, pageLimit)
	r.x.loop.send(conn, ws.OpText, r.making)
}

// report connects everybody, reads, and says what it came to.
func (r *readers) report(ctx context.Context, o *Options, plan HistoryPlan) (*Report, error) {
	x := r.x
	if err := connectAll(ctx, x.loop, r.w.place, x.seats, o); err != nil {
		return nil, err
	}
	if err := x.settle(ctx); err != nil {
		return nil, err
	}
	rep, err := o.report("history", plan, func() (round, string, error) {
		res, err := r.run(ctx, o)
		return res, x.server(), err
	})
	if rep != nil {
		rep.Reads, rep.ReadsPerSecond, rep.Read = r.done, perSecond(r.done, rep.Seconds), latencyOf(&r.took)
		rep.CPUPerMillion = rep.CPUShare * rep.Seconds / float64(max(r.done, 1)) * 1e6
	}
	return rep, err
}

// run reads for o.Warmup and o.Duration and waits for the last answers.
func (r *readers) run(ctx context.Context, o *Options) (round, error) {
	x, l := r.x, r.x.loop
	for i := range r.asked {
		r.ask(uint64(i) + 1)
	}
	res, err := x.measure(ctx, r.w.watch, span{warmup: o.Warmup, measured: o.Duration, work: x.pump, second: func() {
		o.say("%d reads/s  p50 %.3f p99 %.3f ms", r.second.Count(), millis(r.second.Quantile(.5)), millis(r.second.Quantile(.99)))
		r.second.Reset()
	}})
	x.quiet = true
	for began := l.now; err == nil && x.fail == nil && r.underWay() > 0 && l.now-began < o.drain; {
		err = x.step(longStep)
	}
	res.tally = x.tally
	res.unanswered = uint64(r.underWay())
	return res, errors.Join(err, x.fail)
}

func (r *readers) underWay() (n int) {
	for i := range r.asked {
		if r.asked[i].of != nil {
			n++
		}
	}
	return n
}
