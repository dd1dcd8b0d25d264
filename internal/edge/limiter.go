package edge

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-im/parley"
)

// The rate of sends: so many at once, then so many a second, per user and not
// per device or connection.
const (
	sendBurst   = 30
	sendsPerSec = 5
	limiterKept = 65536 // users with less than a full bucket
)

// Limiter says how often a user may send. One is shared by everything that
// sends for a user: HTTP and WebSocket. A nil Limiter allows everything.
type Limiter struct {
	// static after NewLimiter
	now func() time.Time
	max int

	mu    sync.Mutex
	users map[parley.UserID]*rate.Limiter
}

// NewLimiter returns a limiter on that clock.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, max: limiterKept, users: make(map[parley.UserID]*rate.Limiter)}
}

// Wait counts one send by user and returns 0, or counts nothing and returns
// how long the user must wait before the next.
func (l *Limiter) Wait(user parley.UserID) time.Duration {
	if l == nil {
		return 0
	}
	now := l.now()
	r := l.of(user, now).ReserveN(now, 1)
	d := r.DelayFrom(now)
	if d > 0 {
		r.CancelAt(now)
	}
	return d
}

// Take is Wait as an error.
func (l *Limiter) Take(user parley.UserID) error {
	if d := l.Wait(user); d > 0 {
		return &parley.Error{Code: parley.RateLimited, Op: "edge.send", After: d,
			Detail: "Too many messages at once; wait a moment and send the same again with the same id."}
	}
	return nil
}

func (l *Limiter) of(user parley.UserID, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.users[user]
	if r == nil {
		if len(l.users) >= l.max {
			l.evict(now)
		}
		r = rate.NewLimiter(sendsPerSec, sendBurst)
		l.users[user] = r
	}
	return r
}

// evict makes room: a full bucket is as good as none, and it looks at enough
// of them to find some. Without any, somebody is forgiven what they sent.
func (l *Limiter) evict(now time.Time) {
	looked := 0
	for u, r := range l.users {
		looked++
		if r.TokensAt(now) >= sendBurst {
			delete(l.users, u)
		} else if looked > 64 && len(l.users) >= l.max {
			delete(l.users, u)
		}
		if looked > 256 {
			return
		}
	}
}
