package parley

import "time"

// Presence is whether a user is online, and else when last, as far as that is
// known. It is ephemera: leases in memory say it, and no log remembers.
type Presence struct {
	User     UserID
	Online   bool
	LastSeen time.Time // zero: not known, or online
}

// Typing is what a member does who is writing a message: the one kind of
// [Whisper] that is relayed.
const Typing = "typing"

// Whisper says that a member of a conversation does something just now.
type Whisper struct {
	Conversation ConversationID
	Sender       UserID
	Kind         string
}
