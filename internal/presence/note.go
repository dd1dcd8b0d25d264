package presence

import (
	"context"
	"time"

	parley "github.com/parley-im/parley"
)

// Node names a node of a cluster.
type Node string

// Nodes is the other nodes. None of it blocks but Ask.
type Nodes interface {
	Self() Node
	// Owner returns the node that owns the user's shard, as this one sees it.
	Owner(user parley.UserID) Node
	// Tell takes a note to a node, or loses it; those from one node to another
	// keep their order.
	Tell(to Node, n Note)
	// Ask asks a node for States.
	Ask(ctx context.Context, to Node, users []parley.UserID) ([]State, error)
}

// Note is what one node tells another about users. It says how things stand,
// not how they changed: the newest note makes those before it needless.
type Note struct {
	Here    []Here          `json:"here,omitzero"`    // to the owner: connected at the sender
	Gone    []parley.UserID `json:"gone,omitzero"`    // to the owner: not any more
	Watch   []Wish          `json:"watch,omitzero"`   // to the owner: the sender wants to hear of these
	Unwatch []parley.UserID `json:"unwatch,omitzero"` // to the owner: not any more
	Recheck []parley.UserID `json:"recheck,omitzero"` // to the owner: who may see these changed
	States  []State         `json:"states,omitzero"`  // from the owner
}

// size is how many users a note is about.
func (n *Note) size() int {
	return len(n.Here) + len(n.Gone) + len(n.Watch) + len(n.Unwatch) + len(n.Recheck) + len(n.States)
}

// Here is one user with a device connected at the node that tells.
type Here struct {
	User parley.UserID `json:"user"`
	Age  int64         `json:"age,omitzero"` // milliseconds since when, without a break
}

// Known is what a node knows of a user.
type Known uint8

// What may be known.
const (
	Nothing Known = iota
	Offline
	Online
)

// Wish is one user whom a node wants to hear of.
type Wish struct {
	User  parley.UserID `json:"user"`
	Knows Known         `json:"knows,omitzero"` // what the node holds for true
}

// State is one user as the owner tells it.
type State struct {
	User   parley.UserID `json:"user"`
	Online bool          `json:"online,omitzero"`
	Seen   int64         `json:"seen,omitzero"`  // Unix milliseconds of the last connection's end; 0: not known
	Again  bool          `json:"again,omitzero"` // who may see the user changed
}

func (s *State) known() Known {
	if s.Online {
		return Online
	}
	return Offline
}

// presence is what a session is told.
func (s *State) presence() parley.Presence {
	p := parley.Presence{User: s.User, Online: s.Online}
	if !s.Online && s.Seen != 0 {
		p.LastSeen = time.UnixMilli(s.Seen).UTC()
	}
	return p
}

// maxNote bounds the users of one note.
const maxNote = 1000

// letters is notes on their way, by node, none over maxNote.
type letters map[Node][]*Note

// to returns a note to a node with room for one more user.
func (l letters) to(node Node) *Note {
	notes := l[node]
	if n := len(notes); n > 0 && notes[n-1].size() < maxNote {
		return notes[n-1]
	}
	n := new(Note)
	l[node] = append(notes, n)
	return n
}
