package presence

import (
	"slices"
	"sync"

	parley "github.com/parley-im/parley"
)

// maxSeen bounds the users whose last connection's end is remembered. Past it
// some are forgotten: Config.LastSeen knows roughly.
const maxSeen = 1 << 16

// ledger is the leases of the users whose shards live here, and who is told.
type ledger struct {
	p *Presence

	mu       sync.Mutex
	of       map[parley.UserID]*record
	restless map[parley.UserID]struct{} // those with something to decide or to tell
	seen     map[parley.UserID]int64    // the last connection's end, in Unix milliseconds
	settled  moment                     // until then nobody without a lease is said to be offline
}

// record is one user.
type record struct {
	leases []lease
	told   []told
	at     moment // since when there are leases, or none
	online bool   // what everybody is told
}

// lease says that a node has sessions of the user.
type lease struct {
	node  Node
	until moment
}

// told is what a node wants to hear, and heard.
type told struct {
	node  Node
	until moment
	knows Known
	again bool // who may see the user changed
}

func newLedger(p *Presence) *ledger {
	return &ledger{
		p: p, of: make(map[parley.UserID]*record),
		restless: make(map[parley.UserID]struct{}), seen: make(map[parley.UserID]int64),
	}
}

// turned takes note that shards may have come here, whose leases are still to
// be reported, and gone: what is known of those is not renewed here any more,
// and would be wrong when they come back.
func (l *ledger) turned(now moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = now + settle
	for u := range l.of {
		if l.p.owner(u) != l.p.self {
			delete(l.of, u)
		}
	}
}

// record returns the record of u, making it. l.mu is held, as it is in all
// that follows but for take, turn, expire and states.
func (l *ledger) record(u parley.UserID) *record {
	r := l.of[u]
	if r == nil {
		r = &record{}
		l.of[u] = r
	}
	return r
}

// take takes what a node told the owner.
func (l *ledger) take(from Node, n *Note, now moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := now + l.p.cfg.Lease
	for _, h := range n.Here {
		l.lease(from, h, now, until)
	}
	for _, u := range n.Gone {
		l.end(from, u, now)
	}
	for _, w := range n.Watch {
		r := l.record(w.User)
		i := slices.IndexFunc(r.told, func(t told) bool { return t.node == from })
		if i < 0 {
			i = len(r.told)
			r.told = append(r.told, told{node: from})
		}
		r.told[i].until, r.told[i].knows = until, w.Knows
		l.restless[w.User] = struct{}{}
	}
	for _, u := range n.Unwatch {
		if r := l.of[u]; r != nil {
			r.told = slices.DeleteFunc(r.told, func(t told) bool { return t.node == from })
			l.drop(u, r)
		}
	}
	for _, u := range n.Recheck {
		if r := l.of[u]; r != nil {
			for i := range r.told {
				r.told[i].again = true
			}
			l.restless[u] = struct{}{}
		}
	}
}

// lease begins a lease or renews it.
func (l *ledger) lease(from Node, h Here, now, until moment) {
	r := l.record(h.User)
	since := now - moment(max(0, h.Age))*1e6
	if len(r.leases) == 0 || since < r.at {
		r.at = since
	}
	if i := r.leased(from); i >= 0 {
		r.leases[i].until = until
	} else {
		r.leases = append(r.leases, lease{from, until})
	}
	l.restless[h.User] = struct{}{}
}

func (r *record) leased(by Node) int {
	return slices.IndexFunc(r.leases, func(x lease) bool { return x.node == by })
}

// end ends a lease.
func (l *ledger) end(from Node, u parley.UserID, now moment) {
	l.saw(u, now)
	r := l.of[u]
	if r == nil {
		return
	}
	if i := r.leased(from); i >= 0 {
		r.leases = slices.Delete(r.leases, i, i+1)
		if len(r.leases) == 0 {
			r.leases, r.at = nil, now
		}
	}
	l.restless[u] = struct{}{}
}

// saw remembers that a connection of u ended.
func (l *ledger) saw(u parley.UserID, at moment) {
	if _, known := l.seen[u]; !known && len(l.seen) >= maxSeen {
		for old := range l.seen {
			delete(l.seen, old)
			break
		}
	}
	l.seen[u] = l.p.begun.Add(at).UnixMilli()
}

// drop forgets a record in which nothing stands.
func (l *ledger) drop(u parley.UserID, r *record) {
	if len(r.leases)+len(r.told) == 0 && !r.online {
		delete(l.of, u)
		delete(l.restless, u)
	}
}

// turn decides what is due, and returns what is to be told.
func (l *ledger) turn(now moment) letters {
	out := make(letters)
	l.mu.Lock()
	defer l.mu.Unlock()
	rush := len(l.restless) > maxNote
	for u := range l.restless {
		r := l.of[u]
		if r == nil {
			delete(l.restless, u)
			continue
		}
		if here := len(r.leases) > 0; here != r.online {
			wait := stay
			if !here {
				wait = grace
			}
			if now-r.at >= wait {
				r.online = here
			}
		}
		waits := len(r.leases) > 0 != r.online
		for i := range r.told {
			waits = !l.tell(out, u, r, &r.told[i], now) || waits
		}
		if !waits {
			delete(l.restless, u)
		}
		l.drop(u, r)
	}
	if rush && len(l.restless) == 0 {
		l.restless = make(map[parley.UserID]struct{}) // it leaves no room behind
	}
	return out
}

// tell tells one node of u, unless it knows; false: that has to wait.
func (l *ledger) tell(out letters, u parley.UserID, r *record, t *told, now moment) bool {
	s, ok := l.state(u, r, now)
	if !ok {
		return false
	}
	if s.Again = t.again; s.known() != t.knows || s.Again {
		n := out.to(t.node)
		n.States = append(n.States, s)
		t.knows, t.again = s.known(), false
	}
	return true
}

// state is u as everybody is told; false: not known yet. r may be nil.
func (l *ledger) state(u parley.UserID, r *record, now moment) (State, bool) {
	online := r != nil && r.online
	return State{User: u, Online: online, Seen: l.seen[u]}, online || now >= l.settled
}

// expire ends what was not renewed. A node alone renews nothing: it hears of
// every end.
func (l *ledger) expire(now moment) {
	if l.p.cfg.Nodes == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for u, r := range l.of {
		had := len(r.leases)
		last := moment(0)
		for _, x := range r.leases {
			last = max(last, x.until-l.p.cfg.Lease)
		}
		r.leases = slices.DeleteFunc(r.leases, func(x lease) bool { return now > x.until })
		if had > 0 && len(r.leases) == 0 {
			r.leases, r.at, r.online = nil, now, false
			l.saw(u, last)
			l.restless[u] = struct{}{}
		}
		r.told = slices.DeleteFunc(r.told, func(t told) bool { return now > t.until })
		l.drop(u, r)
	}
}

// states returns what is known of users.
func (l *ledger) states(users []parley.UserID, now moment) []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []State
	for _, u := range users {
		if s, ok := l.state(u, l.of[u], now); ok {
			all = append(all, s)
		}
	}
	return all
}
