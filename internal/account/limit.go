package account

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
)

// rule bounds how often something may happen: n times in any stretch of span,
// or n times at once and then one more every drip. One of the two is set.
type rule struct {
	n    int
	span time.Duration
	drip time.Duration
}

// The limits. Those of addresses and accounts count failures alone: no number
// of good sign-ins is too many.
var (
	perAddressMinute = rule{n: 10, span: time.Minute}
	perAddressDay    = rule{n: 50, span: 24 * time.Hour}
	perAccount       = rule{n: 5, drip: 5 * time.Minute}
	perAsker         = rule{n: 100, drip: 15 * time.Minute}
)

// tally is what happened under one rule to one key.
type tally struct {
	times []int64   // span: Unix milliseconds of each, ascending, at most n
	full  time.Time // drip: when the bucket will be empty
}

// add returns t with one more at now.
func (r rule) add(t tally, now time.Time) tally {
	if r.drip > 0 {
		return tally{full: later(t.full, now).Add(r.drip)}
	}
	kept := t.times[max(0, len(t.times)-r.n+1):]
	return tally{times: append(slices.Clone(kept), now.UnixMilli())}
}

// wait returns how long until one more may happen; 0: now.
func (r rule) wait(t tally, now time.Time) time.Duration {
	if r.drip > 0 {
		return max(0, later(t.full, now).Sub(now)-time.Duration(r.n-1)*r.drip)
	}
	if len(t.times) < r.n {
		return 0
	}
	oldest := time.UnixMilli(t.times[len(t.times)-r.n])
	return max(0, oldest.Add(r.span).Sub(now))
}

// room reports whether one more may happen now, even if as many as pending
// happen as well.
func (r rule) room(t tally, pending int, now time.Time) bool {
	if r.drip > 0 {
		t.full = later(t.full, now).Add(time.Duration(pending) * r.drip)
		return r.wait(t, now) == 0
	}
	recent := 0
	for i := len(t.times) - 1; i >= 0 && now.Sub(time.UnixMilli(t.times[i])) < r.span; i-- {
		recent++
	}
	return recent+pending < r.n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// claim is one rule on one key.
type claim struct {
	key string
	rule
}

// limiter counts by key and forgets the key unused for longest when there are
// too many. Attempts that are on their way hold a place each, so that many at
// once guess no more than one after the other; who finds no place among them
// waits for one of them to end, for most of them succeed.
type limiter struct {
	tallies *cache[string, tally]

	mu      sync.Mutex
	pending map[string]int // attempts on their way, by key
	waiting int
	ended   chan struct{} // closed, and replaced, when an attempt ends and somebody waits
}

// maxWaiting bounds the attempts that wait for others to end; one more is refused.
const maxWaiting = 256

func newLimiter(limit int) *limiter {
	return &limiter{tallies: newCache[string, tally](limit, 0), pending: map[string]int{}, ended: make(chan struct{})}
}

// count counts one for c, or says how long to wait until that may be.
func (l *limiter) count(now time.Time, c claim) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, _, _ := l.tallies.get(c.key, now)
	if wait = c.wait(t, now); wait == 0 {
		l.tallies.keep(c.key, c.add(t, now), now)
	}
	return wait
}

// begin begins an attempt that may fail, under every claim. When it returns
// neither a wait nor an error, end must follow.
func (l *limiter) begin(ctx context.Context, clock func() time.Time, claims []claim) (wait time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		now := clock()
		room := true
		for _, c := range claims {
			t, _, _ := l.tallies.get(c.key, now)
			wait = max(wait, c.wait(t, now))
			room = room && c.room(t, l.pending[c.key], now)
		}
		if wait > 0 {
			return wait, nil
		}
		if room {
			for _, c := range claims {
				l.pending[c.key]++
			}
			return 0, nil
		}
		if l.waiting >= maxWaiting {
			return 0, errBusy("account.attempt")
		}
		if err := l.await(ctx); err != nil {
			return 0, err
		}
	}
}

// await gives up mu until some attempt ended.
func (l *limiter) await(ctx context.Context) error {
	ended := l.ended
	l.waiting++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.waiting--
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end ends an attempt that begin let begin. Only a failure is counted.
func (l *limiter) end(now time.Time, claims []claim, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range claims {
		if l.pending[c.key]--; l.pending[c.key] == 0 {
			delete(l.pending, c.key)
		}
		if failed {
			t, _, _ := l.tallies.get(c.key, now)
			l.tallies.keep(c.key, c.add(t, now), now)
		}
	}
	if l.waiting > 0 {
		close(l.ended)
		l.ended = make(chan struct{})
	}
}

// attempt begins something that may fail, under claims; end must be told
// whether it did. It is rate_limited when there were too many failures.
func (a *Accounts) attempt(ctx context.Context, op string, claims ...claim) (end func(failed bool), err error) {
	if !a.limited {
		return func(bool) {}, nil
	}
	wait, err := a.attempts.begin(ctx, a.now, claims)
	if err != nil {
		return nil, failed(op, err)
	}
	if wait > 0 {
		return nil, tooOften(op, "Too many attempts that failed.", wait)
	}
	return func(failed bool) { a.attempts.end(a.now(), claims, failed) }, nil
}

// LookupAllowed counts one look-up of a handle by user. It is nil, or
// rate_limited with the time to wait.
func (a *Accounts) LookupAllowed(user parley.UserID) error {
	if !a.limited {
		return nil
	}
	if wait := a.lookups.count(a.now(), claim{string(user), perAsker}); wait > 0 {
		return tooOften("account.lookup", "Too many people were looked up by handle.", wait)
	}
	return nil
}

func tooOften(op, what string, wait time.Duration) error {
	// Rounded up: who waits so long is never early.
	wait = (wait + time.Second - 1).Truncate(time.Second)
	e := parley.E(parley.RateLimited, op, "%s Try again in %s.", what, spoken(wait))
	e.After = wait
	return e
}

// spoken is d, whole seconds, in words: never less than it is.
func spoken(d time.Duration) string {
	n, unit := int(d/time.Second), " second"
	if d > 90*time.Second {
		n, unit = int((d+time.Minute-1)/time.Minute), " minute"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + unit
}

// addressClaims are the limits of one network address, for one purpose.
func addressClaims(purpose, addr string) []claim {
	net := network(addr)
	return []claim{
		{purpose + "/minute/" + net, perAddressMinute},
		{purpose + "/day/" + net, perAddressDay},
	}
}

// network is what counts as one address: an IPv4 address, or the /64 of an
// IPv6 address, because whoever has one of those has all of them. addr may
// carry a port.
func network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return addr[:min(len(addr), 64)]
		}
		ip = ap.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.String()
	}
	return ip.String()
}
