package account

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley"
)

// guess tries a wrong password.
func (w *world) guess(handle, addr string) error {
	w.t.Helper()
	_, err := w.SignIn(w.t.Context(), handle, "not the password", "", addr)
	return err
}

// after returns how long err says to wait.
func after(err error) time.Duration {
	var e *parley.Error
	if errors.As(err, &e) && e.Code == parley.RateLimited {
		return e.After
	}
	return 0
}

// Ten a minute and fifty a day from one address, whomever it tries: in any
// minute and any day, not on average. It kills a bucket that refills.
func TestAddressesAreLimited(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	begin := w.clock.now()
	var failures []time.Time
	for i := 0; w.clock.now().Sub(begin) < 49*time.Hour; i++ {
		err := w.guess(fmt.Sprint("user", i), homeAddr)
		switch parley.CodeOf(err) {
		case parley.Unauthorized:
			failures = append(failures, w.clock.now())
			w.clock.pass(3 * time.Second)
		case parley.RateLimited:
			if after(err) <= 0 {
				t.Fatalf("no time to wait: %v", err)
			}
			w.clock.pass(after(err)) // whoever waits so long is let try
			if err := w.guess(fmt.Sprint("again", i), homeAddr); parley.CodeOf(err) != parley.Unauthorized {
				t.Fatalf("after waiting as told: %v", err)
			}
			failures = append(failures, w.clock.now())
		default:
			t.Fatal(err)
		}
	}
	for i := range failures {
		if j := i + 10; j < len(failures) && failures[j].Sub(failures[i]) < time.Minute {
			t.Fatalf("eleven failures within %v", failures[j].Sub(failures[i]))
		}
		if j := i + 50; j < len(failures) && failures[j].Sub(failures[i]) < 24*time.Hour {
			t.Fatalf("fifty-one failures within %v", failures[j].Sub(failures[i]))
		}
	}
	if len(failures) < 100 {
		t.Errorf("%d failures in two days: the limits are too tight", len(failures))
	}
}

func TestTheEleventhIsRefused(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		wantCode(t, w.guess(fmt.Sprint("user", i), homeAddr), parley.Unauthorized)
	}
	err := w.guess("user10", homeAddr)
	wantCode(t, err, parley.RateLimited)
	if after(err) != time.Minute {
		t.Errorf("wait %v", after(err))
	}
	wantCode(t, w.guess("user10", "192.0.2.2"), parley.Unauthorized)
	w.clock.pass(time.Minute)
	wantCode(t, w.guess("user10", homeAddr), parley.Unauthorized)
}

// Five, then one every five minutes on one account, from wherever.
func TestAccountsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	addr := func(i int) string { return fmt.Sprintf("198.51.100.%d", i) }
	for i := range 5 {
		wantCode(t, w.guess("ann", addr(i)), parley.Unauthorized)
	}
	for i := range 4 {
		err := w.guess("Ann", addr(10+i))
		wantCode(t, err, parley.RateLimited)
		if after(err) != 5*time.Minute {
			t.Errorf("wait %v", after(err))
		}
		w.clock.pass(5 * time.Minute)
		wantCode(t, w.guess("ann", addr(20+i)), parley.Unauthorized)
	}
	// An account that does not exist is limited alike, or the limit would tell.
	for i := range 5 {
		wantCode(t, w.guess("nobody", addr(30+i)), parley.Unauthorized)
	}
	wantCode(t, w.guess("nobody", addr(40)), parley.RateLimited)
}

// Never a lock-out: whatever strangers try, the owner enters from where they
// entered before. It kills one bucket for everybody.
func TestStrangersDoNotLockOut(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	w.signIn("ann") // from homeAddr
	for i := range 200 {
		_ = w.guess("ann", fmt.Sprintf("198.51.100.%d", i))
	}
	w.signIn("ann")
	// Nor is that address free to guess.
	for range 5 {
		wantCode(t, w.guess("ann", homeAddr), parley.Unauthorized)
	}
	wantCode(t, w.guess("ann", homeAddr), parley.RateLimited)
	// From elsewhere the owner waits until strangers leave a place.
	w.clock.pass(25 * time.Minute)
	if _, err := w.SignIn(t.Context(), "ann", secret, "", "203.0.113.9"); err != nil {
		t.Error(err)
	}
}

// What succeeds is not counted, however often.
func TestSuccessIsNotLimited(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.register(fmt.Sprint("user", i))
		w.signIn(fmt.Sprint("user", i))
		w.signIn("user0")
	}
}

// Guessing at invites and at who is here is limited by address.
func TestRegistrationIsLimited(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	for i := range 10 {
		q := Registration{Handle: "ann", Password: secret, Addr: homeAddr}
		want := parley.Conflict
		if i%2 == 0 {
			q.Handle, q.Invite, want = "bob", strings.Repeat("7", idLen), parley.NotFound
		}
		_, err := w.Register(t.Context(), q)
		wantCode(t, err, want)
	}
	_, err := w.Register(t.Context(), Registration{Handle: "bob", Password: secret, Addr: homeAddr})
	wantCode(t, err, parley.RateLimited)
	w.signIn("ann") // another purpose
}

