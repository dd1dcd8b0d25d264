package session

import (
	"context"
	"slices"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/wire"
)

// History reads logs as a reader may see them: from the beginning of the
// membership to its end. It is safe for concurrent use. Every method is
// not_found alike for a stranger and for no such conversation.
type History struct {
	Conversations Conversations
	Fanout        Fanout
}

// Read returns the entries of c after that number, ascending, without a gap,
// at most limit, and the last number the reader may read.
func (h History) Read(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	told, head, err := h.after(ctx, reader, c, after, limit)
	return entriesOf(reader, told), head, err
}

// ReadBefore returns the entries of c before that number (0: from the head),
// descending, without a gap, at most limit, and the last number the reader
// may read.
func (h History) ReadBefore(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	told, head, err := h.before(ctx, reader, c, before, limit)
	entries := entriesOf(reader, told)
	slices.Reverse(entries)
	return entries, head, err
}

// ByID returns the entry that a message id became, or not_found.
func (h History) ByID(ctx context.Context, reader parley.UserID, c parley.ConversationID, id parley.MessageID) (parley.Entry, error) {
	seq, err := h.Conversations.Find(ctx, reader, c, id)
	if err != nil {
		return parley.Entry{}, err
	}
	told, err := h.Fanout.Read(ctx, c, seq-1, 1)
	if err != nil {
		return parley.Entry{}, err
	}
	if len(told) == 0 {
		return parley.Entry{}, parley.E(parley.Internal, "session.by_id", "the server could not read its storage; its operator should run parley doctor")
	}
	return told[0].For(reader), nil
}

func (h History) after(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, parley.Seq, error) {
	_, m, head, err := h.Conversations.Get(ctx, reader, c)
	if err != nil {
		return nil, 0, err
	}
	return h.between(ctx, c, &m, max(after, m.Since-1), head, head, limit)
}

func (h History) before(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]*fanout.Told, parley.Seq, error) {
	_, m, head, err := h.Conversations.Get(ctx, reader, c)
	if err != nil {
		return nil, 0, err
	}
	if before == 0 || before > head+1 {
		before = head + 1
	}
	after := m.Since - 1
	if n := parley.Seq(limit); before > after+1+n {
		after = before - 1 - n
	}
	return h.between(ctx, c, &m, after, before-1, head, limit)
}

// between reads after+1..to of c, which stands at head for its member m, at
// most limit.
func (h History) between(ctx context.Context, c parley.ConversationID, m *parley.Member, after, to, head parley.Seq, limit int) ([]*fanout.Told, parley.Seq, error) {
	if after >= to {
		return nil, head, nil
	}
	read := h.Fanout.Read
	if m.Until == 0 { // else it stands further than the reader is told
		read = func(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, error) {
			return h.Fanout.ReadAt(ctx, c, after, limit, head)
		}
	}
	want := min(limit, int(to-after))
	told, err := read(ctx, c, after, want)
	for err == nil && len(told) > 0 && len(told) < want {
		// The tail ended before the log did: what follows is in the log.
		var more []*fanout.Told
		if more, err = read(ctx, c, told[len(told)-1].Seq, want-len(told)); len(more) == 0 {
			break
		}
		told = append(told, more...)
	}
	return told, head, err
}

// page answers a device that asks for a stretch of history: as much of it as
// goes into one frame, ascending. What does not fit is farther away from the
// number asked for.
func (s *Session) page(f wire.ClientFrame) []byte {
	h := History{Conversations: s.hub.cfg.Conversations, Fanout: s.hub.cfg.Fanout}
	limit := int(min(f.Limit, wire.MaxLimit))
	if limit == 0 {
		limit = wire.DefaultLimit
	}
	c := parley.ConversationID(f.Conversation)
	var told []*fanout.Told
	var head parley.Seq
	var err error
	if f.After != nil {
		told, head, err = h.after(s.hub.ctx, s.user, c, parley.Seq(*f.After), limit)
	} else {
		var before parley.Seq
		if f.Before != nil {
			before = parley.Seq(*f.Before)
		}
		told, head, err = h.before(s.hub.ctx, s.user, c, before, limit)
	}
	if err != nil {
		return wire.AppendError(nil, f.Ref, err)
	}
	encoded := make([][]byte, len(told))
	for i, t := range told {
		encoded[i] = t.WireFor(s.user, encode)
	}
	if f.After != nil {
		encoded = encoded[:wire.FitEntries(encoded)]
	} else {
		slices.Reverse(encoded)
		encoded = encoded[:wire.FitEntries(encoded)]
		slices.Reverse(encoded)
	}
	return wire.AppendEntries(nil, f.Ref, c, encoded, head, "")
}

// entriesOf is what was read as reader may have it.
func entriesOf(reader parley.UserID, told []*fanout.Told) []parley.Entry {
	entries := make([]parley.Entry, len(told))
	for i, t := range told {
		entries[i] = t.For(reader)
	}
	return entries
}
