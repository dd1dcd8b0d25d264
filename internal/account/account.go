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
//   - How a user stands with another is the user's own record in
//     contacts/<user>. What the other may see of it, and the mirror of blocks
//     that senders are held to, follow it and are never ahead; nobody is told
//     before they have followed, see [Accounts.settle].
//   - A bot exists as any account does: when its handle names it. It is gone
//     when its profile says so.
//   - A use of a group's invite stands beside the invite, one per user, and
//     counts from the same commit on, see [Accounts.UseGroupInvite].
//   - A picture is shown when the profile names its record, which is written
//     before and removed after.
//
// All limits of how often live in memory: a restart forgets them.
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
	MaxStatus         = 140  // characters
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

	// ContactsChanged is told of each user whose list of contacts changed,
	// after it became true, so that their devices fetch it. Like Revoked it
	// must not block and may be told too often.
	ContactsChanged func(parley.UserID)
	// PresenceShown is told of each user who began or ceased to show whether
	// they are online, likewise.
	PresenceShown func(parley.UserID)
	// WebhookChanged is told of each bot whose webhook was set, removed or
	// told to begin again by its owner, likewise.
	WebhookChanged func(bot parley.UserID)

	// Alone says that nobody else writes to Records: then who blocks whom is
	// answered from memory. Several Accounts that are Alone over one store
	// would miss each other's blocks.
	Alone bool
	// PrivateWebhooks lets webhooks go to loopback and private addresses,
	// there also without TLS.
	PrivateWebhooks bool
	// Joined reports whether a user is, or ever was, a member of a group. It is
	// asked about uses of group invites that a crash left undecided; nil: they
	// count as used.
	Joined func(ctx context.Context, group parley.ConversationID, user parley.UserID) (bool, error)
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

	contactsChanged func(parley.UserID)
	presenceShown   func(parley.UserID)
	webhookChanged  func(parley.UserID)
	alone           bool
	privateWebhooks bool
	joined          func(context.Context, parley.ConversationID, parley.UserID) (bool, error)

	hasher   *hasher
	attempts *limiter // failed sign-ins and registrations
	lookups  *limiter // look-ups by handle
	known    *cache[string, struct{}]
	tokens   *cache[string, Identity] // by token hash
	profiles *cache[parley.UserID, User]
	requests *limiter                               // for contacts, and new bots
	blockers *cache[parley.UserID, []parley.UserID] // of a sender; used when alone
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

	blockersKept = 65536
	blockersLong = 256 // a longer list is read each time
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
	if c.ContactsChanged == nil {
		c.ContactsChanged = func(parley.UserID) {}
	}
	if c.PresenceShown == nil {
		c.PresenceShown = func(parley.UserID) {}
	}
	if c.WebhookChanged == nil {
		c.WebhookChanged = func(parley.UserID) {}
	}
	if c.Joined == nil {
		c.Joined = func(context.Context, parley.ConversationID, parley.UserID) (bool, error) { return true, nil }
	}
	return &Accounts{
		records: c.Records, mode: c.Registration, limited: c.RateLimits, maxDevices: c.MaxDevices,
		now: c.Now, rand: c.Rand, log: c.Logger, revoked: c.Revoked,
		contactsChanged: c.ContactsChanged, webhookChanged: c.WebhookChanged, presenceShown: c.PresenceShown,
		alone: c.Alone, privateWebhooks: c.PrivateWebhooks, joined: c.Joined,
		hasher:   newHasher(c.Hasher, c.Rand),
		attempts: newLimiter(limitsKept),
		lookups:  newLimiter(limitsKept),
		known:    newCache[string, struct{}](knownKept, knownFor),
		tokens:   newCache[string, Identity](tokensKept, tokenFor),
		profiles: newCache[parley.UserID, User](profileKept, profileFor),
		requests: newLimiter(limitsKept),
		blockers: newCache[parley.UserID, []parley.UserID](blockersKept, 0),
	}, nil
}

// User is an account as the server knows it. Admin, Owner and Privacy are not
// for other users.
type User struct {
	ID      parley.UserID
	Handle  string
	Name    string
	Status  string // a line of their own; empty: none
	Avatar  string // names the picture, see Accounts.Avatar; empty: none
	Admin   bool
	Bot     bool
	Owner   parley.UserID // of a bot
	Deleted bool          // a bot that is no more; its handle is nobody else's
	Privacy Privacy
	Created time.Time
}

// Privacy is what others may see of a user; who does not show it does not see
// it of others.
type Privacy struct {
	Receipts bool // how far the user has read
	Presence bool // whether the user is online, and when last; and typing
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
