package account

import (
	"errors"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

var errCrash = errors.New("the power went")

// crashAt makes the n-th commit from now the last thing that happens (after)
// or the first that does not; whatever is asked later fails. ran is how many
// commits were asked for.
func (w *world) crashAt(n int, after bool) (ran *int) {
	ran = new(int)
	w.store.set(func(string, string) error {
		if *ran >= n {
			return errCrash
		}
		return nil
	}, func(_ string, commit func() error) error {
		if *ran++; *ran > n {
			return errCrash
		}
		if *ran < n || after {
			if err := commit(); err != nil {
				return err
			}
		}
		if *ran == n {
			return errCrash
		}
		return nil
	})
	return ran
}

// A registration is cut at every write. Afterwards the account exists or it
// does not, its pass is used accordingly, and the handle is never lost. It
// kills a handle claimed first, and a use that is counted without looking at
// the handle.
func TestCrashWhileRegistering(t *testing.T) {
	for _, way := range []string{"open", "invite", "setup"} {
		writes := 0
		for n := 1; ; n++ {
			more := false
			for _, after := range []bool{false, true} {
				w := newWorld(t, byInvite, noLimits)
				code := ""
				switch way {
				case "open":
					w.conf.Registration = Open
					w.restart()
				case "invite":
					code = w.invite(w.founder(), 1)
				case "setup":
					code, _, _, _ = w.SetupCode(t.Context())
				}
				q := Registration{Handle: "ann", Password: secret, Invite: code, Addr: homeAddr}
				ran := w.crashAt(n, after)
				_, err := w.Register(t.Context(), q)
				more = more || *ran >= n
				w.restart()
				w.clock.pass(2 * staleHold)
				if exists := w.checkAfterCrash(way, q, n, after); err == nil && !exists {
					t.Errorf("%s, %d, %v: success, and no account", way, n, after)
				}
			}
			if !more {
				break
			}
			writes = n
		}
		if want := map[string]int{"open": 3, "invite": 5, "setup": 5}[way]; writes < want {
			t.Errorf("%s: %d writes were cut, want %d", way, writes, want)
		}
	}
}

// checkAfterCrash holds the world to what may stand after q was cut, and
// returns whether its account exists.
func (w *world) checkAfterCrash(way string, q Registration, n int, after bool) (exists bool) {
	t := w.t
	t.Helper()
	_, err := w.SignIn(t.Context(), q.Handle, q.Password, "", homeAddr)
	exists = err == nil
	if !exists {
		wantCode(t, err, parley.Unauthorized)
	}
	if _, err := w.UserByHandle(t.Context(), q.Handle); (err == nil) != exists {
		t.Errorf("%s, %d, %v: signing in says %v, looking up %v", way, n, after, exists, err)
	}
	other := q
	if exists || n%2 == 0 {
		other.Handle = "bob"
	}
	next, err := w.Register(t.Context(), other)
	switch {
	case way == "open" || !exists:
		if err != nil {
			t.Errorf("%s, %d, %v: the pass is lost: %v", way, n, after, err)
		}
	default:
		wantCode(t, err, parley.NotFound)
	}
	if way == "setup" && err == nil && !next.User.Admin {
		t.Errorf("%d, %v: no administrator", n, after)
	}
	if way == "setup" {
		if code, _, _, err := w.SetupCode(t.Context()); code != "" || err != nil {
			t.Errorf("%d, %v: another link, %v", n, after, err)
		}
	}
	if !exists && other.Handle != q.Handle {
		// The handle is free for whoever has a pass.
		w.conf.Registration = Open
		w.restart()
		w.register(q.Handle)
	}
	return exists
}

// A write that happened and whose answer was lost must count as what it is.
func TestLostAnswersWhileRegistering(t *testing.T) {
	for n := 1; n <= 5; n++ {
		w := newWorld(t, byInvite, noLimits)
		code := w.invite(w.founder(), 1)
		ran := 0
		w.store.set(nil, func(_ string, commit func() error) error {
			err := commit()
			if ran++; ran == n && err == nil {
				return store.ErrUnavailable
			}
			return err
		})
		in, err := w.Register(t.Context(), Registration{Handle: "ann", Password: secret, Invite: code})
		if err != nil || !good(t, w.Accounts, in) {
			t.Errorf("%d: %v", n, err)
		}
		if ran < n {
			t.Fatalf("only %d writes", ran)
		}
	}
}

// lose makes the next commit to a partition happen, but its answer is lost, and
// so is that of the first look at what became of it.
func (w *world) lose(partition string) {
	happened, looked := false, false
	w.store.set(func(p, _ string) error {
		if p == partition && happened && !looked {
			looked = true
			return store.ErrUnavailable
		}
		return nil
	}, func(p string, commit func() error) error {
		err := commit()
		if p == partition && !happened && err == nil {
			happened = true
			return store.ErrUnavailable
		}
		return err
	})
}

// A hold of which nobody knows whether it was taken must not keep its pass:
// who tries again at once is let in. It kills a registration that leaves its
// pass alone when the hold failed.
func TestLostHold(t *testing.T) {
	w := newWorld(t, byInvite, noLimits)
	code := w.invite(w.founder(), 1)
	w.lose(inviteAddress(hashOf(code)))
	_, err := w.Register(t.Context(), Registration{Handle: "ann", Password: secret, Invite: code})
	wantCode(t, err, parley.Overloaded)
	w.registerWith("ann", code)
}

// A handle of which nobody knows whether it was taken must keep its account.
// It kills a registration that clears up after any error.
func TestLostClaim(t *testing.T) {
	w := newWorld(t, byInvite, noLimits)
	code := w.invite(w.founder(), 1)
	w.lose(handleAddress("ann"))
	_, err := w.Register(t.Context(), Registration{Handle: "ann", Password: secret, Invite: code})
	wantCode(t, err, parley.Overloaded)
	w.signIn("ann")
	w.clock.pass(2 * staleHold)
	_, err = w.Register(t.Context(), Registration{Handle: "bob", Password: secret, Invite: code})
	wantCode(t, err, parley.NotFound)
}

// A registration that sleeps while its pass is given to somebody else must not
// wake up to an account of its own. It kills a resolution that does not move
// the handle's version, and a look at the handle after the hold.
func TestSlowRegistrationLosesItsPass(t *testing.T) {
	for _, way := range []string{"invite", "setup"} {
		for _, sleeps := range []string{"after the hold", "before the claim"} {
			w := newWorld(t, byInvite, noLimits)
			var code string
			address := setupAddress
			if way == "invite" {
				code = w.invite(w.founder(), 1)
				address = inviteAddress(hashOf(code))
			} else {
				code, _, _, _ = w.SetupCode(t.Context())
			}
			other := w.another()
			sleep := func() {
				w.store.set(nil, nil)
				w.clock.pass(2 * staleHold)
				if _, err := other.Register(t.Context(), Registration{Handle: "quick", Password: secret, Invite: code}); err != nil {
					t.Errorf("%s: the pass of one who sleeps is held for ever: %v", way, err)
				}
			}
			w.store.set(nil, func(partition string, commit func() error) error {
				if sleeps == "before the claim" && partition == handleAddress("slow") {
					sleep()
				}
				err := commit()
				if sleeps == "after the hold" && partition == address {
					sleep()
				}
				return err
			})
			_, err := w.Register(t.Context(), Registration{Handle: "slow", Password: secret, Invite: code})
			wantCode(t, err, parley.NotFound)
			if _, err := w.UserByHandle(t.Context(), "slow"); parley.CodeOf(err) != parley.NotFound {
				t.Errorf("%s, %s: two were let in for one use: %v", way, sleeps, err)
			}
		}
	}
}

// A registration wakes up while another is about to take its pass away: one of
// them gets it. It kills a claim that is tried again on the old hold.
func TestSlowRegistrationWakes(t *testing.T) {
	w := newWorld(t, byInvite, noLimits)
	code := w.invite(w.founder(), 1)
	other := w.another()
	var (
		about   = make(chan struct{}) // the other is about to take the pass away
		awake   = make(chan struct{}) // the slow one has its handle
		quick   = make(chan error, 1)
		claims  = 0
		waiting = false
	)
	w.store.set(nil, func(partition string, commit func() error) error {
		switch {
		case partition == handleAddress("slow") && claims == 0: // the slow one sleeps
			claims++
			w.clock.pass(2 * staleHold)
			waiting = true
			go func() {
				_, err := other.Register(t.Context(), Registration{Handle: "quick", Password: secret, Invite: code})
				quick <- err
			}()
			<-about
		case partition == inviteAddress(hashOf(code)) && waiting: // the other
			waiting = false
			close(about)
			<-awake
		case partition == handleAddress("slow") && !waiting: // the slow one, again
			err := commit()
			close(awake)
			wantCode(t, <-quick, parley.NotFound)
			return err
		}
		return commit()
	})
	if _, err := w.Register(t.Context(), Registration{Handle: "slow", Password: secret, Invite: code}); err != nil {
		t.Error(err)
	}
	for handle, want := range map[string]parley.Code{"slow": "", "quick": parley.NotFound} {
		_, err := w.UserByHandle(t.Context(), handle)
		wantCode(t, err, want)
	}
}

// A sign-in is cut at every write: what is no answer must not be a device that
// nobody holds a token of, but for the one whose answer was lost.
func TestCrashWhileSigningIn(t *testing.T) {
	for n := 1; n <= 2; n++ {
		for _, after := range []bool{false, true} {
			w := newWorld(t, noLimits)
			in := w.register("ann")
			w.crashAt(n, after)
			_, err := w.SignIn(t.Context(), "ann", secret, "", homeAddr)
			wantCode(t, err, parley.Internal)
			w.restart()
			ds, err := w.Devices(t.Context(), in.User.ID)
			want := 1
			if n == 2 && after {
				want = 2
			}
			if err != nil || len(ds) != want {
				t.Errorf("cut at %d, %v: %d devices, want %d, %v", n, after, len(ds), want, err)
			}
			w.signIn("ann")
		}
	}
}
