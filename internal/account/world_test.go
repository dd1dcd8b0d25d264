package account

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
)

const (
	secret   = "correct horse battery"
	homeAddr = "192.0.2.1"
)

// quick is a hash that costs next to nothing.
var quick = HashParams{Time: 1, MemoryKiB: 8, Threads: 1}

// world is accounts over a store that lasts longer than they do.
type world struct {
	t testing.TB
	*Accounts
	store *tap
	clock *clock
	conf  Config

	mu      sync.Mutex
	revoked []Identity
}

// newWorld returns an empty world. Changes are made to the configuration
// before it takes effect.
func newWorld(t testing.TB, changes ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, store: &tap{Records: memstore.New()}, clock: &clock{at: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}}
	w.conf = Config{
		Records: w.store, Registration: Open, RateLimits: true, Hasher: quick, Now: w.clock.now, Rand: newRand(1),
		Logger: slog.New(slog.DiscardHandler),
		Revoked: func(u parley.UserID, d parley.DeviceID) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.revoked = append(w.revoked, Identity{u, d})
		},
	}
	for _, change := range changes {
		change(&w.conf)
	}
	w.restart()
	return w
}

// restart forgets everything that was not stored.
func (w *world) restart() {
	w.t.Helper()
	w.store.set(nil, nil)
	w.Accounts = w.another()
}

// another returns the accounts of another node over the same store.
func (w *world) another() *Accounts {
	w.t.Helper()
	a, err := New(w.conf)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) register(handle string) SignedIn {
	w.t.Helper()
	return w.registerWith(handle, "")
}

func (w *world) registerWith(handle, invite string) SignedIn {
	w.t.Helper()
	in, err := w.Register(w.t.Context(), Registration{Handle: handle, Password: secret, Invite: invite, Addr: homeAddr})
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

func (w *world) signIn(handle string) SignedIn {
	w.t.Helper()
	in, err := w.SignIn(w.t.Context(), handle, secret, "", homeAddr)
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

// invite returns the code of a new invite by somebody who exists already.
func (w *world) invite(by SignedIn, uses int) string {
	w.t.Helper()
	i, err := w.CreateInvite(w.t.Context(), by.User.ID, uses, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return i.Code
}

func (w *world) wasRevoked(in SignedIn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.revoked, Identity{in.User.ID, in.Device.ID})
}

// good reports whether a token is good, at a.
func good(t testing.TB, a *Accounts, in SignedIn) bool {
	t.Helper()
	id, err := a.Authenticate(t.Context(), in.Token)
	switch parley.CodeOf(err) {
	case "":
		if want := (Identity{in.User.ID, in.Device.ID}); id != want {
			t.Errorf("the token of %v is %v's", want, id)
		}
		return true
	case parley.Unauthorized:
		return false
	}
	t.Fatal(err)
	return false
}

func wantCode(t testing.TB, err error, want parley.Code) {
	t.Helper()
	if got := parley.CodeOf(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
}

// clock stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// seeded is randomness that is the same in every run.
type seeded struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newRand(seed byte) *seeded { return &seeded{src: rand.NewChaCha8([32]byte{seed})} }

func (s *seeded) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Read(b)
}

// tap lets a test stand between the accounts and the store. Its hooks run
// without a lock and may use the accounts; nil: none.
type tap struct {
	store.Records

	mu     sync.Mutex
	read   func(partition, key string) error
	commit func(partition string, commit func() error) error
}

func (s *tap) set(read func(partition, key string) error, commit func(partition string, commit func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.commit = read, commit
}

func (s *tap) hooks() (func(string, string) error, func(string, func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read, s.commit
}

func (s *tap) GetRecord(ctx context.Context, partition, key string) (store.Record, error) {
	r, err := s.Records.GetRecord(ctx, partition, key)
	if read, _ := s.hooks(); read != nil && err == nil {
		err = read(partition, key) // after the value was read
	}
	return r, err
}

func (s *tap) ListRecords(ctx context.Context, partition, prefix, after string, limit int) ([]store.Record, error) {
	rs, err := s.Records.ListRecords(ctx, partition, prefix, after, limit)
	if read, _ := s.hooks(); read != nil && err == nil {
		err = read(partition, prefix)
	}
	return rs, err
}

func (s *tap) CommitRecords(ctx context.Context, partition string, changes []store.Change) error {
	do := func() error { return s.Records.CommitRecords(ctx, partition, changes) }
	if _, commit := s.hooks(); commit != nil {
		return commit(partition, do)
	}
	return do()
}
