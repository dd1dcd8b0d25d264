package account

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

func alone(c *Config) { c.Alone = true }

// blocks reports whether a finds that user blocks sender, asked both ways.
func blocks(t testing.TB, a *Accounts, user, sender parley.UserID) bool {
	t.Helper()
	all, err := a.Blockers(t.Context(), sender)
	one, err2 := a.BlockersAmong(t.Context(), sender, []parley.UserID{sender, user})
	many, err3 := a.BlockersAmong(t.Context(), sender, []parley.UserID{"u1", "u2", user})
	if err = errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	is := slices.Contains(all, user)
	if slices.Contains(one, user) != is || slices.Contains(many, user) != is || len(one) > 1 || len(many) > 1 {
		t.Errorf("blockers are %v, among two %v, among three %v", all, one, many)
	}
	return is
}

// A block holds on every node from its answer on, and so does its end. It
// kills a block checked in a stale cache.
func TestBlocksHoldAtOnceEverywhere(t *testing.T) {
	for _, conf := range []func(*Config){noLimits, func(c *Config) { c.Alone = true; c.RateLimits = false }} {
		w := newWorld(t, conf)
		us := w.people("ann", "bob")
		nodes := []*Accounts{w.Accounts, w.another()}
		if w.conf.Alone {
			nodes = nodes[:1]
		}
		for round := range 6 {
			ask, want := ContactBlocked, true
			if round%2 == 1 {
				ask, want = ContactUnblocked, false
			}
			for _, n := range nodes { // whatever is kept in memory is in memory now
				if blocks(t, n, us[0], us[1]) == want {
					t.Fatal("before it was asked")
				}
			}
			if err := w.ask(nodes[round%len(nodes)], us[0], us[1], ask); err != nil {
				t.Fatal(err)
			}
			for i, n := range nodes {
				if blocks(t, n, us[0], us[1]) != want {
					t.Errorf("round %d: node %d does not know", round, i)
				}
				if blocks(t, n, us[1], us[0]) {
					t.Errorf("round %d: the wrong way round", round)
				}
			}
		}
	}
}

// What was read before a block must not be kept after it. It kills a cache that
// is filled by whoever was slow.
func TestSlowLookAtBlockers(t *testing.T) {
	w := newWorld(t, noLimits, alone)
	us := w.people("ann", "bob")
	w.store.set(func(partition, key string) error {
		if partition == blockersAddress(us[1]) && key == keyBy {
			w.store.set(nil, nil)
			if err := w.ask(w.Accounts, us[0], us[1], ContactBlocked); err != nil {
				t.Error(err)
			}
		}
		return nil
	}, nil)
	if got, err := w.Blockers(t.Context(), us[1]); err != nil || len(got) != 0 {
		t.Errorf("%v, %v: it looked before the block", got, err)
	}
	if !blocks(t, w.Accounts, us[0], us[1]) {
		t.Error("what was read before the block is kept")
	}
}

// Alone, blocks are answered without the store.
func TestBlockersFromMemory(t *testing.T) {
	w := newWorld(t, noLimits, alone)
	us := w.people("ann", "bob")
	blocks(t, w.Accounts, us[0], us[1])
	w.store.set(func(string, string) error { return errCrash }, nil)
	blocks(t, w.Accounts, us[0], us[1])
	w.store.set(nil, nil)
	// A list given away is the caller's own.
	if err := w.ask(w.Accounts, us[0], us[1], ContactBlocked); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := w.Blockers(t.Context(), us[1])
		if err != nil || len(got) != 1 || got[0] != us[0] {
			t.Fatal(got, err)
		}
		got[0] = "u"
	}
}

// crashStories are changes that are cut at every write, after what was before.
var crashStories = []struct{ before, change, want string }{
	{"", "A requested", "requested pending"},
	{"B requested", "A accepted", "accepted accepted"},
	{"B requested", "A requested", "accepted accepted"},
	{"B requested", "A rejected", "rejected requested"},
	{"A requested", "A none", "none none"},
	{"", "A blocked", "blocked none"},
	{"A requested, B accepted", "A blocked", "blocked accepted"},
	{"A blocked", "A unblocked", "none none"},
	{"B requested, A blocked", "A unblocked", "none requested"},
}

