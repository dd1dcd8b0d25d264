package account

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// A wrong password and an unknown handle must not be told apart: the same
// answer, the same reads, the same hash. It kills an early return.
func TestUnknownAndWrongAreTheSame(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits = false })
	w.register("ann")
	type work struct {
		answer string
		hashes []HashParams
		reads  int
	}
	try := func(handle, password string) (got work) {
		derive := w.hasher.derive
		defer func() { w.hasher.derive = derive }()
		w.hasher.derive = func(password, salt []byte, p HashParams) []byte {
			got.hashes = append(got.hashes, p)
			if len(salt) != saltLen || len(password) == 0 {
				t.Errorf("%d bytes of salt", len(salt))
			}
			return derive(password, salt, p)
		}
		w.store.set(func(string, string) error { got.reads++; return nil }, nil)
		defer w.store.set(nil, nil)
		_, err := w.SignIn(t.Context(), handle, password, "", homeAddr)
		wantCode(t, err, parley.Unauthorized)
		got.answer = err.Error()
		return got
	}
	wrong := try("ann", "not the password")
	if len(wrong.hashes) != 1 {
		t.Fatalf("%+v", wrong)
	}
	for _, handle := range []string{"bob", "a", "", "a b", strings.Repeat("x", 100), "аnn"} {
		if got := try(handle, "not the password"); got.answer != wrong.answer || got.reads != wrong.reads || !slices.Equal(got.hashes, wrong.hashes) {
			t.Errorf("%q: %+v, a wrong password %+v", handle, got, wrong)
		}
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	if len(in.Token) < len(tokenPrefix)+tokenBytes*4/3 {
		t.Errorf("a token of %d characters does not hold 256 bits", len(in.Token))
	}
	for name, token := range map[string]string{
		"none": "", "short": "pt_x", "another": tokenPrefix + strings.Repeat("A", 43), "its hash": hashOf(in.Token),
		"longer": in.Token + "A", "without prefix": strings.TrimPrefix(in.Token, tokenPrefix), "in capitals": strings.ToUpper(in.Token),
	} {
		if _, err := w.Authenticate(t.Context(), token); parley.CodeOf(err) != parley.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A token record alone proves nothing: the device must name the token.
	index := tokenRecord{User: in.User.ID, Device: in.Device.ID}
	forged := tokenPrefix + strings.Repeat("B", 43)
	if err := w.store.CommitRecords(t.Context(), tokenAddress(hashOf(forged)), []store.Change{creation(keyToken, &index)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Authenticate(t.Context(), forged); parley.CodeOf(err) != parley.Unauthorized {
		t.Errorf("a second token of the same device: %v", err)
	}
}

// Nothing in the store gives a token or a password away.
func TestSecretsAreStoredHashed(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	for _, partition := range []string{userAddress(in.User.ID), tokenAddress(hashOf(in.Token)), handleAddress("ann")} {
		rs, err := w.store.ListRecords(t.Context(), partition, "", "", 100)
		if err != nil || len(rs) == 0 {
			t.Fatal(partition, len(rs), err)
		}
		for _, r := range rs {
			for _, s := range []string{in.Token, strings.TrimPrefix(in.Token, tokenPrefix), secret} {
				if strings.Contains(partition+r.Key+string(r.Value), s) {
					t.Errorf("%s/%s holds a secret", partition, r.Key)
				}
			}
		}
	}
}

func TestDevicesAndSignOut(t *testing.T) {
	w := newWorld(t)
	first := w.register("ann")
	w.clock.pass(time.Second)
	second := w.signIn("ann")
	stranger := w.register("bob")
	ds, err := w.Devices(t.Context(), first.User.ID)
	if err != nil || len(ds) != 2 || ds[0].ID != first.Device.ID || ds[1].ID != second.Device.ID {
		t.Fatalf("%+v, %v", ds, err)
	}
	wantCode(t, w.SignOut(t.Context(), stranger.User.ID, second.Device.ID), parley.NotFound)
	if !good(t, w.Accounts, second) {
		t.Error("a stranger signed a device out")
	}
	if err := w.SignOut(t.Context(), first.User.ID, second.Device.ID); err != nil {
		t.Fatal(err)
	}
	if good(t, w.Accounts, second) || !w.wasRevoked(second) {
		t.Error("a device that was signed out goes on")
	}
	if !good(t, w.Accounts, first) || w.wasRevoked(first) {
		t.Error("the device that did it was signed out as well")
	}
	wantCode(t, w.SignOut(t.Context(), first.User.ID, second.Device.ID), parley.NotFound)
	w.restart()
	if good(t, w.Accounts, second) || !good(t, w.Accounts, first) {
		t.Error("a restart changed who is signed in")
	}
	if ds, err := w.Devices(t.Context(), first.User.ID); err != nil || len(ds) != 1 {
		t.Errorf("%+v, %v", ds, err)
	}
}

// A sign-out must win over an authentication that read the device just before.
// It kills a cache that is filled with what was read too early.
func TestSignOutBeatsTheCache(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	w.store.set(func(_, key string) error {
		if key == deviceKey(in.Device.ID) {
			w.store.set(nil, nil)
			if err := w.SignOut(t.Context(), in.User.ID, in.Device.ID); err != nil {
				t.Error(err)
			}
		}
		return nil
	}, nil)
	good(t, w.Accounts, in) // either answer is right: it happened at once
	if good(t, w.Accounts, in) {
		t.Error("the token is good again after the sign-out")
	}
}

// A sign-out of unknown outcome must not go on from memory.
func TestSignOutOfUnknownOutcome(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	good(t, w.Accounts, in)
	w.store.set(nil, func(partition string, commit func() error) error {
		if err := commit(); err != nil && partition == userAddress(in.User.ID) {
			return err
		}
		return store.ErrUnavailable
	})
	if err := w.SignOut(t.Context(), in.User.ID, in.Device.ID); err != nil {
		t.Errorf("it happened, and can be seen to have: %v", err)
	}
	if good(t, w.Accounts, in) || !w.wasRevoked(in) {
		t.Error("the device goes on")
	}
}

// A sign-out on one node takes effect on another within five seconds.
func TestSignOutReachesOtherNodes(t *testing.T) {
	w := newWorld(t)
	other := w.another()
	in := w.register("ann")
	if !good(t, other, in) {
		t.Fatal("not good on the other node")
	}
	if err := w.SignOut(t.Context(), in.User.ID, in.Device.ID); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(5 * time.Second)
	if good(t, other, in) {
		t.Error("good on the other node after five seconds")
	}
}

func TestTooManyDevices(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxDevices = 3 })
	var all []SignedIn
	all = append(all, w.register("ann"))
	for range 2 {
		w.clock.pass(2 * seenEvery)
		all = append(all, w.signIn("ann"))
	}
	w.clock.pass(2 * seenEvery)
	if !good(t, w.Accounts, all[0]) { // seen now, so no longer the one unseen for longest
		t.Fatal("signed out too early")
	}
	all = append(all, w.signIn("ann"))
	for i, want := range []bool{true, false, true, true} {
		if good(t, w.Accounts, all[i]) != want || w.wasRevoked(all[i]) == want {
			t.Errorf("device %d: good %v", i, !want)
		}
	}
	ds, err := w.Devices(t.Context(), all[0].User.ID)
	if err != nil || len(ds) != 3 || !ds[0].LastSeen.Equal(w.clock.now()) {
		t.Errorf("%+v, %v", ds, err)
	}
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	in, other := w.register("ann"), w.signIn("ann")
	me := Identity{in.User.ID, in.Device.ID}
	wantCode(t, w.ChangePassword(t.Context(), me, "not the password", "another secret"), parley.Forbidden)
	wantCode(t, w.ChangePassword(t.Context(), me, secret, "short"), parley.BadRequest)
	if !good(t, w.Accounts, other) {
		t.Error("a refused change signed a device out")
	}
	if err := w.ChangePassword(t.Context(), me, secret, "another secret"); err != nil {
		t.Fatal(err)
	}
	if !good(t, w.Accounts, in) || good(t, w.Accounts, other) || !w.wasRevoked(other) {
		t.Error("a change of password keeps this device and signs the others out")
	}
	if ds, err := w.Devices(t.Context(), in.User.ID); err != nil || len(ds) != 1 || ds[0].ID != in.Device.ID {
		t.Errorf("%+v, %v", ds, err)
	}
	_, err := w.SignIn(t.Context(), "ann", secret, "", homeAddr)
	wantCode(t, err, parley.Unauthorized)
	if _, err := w.SignIn(t.Context(), "ann", "another secret", "", homeAddr); err != nil {
		t.Error(err)
	}
}

// A sign-in with the old password that is under way while the password is
// changed must not stay. It kills a sign-in that does not write the secret's
// record again.
func TestChangePasswordBeatsASignIn(t *testing.T) {
	w := newWorld(t)
	in := w.register("ann")
	w.store.set(nil, func(partition string, commit func() error) error {
		if partition == userAddress(in.User.ID) { // the sign-in is about to become true
			w.store.set(nil, nil)
			if err := w.ChangePassword(t.Context(), Identity{in.User.ID, in.Device.ID}, secret, "another secret"); err != nil {
				t.Error(err)
			}
		}
		return commit()
	})
	_, err := w.SignIn(t.Context(), "ann", secret, "", homeAddr)
	wantCode(t, err, parley.Unauthorized)
	if ds, err := w.Devices(t.Context(), in.User.ID); err != nil || len(ds) != 1 {
		t.Errorf("%+v, %v", ds, err)
	}
}

// Many at once change the password, sign in and out: whoever is in at the end
// holds a good token, and everybody else does not.
func TestDevicesUnderContention(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RateLimits, c.MaxDevices = false, 8 })
	in := w.register("ann")
	other := w.another()
	var (
		mu  sync.Mutex
		all []SignedIn
		wg  sync.WaitGroup
	)
	for i := range 12 {
		wg.Go(func() {
			a := []*Accounts{w.Accounts, other}[i%2]
			s, err := a.SignIn(t.Context(), "ann", secret, fmt.Sprint("device ", i), homeAddr)
			if err != nil {
				t.Error(err)
				return
			}
			if i%3 == 0 {
				if err := a.SignOut(t.Context(), s.User.ID, s.Device.ID); err != nil && parley.CodeOf(err) != parley.NotFound {
					t.Error(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, s)
		})
	}
	wg.Wait()
	ds, err := w.Devices(t.Context(), in.User.ID)
	if err != nil || len(ds) > 8 {
		t.Fatalf("%d devices, %v", len(ds), err)
	}
	w.clock.pass(tokenFor)
	for _, s := range all {
		stands := slices.ContainsFunc(ds, func(d Device) bool { return d.ID == s.Device.ID })
		if good(t, w.Accounts, s) != stands || w.wasRevoked(s) == stands {
			t.Errorf("%s: listed %v, revoked %v", s.Device.Name, stands, w.wasRevoked(s))
		}
	}
}

// A cheaper hash of earlier times is renewed at the next sign-in.
func TestRehash(t *testing.T) {
	w := newWorld(t)
	w.register("ann")
	w.conf.Hasher = HashParams{Time: 2, MemoryKiB: 16, Threads: 1}
	w.restart()
	w.signIn("ann")
	_, rec, err := w.secretOf(t.Context(), "ann")
	if err != nil || w.hasher.outdated(rec.Hash) {
		t.Errorf("%s, %v", rec.Hash, err)
	}
	w.signIn("ann")
}
