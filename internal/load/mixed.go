package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MixedPlan is W3 as people use it: everybody online, nearly all messages
// between two, some in groups, few in groups of everybody. Rate messages a
// second are sent in all, whatever the answers, and latencies count from when
// a message was due.
type MixedPlan struct {
	People int     `json:"people"`
	Rate   float64 `json:"rate"` // messages a second
}

// String is the plan in words.
func (p MixedPlan) String() string {
	return fmt.Sprintf("%d people, %s: %d %% direct, %d %% in groups, %d %% to everybody", p.People, pace(0, p.Rate),
		shareDirect, shareGroups, shareCrowds)
}

// What of a hundred messages goes where.
const (
	shareDirect = 90
	shareGroups = 9
	shareCrowds = 1
)

// crowds is how many groups everybody belongs to, speakers how many speak in
// a group.
const (
	crowds   = 2
	speakers = 4
)

// groupSizes are the sizes of groups, in turn. Everybody is in one of them.
var groupSizes = [...]int{5, 50, 10, 30, 20}

// minMixed is how few people a mixed load takes.
const minMixed = 10

// mixed is the world of a plan: who sits where and who speaks.
type mixed struct {
	seats []*seat
	rota  rota
	next  int // index of the next lane
}

// Mixed lays W3 with mixed traffic upon the server, like Pairs.
func Mixed(ctx context.Context, o Options, plan MixedPlan) (*Report, error) {
	o = o.withDefaults()
	if plan.People < minMixed {
		return nil, fmt.Errorf("a mixed load takes at least %d people", minMixed)
	}
	if plan.Rate == 0 {
		return nil, errors.New("a mixed load is offered at a rate above zero")
	}
	if err := checkLoad(plan.People, 1, plan.Rate); err != nil {
		return nil, err
	}
	w, folk, err := prepare(ctx, &o, plan.People)
	if err != nil {
		return nil, err
	}
	defer folk.close()
	m, err := w.mix(ctx, folk)
	if err != nil {
		return nil, err
	}
	return o.report("mixed", plan, func() (round, string, error) { return w.lay(ctx, &o, m.seats, m.rota, plan.Rate) })
}

// mix makes the conversations of a mixed load, seats everybody there and says
// who speaks.
func (w *world) mix(ctx context.Context, folk *people) (*mixed, error) {
	n := len(w.accounts)
	direct, groups := make([]*conversation, n/2), make([]*conversation, 0, n)
	err := each(ctx, len(direct), dialers, func(i int) (err error) {
		direct[i], err = folk.direct(ctx, w.accounts[2*i], w.accounts[2*i+1])
		return err
	})
	sizes := cut(n)
	for i, at := 0, 0; err == nil && i < len(sizes)+crowds; i++ {
		var c *conversation
		if i < len(sizes) {
			c, err = folk.group(ctx, w.accounts[at:at+sizes[i]])
			at += sizes[i]
		} else {
			c, err = folk.group(ctx, w.accounts)
		}
		groups = append(groups, c)
	}
	if err != nil {
		return nil, err
	}
	m := &mixed{seats: make([]*seat, n), rota: rota{{weight: shareDirect}, {weight: shareGroups}, {weight: shareCrowds}}}
	for i := range m.seats {
		m.seats[i] = &seat{account: w.accounts[i]}
	}
	window := windowFor(0, 1, len(direct)+speakers*len(groups))
	for i, c := range direct {
		m.gather(&m.rota[0], c, m.seats[2*i:2*i+2], 1, window)
	}
	at := 0
	for i, size := range sizes {
		m.gather(&m.rota[1], groups[i], m.seats[at:at+size], speakers, window)
		at += size
	}
	for _, c := range groups[len(sizes):] {
		m.gather(&m.rota[2], c, m.seats, speakers, window)
	}
	for _, l := range m.rota[2].lanes {
		l.crowd = true
	}
	return m, nil
}

// gather seats people in c and lets the first of them speak there.
func (m *mixed) gather(to *share, c *conversation, people []*seat, speak, window int) {
	for i, s := range people {
		s.sit(c)
		if i < speak {
			to.lanes = append(to.lanes, newLane(m.next, c, s, len(people)-1, window))
			m.next++
		}
	}
}

// cut divides n people into groups.
func cut(n int) (sizes []int) {
	for i := 0; n > 0; i++ {
		size := min(groupSizes[i%len(groupSizes)], n)
		if n-size < groupSizes[0] {
			size = n // nobody is left with too few
		}
		sizes, n = append(sizes, size), n-size
	}
	return sizes
}

// rota says whose turn it is to speak when a rate is offered. Shares of the
// messages go to their lanes, which take turns.
type rota []share

type share struct {
	lanes  []*lane
	weight int // of all weights together
	credit int
	turn   int
}

// inTurn is a rota of lanes that take turns.
func inTurn(lanes []*lane) rota { return rota{{lanes: lanes, weight: 1}} }

// lanes are all that speak, by their index.
func (r rota) lanes() (all []*lane) {
	for _, s := range r {
		all = append(all, s.lanes...)
	}
	return all
}

// next is whose turn it is. Shares are spread evenly: a hundredth is one
// message in a hundred, and not ten after a thousand.
func (r rota) next() *lane {
	best, all := 0, 0
	for i := range r {
		r[i].credit += r[i].weight
		all += r[i].weight
		if r[i].credit > r[best].credit {
			best = i
		}
	}
	s := &r[best]
	s.credit -= all
	l := s.lanes[s.turn]
	s.turn = (s.turn + 1) % len(s.lanes)
	return l
}

// Promise is W3 with what a group of 1,000 is promised: at twenty messages a
// second the last member has a message within a second, 99 of 100 times.
func Promise() (plan GroupPlan, within time.Duration) {
	return GroupPlan{Members: 1000, Senders: speakers, Rate: 20}, time.Second
}

// ErrSlow is wrapped by the error of a report that Within finds too slow.
var ErrSlow = errors.New("slower than it was to be")

// Within is nil if the last member of the greatest groups had 99 of 100
// messages by then, after they were due.
func (rep *Report) Within(d time.Duration) error {
	last := rep.LastMember
	if last == nil {
		last = rep.EndToEnd
	}
	switch {
	case d == 0:
		return nil
	case last == nil:
		return fmt.Errorf("%w: no message reached everybody", ErrSlow)
	case last.P99 > millis(d) || rep.Unsent > 0:
		return fmt.Errorf("%w: 99 of 100 messages reached the last member within %.0f ms, not %.0f, and %d were not sent", ErrSlow, last.P99, millis(d), rep.Unsent)
	}
	return nil
}
