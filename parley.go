// Package parley is the vocabulary of the messenger: the words every other
// package speaks, and nothing else. It imports the standard library only.
//
// A conversation is a log; saying is appending; delivering is reading past
// your cursor. An [Entry] is one number of a conversation's log. A [Row] is
// what one user's inbox knows of one conversation. See docs/GLOSSARY.md.
package parley

import (
	"cmp"
	"slices"
	"time"
)

// Identifiers are opaque: URL-safe, 1 to [MaxID] bytes, compared byte by byte.
type (
	// UserID names an account for its whole life.
	UserID string
	// DeviceID names one signed-in device of a user.
	DeviceID string
	// ConversationID names a conversation. That of a direct conversation is
	// derived from its pair (see [DirectID]), so that two people who ask at
	// once ask for the same one.
	ConversationID string
	// MessageID is made by the client when a message is composed, before the
	// first try, and travels with every retry. It is unique per conversation.
	MessageID string
)

// Seq is the number of an entry in its conversation: 1, 2, 3 … without gaps.
// Zero stands before the first entry.
type Seq uint64

// Pos is a user's own sequence number: the position at which an inbox row
// last changed. Zero stands before the first change.
type Pos uint64

// Epoch names one unbroken life of a store. It changes when the store may
// have lost a tail it had promised (a restore, a torn log), and every cursor
// of another epoch is answered with a resync.
type Epoch string

// Cursor is how far a device has read its user's inbox. Lag is 0 when the
// device has everything up to Pos. While it catches up page by page, Pos is
// how far the pages reach and Pos-Lag where it last had everything: a row
// that moved from before Pos to behind it while the pages were read was on
// none of them.
type Cursor struct {
	Epoch Epoch
	Pos   Pos
	Lag   Pos
}

// Kind says what an entry is.
type Kind string

// The kinds of entries. Further kinds may be added; a reader keeps the number
// of an entry whose kind it does not know.
const (
	KindMessage  Kind = "message"  // somebody said something
	KindMembers  Kind = "members"  // who belongs changed; the body is JSON
	KindTitle    Kind = "title"    // the conversation was renamed
	KindEdit     Kind = "edit"     // points at Ref, replaces its body
	KindDelete   Kind = "delete"   // points at Ref, removes its body
	KindWithheld Kind = "withheld" // a number whose content this reader may not have
)

// TextPlain is the media type of a body whose data is UTF-8 text.
const TextPlain = "text/plain"

// Body is what was said: a media type and bytes. Server packages carry it and
// never look inside.
type Body struct {
	Type string
	Data []byte
}

// Entry is one number of a conversation's log, the same for every member.
// It is immutable once committed.
type Entry struct {
	Conversation ConversationID
	Seq          Seq
	Kind         Kind
	ID           MessageID
	Sender       UserID
	Device       DeviceID
	At           time.Time // the server's clock at the commit, millisecond precision; for people, not for order
	Body         Body
	Ref          Seq    // the entry this one points at (edit, delete, reaction, pin); 0: none
	ReplyTo      Seq    // the entry this one answers; 0: none
	Count        uint64 // entries of KindMessage in 1..Seq; unread is a difference of two of these

	Mentions  []UserID // members this message wants to be seen by
	Forwarded bool     // said elsewhere before
	Withheld  []UserID // members who blocked the sender when it was committed; they read [KindWithheld]

	Fold *Fold // what later entries made of it; nil in a store, and when there are none
}

// WithheldFrom reports whether u may not have what e says.
func (e *Entry) WithheldFrom(u UserID) bool { return slices.Contains(e.Withheld, u) }

// Post is a request to append: one try of one message.
type Post struct {
	Conversation ConversationID
	ID           MessageID
	Sender       UserID
	Device       DeviceID
	Kind         Kind // empty means KindMessage
	Body         Body
	Base         Seq // the head the sender saw at the first try; a hint that bounds the search for an earlier try
	Ref, ReplyTo Seq
	Mentions     []UserID
	Forwarded    bool
	Invited      bool // of KindMembers: the sender, a stranger, adds themself by an invite that was checked
}

// Ack says that a post is committed: it survives anything from here.
type Ack struct {
	Conversation ConversationID
	ID           MessageID
	Seq          Seq
	At           time.Time
	Again        bool // an earlier try had already committed it
}

// ConversationKind says how many a conversation is for.
type ConversationKind string

// The kinds of conversations.
const (
	Direct ConversationKind = "direct" // exactly one per pair of users
	Group  ConversationKind = "group"
)

// Role is what a member may do.
type Role string

// The roles, from most to least.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
)

// Member is one user's part in a conversation.
type Member struct {
	User  UserID
	Role  Role
	Since Seq // the first entry this member may read
	Until Seq // the last entry this member may read; 0: still a member
}

// Conversation is the state that folding a log gives: who belongs, and how it
// is called. Head is the number of the last entry folded or known.
type Conversation struct {
	ID      ConversationID
	Kind    ConversationKind
	Title   string
	Created time.Time
	Members []Member // sorted by User
	Pins    []Seq    // pinned messages, in the order they were pinned
}

