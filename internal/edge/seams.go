package edge

import (
	"context"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/search"
	"github.com/parley-im/parley/wire"
)

// This file is all that edge asks of the rest of the server. Everything is
// safe for concurrent use, and every error is one that parley.CodeOf
// understands: what it says reaches a person, its cause does not.

// SignIn turns secrets into identities. addr is the peer's address without
// the port; it is for rate limits alone.
type SignIn interface {
	// Register makes an account and signs its first device in.
	Register(ctx context.Context, q account.Registration) (account.SignedIn, error)
	// SignIn signs a device in. An unknown handle and a wrong password are
	// the same unauthorized.
	SignIn(ctx context.Context, handle, password, device, addr string) (account.SignedIn, error)
	// Authenticate returns who holds token, or unauthorized.
	Authenticate(ctx context.Context, token string) (account.Identity, error)
	// SignOut ends one device of user; its connections close within 1 s. It
	// is not_found if user has no such device.
	SignOut(ctx context.Context, user parley.UserID, device parley.DeviceID) error
	// Devices lists the devices of user.
	Devices(ctx context.Context, user parley.UserID) ([]account.Device, error)
}

// People finds accounts.
type People interface {
	// User returns an account, or not_found.
	User(ctx context.Context, id parley.UserID) (account.User, error)
	// Users returns those of ids that exist.
	Users(ctx context.Context, ids []parley.UserID) (map[parley.UserID]account.User, error)
	// UserByHandle finds an account by its exact handle in any case.
	UserByHandle(ctx context.Context, handle string) (account.User, error)
	// LookupAllowed counts one look-up by handle; rate_limited when too many.
	LookupAllowed(user parley.UserID) error
	// UpdateProfile changes what others see of user, all of it or nothing, and
	// returns the account as it is now.
	UpdateProfile(ctx context.Context, user parley.UserID, c account.ProfileChange) (account.User, error)
}

// Pictures is what users are shown by.
type Pictures interface {
	// SetAvatar makes the middle of a picture what user is shown by.
	SetAvatar(ctx context.Context, user parley.UserID, data []byte) (account.User, error)
	// RemoveAvatar has user shown by initials.
	RemoveAvatar(ctx context.Context, user parley.UserID) (account.User, error)
	// Avatar returns a user's picture, its media type and its name; not_found
	// if there is none.
	Avatar(ctx context.Context, user parley.UserID) (data []byte, kind, name string, err error)
}

// Invites lets people in.
type Invites interface {
	// CreateInvite makes an invite by user for so many registrations (0: one),
	// good for ttl (0: a week).
	CreateInvite(ctx context.Context, by parley.UserID, uses int, ttl time.Duration) (account.Invite, error)
	// Invites lists the invites of by, newest first, after cursor (empty: the
	// newest); next is empty at the end.
	Invites(ctx context.Context, by parley.UserID, cursor string, limit int) (page []account.Invite, next string, err error)
	// RevokeInvite is not_found for a code that by may not revoke.
	RevokeInvite(ctx context.Context, by parley.UserID, code string) error
}

// Contacts is how users stand with each other.
type Contacts interface {
	// SetContact asks for a state with other on behalf of a device that gave
	// the change a rev, and returns what stands then. See account.Accounts.
	SetContact(ctx context.Context, user, other parley.UserID, ask account.ContactState, rev uint64) (account.Contact, error)
	// DeleteContact forgets other; not_found if there is nothing to forget.
	DeleteContact(ctx context.Context, user, other parley.UserID) error
	// Contact returns how user stands with other: none when they do not.
	Contact(ctx context.Context, user, other parley.UserID) (account.Contact, error)
	// Contacts lists whom user stands with, after cursor; next is empty at the
	// end.
	Contacts(ctx context.Context, user parley.UserID, cursor string, limit int) (page []account.Contact, next string, err error)
}

// Bots is the accounts of programs. Each is not_found for a bot that is not
// owner's.
type Bots interface {
	// CreateBot makes a bot. Its token, and the secret of its webhook if it
	// has one, are shown this once.
	CreateBot(ctx context.Context, owner parley.UserID, handle, name, webhook string) (b account.Bot, token, secret string, err error)
	// Bots lists the bots of owner.
	Bots(ctx context.Context, owner parley.UserID) ([]account.Bot, error)
	// UpdateBot changes a bot; a webhook gets a new secret, shown this once.
	UpdateBot(ctx context.Context, owner, bot parley.UserID, c account.BotChange) (b account.Bot, secret string, err error)
	// DeleteBot ends a bot.
	DeleteBot(ctx context.Context, owner, bot parley.UserID) error
	// RenewBotToken makes the token before no good.
	RenewBotToken(ctx context.Context, owner, bot parley.UserID) (token string, err error)
}

