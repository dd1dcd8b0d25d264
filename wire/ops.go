package wire

import "math/bits"

// fieldSet is a set of the fields of a ClientFrame.
type fieldSet uint32

const (
	fieldT fieldSet = 1 << iota
	fieldToken
	fieldCursor
	fieldClient
	fieldRef
	fieldConversation
	fieldID
	fieldBody
	fieldBase
	fieldReplyTo
	fieldDelivered
	fieldRead
	fieldAfter
	fieldBefore
	fieldLimit
	fieldKind
	fieldUsers
	fieldFollow
	fieldTarget
	fieldMentions
	fieldForwarded
)

var fieldNames = [...]string{"t", "token", "cursor", "client", "ref", "conversation", "id", "body", "base",
	"reply_to", "delivered", "read", "after", "before", "limit", "kind", "users", "follow", "target", "mentions", "forwarded"}

// first returns the name of the first field of f.
func (f fieldSet) first() string { return fieldNames[bits.TrailingZeros32(uint32(f))] }

// names returns the names of f's fields.
func (f fieldSet) names() []string {
	var out []string
	for ; f != 0; f &= f - 1 {
		out = append(out, f.first())
	}
	return out
}

// rule says which fields an op must and may have, besides "t".
type rule struct {
	op                 string
	required, optional fieldSet
}

var rules = [...]rule{
	{OpHello, fieldToken, fieldCursor | fieldClient | fieldFollow},
	{OpPost, fieldRef | fieldConversation | fieldID, fieldBody | fieldBase | fieldReplyTo | fieldKind | fieldTarget | fieldMentions | fieldForwarded},
	{OpMark, fieldConversation, fieldDelivered | fieldRead},
	{OpRead, fieldRef | fieldConversation, fieldAfter | fieldBefore | fieldLimit},
	{OpWhisper, fieldConversation | fieldKind, 0},
	{OpWatch, fieldUsers, 0},
}

// An Op is one kind of frame that a client may send, with the fields it must
// and may have besides "t".
type Op struct {
	Name               string
	Required, Optional []string
}

// Ops returns every op, in the order of the documentation.
func Ops() []Op {
	out := make([]Op, len(rules))
	for i, r := range rules {
		out[i] = Op{Name: r.op, Required: r.required.names(), Optional: r.optional.names()}
	}
	return out
}

// frames says which fields the frames of a server have, besides "t".
var frames = [...]Frame{
	{FrameWelcome, []string{"user", "device", "epoch", "server", "limits"}, []string{"rev"}},
	{FrameAck, []string{"ref", "conversation", "id", "seq", "at"}, nil},
	{FrameEntries, []string{"conversation", "entries", "head"}, []string{"ref", "cursor"}},
	{FrameChanges, []string{"rows", "cursor", "more"}, nil},
	{FrameReceipts, []string{"conversation", "member", "delivered", "read"}, nil},
	{FrameWhisper, []string{"conversation", "sender", "kind"}, nil},
	{FramePresence, []string{"items"}, nil},
	{FrameContacts, []string{"rev"}, nil},
	{FrameError, []string{"code", "message"}, []string{"ref", "retry_after_ms"}},
	{FrameResync, []string{"epoch"}, nil},
	{FrameGoaway, []string{"after_ms"}, []string{"url"}},
}

// A Frame is one kind of frame that a server may send, with the fields it
// always and sometimes has besides "t". Its fields are those of ServerFrame.
type Frame struct {
	Name              string
	Always, Sometimes []string
}

// Frames returns every frame of a server, in the order of the documentation.
// The slices in it are not to be changed.
func Frames() []Frame { return frames[:] }
