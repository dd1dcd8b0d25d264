// Package account is who people are: accounts and handles, passwords, device
// tokens, and the invites that let somebody in. It is the only package that
// ever sees a password, and the only one that knows what makes a token good.
//
// # What makes something true
//
// A record commit is atomic within one partition only, so every operation
// that touches several has exactly one write that makes it true; whatever was
// written before a crash and not made true is harmless litter.
//
//   - An account exists when handle/<handle> names it. Its own records are
//     written before; without the handle nobody can sign in to them.
//   - A device is signed in while its record stands in user/<id>. A token
//     record only says where to look: it is written before the device and
//     removed after it, and a token whose device is gone is no good.
//   - A password change and the removal of all other devices are one commit.
//     A sign-in writes the secret's record again (unchanged) along with its
//     new device, so the two can never pass each other unseen.
//   - A use of an invite, or of the link that makes the first administrator,
//     is held before the handle is claimed and settled after. A hold that a
//     crash left behind is decided by looking at the handle, see [hold].
//
// All limits live in memory: a restart forgets them.
package account

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Mode says who may register.
type Mode string

// The modes. Whatever the mode, the link of [Accounts.SetupCode] makes the
// first administrator.
const (
	Open     Mode = "open"   // anybody
	ByInvite Mode = "invite" // whoever has an invite
	Closed   Mode = "closed" // nobody
)

// Limits of an account.
const (
	MinPassword       = 8    // characters
	MaxPassword       = 1024 // characters
	MaxName           = 64   // characters, of users and devices
	DefaultMaxDevices = 64
)

// Config is what New needs. Records is required; zero values of the rest mean
// the defaults written beside them.
type Config struct {
	Records      store.Records
	Registration Mode             // ByInvite
	RateLimits   bool             // false: none at all; for benches and tests
	MaxDevices   int              // DefaultMaxDevices; one more signs out the one unseen for longest
	Hasher       HashParams       // DefaultHash
	Now          func() time.Time // time.Now
	Rand         io.Reader        // crypto/rand; safe for concurrent use
	Logger       *slog.Logger     // discards

	// Revoked is told of each device that was signed out, after it became
	// true, so that its live connections close. It must not block and may be
	// told of the same device twice.
	Revoked func(parley.UserID, parley.DeviceID)
}

// Accounts is the accounts of one store. It has no goroutines and needs no
// closing. All methods are safe for concurrent use, also by several Accounts
// (on several nodes) over one store. Their errors are *parley.Error.
type Accounts struct {
	// static after New
	records    store.Records
	mode       Mode
	limited    bool
	maxDevices int
	now        func() time.Time
	rand       io.Reader
	log        *slog.Logger
	revoked    func(parley.UserID, parley.DeviceID)

	hasher   *hasher
	attempts *limiter // failed sign-ins and registrations
	lookups  *limiter // look-ups by handle
	known    *cache[string, struct{}]
	tokens   *cache[string, Identity] // by token hash
	profiles *cache[parley.UserID, User]
}

// How long and how many the caches keep. What another node changes is seen
// within these times; what changes here is seen at once.
const (
	tokenFor    = 4 * time.Second // a revocation takes effect within 5 s in a cluster
	tokensKept  = 65536
	profileFor  = time.Minute
	profileKept = 65536
	knownFor    = 30 * 24 * time.Hour
	knownKept   = 65536
	limitsKept  = 32768 // each at most some 600 bytes
)

// New returns the accounts in c.Records. It reads and writes nothing yet.
func New(c Config) (*Accounts, error) {
	if c.Records == nil {
		return nil, errors.New("account: no records store")
	}
	switch c.Registration {
	case "":
		c.Registration = ByInvite
	case Open, ByInvite, Closed:
	default:
		return nil, errors.New("account: registration must be open, invite or closed")
	}
	if c.Hasher == (HashParams{}) {
		c.Hasher = DefaultHash
	}
	if err := c.Hasher.check(); err != nil {
		return nil, err
	}
	if c.MaxDevices == 0 {
		c.MaxDevices = DefaultMaxDevices
	}
	if c.MaxDevices < 1 {
		return nil, errors.New("account: a user needs at least one device")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Revoked == nil {
		c.Revoked = func(parley.UserID, parley.DeviceID) {}
	}
	return &Accounts{
		records: c.Records, mode: c.Registration, limited: c.RateLimits, maxDevices: c.MaxDevices,
		now: c.Now, rand: c.Rand, log: c.Logger, revoked: c.Revoked,
		hasher:   newHasher(c.Hasher, c.Rand),
		attempts: newLimiter(limitsKept),
		lookups:  newLimiter(limitsKept),
		known:    newCache[string, struct{}](knownKept, knownFor),
		tokens:   newCache[string, Identity](tokensKept, tokenFor),
		profiles: newCache[parley.UserID, User](profileKept, profileFor),
	}, nil
}

// User is an account as the server knows it. Admin is not for other users.
type User struct {
	ID      parley.UserID
	Handle  string
	Name    string
	Admin   bool
	Created time.Time
}

// Device is one signed-in device of a user.
type Device struct {
	ID       parley.DeviceID
	Name     string
	Created  time.Time
	LastSeen time.Time // to the hour
}

// Identity is who holds a token.
type Identity struct {
	User   parley.UserID
	Device parley.DeviceID
}

// SignedIn is a fresh sign-in. Token is shown this once and kept nowhere.
type SignedIn struct {
	User   User
	Device Device
	Token  string
}

// clock is the time that goes into records: UTC, whole milliseconds.
func (a *Accounts) clock() time.Time { return a.now().UTC().Truncate(time.Millisecond) }

// detached is for writes that must not be left half done because a client
// went away: it keeps ctx's values and has a deadline of its own.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