// Webhooks is where bots are told.
type Webhooks interface {
	// ReplayWebhook has a bot's webhook told again from since on.
	ReplayWebhook(ctx context.Context, owner, bot parley.UserID, since time.Time) error
}

// GroupInvites lets people into groups. Who may ask has been checked.
type GroupInvites interface {
	// CreateGroupInvite makes an invite for so many users (0: 100), good for
	// ttl (0: a week).
	CreateGroupInvite(ctx context.Context, by parley.UserID, group parley.ConversationID, uses int, ttl time.Duration) (account.GroupInvite, error)
	// GroupInvites lists the invites into a group, newest first.
	GroupInvites(ctx context.Context, group parley.ConversationID, cursor string, limit int) (page []account.GroupInvite, next string, err error)
	// RevokeGroupInvite is not_found for a code that leads elsewhere.
	RevokeGroupInvite(ctx context.Context, group parley.ConversationID, code string) error
	// GroupInvite is not_found alike for a code that was guessed, used up,
	// expired or revoked.
	GroupInvite(ctx context.Context, code string) (account.GroupInvite, error)
	// UseGroupInvite puts a use aside for user, and returns where it leads;
	// settle is called once it is known whether the user joined.
	UseGroupInvite(ctx context.Context, code string, user parley.UserID) (group parley.ConversationID, settle func(ctx context.Context, joined bool) error, err error)
}

// Conversations is the one writer of conversations.
type Conversations interface {
	// Create makes a conversation of by and members, who have been checked to
	// exist; created is false for a direct conversation that existed already.
	Create(ctx context.Context, by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (c parley.Conversation, created bool, err error)
	// Post appends p. done is called exactly once, on any goroutine, when the
	// outcome is known. Shape and size of p have been checked. What becomes
	// of p does not depend on who waits for it.
	Post(p parley.Post, done func(parley.Ack, error))
	// Get returns a conversation as reader may see it, the reader's membership
	// and the last number the reader may read. It is not_found alike, and in
	// the same time, for no such conversation and for a stranger.
	Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error)
}

// History reads logs as reader may see them: from Since to Until of the
// membership, content the reader may not have replaced by withheld. Each is
// not_found for a stranger, as Conversations.Get is.
type History interface {
	// Read returns the entries after that number, ascending, without a gap.
	Read(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) (entries []parley.Entry, head parley.Seq, err error)
	// ReadBefore returns the entries before that number (0: from the head),
	// descending, without a gap.
	ReadBefore(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) (entries []parley.Entry, head parley.Seq, err error)
	// Editions returns what a message said first and with each edit, none if
	// it was deleted. It is not_found for a number that is no message.
	Editions(ctx context.Context, reader parley.UserID, c parley.ConversationID, seq parley.Seq) ([]fold.Edition, error)
	// Reactors returns every reaction to a message, and whose it is. It is
	// not_found as Editions is.
	Reactors(ctx context.Context, reader parley.UserID, c parley.ConversationID, seq parley.Seq) ([]fold.Reactor, error)
	// ByID returns the entry that the message id became, or not_found.
	ByID(ctx context.Context, reader parley.UserID, c parley.ConversationID, id parley.MessageID) (parley.Entry, error)
}

// Inboxes is the users' inboxes.
type Inboxes interface {
	// List returns the rows that moved last first (see parley.Row.Moved),
	// those that moved before position before (0: all).
	List(ctx context.Context, user parley.UserID, before parley.Pos, limit int) ([]parley.Row, error)
	// Row returns one row, or not_found.
	Row(ctx context.Context, user parley.UserID, c parley.ConversationID) (parley.Row, error)
	// Mark moves markers forward; a smaller number changes nothing, one past
	// the head counts as the head. It returns the row as it is afterwards.
	Mark(ctx context.Context, user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) (parley.Row, error)
	// Personal changes what user wishes of a conversation and returns the row
	// as it is afterwards. It is not_found for a conversation that is not the
	// user's, too_large for more hidden entries than a row holds.
	Personal(ctx context.Context, user parley.UserID, c parley.ConversationID, change parley.PersonalChange) (parley.Row, error)
	// Receipts returns how far those of users have got in c for whom that is
	// known before ctx ends, in any order. Who may ask has been checked; what
	// the asker may know of it has not: see Discretion.
	Receipts(ctx context.Context, c parley.ConversationID, users []parley.UserID) []parley.Receipt
}