// Member returns u's membership, past or present, and whether there is one.
func (c *Conversation) Member(u UserID) (Member, bool) {
	i, ok := slices.BinarySearchFunc(c.Members, u, func(m Member, u UserID) int { return cmp.Compare(m.User, u) })
	if !ok {
		return Member{}, false
	}
	return c.Members[i], true
}

// Run is a stretch of numbers, both ends included.
type Run struct{ From, To Seq }

// Checkpoint says that a row's head stood at Head from position Pos on, until
// the next checkpoint or the row itself says otherwise.
type Checkpoint struct {
	Pos  Pos
	Head Seq
}

// MaxCheckpoints bounds the checkpoints a row remembers. A device whose
// cursor is older than all of them is too far behind: it gets the row and
// asks for the entries.
const MaxCheckpoints = 32

// MaxRuns bounds [Row.Own]. A user who spoke so many separate times after the
// read marker, or from whom so much was withheld, has read on: the marker moves
// over the oldest run.
const MaxRuns = 256

// MaxMentioned bounds [Row.Mentioned].
const MaxMentioned = 256

// Row is one conversation in one user's inbox.
type Row struct {
	Conversation ConversationID
	Kind         ConversationKind
	Pos          Pos    // the user's position at which this row last changed
	Since, Until Seq    // the membership, as in Member
	Head         Seq    // the last entry this user may read that the inbox knows of
	Count        uint64 // messages in 1..Head
	Delivered    Seq    // marker: stored on a device of this user
	Read         Seq    // marker: seen by this user
	ReadCount    uint64 // messages in 1..Read
	Own          []Run  // messages after Read that are not news to this user, their own and those withheld: ascending, not touching
	Mentioned    []Seq  // messages after Read that mention this user, ascending; MaxMentioned at most, the last
	Spoke        bool   // this user said something here
	Personal     Personal
	Past         []Checkpoint // earlier heads of this membership, ascending; the first of a whole history is {0, Since-1}
}

// Unread counts the messages of others after the read marker. It is derived
// from cumulative counts; nothing counts it up or down.
func (r *Row) Unread() uint64 {
	n := r.Count - r.ReadCount
	for _, run := range r.Own {
		n -= uint64(run.To-run.From) + 1
	}
	return n
}

// UnreadMentions counts the messages after the read marker that mention this
// user; MaxMentioned stands for as many or more.
func (r *Row) UnreadMentions() uint64 {
	n := uint64(0)
	for i := len(r.Mentioned) - 1; i >= 0 && r.Mentioned[i] > r.Read; i-- {
		n++
	}
	return n
}

// HeadAt returns the head this row had for a reader whose cursor is at pos:
// never less than where the membership begins, also for a cursor that is older
// than it.
// It is false when the row no longer remembers that far back.
func (r *Row) HeadAt(pos Pos) (Seq, bool) {
	if pos >= r.Pos {
		return r.Head, true
	}
	if pos == 0 {
		return max(r.Since, 1) - 1, true
	}
	for i := len(r.Past) - 1; i >= 0; i-- {
		if r.Past[i].Pos <= pos {
			return max(r.Past[i].Head, max(r.Since, 1)-1), true
		}
	}
	return 0, false
}

// HeadFor returns the head this row had for a device with that cursor. It is
// false when that is not certain.
func (r *Row) HeadFor(c Cursor) (Seq, bool) {
	had, ok := r.HeadAt(c.Pos)
	if c.Lag == 0 || c.Pos >= r.Pos {
		return had, ok
	}
	full, known := r.HeadAt(c.Pos - c.Lag)
	return had, ok && known && full == had
}

// Moved returns the position at which the head last moved: what a list of
// recent conversations is ordered by, so that reading does not reorder it.
func (r *Row) Moved() Pos {
	if n := len(r.Past); n > 0 && r.Past[n-1].Head == r.Head {
		return r.Past[n-1].Pos
	}
	return r.Pos
}

// Receipt is how far one member has got in a conversation: the markers of the
// member's own row, as the other members may know them.
type Receipt struct {
	Conversation    ConversationID
	User            UserID
	Delivered, Read Seq // markers, as in Row
}

// Advance is the news of one conversation for one user: the entries
// From+1..Head were committed.
type Advance struct {
	Conversation ConversationID
	Kind         ConversationKind
	Since, Until Seq    // the membership, as in Member
	From, Head   Seq    // From is not before Since-1, Head not after Until
	Count        uint64 // messages in 1..Head
	Own          []Own  // messages among them that are no news to the user, ascending
	Mentioned    []Seq  // messages among them that mention the user, ascending
	Spoke        bool   // one among them is the user's own
	Came         Seq    // the last one among them that makes the user a latecomer (see Entry.Latecomers); 0: none
	Lazy         bool   // the row may be written once a second: the conversation is large
}

// Own is one message of the user's own, or one withheld from the user.
type Own struct {
	Seq      Seq
	Count    uint64 // messages in 1..Seq
	Withheld bool   // it is another's
}
