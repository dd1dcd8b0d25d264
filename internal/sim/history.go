// Package sim proves the promises: seeded worlds of devices, networks and
// disks that fail, and the checker that judges what the devices saw.
//
// The devices here speak the protocol with a small client of their own and
// never the SDK, so that a fault in the SDK and one in the server cannot hide
// each other. Every device writes a line of [History] per operation; after the
// faults the world heals, every device syncs from its own cursor, one fresh
// device per user reads everything from nothing, and [Check] compares.
//
// Time comes from package time: inside a testing/synctest bubble it is
// virtual, in the torment tests it is the real one. The same devices and the
// same checker serve both.
package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Result says what is known of an operation's outcome.
type Result string

// The outcomes. A timeout, a cut connection and every error that asks for a
// retry are Unknown: the operation may or may not have taken effect.
const (
	OK      Result = "ok"
	Fail    Result = "fail"
	Unknown Result = "unknown"
)

// The operations of a history.
const (
	OpAppend = "append" // one try of a post; Seq when ok
	OpEdit   = "edit"   // one try of another body for Target; Seq when ok
	OpReact  = "react"  // one try of a reaction to Target; Seq when ok
	OpDelete = "delete" // one try of deleting Target for everybody; Seq (of the first delete) when ok
	OpBlock  = "block"  // blocked the user About, or tried to
	OpClear  = "clear"  // unblocked the user About
	OpAdd    = "add"    // added the user About to a group
	OpRemove = "remove" // removed the user About from a group
	OpLeave  = "leave"  // left a group
	OpSearch = "search" // Entries of one conversation were found
	OpRead   = "read"   // asked for entries after After and got Entries; Head when told
	OpRecv   = "recv"   // Entries came by themselves (pushed, or in a sync's answer); Call is when the connection, or the sync, began
	OpRow    = "row"    // an inbox row came: Head, Marker, Delivered, Unread, Mentions, Last, Since, Until; Call as for recv
	OpCursor = "cursor" // the device kept Cursor: it has stored all that came before
	OpReset  = "reset"  // the server said resync: the device dropped everything
	OpSync   = "sync"   // a sync ended: nothing more to come for now
	OpMark   = "mark"   // moved the read marker to Marker
	OpCalm   = "calm"   // the world promises: no fault between Call and Return
	OpUp     = "up"     // Client is connected: the server said welcome
	OpDown   = "down"   // Client is not connected any more
	OpWatch  = "watch"  // Client watches the user ID
	OpSeen   = "seen"   // Client was told whether the user ID is Online
	OpLook   = "look"   // the world promises: presence is right now, and an end Limit seconds ago is known
)

// Op is one line of a history. Call and Return are nanoseconds since its
// beginning and unique in it, so that the order of events is never in doubt.
type Op struct {
	Call         int64  `json:"call"`
	Return       int64  `json:"return"`
	Client       string `json:"client,omitempty"` // the connection it went over
	User         string `json:"user,omitempty"`
	Device       string `json:"device,omitempty"`
	Op           string `json:"op"`
	Conversation string `json:"conversation,omitempty"`
	ID           string `json:"id,omitempty"`
	Seq          uint64 `json:"seq,omitempty"`
	Cursor       string `json:"cursor,omitempty"`
	Epoch        string `json:"epoch,omitempty"`
	Result       Result `json:"result"`

	Code   string  `json:"code,omitempty"`   // of an error
	Sum    string  `json:"sum,omitempty"`    // append: of the body
	After  uint64  `json:"after,omitempty"`  // read
	Limit  uint64  `json:"limit,omitempty"`  // read
	Head   *uint64 `json:"head,omitempty"`   // read, row
	Marker uint64  `json:"marker,omitempty"` // mark, row: the read marker
	Unread uint64  `json:"unread,omitempty"` // row
	Target uint64  `json:"target,omitempty"` // edit, react, delete: the number it is about
	About  string  `json:"about,omitempty"`  // block, clear, add, remove: a user

	Delivered uint64 `json:"delivered,omitempty"` // row: the delivered marker
	Mentions  uint64 `json:"mentions,omitempty"`  // row: unread messages that mention the user
	Last      string `json:"last,omitempty"`      // row: sum of the newest message it shows
	Since     uint64 `json:"since,omitempty"`     // row: the membership; 0 is 1
	Until     uint64 `json:"until,omitempty"`     // row

	Online  bool    `json:"online,omitempty"`  // seen
	Entries []Entry `json:"entries,omitempty"` // read, recv
}

// Entry is what a device keeps of one entry: enough to see a difference.
type Entry struct {
	Seq    uint64 `json:"seq"`
	ID     string `json:"id,omitempty"`
	Kind   string `json:"kind"`
	Sender string `json:"sender,omitempty"`
	Sum    string `json:"sum,omitempty"`

	Ref       uint64 `json:"ref,omitempty"`       // what it points at
	Edited    bool   `json:"edited,omitempty"`    // Sum is of the last edit
	Deleted   bool   `json:"deleted,omitempty"`   // it says nothing any more
	Reactions string `json:"reactions,omitempty"` // user=text, ascending by user, a space between them
	Mentions  string `json:"mentions,omitempty"`  // users, a space between them
	Members   string `json:"members,omitempty"`   // of an entry of that kind: its body
	At        uint64 `json:"at,omitempty"`        // the head as of which it is folded: its own number when it was told
}

// History is operations in the order in which they returned.
type History []Op

// Recorder writes a history. It is safe for concurrent use.
type Recorder struct {
	origin time.Time

	mu   sync.Mutex
	last int64
	acks int
	ops  History
}

// NewRecorder begins a history now.
func NewRecorder() *Recorder { return &Recorder{origin: time.Now()} }

// Stamp returns the time of an event that happens now: later than that of
// every event before it, although many share one virtual instant.
func (r *Recorder) Stamp() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stamp()
}

func (r *Recorder) stamp() int64 {
	r.last = max(r.last+1, int64(time.Since(r.origin)))
	return r.last
}

// Add records op as returning now. A zero Call means it began now too.
func (r *Recorder) Add(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Return = r.stamp()
	if op.Call == 0 {
		op.Call = op.Return
	}
	r.ops = append(r.ops, op)
	if op.Op == OpAppend && op.Result == OK {
		r.acks++
	}
}

// Acks counts the acknowledgements recorded so far, repeated ones too.
func (r *Recorder) Acks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acks
}

// History returns what was recorded so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(History(nil), r.ops...)
}

// Write writes h as JSON, a line per operation.
func (h History) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for i := range h {
		if err := enc.Encode(&h[i]); err != nil {
			return fmt.Errorf("sim: write history: %w", err)
		}
	}
	return b.Flush()
}

// ReadHistory reads what Write wrote.
func ReadHistory(r io.Reader) (History, error) {
	var h History
	for dec := json.NewDecoder(r); ; {
		var op Op
		switch err := dec.Decode(&op); {
		case errors.Is(err, io.EOF):
			return h, nil
		case err != nil:
			return nil, fmt.Errorf("sim: history line %d: %w", len(h)+1, err)
		}
		h = append(h, op)
	}
}

// Acked counts the distinct messages acknowledged in h, and the tries beyond
// the first of any message.
func (h History) Acked() (acked, resends int) {
	tries, ok := map[string]int{}, map[string]bool{}
	for i := range h {
		if h[i].Op != OpAppend {
			continue
		}
		tries[h[i].ID]++
		if h[i].Result == OK {
			ok[h[i].ID] = true
		}
	}
	for _, n := range tries {
		resends += n - 1
	}
	return len(ok), resends
}
