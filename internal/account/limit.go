package account

import (
	"net/netip"
	"strconv"
	"time"

	parley "github.com/parley-im/parley"
)

// rule allows burst at once, then one more every so often.
type rule struct {
	burst int
	every time.Duration
}

// The limits of docs/PROTOCOL.md.
var (
	perAddressMinute = rule{10, time.Minute / 10}
	perAddressDay    = rule{50, 24 * time.Hour / 50}
	perAccount       = rule{5, 5 * time.Minute}
	perAsker         = rule{100, 15 * time.Minute}
)

// claim is one bucket that an attempt takes from.
type claim struct {
	key string
	rule
}

// limiter counts attempts in leaky buckets. It keeps one time per bucket, the
// moment at which the bucket will be empty again, and forgets the bucket
// unused for longest when there are too many. (x/time/rate cannot give back
// what turned out not to be a failure.)
type limiter struct{ full *cache[string, time.Time] }

func newLimiter(limit int) *limiter { return &limiter{newCache[string, time.Time](limit, 0)} }

// take takes one from every bucket, or from none and says how long to wait.
func (l *limiter) take(now time.Time, claims ...claim) (wait time.Duration, ok bool) {
	l.full.mu.Lock()
	defer l.full.mu.Unlock()
	for _, c := range claims {
		room := time.Duration(c.burst-1) * c.every
		wait = max(wait, l.emptyAt(c.key, now).Sub(now)-room)
	}
	if wait > 0 {
		return wait, false
	}
	for _, c := range claims {
		l.full.set(c.key, l.emptyAt(c.key, now).Add(c.every), now)
	}
	return 0, true
}

// giveBack undoes a take.
func (l *limiter) giveBack(now time.Time, claims ...claim) {
	l.full.mu.Lock()
	defer l.full.mu.Unlock()
	for _, c := range claims {
		l.full.set(c.key, l.emptyAt(c.key, now).Add(-c.every), now)
	}
}

// emptyAt is when the bucket is empty, not before now. l.full.mu is held.
func (l *limiter) emptyAt(key string, now time.Time) time.Time {
	if e := l.full.entries[key]; e != nil {
		if at := e.Value.(cached[string, time.Time]).value; at.After(now) {
			return at
		}
	}
	return now
}

// attempt takes from the buckets of something that may fail. Unless it did
// fail, undo gives back.
func (a *Accounts) attempt(op string, claims ...claim) (undo func(), err error) {
	if !a.limited {
		return func() {}, nil
	}
	if wait, ok := a.attempts.take(a.now(), claims...); !ok {
		return nil, tooOften(op, "Too many attempts that failed.", wait)
	}
	return func() { a.attempts.giveBack(a.now(), claims...) }, nil
}

func tooOften(op, what string, wait time.Duration) error {
	wait = max(wait.Round(time.Second), time.Second)
	e := parley.E(parley.RateLimited, op, "%s Try again in %s.", what, spoken(wait))
	e.After = wait
	return e
}

func spoken(d time.Duration) string {
	n, unit := int((d+time.Second-1)/time.Second), " second"
	if d > 90*time.Second {
		n, unit = int((d+time.Minute-1)/time.Minute), " minute"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + unit
}

// addressClaims are the buckets of one network address, for one purpose.
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

// LookupAllowed counts one look-up of a handle by user. It is nil, or
// rate_limited with the time to wait.
func (a *Accounts) LookupAllowed(user parley.UserID) error {
	if !a.limited {
		return nil
	}
	if wait, ok := a.lookups.take(a.now(), claim{string(user), perAsker}); !ok {
		return tooOften("account.lookup", "Too many people were looked up by handle.", wait)
	}
	return nil
}
