package account

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

func TestRegisterAndSignIn(t *testing.T) {
	w := newWorld(t)
	in, err := w.Register(t.Context(), Registration{Handle: "Ann.B", Password: secret, Name: " Ann É ", Device: "Phone", Addr: homeAddr})
	if err != nil {
		t.Fatal(err)
	}
	if u := in.User; u.Handle != "ann.b" || u.Name != "Ann É" || u.Admin || !u.Created.Equal(w.clock.now()) || !IsUserID(string(u.ID)) {
		t.Errorf("%+v", u)
	}
	if d := in.Device; d.Name != "Phone" || !parley.ValidID(string(d.ID)) {
		t.Errorf("%+v", d)
	}
	w.restart()
	again, err := w.SignIn(t.Context(), "ANN.b", secret, "", homeAddr)
	if err != nil {
		t.Fatal(err)
	}
	if again.User != in.User || again.Device.Name != defaultDevice || again.Device.ID == in.Device.ID || again.Token == in.Token {
		t.Errorf("%+v after %+v", again, in)
	}
	if !good(t, w.Accounts, in) || !good(t, w.Accounts, again) {
		t.Error("a fresh token is no good")
	}
	if u, err := w.UserByHandle(t.Context(), "aNN.B"); err != nil || u != in.User {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := w.Users(t.Context(), []parley.UserID{in.User.ID, "u0", in.User.ID}); err != nil || len(u) != 1 || u[in.User.ID] != in.User {
		t.Errorf("%+v, %v", u, err)
	}
	for _, handle := range []string{"ann", "ann.bb", "@ann.b", "", string(in.User.ID)} {
		_, err := w.UserByHandle(t.Context(), handle)
		wantCode(t, err, parley.NotFound)
	}
	_, err = w.User(t.Context(), "unobody")
	wantCode(t, err, parley.NotFound)
}

func TestRegisterRefuses(t *testing.T) {
	w := newWorld(t)
	w.register("taken")
	for _, c := range []struct {
		name string
		q    Registration
		want parley.Code
	}{
		{"a handle that is taken", Registration{Handle: "TAKEN"}, parley.Conflict},
		{"no handle", Registration{}, parley.BadRequest},
		{"a short handle", Registration{Handle: "a"}, parley.BadRequest},
		{"a long handle", Registration{Handle: strings.Repeat("a", 33)}, parley.BadRequest},
		{"a handle with a space", Registration{Handle: "a b"}, parley.BadRequest},
		{"a handle in Cyrillic", Registration{Handle: "аnn"}, parley.BadRequest},
		{"a handle that is a path", Registration{Handle: ".."}, parley.BadRequest},
		{"a handle like an id", Registration{Handle: parley.NewID("u", newRand(9))}, parley.BadRequest},
		{"a short password", Registration{Handle: "bob", Password: "1234567"}, parley.BadRequest},
		{"a password of seven characters in 21 bytes", Registration{Handle: "bob", Password: "€€€€€€€"}, parley.BadRequest},
		{"a long password", Registration{Handle: "bob", Password: strings.Repeat("a", MaxPassword+1)}, parley.BadRequest},
		{"a password that is not UTF-8", Registration{Handle: "bob", Password: "12345678\xff"}, parley.BadRequest},
		{"a name with a line break", Registration{Handle: "bob", Name: "Bob\nAdmin"}, parley.BadRequest},
		{"a name with a bidi override", Registration{Handle: "bob", Name: "Bob\u202e"}, parley.BadRequest},
		{"a name that shows nothing", Registration{Handle: "bob", Name: " \u200b "}, parley.BadRequest},
		{"a long name", Registration{Handle: "bob", Name: strings.Repeat("é", MaxName+1)}, parley.BadRequest},
		{"a device with a NUL", Registration{Handle: "bob", Device: "a\x00"}, parley.BadRequest},
		{"an invite that is none", Registration{Handle: "bob", Invite: "x"}, parley.NotFound},
	} {
		if c.q.Password == "" {
			c.q.Password = secret
		}
		_, err := w.Register(t.Context(), c.q)
		if got := parley.CodeOf(err); got != c.want {
			t.Errorf("%s: %q, want %q: %v", c.name, got, c.want, err)
		}
	}
	if _, err := w.UserByHandle(t.Context(), "bob"); parley.CodeOf(err) != parley.NotFound {
		t.Errorf("bob exists: %v", err)
	}
}

// Two who want one handle at once, on two nodes: exactly one gets it, and the
// other leaves nothing that could sign in. It kills a claim that is not
// conditional.
func TestOneHandleOneWinner(t *testing.T) {
	for round := range 20 {
		w := newWorld(t, func(c *Config) { c.RateLimits = false })
		nodes := []*Accounts{w.Accounts, w.another()}
		const rivals = 6
		ins, errs := make([]SignedIn, rivals), make([]error, rivals)
		var wg sync.WaitGroup
		for i := range rivals {
			wg.Go(func() {
				ins[i], errs[i] = nodes[i%2].Register(t.Context(), Registration{Handle: "ann", Password: fmt.Sprint(secret, i), Addr: homeAddr})
			})
		}
		wg.Wait()
		winners := 0
		for i := range rivals {
			_, err := w.SignIn(t.Context(), "ann", fmt.Sprint(secret, i), "", homeAddr)
			if errs[i] == nil {
				winners++
				if err != nil || !good(t, w.Accounts, ins[i]) {
					t.Errorf("round %d: the winner cannot sign in: %v", round, err)
				}
				continue
			}
			wantCode(t, errs[i], parley.Conflict)
			wantCode(t, err, parley.Unauthorized)
		}
		if winners != 1 {
			t.Fatalf("round %d: %d winners", round, winners)
		}
	}
}

// The same without luck: the rival is let in right after a look at the handle.
func TestRivalAfterTheLook(t *testing.T) {
	for look := 1; look <= 2; look++ {
		w := newWorld(t)
		looks := 0
		w.store.set(func(partition, _ string) error {
			if partition != handleAddress("ann") {
				return nil
			}
			if looks++; looks == look {
				w.store.set(nil, nil)
				w.register("ann")
			}
			return nil
		}, nil)
		_, err := w.Register(t.Context(), Registration{Handle: "ann", Password: "another secret"})
		wantCode(t, err, parley.Conflict)
		if looks != look {
			t.Errorf("looked %d times, want %d", looks, look)
		}
		w.signIn("ann")
	}
}

func TestRename(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	if _, err := w.User(t.Context(), in.User.ID); err != nil { // now it is in memory
		t.Fatal(err)
	}
	u, err := w.Rename(t.Context(), in.User.ID, "Anna")
	if err != nil || u.Name != "Anna" || u.Handle != "ann" {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := w.User(t.Context(), in.User.ID); err != nil || u.Name != "Anna" {
		t.Errorf("the old name is still told: %+v, %v", u, err)
	}
	for _, name := range []string{"", " ", "A\u202eB", strings.Repeat("x", MaxName+1)} {
		_, err := w.Rename(t.Context(), in.User.ID, name)
		wantCode(t, err, parley.BadRequest)
	}
	_, err = w.Rename(t.Context(), parley.UserID(parley.NewID("u", newRand(7))), "Nobody")
	wantCode(t, err, parley.NotFound)
}

func TestNewRefusesBadConfigurations(t *testing.T) {
	m := memstore.New()
	for name, c := range map[string]Config{
		"no store":           {},
		"an unknown mode":    {Records: m, Registration: "friends"},
		"no device":          {Records: m, MaxDevices: -1},
		"a hash too costly":  {Records: m, Hasher: HashParams{Time: 1, MemoryKiB: 2 << 20, Threads: 1}},
		"a hash for nothing": {Records: m, Hasher: HashParams{MemoryKiB: 8, Threads: 1}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if a, err := New(Config{Records: m}); err != nil || a.mode != ByInvite || a.hasher.params != DefaultHash || a.maxDevices != DefaultMaxDevices {
		t.Errorf("%+v, %v", a, err)
	}
}

// What the store cannot do must be told as what a person can do about it.
func TestErrorsOfTheStore(t *testing.T) {
	for _, c := range []struct {
		err  error
		want parley.Code
	}{
		{store.ErrFull, parley.StorageFull},
		{store.ErrClosed, parley.Draining},
		{store.ErrUnavailable, parley.Overloaded},
		{errors.New("the disk is on fire"), parley.Internal},
	} {
		w := newWorld(t)
		in := w.register("ann")
		w.store.set(nil, func(string, func() error) error { return c.err })
		_, err := w.Register(t.Context(), Registration{Handle: "bob", Password: secret})
		wantCode(t, err, c.want)
		_, err = w.SignIn(t.Context(), "ann", secret, "", homeAddr)
		wantCode(t, err, c.want)
		wantCode(t, w.SignOut(t.Context(), in.User.ID, in.Device.ID), c.want)
		_, err = w.CreateInvite(t.Context(), in.User.ID, 1, 0)
		wantCode(t, err, c.want)
		wantCode(t, w.ChangePassword(t.Context(), Identity{in.User.ID, in.Device.ID}, secret, secret+"2"), c.want)
		w.store.set(nil, nil)
		if !good(t, w.Accounts, in) {
			t.Errorf("%v: what did not happen took effect", c.err)
		}
	}
}

func TestUnreadableRecords(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	for i, value := range []string{"", "{", `{"v":2,"handle":"ann"}`, `{"v":1,"handle":7}`} {
		err := w.store.CommitRecords(t.Context(), userAddress(in.User.ID), []store.Change{{Key: keyProfile, Version: uint64(i + 1), Value: []byte(value)}})
		if err != nil {
			t.Fatal(err)
		}
		w.clock.pass(2 * time.Minute)
		_, err = w.User(t.Context(), in.User.ID)
		wantCode(t, err, parley.Internal)
	}
}
