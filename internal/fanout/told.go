package fanout

import (
	"sync"
	"sync/atomic"

	parley "github.com/parley-im/parley"
)

// Told is an entry on its way to readers. What it looks like on the wire is
// worked out once and shared, whoever many read it. It does not change: a
// later form of the entry is another Told.
type Told struct {
	parley.Entry

	once     sync.Once
	wire     []byte
	withheld atomic.Pointer[[]byte] // the same for those who may not have it
}

// Wire returns the entry as encode writes it. Every caller passes the same
// encode and leaves the bytes as they are.
func (t *Told) Wire(encode func(*parley.Entry) []byte) []byte {
	t.once.Do(func() { t.wire = encode(&t.Entry) })
	return t.wire
}

// WireFor is Wire as reader may have the entry.
func (t *Told) WireFor(reader parley.UserID, encode func(*parley.Entry) []byte) []byte {
	if !t.WithheldFrom(reader) {
		return t.Wire(encode)
	}
	if wire := t.withheld.Load(); wire != nil {
		return *wire
	}
	e := t.For(reader)
	wire := encode(&e)
	t.withheld.Store(&wire)
	return wire
}

// For returns the entry as reader may have it: a number alone if it is
// withheld.
func (t *Told) For(reader parley.UserID) parley.Entry {
	if !t.WithheldFrom(reader) {
		return t.Entry
	}
	return parley.Entry{Conversation: t.Conversation, Seq: t.Seq, Kind: parley.KindWithheld, At: t.At, Count: t.Count}
}

// size estimates the bytes an entry holds on to, its wire form included.
func (t *Told) size() int64 { return 512 + 3*int64(len(t.Body.Data)) }

// deleted is what is left of an entry that was deleted, or that acts on one.
func deleted(e *parley.Entry) parley.Entry {
	left := *e
	left.Body = parley.Body{}
	left.Fold = &parley.Fold{Deleted: true}
	return left
}

// goesWith reports whether e is the message target, or an act on it that says
// something: what is gone when the message is deleted.
func goesWith(e *parley.Entry, target parley.Seq) bool {
	switch e.Kind {
	case parley.KindMessage:
		return e.Seq == target
	case parley.KindEdit, parley.KindReaction:
		return e.Ref == target
	}
	return false
}

// unsay marks what a log holds of deleted messages, whose bodies were erased,
// and leaves out what it holds still of those that entries say were deleted.
func unsay(entries []parley.Entry) {
	for i := range entries {
		switch e := &entries[i]; {
		case e.Kind == parley.KindDelete:
			unsayTarget(entries[:i], e.Ref)
		case e.Body.Type != "" || len(e.Body.Data) > 0:
		case e.Kind == parley.KindMessage:
			unsayTarget(entries[i:], e.Seq)
		case e.Kind == parley.KindEdit:
			*e = deleted(e)
		}
	}
}

func unsayTarget(entries []parley.Entry, target parley.Seq) {
	for i := range entries {
		if e := &entries[i]; goesWith(e, target) {
			*e = deleted(e)
		}
	}
}
