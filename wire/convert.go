package wire

import (
	"time"

	"github.com/parley-im/parley"
)

// EntryOf returns e as it crosses the wire.
func EntryOf(e *parley.Entry) Entry {
	out := Entry{
		Conversation: string(e.Conversation),
		Seq:          uint64(e.Seq),
		Kind:         string(e.Kind),
		ID:           string(e.ID),
		Sender:       string(e.Sender),
		Device:       string(e.Device),
		At:           Time(e.At),
		Body:         BodyOf(e.Body),
		Ref:          uint64(e.Ref),
		ReplyTo:      uint64(e.ReplyTo),
		Mentions:     stringsOf(e.Mentions),
		Forwarded:    e.Forwarded,
	}
	if f := e.Fold; f != nil {
		out.Deleted = f.Deleted
		if f.Edited != 0 {
			out.Edited, out.EditedAt = true, Time(f.EditedAt)
		}
		for i := range f.Reactions {
			r := &f.Reactions[i]
			users := stringsOf(r.Users)
			if users == nil {
				users = []string{}
			}
			out.Reactions = append(out.Reactions, Reaction{Text: r.Text, Count: uint64(r.Count), Users: users})
		}
	}
	return out
}

// stringsOf returns ids as the wire has them, nil if there are none.
func stringsOf[T ~string](ids []T) []string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

// UsersOf returns ids in the vocabulary of the server, nil if there are none.
func UsersOf(ids []string) []parley.UserID {
	var out []parley.UserID
	for _, id := range ids {
		out = append(out, parley.UserID(id))
	}
	return out
}

// Parley returns e in the vocabulary of the server and the SDK. Count is not
// on the wire and stays 0; of an edited entry it is not known which edit it
// reads with, so Fold.Edited is the entry's own number. It is BadRequest if e
// is no entry: its number, kind or time do not make sense.
func (e *Entry) Parley() (parley.Entry, error) {
	if e.Seq == 0 || e.Seq > MaxNumber {
		return parley.Entry{}, parley.E(parley.BadRequest, "wire.entry", "seq must be from 1 to %d", uint64(MaxNumber))
	}
	if e.Kind == "" {
		return parley.Entry{}, parley.E(parley.BadRequest, "wire.entry", "kind is missing")
	}
	at, err := ParseTime(e.At)
	if err != nil {
		return parley.Entry{}, err
	}
	out := parley.Entry{
		Conversation: parley.ConversationID(e.Conversation),
		Seq:          parley.Seq(e.Seq),
		Kind:         parley.Kind(e.Kind),
		ID:           parley.MessageID(e.ID),
		Sender:       parley.UserID(e.Sender),
		Device:       parley.DeviceID(e.Device),
		At:           at,
		Ref:          parley.Seq(e.Ref),
		ReplyTo:      parley.Seq(e.ReplyTo),
		Mentions:     UsersOf(e.Mentions),
		Forwarded:    e.Forwarded,
	}
	if out.Fold, err = e.fold(); err != nil {
		return parley.Entry{}, err
	}
	if e.Body != nil {
		out.Body = e.Body.bytes()
	}
	return out, nil
}

// fold is what e says was made of it, nil if nothing was.
func (e *Entry) fold() (*parley.Fold, error) {
	if !e.Edited && !e.Deleted && len(e.Reactions) == 0 {
		return nil, nil
	}
	f := &parley.Fold{Deleted: e.Deleted}
	if e.Edited {
		f.Edited = parley.Seq(e.Seq)
	}
	if e.EditedAt != "" {
		var err error
		if f.EditedAt, err = ParseTime(e.EditedAt); err != nil {
			return nil, err
		}
	}
	for _, r := range e.Reactions {
		f.Reactions = append(f.Reactions, parley.Reaction{Text: r.Text, Count: int(min(r.Count, MaxMembers)), Users: UsersOf(r.Users)})
	}
	return f, nil
}

// Post returns what a post frame asks for; who sends it is not in a frame. A
// body is checked against limits, that of a reaction as CheckReaction does.
func (f *ClientFrame) Post(limits Limits) (parley.Post, error) {
	p := parley.Post{
		Conversation: parley.ConversationID(f.Conversation), ID: parley.MessageID(f.ID), Kind: parley.Kind(f.Kind),
		Base: parley.Seq(f.Base), Ref: parley.Seq(f.Target), ReplyTo: parley.Seq(f.ReplyTo),
		Mentions: UsersOf(f.Mentions), Forwarded: f.Forwarded,
	}
	var err error
	switch p.Kind {
	case parley.KindDelete, parley.KindPin, parley.KindUnpin: // they say nothing
	case parley.KindReaction:
		if f.Body != nil {
			err = CheckReaction(f.Body)
			p.Body = f.Body.bytes()
		}
	case parley.KindEdit:
		if p.Body, err = f.Body.Parley(limits); err == nil && p.Body.Type != parley.TextPlain {
			err = bad("wire.body", "an edit is a text; send text/plain")
		}
	default:
		p.Body, err = f.Body.Parley(limits)
	}
	if err != nil {
		return parley.Post{}, err
	}
	return p, nil
}

// BodyOf returns b as it crosses the wire, nil if b has neither type nor data.
// The data of the result is b's own.
func BodyOf(b parley.Body) *Body {
	switch {
	case b.Type == parley.TextPlain:
		text := string(b.Data)
		return &Body{Type: b.Type, Text: &text}
	case b.Type != "" || len(b.Data) > 0:
		return &Body{Type: b.Type, Data: b.Data}
	}
	return nil
}

// Parley checks b against limits, as CheckBody does, and returns it as bytes.
// A limit of 0 is the default one.
func (b *Body) Parley(limits Limits) (parley.Body, error) {
	if err := CheckBody(b, limits.Text); err != nil {
		return parley.Body{}, err
	}
	out := b.bytes()
	if limits.BodyBytes > 0 && len(out.Data) > limits.BodyBytes {
		return parley.Body{}, parley.E(parley.TooLarge, "wire.body", "a body is at most %d bytes; shorten it", limits.BodyBytes)
	}
	return out, nil
}

// bytes returns b unchecked.
func (b *Body) bytes() parley.Body {
	if b.Text != nil {
		return parley.Body{Type: b.Type, Data: []byte(*b.Text)}
	}
	return parley.Body{Type: b.Type, Data: b.Data}
}

// ParseTime reads a time as Time writes it. It takes any RFC 3339 time and
// drops what is finer than a millisecond.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, parley.E(parley.BadRequest, "wire.time", "a time must be RFC 3339, in UTC with milliseconds")
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

// DefaultLimits returns the limits of a server that is not told otherwise.
func DefaultLimits() Limits {
	return Limits{Frame: MaxFrame, Text: MaxTextRunes, BodyBytes: MaxBodyBytes, Members: MaxMembers}
}