// A change is cut at every write. Whoever reads the list afterwards, or tries
// again, finds it whole: nobody reads "blocked" while a sender is not held to
// it. It kills a block that is read where it is not yet mirrored, and a change
// that nobody finishes.
func TestCrashWhileChangingContacts(t *testing.T) {
	for _, c := range crashStories {
		cuts := 0
		for n := 1; ; n++ {
			more := false
			for _, after := range []bool{false, true} {
				for _, then := range []string{"one", "list", "again"} {
					w := newWorld(t, noLimits)
					us := w.people("ann", "bob")
					if c.before != "" {
						w.tellStory(c.before, us[0], us[1])
					}
					was, err := w.Contact(t.Context(), us[0], us[1])
					if err != nil {
						t.Fatal(err)
					}
					do := func() error {
						ask := ContactState(c.change[2:])
						if ask == ContactNone {
							return w.DeleteContact(t.Context(), us[0], us[1])
						}
						_, err := w.SetContact(t.Context(), us[0], us[1], ask, was.Rev+1)
						return err
					}
					ran := w.crashAt(n, after)
					failed := do()
					more = more || *ran >= n
					w.restart()
					w.afterCut(us, was, do, then, failed == nil, c.want)
				}
			}
			if !more {
				break
			}
			cuts = n
		}
		if cuts < 1 {
			t.Errorf("%q: never cut", c.change)
		}
	}
}

// afterCut holds the pair to what may stand after a change was cut.
func (w *world) afterCut(us []parley.UserID, was Contact, do func() error, then string, done bool, want string) {
	t := w.t
	t.Helper()
	now := was
	var err error
	switch then {
	case "one":
		now, err = w.Contact(t.Context(), us[0], us[1])
	case "list":
		now = Contact{User: us[1], State: ContactNone}
		for _, c := range w.contacts(us[0]) {
			now = c
		}
	case "again":
		err = do()
		if parley.CodeOf(err) == parley.NotFound { // deleted, and nothing left to delete
			err = nil
		}
		done = true
	}
	if err != nil {
		t.Fatal(err)
	}
	if then != "again" && (now.State == ContactBlocked) != blocks(t, w.Accounts, us[0], us[1]) {
		t.Errorf("%s: reads %s, and senders are held to %v", then, now.State, !(now.State == ContactBlocked))
	}
	if now.State == was.State && !done {
		do() // it never happened; now it does
	}
	w.stand(us[0], us[1], want)
}

// A device that sleeps anywhere in a change, while another changes more, must
// leave list and mirror agreeing, and no block lost. It kills a mirror that
// follows what was read before its head, one that is written without its head,
// and a change of what still owes.
func TestSlowChangesNeverGoBack(t *testing.T) {
	for _, c := range []struct{ before, change, meanwhile string }{
		{"", "A blocked", "A unblocked"},
		{"", "A blocked", "A unblocked, A blocked"},
		{"A blocked", "A unblocked", "A blocked"},
		{"A blocked", "A unblocked", "A blocked, A unblocked"},
		{"A blocked", "A blocked", "A unblocked, A blocked"},
		{"", "A requested", "A none"},
		{"", "A requested", "B requested"},
		{"B requested", "A accepted", "B none"},
		{"A requested", "A none", "A requested"},
		{"A requested", "A none", "B accepted"},
		{"A requested", "A requested", "B none"},
	} {
		for cut := range 7 { // 0: the other is not
			for _, way := range []string{"look", "write"} {
				for n := 1; sleepOver(t, c.before, c.change, c.meanwhile, way, n, cut); n++ {
				}
			}
		}
	}
}

// sleepOver lets a change sleep at its n-th look or write while others change
// more, the last of them cut at a write. It is false when there is no n-th.
func sleepOver(t *testing.T, before, change, meanwhile, way string, n, cut int) bool {
	t.Helper()
	w := newWorld(t, noLimits)
	us := w.people("ann", "bob")
	if before != "" {
		w.tellStory(before, us[0], us[1])
	}
	other := w.another()
	ran := 0
	sleep := func() {
		if ran++; ran != n {
			return
		}
		w.store.set(nil, nil)
		steps := strings.Split(meanwhile, ", ")
		for i, step := range steps {
			user, with := us[0], us[1]
			if step[0] == 'B' {
				user, with = with, user
			}
			if i == len(steps)-1 && cut > 0 {
				w.crashAt(cut, true)
			}
			// What stands may be in its way; that is another test's.
			_ = w.ask(other, user, with, ContactState(step[2:]))
			w.store.set(nil, nil)
		}
	}
	if way == "look" {
		w.store.set(func(string, string) error { sleep(); return nil }, nil)
	} else {
		w.store.set(nil, func(_ string, commit func() error) error { sleep(); return commit() })
	}
	err := w.ask(w.Accounts, us[0], us[1], ContactState(change[2:]))
	if code := parley.CodeOf(err); code != "" && code != parley.Conflict && code != parley.NotFound {
		t.Errorf("%s, meanwhile %s, %s %d, cut at %d: %v", change, meanwhile, way, n, cut, err)
	}
	w.store.set(nil, nil)
	_, _ = w.Contact(t.Context(), us[0], us[1]) // what it owes moves the other
	y, _ := w.Contact(t.Context(), us[1], us[0])
	x, _ := w.Contact(t.Context(), us[0], us[1])
	w.stand(us[0], us[1], string(x.State+" "+y.State))
	switch got := string(x.State + " " + y.State); got {
	case "requested none", "none requested", "requested requested", "accepted requested", "requested accepted":
		if meanwhile != "B none" {
			t.Errorf("%s, meanwhile %s, %s %d, cut at %d: they stand %q", change, meanwhile, way, n, cut, got)
		}
	}
	return ran >= n
}

