package parley

import (
	"encoding/json"
	"time"
)

// Acts are entries that point at an earlier one: they change how it reads and
// never what it is. In the log they are numbers like all others; reading folds
// them into what they point at.
const (
	KindReaction Kind = "reaction" // what its sender feels about Ref; a body of text, none takes it back
	KindPin      Kind = "pin"      // puts Ref where every member finds it
	KindUnpin    Kind = "unpin"    // takes it down again
)

// Bounds of acts.
const (
	MaxReaction  = 64  // bytes of a reaction
	MaxEdits     = 100 // edits of one message
	MaxPins      = 50  // messages pinned in one conversation
	MaxReactors  = 32  // users named with each reaction of a folded entry
	MaxReactions = 20  // different reactions of a folded entry
	MaxMentions  = 32  // users mentioned in one message
)

// IsAct reports whether entries of kind k point at another and are found from
// there: see [Act].
func (k Kind) IsAct() bool { return k == KindEdit || k == KindDelete || k == KindReaction }

// Act is what a log remembers with an entry about one that points at it: as
// much as folding needs without reading the pointing entry itself.
type Act struct {
	Target Seq // what is pointed at
	Seq    Seq // where the act stands
	Kind   Kind
	Sender UserID
	At     time.Time
	Text   string // of a reaction; empty: it was taken back

	Withheld []UserID // as in the Entry that acts
}

// ActOf returns what is remembered of e, whose kind is an act's, with what it
// points at. The slices are e's own.
func ActOf(e *Entry) Act {
	a := Act{Target: e.Ref, Seq: e.Seq, Kind: e.Kind, Sender: e.Sender, At: e.At, Withheld: e.Withheld}
	if e.Kind == KindReaction {
		a.Text = string(e.Body.Data)
	}
	return a
}

// Fold is what the acts on an entry made of it, by the time it was read.
type Fold struct {
	Deleted   bool      // for everyone: the entry has no body any more
	Edited    Seq       // the edit whose body the entry reads with; 0: its own
	EditedAt  time.Time // of that edit
	Reactions []Reaction
}

// Reaction is one feeling about an entry, and whose it is.
type Reaction struct {
	Text  string
	Count int
	Users []UserID // the first to feel so, MaxReactors at most
}

// MembersType is the media type of the body of an entry of [KindMembers]: the
// JSON of a [MembersBody].
const MembersType = "application/vnd.parley.members+json"

// MembersBody is what a members entry says. A user stands in one of its lists
// at most, and no list names one twice.
type MembersBody struct {
	Title  string          `json:"title,omitempty"`  // of the group: with its first entry, and with a removal
	Add    []UserID        `json:"add,omitempty"`    // belong from here on
	Remove []UserID        `json:"remove,omitempty"` // belong no more after this entry; the sender alone: leaves
	Roles  map[UserID]Role `json:"roles,omitempty"`  // of members that stay
	All    bool            `json:"all,omitempty"`    // those added read from the start
}

// Latecomers returns the users whom e adds with all that was said before: to
// read, but not as unread. Of another entry there are none.
func (e *Entry) Latecomers() []UserID {
	if e.Kind != KindMembers {
		return nil
	}
	var b MembersBody
	if err := json.Unmarshal(e.Body.Data, &b); err != nil || !b.All {
		return nil // a body that is not one was refused
	}
	return b.Add
}

// Personal is one user's own wishes for one conversation. They concern nobody
// else and are the same on all of the user's devices.
type Personal struct {
	Muted    time.Time // until when no device makes itself heard; zero: not muted
	Archived bool      // out of the list of what is current
	Pinned   bool      // at the top of that list
	Hidden   []Run     // entries the user deleted for themselves: ascending, not touching, MaxHidden at most
	Draft    Draft
}

// MaxHidden bounds [Personal.Hidden].
const MaxHidden = 256

// Draft is what a user began to write. The zero Draft is none.
type Draft struct {
	Text    string
	ReplyTo Seq
	At      time.Time // when a device last wrote at it
}

// PersonalChange is what of a [Personal] is to change: what is nil stays.
type PersonalChange struct {
	Muted    *time.Time
	Archived *bool
	Pinned   *bool
	Hide     []Run // added to Hidden
	Draft    *Draft
}
