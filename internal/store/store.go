// Package store says what durable means. It holds contracts, not code: the
// engines live in memstore and pebblestore, and one suite, storetest, holds
// each to every sentence written here.
//
// The one primitive is compare-and-append on a partition: it succeeds if the
// partition is still where the writer believes it is, and otherwise returns
// [ErrConflict], having written nothing. Ownership is therefore a hint for
// speed and never a condition for correctness.
//
// Every method is safe for concurrent use. A write that returned nil is on
// stable storage. A write that returned ErrConflict, ErrFull or ErrClosed
// wrote nothing. A write that returned any other error has an unknown
// outcome: it may or may not have happened, now or a little later; the caller
// reads again before it decides. Values passed in are not kept, values
// returned are the caller's own.
package store

import (
	"context"
	"errors"

	parley "github.com/parley-im/parley"
)

// Errors of every engine; test with errors.Is.
var (
	// ErrConflict: the partition is not where the writer believed. Nothing
	// was written; reload and decide again.
	ErrConflict = errors.New("store: conflict")
	// ErrFull: the disk is full, or so nearly full that writing is refused.
	// Nothing was written. It goes away by itself when space returns.
	ErrFull = errors.New("store: storage full")
	// ErrUnavailable: the engine did not answer within its deadline, or had a
	// failure it recovers from. The outcome is unknown.
	ErrUnavailable = errors.New("store: unavailable, outcome unknown")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store: closed")
	// ErrCorrupt: what was read cannot be what was written.
	ErrCorrupt = errors.New("store: corrupt")
)

// Store is one engine.
type Store interface {
	Log
	Acts
	Dirty
	Inboxes
	Records
	Census
	Life
}

// BucketSize is how many numbers of a conversation may share a partition. The
// entries of one append lie within one bucket: those after 0, after 4096, …
const BucketSize = 4096

// Room returns how many entries fit after base in base's bucket.
func Room(base parley.Seq) int { return BucketSize - int(base%BucketSize) }

// Log is the conversation logs.
type Log interface {
	// Load returns where conversation c stands: its head and the state last
	// written with an append. A conversation that does not exist has the zero
	// Head.
	Load(ctx context.Context, c parley.ConversationID) (Head, error)

	// Append writes a.Entries at a.Base+1, a.Base+2, …, all or none, provided
	// the head is a.Base; otherwise ErrConflict. In the same commit it sets the
	// dirty mark of the conversation (see Dirty). The entries must be numbered
	// so and carry their Count; a.Entries is not empty and no longer than
	// Room(a.Base). An id that stands in
	// the conversation already is the caller's fault: callers Find first, at a
	// head they then append to. Entries are kept without their Fold.
	// Concurrent appends to different conversations
	// share their syncs.
	Append(ctx context.Context, a Append) error

	// Read returns the entries after seq in order, at most limit of them,
	// without a gap; fewer only at the head. Nothing past the head: an empty
	// slice. It takes the same time at any depth.
	Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error)

	// Find returns the number that id has in c, or 0. base is a hint: the id
	// is not at or below it; an engine may ignore it. It finds an id for as
	// long as its entry lives.
	Find(ctx context.Context, c parley.ConversationID, id parley.MessageID, base parley.Seq) (parley.Seq, error)
}

// Acts is what later entries say of earlier ones, found from the earlier one,
// and what a delete does to them.
type Acts interface {
	// Acts returns the acts (parley.Kind.IsAct) that point at from..to and were
	// appended by the time of the call, ascending by Target and then by Seq, as
	// parley.ActOf makes them of their entries. An append makes its acts known in
	// the same commit: after ErrConflict there is none of it, after an unknown
	// outcome there are those of the entries that stand. An act that points at
	// nothing before itself is an entry like others, and is not found. Of the
	// reactions of one sender to one entry only the last is certain to be there.
	// Whatever cannot be pointed at has no acts: an empty slice.
	Acts(ctx context.Context, c parley.ConversationID, from, to parley.Seq) ([]parley.Act, error)

	// Erase takes the bodies of those entries out of the store for good: they
	// read without type and data from then on, by every call and after every
	// crash, and are otherwise as they were: number, id, kind, sender, what they
	// point at, and their acts. The act of an erased reaction has no Text. What
	// has no body, or does not exist, is passed over; seqs may repeat and may be
	// empty, so that erasing may be repeated. Not all or none: after an error any
	// of them may be erased; erase again. When the bytes themselves leave the
	// disks is the engine's own matter and stands in its ADR.
	Erase(ctx context.Context, c parley.ConversationID, seqs []parley.Seq) error
}