// A write whose answer was lost, whether it happened or not, must count as what
// it is.
func TestLostAnswersWhileChangingContacts(t *testing.T) {
	for _, c := range crashStories {
		for _, happens := range []bool{true, false} {
			for n := 1; ; n++ {
				w := newWorld(t, noLimits)
				us := w.people("ann", "bob")
				if c.before != "" {
					w.tellStory(c.before, us[0], us[1])
				}
				ran := 0
				w.store.set(nil, func(_ string, commit func() error) error {
					if ran++; ran != n {
						return commit()
					}
					if happens {
						if err := commit(); err != nil {
							return err
						}
					}
					return store.ErrUnavailable
				})
				if err := w.ask(w.Accounts, us[0], us[1], ContactState(c.change[2:])); err != nil {
					t.Errorf("%q, %d: %v", c.change, n, err)
				}
				w.store.set(nil, nil)
				w.stand(us[0], us[1], c.want)
				if ran < n {
					break
				}
			}
		}
	}
}

// Devices of both, on two nodes, all at once: afterwards the lists agree with
// each other and with the mirror.
func TestContactsUnderContention(t *testing.T) {
	for round := range 20 {
		w := newWorld(t, noLimits)
		us := w.people("ann", "bob")
		nodes := []*Accounts{w.Accounts, w.another()}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				me, other := us[i%2], us[1-i%2]
				for step := range 6 {
					asks := []ContactState{ContactRequested, ContactBlocked, ContactUnblocked, ContactAccepted}
					ask := asks[(step+i+round)%len(asks)]
					_, err := nodes[i/2].SetContact(t.Context(), me, other, ask, uint64(10*step+i/2+1))
					switch parley.CodeOf(err) {
					case "", parley.Conflict:
					default:
						t.Error(err)
					}
					if c, err := nodes[i/2].Contact(t.Context(), me, other); err != nil {
						t.Error(c, err)
					}
				}
			})
		}
		wg.Wait()
		// At last both want it, whatever stood.
		for i := range 2 {
			w.ask(w.Accounts, us[i], us[1-i], ContactUnblocked)
		}
		a, _ := w.Contact(t.Context(), us[0], us[1])
		b, _ := w.Contact(t.Context(), us[1], us[0])
		w.stand(us[0], us[1], string(a.State+" "+b.State))
		for i := range 2 {
			if err := w.ask(w.Accounts, us[i], us[1-i], ContactRequested); err != nil {
				t.Error(err)
			}
		}
		w.stand(us[0], us[1], "accepted accepted")
	}
}

// Both ask at once, neither saw the other, and one crashes before it told: the
// other's telling makes them contacts on both lists. It kills a request that
// looks at the other's list only before it is written.
func TestBothAskAtOnce(t *testing.T) {
	w := newWorld(t, noLimits)
	us := w.people("ann", "bob")
	other := w.another()
	w.store.set(nil, func(partition string, commit func() error) error {
		// Ann has looked, and is about to write.
		w.store.set(nil, func(partition string, commit func() error) error {
			if partition == contactsAddress(us[0]) {
				return errCrash
			}
			return commit()
		})
		wantCode(t, w.ask(other, us[1], us[0], ContactRequested), parley.Internal)
		w.store.set(nil, nil)
		return commit()
	})
	if err := w.ask(w.Accounts, us[0], us[1], ContactRequested); err != nil {
		t.Fatal(err)
	}
	c, err := w.Contact(t.Context(), us[0], us[1])
	if err != nil || c.State != ContactAccepted {
		t.Errorf("%+v, %v", c, err)
	}
	w.stand(us[0], us[1], "accepted accepted")
}
