// Package session is one device online: who it is, what it watches, and how
// far it has read.
//
// A session is a position in its user's inbox and, for the few conversations
// that moved since, how far ahead of that position the device was told. It
// is a small state machine: it runs on a borrowed goroutine when there is
// something to say, says all of it in one write, and holds nothing while
// idle. What it has to say is never queued entry by entry: a nudge only marks
// a conversation, and the session reads from where it stands. A reader who is
// slow therefore costs marks and not memory, and what a mark cannot hold is
// found again by reading the inbox from the position.
package session

import (
	"context"
	"log/slog"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/wire"
)

// Conversations is where posts go and memberships are known.
type Conversations interface {
	Post(p parley.Post, done func(parley.Ack, error))
	// Get returns a conversation, the reader's membership and the last number
	// the reader may read; not_found for a stranger.
	Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error)
	// Find returns the number of a message as far as reader may see it, or
	// not_found.
	Find(ctx context.Context, reader parley.UserID, id parley.ConversationID, message parley.MessageID) (parley.Seq, error)
}

// Inboxes is the user's rows.
type Inboxes interface {
	After(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error)
	Written(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error)
	// HeadFor returns what a device with that cursor had of c (ok: that is
	// certain), not less than where the membership begins, and the membership
	// by the newest that is known; without Since it is not.
	HeadFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (had parley.Seq, m parley.Member, ok bool)
	MarkSoon(user parley.UserID, c parley.ConversationID, delivered, read parley.Seq)
}

// Fanout tells who watches, and holds the warm tail.
type Fanout interface {
	Watch(user parley.UserID, w fanout.Watcher) (stop func())
	Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, error)
	// ReadAt is Read for whoever knows that the conversation stands at head,
	// or, with 0, for what is pushed live.
	ReadAt(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]*fanout.Told, error)
	// Entries is ReadAt, or with a head of 0 Read, for whoever needs no form
	// on the wire. The entries are the caller's own.
	Entries(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]parley.Entry, error)
}

// Describer gives rows what a screen needs beside numbers.
type Describer interface {
	Describe(ctx context.Context, reader parley.UserID, rows []parley.Row) ([]wire.Row, error)
}

// Contacts says how far a user's list of contacts has got.
type Contacts interface {
	ContactsRev(ctx context.Context, user parley.UserID) (uint64, error)
}

// Limiter says how long a user must wait before the next post; 0: go ahead.
type Limiter interface {
	Wait(user parley.UserID) time.Duration
}

// Conn is the connection under a session; see edge for its contract.
type Conn interface {
	WriteFrames(frames [][]byte) error
	Close(code int, reason string)
}

// Config is what sessions work with; what has no default is required.
type Config struct {
	Conversations Conversations
	Inboxes       Inboxes
	Fanout        Fanout
	History       History
	Contacts      Contacts // nil: there are none
	Describer     Describer
	Limiter       Limiter
	Logger        *slog.Logger
	Epoch         parley.Epoch
	Server        string // name/version, for welcome
	Limits        wire.Limits
	Whispers      Whispers // nil: nobody carries them
	Presence      Presence // nil: nobody knows who is online
}

// Hub makes sessions and waits for what they do.
type Hub struct {
	// static after New
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // sessions with a goroutine
}

// New returns a hub without sessions.
func New(cfg Config) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{cfg: cfg, ctx: ctx, cancel: cancel}
}

// Close has no session say anything more and returns when none runs. The
// connections are closed by who owns them, before.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.running.Wait()
}

// start runs work on a goroutine that Close waits for.
func (h *Hub) start(work func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.running.Add(1)
	go func() {
		defer h.running.Done()
		work()
	}()
	return true
}

// Connect begins a session of device on conn after a good hello. The session
// says welcome, then what changed after the cursor, then goes on live.
func (h *Hub) Connect(user wire.User, device wire.Device, hello wire.ClientFrame, conn Conn) (*Session, error) {
	s := &Session{
		hub: h, conn: conn,
		user: parley.UserID(user.ID), device: parley.DeviceID(device.ID), follows: hello.Follow,
	}
	s.out = append(s.out, wire.AppendWelcome(nil, &wire.Welcome{
		User: user, Device: device, Epoch: h.cfg.Epoch, Server: h.cfg.Server, Limits: h.cfg.Limits,
		Rev: h.contactsRev(parley.UserID(user.ID)),
	}))
	at, good := h.position(hello.Cursor)
	if !good {
		s.out = append(s.out, wire.AppendResync(nil, h.cfg.Epoch))
	}
	// Watch before reading: what happens in between is read or nudged, and
	// reading twice finds nothing new.
	s.at, s.pos, s.changed, s.resuming, s.unasked = at, at.Pos, true, true, maxResume
	s.stop = h.cfg.Fanout.Watch(s.user, s)
	s.mu.Lock()
	ok := s.schedule()
	s.mu.Unlock()
	if !ok {
		s.stop()
		return nil, &parley.Error{Code: parley.Draining, Op: "session.connect", Detail: "the server is shutting down; reconnect", After: time.Second}
	}
	if h.cfg.Presence != nil {
		h.cfg.Presence.Arrived(s.user)
	}
	return s, nil
}

// contactsRev is how far user's list of contacts has got, 0 if that is not
// known.
func (h *Hub) contactsRev(user parley.UserID) uint64 {
	if h.cfg.Contacts == nil {
		return 0
	}
	rev, err := h.cfg.Contacts.ContactsRev(h.ctx, user)
	if err != nil {
		return 0
	}
	return rev
}

// position returns where a device with this cursor stands. A cursor of another
// epoch, or none at all in shape, is not good. Whether it is ahead of the inbox
// the first reading finds out: the welcome does not wait for that.
func (h *Hub) position(cursor string) (at parley.Cursor, good bool) {
	nothing := parley.Cursor{Epoch: h.cfg.Epoch}
	if cursor == "" {
		return nothing, true
	}
	at, ok := parley.ParseCursor(cursor)
	if !ok || at.Epoch != h.cfg.Epoch {
		return nothing, false
	}
	return at, true
}

// encode is how an entry looks on the wire, for everybody.
func encode(e *parley.Entry) []byte {
	return wire.AppendEntry(make([]byte, 0, 256+len(e.Body.Data)+len(e.Body.Data)/2), e)
}