// Head is where a conversation stands.
type Head struct {
	Seq   parley.Seq
	Count uint64               // messages in 1..Seq
	State *parley.Conversation // nil: the conversation does not exist
}

// Append is one compare-and-append to a conversation.
type Append struct {
	Conversation parley.ConversationID
	Base         parley.Seq
	Entries      []parley.Entry
	State        *parley.Conversation // non-nil: replaces the state, in the same commit
}

// Dirty is the marks of conversations whose entries may not yet stand in
// every member's inbox. Every append sets the mark, also where one stands: who
// appends cannot know whether another node has just settled the one before.
// An engine may spare the work where it does know.
type Dirty interface {
	// DirtyAfter lists marked conversations of the shards that of reports true
	// for (nil: of all), after c ("" for the first) in an order that is the
	// engine's own but does not change, at most limit. See parley.ShardOf.
	DirtyAfter(ctx context.Context, of func(shard int) bool, c parley.ConversationID, limit int) ([]parley.ConversationID, error)

	// Settle removes the mark of c if the head is still head, and otherwise
	// leaves it; neither is an error. It need not be durable at once: a mark
	// too many costs a sweep, never data.
	Settle(ctx context.Context, c parley.ConversationID, head parley.Seq) error
}

// Inboxes is the users' inboxes.
type Inboxes interface {
	// LoadInbox returns the rows of u in ascending order of Pos, and the
	// greatest position ever written. A user without rows has an empty inbox.
	LoadInbox(ctx context.Context, u parley.UserID) (Inbox, error)

	// WriteInboxes commits each write for itself: if the inbox's position is
	// still Base, it replaces the rows (by conversation) and the position
	// becomes the greatest Pos among them; otherwise that write's Err is
	// ErrConflict and nothing of it is written. Rows carry positions above
	// Base, each its own. All writes share one sync. The returned error
	// concerns all writes at once; then no Err is set.
	WriteInboxes(ctx context.Context, writes []*InboxWrite) error
}

// Inbox is everything the store knows of a user's conversations.
type Inbox struct {
	Pos  parley.Pos
	Rows []parley.Row
}

// InboxWrite is one user's part of WriteInboxes.
type InboxWrite struct {
	User parley.UserID
	Base parley.Pos
	Rows []parley.Row
	Err  error // set by WriteInboxes: nil or ErrConflict
}

// Records is small named values with versions: accounts, devices, tokens,
// invites. A record's address is a partition and a key in it.
type Records interface {
	// GetRecord returns a record; Version 0 when there is none.
	GetRecord(ctx context.Context, partition, key string) (Record, error)

	// ListRecords returns the records of a partition whose key begins with
	// prefix and is greater than after, ascending by key, at most limit.
	ListRecords(ctx context.Context, partition, prefix, after string, limit int) ([]Record, error)

	// CommitRecords applies the changes to one partition, all or none, if each
	// record still has the version its change expects; otherwise ErrConflict.
	// changes is not empty.
	CommitRecords(ctx context.Context, partition string, changes []Change) error
}

// Record is one named value.
type Record struct {
	Key     string
	Version uint64 // 1 when first written, one more with each change; 1 again when written after a removal
	Value   []byte
}

// Change is one record's part of CommitRecords.
type Change struct {
	Key     string
	Version uint64 // the version expected; 0: must not exist
	Value   []byte
	Remove  bool // remove it instead of writing Value
}

// Census lists what there is, for moving a store and for looking at all of it.
// Each method returns at most limit names after the one given ("" for the
// first), in an order that is the engine's own but does not change; an empty
// answer is the end. What is made or removed meanwhile may be listed or not.
type Census interface {
	// Conversations lists the conversations that have entries.
	Conversations(ctx context.Context, after parley.ConversationID, limit int) ([]parley.ConversationID, error)
	// Users lists the users whose inboxes have been written.
	Users(ctx context.Context, after parley.UserID, limit int) ([]parley.UserID, error)
	// Partitions lists the partitions that hold records.
	Partitions(ctx context.Context, after string, limit int) ([]string, error)
}

// Life is what an engine says of itself.
type Life interface {
	// Epoch names this unbroken life of the store; it does not change while
	// the store is open.
	Epoch() parley.Epoch
	// Writable is nil, or why writes are refused now (ErrFull, ErrClosed, …).
	Writable() error
	// Close waits for what is under way, refuses what comes, and lets go of
	// the store. A second Close does nothing.
	Close() error
}