// Discretion knows who hides how far they have read, and from whom.
type Discretion interface {
	// Discreet returns receipts, of a conversation of that kind, as reader may
	// have them; some may be absent.
	Discreet(ctx context.Context, reader parley.UserID, kind parley.ConversationKind, all []parley.Receipt) []parley.Receipt
}

// Search finds the user's own messages.
type Search interface {
	// Find returns one page of what q asks for; see search.Search.
	Find(ctx context.Context, reader parley.UserID, q search.Query) (search.Page, error)
}

// Presence is who is online.
type Presence interface {
	// Of returns how those of users stand whom asker may see, as far as that
	// is known, in any order; last seen is zero for who is online.
	Of(ctx context.Context, asker parley.UserID, users []parley.UserID) ([]parley.Presence, error)
}

// News is what changed for a device since it last asked.
type News interface {
	// Sync returns what changed after cursor, at most limit rows, and where
	// the device stands after storing it. A nil cursor reads from nothing. A
	// cursor that is not good (another epoch, ahead of the inbox) is answered
	// from nothing, with Resync set.
	Sync(ctx context.Context, user parley.UserID, cursor *parley.Cursor, limit int) (SyncPage, error)
	// Wait returns when there may be something after cursor: at once if there
	// is. It returns nil also when in doubt; ctx's error when ctx ends first.
	Wait(ctx context.Context, user parley.UserID, cursor parley.Cursor) error
}

// SyncPage is one stretch of an inbox, ascending by position.
type SyncPage struct {
	Rows    []parley.Row
	Entries []parley.Entry // of those rows, as far as they fit: contiguous per conversation
	Cursor  parley.Cursor  // where the device stands once it stored all this
	More    bool           // there is more now: ask again at once
	Resync  bool           // the cursor was not good; this reads from nothing
}

// Describer gives rows what a screen needs beside numbers: titles, names and
// the last message, as reader may see them. It returns one wire.Row for each
// row, in order.
type Describer interface {
	Describe(ctx context.Context, reader parley.UserID, rows []parley.Row) ([]wire.Row, error)
}

// Sessions is devices online.
type Sessions interface {
	// Connect begins a session of the device id on conn after a good hello;
	// the session says welcome. An error is sent to the device before the
	// connection closes: with 1013 if it is worth a retry, else with 1008, or
	// 4001 for unauthorized. It must not block on conn; ctx ends 5 s later.
	Connect(ctx context.Context, id account.Identity, hello wire.ClientFrame, conn Conn) (Session, error)
}

// Session is one device online. Receive and Refuse are called one at a time,
// in the order of the frames; both may block, which stops reading from this
// device and no other. After Closed nothing is called any more; it comes
// exactly once, whoever closed, possibly while Receive is still running on
// another goroutine.
type Session interface {
	// Receive takes a frame that wire.DecodeClient let pass, never a hello. A
	// post's body is not judged yet. The frame is the session's own.
	Receive(frame wire.ClientFrame)
	// Refuse answers a bad frame: err goes to the device with ref, which may
	// be empty. The connection stays.
	Refuse(ref wire.Ref, err error)
	// Closed says that the connection is gone. It must not block.
	Closed()
}

// Conn is the connection under a session. All methods are safe for concurrent
// use.
type Conn interface {
	// WriteFrames writes each payload as one text frame, all of them in one
	// write, and returns when the kernel has them. It blocks at most 10 s
	// (wire order is the order of calls); an error means that the connection
	// is going away and Closed follows. frames is the caller's again
	// afterwards.
	WriteFrames(frames [][]byte) error
	// Close begins the closing handshake and returns at once. Frames written
	// before it are sent first. Only the first call counts. Receive is not
	// called any more, but for one that is running.
	Close(code int, reason string)
}
