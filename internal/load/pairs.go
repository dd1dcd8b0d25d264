package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PairsPlan is W1: pairs of people in direct conversations, one of each
// speaks. With a Rate of 0 every speaker keeps Window messages under way and
// sends the next when one is acknowledged and received; otherwise Rate
// messages a second are sent by all speakers in turn, whatever the answers,
// and latencies count from when a message was due.
type PairsPlan struct {
	Pairs  int     `json:"pairs"`
	Window int     `json:"window,omitzero"`
	Rate   float64 `json:"rate,omitzero"` // messages a second
}

// GroupPlan is W3: one group with all members online, of whom some speak.
type GroupPlan struct {
	Members int     `json:"members"`
	Senders int     `json:"senders"`
	Window  int     `json:"window,omitzero"`
	Rate    float64 `json:"rate,omitzero"` // messages a second, of all senders together
}

// String is the plan in words.
func (p PairsPlan) String() string {
	return fmt.Sprintf("%d pairs, %s", p.Pairs, pace(p.Window, p.Rate))
}

// String is the plan in words.
func (p GroupPlan) String() string {
	return fmt.Sprintf("%d members, %d senders, %s", p.Members, p.Senders, pace(p.Window, p.Rate))
}

func pace(window int, rate float64) string {
	if rate > 0 {
		return fmt.Sprintf("%g messages a second offered", rate)
	}
	return fmt.Sprintf("%d messages under way each", window)
}

// Bounds of plans.
const (
	maxConnections = 60_000
	maxWindow      = 1024
	maxRate        = 1_000_000
	// offeredBacklog is how many messages may be under way in all lanes
	// together when a rate is offered; of each lane at least minBacklog.
	offeredBacklog = 16 << 10
	minBacklog     = 64
)

func checkLoad(connections, window int, rate float64) error {
	switch {
	case connections < 1 || connections > maxConnections:
		return fmt.Errorf("a load has 1 to %d connections, not %d", maxConnections, connections)
	case rate == 0 && (window < 1 || window > maxWindow):
		return fmt.Errorf("a window is 1 to %d messages, not %d", maxWindow, window)
	case rate < 0 || rate > maxRate || rate != rate:
		return fmt.Errorf("a rate is at most %d messages a second", maxRate)
	}
	return nil
}

// world is where a load is laid, and the people it is laid with.
type world struct {
	place         place
	watch         watch
	accounts      []account
	conversations []*conversation
}

// lay connects seats, runs one round of those who speak, and hangs up.
func (w *world) lay(ctx context.Context, o *Options, seats []*seat, speak rota, rate float64) (round, string, error) {
	x, err := newExchange(o, seats, speak.lanes())
	if err != nil {
		return round{}, "", err
	}
	defer x.close()
	x.rota = speak
	if rate > 0 {
		x.every = time.Duration(float64(time.Second) / rate)
	}
	if err := connectAll(ctx, x.loop, w.place, seats, o); err != nil {
		return round{}, "", err
	}
	server := x.server()
	r, err := x.run(ctx, w.watch)
	return r, server, err
}

// windowFor is the window of each of n lanes.
func windowFor(window int, rate float64, n int) int {
	if rate > 0 {
		return max(offeredBacklog/n, minBacklog)
	}
	return window
}

// pairs runs one round of W1.
func (w *world) pairs(ctx context.Context, o *Options, plan PairsPlan) (round, error) {
	r, _, err := w.namedPairs(ctx, o, plan)
	return r, err
}

func (w *world) namedPairs(ctx context.Context, o *Options, plan PairsPlan) (round, string, error) {
	seats := make([]*seat, 2*plan.Pairs)
	lanes := make([]*lane, plan.Pairs)
	window := windowFor(plan.Window, plan.Rate, plan.Pairs)
	for i := range seats {
		seats[i] = &seat{account: w.accounts[i]}
		seats[i].sit(w.conversations[i/2])
	}
	for i := range lanes {
		lanes[i] = newLane(i, w.conversations[i], seats[2*i], 1, window)
	}
	return w.lay(ctx, o, seats, inTurn(lanes), plan.Rate)
}

// prepare finds the server, and n accounts on it.
func prepare(ctx context.Context, o *Options, n int) (*world, *people, error) {
	p, err := o.resolve(ctx)
	if err != nil {
		return nil, nil, err
	}
	folk := newPeople(p, o)
	if err := folk.reach(ctx); err != nil {
		return nil, nil, err
	}
	accounts, err := folk.accounts(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	return &world{place: p, watch: o.serverOf(p), accounts: accounts}, folk, nil
}

// preparePairs makes the world of a plan.
func preparePairs(ctx context.Context, o *Options, plan PairsPlan) (*world, error) {
	w, folk, err := prepare(ctx, o, 2*plan.Pairs)
	if err != nil {
		return nil, err
	}
	defer folk.close()
	w.conversations = make([]*conversation, plan.Pairs)
	err = each(ctx, plan.Pairs, dialers, func(i int) (err error) {
		w.conversations[i], err = folk.direct(ctx, w.accounts[2*i], w.accounts[2*i+1])
		return err
	})
	return w, err
}

// Pairs lays W1 upon the server. The report stands also beside an error that
// says what went wrong while it was measured; it is nil when nothing was.
func Pairs(ctx context.Context, o Options, plan PairsPlan) (*Report, error) {
	o = o.withDefaults()
	if err := checkLoad(2*plan.Pairs, plan.Window, plan.Rate); err != nil {
		return nil, err
	}
	w, err := preparePairs(ctx, &o, plan)
	if err != nil {
		return nil, err
	}
	return o.report("pairs", plan, func() (round, string, error) { return w.namedPairs(ctx, &o, plan) })
}

// Limit lays W1 upon the limit: a bare loop in this process. Its log is a file
// in o.Data, or where temporary files are.
func Limit(ctx context.Context, o Options, plan PairsPlan) (*Report, error) {
	o = o.withDefaults()
	if err := checkLoad(2*plan.Pairs, plan.Window, plan.Rate); err != nil {
		return nil, err
	}
	return o.report("limit", plan, func() (round, string, error) {
		r, err := limitRound(ctx, &o, plan)
		return r, "limit", err
	})
}

// Group lays W3 upon the server, like Pairs.
func Group(ctx context.Context, o Options, plan GroupPlan) (*Report, error) {
	o = o.withDefaults()
	if plan.Senders < 1 || plan.Senders > plan.Members {
		return nil, errors.New("a group has at least one sender, and no more senders than members")
	}
	if err := checkLoad(plan.Members, plan.Window, plan.Rate); err != nil {
		return nil, err
	}
	w, folk, err := prepare(ctx, &o, plan.Members)
	if err != nil {
		return nil, err
	}
	defer folk.close()
	c, err := folk.group(ctx, w.accounts)
	if err != nil {
		return nil, err
	}
	seats := make([]*seat, plan.Members)
	for i := range seats {
		seats[i] = &seat{account: w.accounts[i]}
		seats[i].sit(c)
	}
	lanes := make([]*lane, plan.Senders)
	for i := range lanes {
		lanes[i] = newLane(i, c, seats[i], plan.Members-1, windowFor(plan.Window, plan.Rate, plan.Senders))
	}
	return o.report("group", plan, func() (round, string, error) { return w.lay(ctx, &o, seats, inTurn(lanes), plan.Rate) })
}
