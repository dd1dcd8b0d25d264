package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// IdlePlan is W2: connections that say nothing after their hello but answer
// pings. Users below Connections share their accounts; 0: one account each.
type IdlePlan struct {
	Connections int `json:"connections"`
	Users       int `json:"users,omitzero"`
}

// String is the plan in words.
func (p IdlePlan) String() string { return fmt.Sprintf("%d connections", p.Connections) }

// memoryTime is how long the server may rest before its memory is looked at.
const memoryTime = 2 * time.Second

// Idle lays W2 upon the server, like Pairs. Its memory is resident memory
// after all are connected less that before, so the server should be fresh.
func Idle(ctx context.Context, o Options, plan IdlePlan) (*Report, error) {
	o = o.withDefaults()
	if err := checkLoad(plan.Connections, 1, 0); err != nil {
		return nil, err
	}
	users := plan.Users
	if users < 0 || users > plan.Connections {
		return nil, errors.New("users are 1 to as many as connections")
	}
	if users == 0 {
		users = plan.Connections
	}
	began := o.Now()
	w, folk, err := prepare(ctx, &o, users)
	if err != nil {
		return nil, err
	}
	defer folk.close()
	seats := make([]*seat, plan.Connections)
	for i := range seats {
		seats[i] = &seat{account: w.accounts[i%users]}
	}
	x, err := newExchange(&o, seats, nil)
	if err != nil {
		return nil, err
	}
	defer x.close()
	before := w.watch.look()
	dialed := o.Now()
	if err := connectAll(ctx, x.loop, w.place, seats, &o); err != nil {
		return nil, err
	}
	took := o.Now().Sub(dialed)
	r, err := x.rest(ctx, w.watch)
	if r.seconds == 0 {
		return nil, cmp.Or(err, errNothing)
	}
	rep := reportOf("idle", plan, x.server(), &r)
	rep.Connections, rep.ConnectsPerSecond = plan.Connections, perSecond(uint64(plan.Connections), took.Seconds())
	if before.known && r.used.known {
		rep.MemoryBefore = before.memory
		rep.KiBPerConnection = float64(r.used.memory-before.memory) / 1024 / float64(plan.Connections)
	}
	if rep.KiBPerConnection < 0 {
		rep.note("the server had been busy before and took less memory in the end: restart it and run again")
	}
	if folk.signedUp > 0 {
		rep.note("%d accounts were signed up within the last %.0f s, and hashing passwords takes memory: restart the server and run again with the same --accounts FILE", folk.signedUp, dialed.Sub(began).Seconds())
	}
	return rep, err
}

// rest lets all connections idle for o.Duration, after they have come to rest.
func (x *exchange) rest(ctx context.Context, w watch) (round, error) {
	if err := x.settle(ctx); err != nil {
		return round{}, err
	}
	r, err := x.measure(ctx, w, span{warmup: min(memoryTime, x.o.Duration), measured: x.o.Duration, work: x.pump, second: func() {
		x.o.say("%d connections, %.0f s to go", len(x.loop.conns), max(x.tally.until-x.loop.now, 0).Seconds())
	}})
	r.tally = x.tally
	if x.fail != nil {
		err = errors.Join(err, fmt.Errorf("%d of %d connections did not stay: %w", x.tally.cut, len(x.seats), x.fail))
	}
	return r, err
}

// server is how the server calls itself.
func (x *exchange) server() string {
	for _, s := range x.seats {
		if s.conn != nil {
			return s.conn.server
		}
	}
	return ""
}