func TestChangingThePasswordIsLimited(t *testing.T) {
	w := newWorld(t)
	in, other := w.register("ann"), w.signIn("ann")
	for range 5 {
		wantCode(t, w.ChangePassword(t.Context(), Identity{in.User.ID, in.Device.ID}, "not the password", secret), parley.Forbidden)
	}
	wantCode(t, w.ChangePassword(t.Context(), Identity{in.User.ID, in.Device.ID}, secret, secret), parley.RateLimited)
	if err := w.ChangePassword(t.Context(), Identity{other.User.ID, other.Device.ID}, secret, secret); err != nil {
		t.Errorf("a stolen device keeps the others from changing the password: %v", err)
	}
}

func TestLookupsAreLimited(t *testing.T) {
	w := newWorld(t)
	for range 100 {
		if err := w.LookupAllowed("u1"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		err := w.LookupAllowed("u1")
		if after(err) != 15*time.Minute {
			t.Errorf("wait %v: %v", after(err), err)
		}
		if err := w.LookupAllowed("u2"); err != nil {
			t.Error(err)
		}
		w.clock.pass(15 * time.Minute)
		if err := w.LookupAllowed("u1"); err != nil {
			t.Error(err)
		}
	}
}

func TestNoLimits(t *testing.T) {
	w := newWorld(t, noLimits)
	w.register("ann")
	for range 200 {
		wantCode(t, w.guess("ann", homeAddr), parley.Unauthorized)
		if err := w.LookupAllowed("u1"); err != nil {
			t.Fatal(err)
		}
	}
}

// Many guesses at once are no more than one after the other, and many who are
// right at once all enter. It kills limits that are looked at before the work
// and counted after it, and limits that count what is only under way.
func TestAttemptsAtOnce(t *testing.T) {
	for _, right := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			const many = 40
			for i := range many {
				w.register(fmt.Sprint("user", i))
			}
			password := secret
			if !right {
				password = "not the password"
			}
			derive := w.hasher.derive
			gate := make(chan struct{})
			w.hasher.derive = func(password, salt []byte, p HashParams) []byte {
				<-gate
				return derive(password, salt, p)
			}
			var in, wrong, refused atomic.Int64
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() {
					_, err := w.SignIn(t.Context(), fmt.Sprint("user", i), password, "", homeAddr)
					switch parley.CodeOf(err) {
					case "":
						in.Add(1)
					case parley.Unauthorized:
						wrong.Add(1)
					case parley.RateLimited:
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			synctest.Wait() // ten are under way, the rest wait for them
			if n := in.Load() + wrong.Load() + refused.Load(); n != 0 {
				t.Errorf("%d are done before anything was hashed", n)
			}
			close(gate)
			wg.Wait()
			if right && in.Load() != many || !right && (wrong.Load() != 10 || refused.Load() != many-10) {
				t.Errorf("right %v: %d let in, %d wrong, %d refused", right, in.Load(), wrong.Load(), refused.Load())
			}
			if len(w.attempts.pending) != 0 || w.attempts.waiting != 0 {
				t.Errorf("%d keys pending, %d waiting, and nobody is there", len(w.attempts.pending), w.attempts.waiting)
			}
		})
	}
}

// Memory is bounded: by the number of keys, and by what is kept for each.
func TestLimitsForget(t *testing.T) {
	l := newLimiter(100)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	hot := claim{"hot", perAddressDay}
	for i := range 10_000 {
		l.end(now, []claim{{fmt.Sprint("cold", i), perAddressMinute}}, true)
		if i%50 == 0 { // used often enough to stay
			now = now.Add(time.Second)
			l.end(now, []claim{hot}, true)
		}
	}
	if n := l.tallies.len(); n != 100 {
		t.Errorf("%d tallies", n)
	}
	if kept, _, ok := l.tallies.get("hot", now); !ok || len(kept.times) != hot.n {
		t.Errorf("the one in use holds %d times, %v", len(kept.times), ok)
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:443": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:1": "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "[2001:db8:1:2::9]:443": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"": "", "pipe": "pipe", strings.Repeat("x", 100): strings.Repeat("x", 64),
	} {
		if got := network(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestWaitingTimesAreNeverTooShort(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		time.Millisecond: "1 second", 1100 * time.Millisecond: "2 seconds", 90 * time.Second: "90 seconds",
		91 * time.Second: "2 minutes", 5 * time.Minute: "5 minutes", 24 * time.Hour: "1440 minutes",
	} {
		err := tooOften("account.signin", "No.", wait)
		if after(err) < wait || !strings.HasSuffix(err.Error(), "in "+want+".") {
			t.Errorf("%v: %v, %v", wait, after(err), err)
		}
	}
}
