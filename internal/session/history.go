package session

import (
	"context"
	"slices"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/wire"
)

// History reads logs as a reader may see them: from the beginning of the
// membership to its end, folded as of the head it says, without what is
// withheld from the reader. It is safe for concurrent use. Every method is
// not_found alike for a stranger and for no such conversation.
type History struct {
	Conversations Conversations
	Fanout        Fanout
	Folder        fold.Folder
}

// Read returns the entries of c after that number, ascending, without a gap,
// at most limit, and the last number the reader may read.
func (h History) Read(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	told, r, err := h.after(ctx, reader, c, after, limit)
	if err != nil {
		return nil, 0, err
	}
	entries, err := h.fold(ctx, c, r, told)
	return entries, r.Head, err
}

// ReadBefore returns the entries of c before that number (0: from the head),
// descending, without a gap, at most limit, and the last number the reader
// may read.
func (h History) ReadBefore(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	told, r, err := h.before(ctx, reader, c, before, limit)
	if err != nil {
		return nil, 0, err
	}
	entries, err := h.fold(ctx, c, r, told)
	slices.Reverse(entries)
	return entries, r.Head, err
}

// fold returns told as a page of r's.
func (h History) fold(ctx context.Context, c parley.ConversationID, r fold.Reader, told []*fanout.Told) ([]parley.Entry, error) {
	entries := make([]parley.Entry, len(told))
	for i, t := range told {
		entries[i] = t.Entry
	}
	return entries, h.Folder.Page(ctx, c, r, entries)
}

// Last returns the last entries of c up to to, ascending, at most limit, for a
// reader whom Conversations.Get told of the membership m and the head.
func (h History) Last(ctx context.Context, m *parley.Member, c parley.ConversationID, to, head parley.Seq, limit int) ([]parley.Entry, error) {
	r := fold.Reader{User: m.User, Since: m.Since, Head: head, Latest: m.Until == 0}
	to = min(to, head)
	after := max(m.Since-1, to-min(parley.Seq(limit), to))
	told, err := h.between(ctx, c, r, after, to, limit)
	if err != nil {
		return nil, err
	}
	return h.fold(ctx, c, r, told)
}

// ByID returns the entry that a message id became, or not_found.
func (h History) ByID(ctx context.Context, reader parley.UserID, c parley.ConversationID, id parley.MessageID) (parley.Entry, error) {
	seq, err := h.Conversations.Find(ctx, reader, c, id)
	if err != nil {
		return parley.Entry{}, err
	}
	entries, _, err := h.Read(ctx, reader, c, seq-1, 1)
	if err != nil {
		return parley.Entry{}, err
	}
	if len(entries) == 0 {
		return parley.Entry{}, parley.E(parley.Internal, "session.by_id", "the server could not read its storage; its operator should run parley doctor")
	}
	if entries[0].Kind == parley.KindWithheld {
		return parley.Entry{}, parley.E(parley.NotFound, "session.by_id", "there is no such message")
	}
	return entries[0], nil
}

// Editions returns what a message said first and with each edit; none if it
// was deleted. It is not_found for a number that is no message of the reader's.
func (h History) Editions(ctx context.Context, reader parley.UserID, c parley.ConversationID, seq parley.Seq) ([]fold.Edition, error) {
	r, err := h.reader(ctx, reader, c)
	if err != nil {
		return nil, err
	}
	return h.Folder.Editions(ctx, c, r, seq)
}

// Reactors returns every reaction to a message, and whose it is. It
// is not_found as Editions is.
func (h History) Reactors(ctx context.Context, reader parley.UserID, c parley.ConversationID, seq parley.Seq) ([]fold.Reactor, error) {
	r, err := h.reader(ctx, reader, c)
	if err != nil {
		return nil, err
	}
	return h.Folder.Reactors(ctx, c, r, seq)
}

// reader is how much of c the user may read. Who left is not told where c
// stands.
func (h History) reader(ctx context.Context, user parley.UserID, c parley.ConversationID) (fold.Reader, error) {
	_, m, head, err := h.Conversations.Get(ctx, user, c)
	return fold.Reader{User: user, Since: m.Since, Head: head, Latest: m.Until == 0}, err
}

func (h History) after(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, fold.Reader, error) {
	r, err := h.reader(ctx, reader, c)
	if err != nil {
		return nil, r, err
	}
	told, err := h.between(ctx, c, r, max(after, r.Since-1), r.Head, limit)
	return told, r, err
}

func (h History) before(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]*fanout.Told, fold.Reader, error) {
	r, err := h.reader(ctx, reader, c)
	if err != nil {
		return nil, r, err
	}
	if before == 0 || before > r.Head+1 {
		before = r.Head + 1
	}
	after := r.Since - 1
	if n := parley.Seq(limit); before > after+1+n {
		after = before - 1 - n
	}
	told, err := h.between(ctx, c, r, after, before-1, limit)
	return told, r, err
}

// between reads after+1..to of c, at most limit.
func (h History) between(ctx context.Context, c parley.ConversationID, r fold.Reader, after, to parley.Seq, limit int) ([]*fanout.Told, error) {
	if after >= to {
		return nil, nil
	}
	read := h.Fanout.Read
	if r.Latest { // else it stands further than the reader is told
		read = func(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*fanout.Told, error) {
			return h.Fanout.ReadAt(ctx, c, after, limit, r.Head)
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
	return told, err
}

// page answers a device that asks for a stretch of history: as much of it as
// goes into one frame, ascending. What does not fit is farther away from the
// number asked for.
func (s *Session) page(f wire.ClientFrame) []byte {
	h := s.hub.cfg.History
	limit := int(min(f.Limit, wire.MaxLimit))
	if limit == 0 {
		limit = wire.DefaultLimit
	}
	c := parley.ConversationID(f.Conversation)
	var told []*fanout.Told
	var r fold.Reader
	var err error
	if f.After != nil {
		told, r, err = h.after(s.hub.ctx, s.user, c, parley.Seq(*f.After), limit)
	} else {
		var before parley.Seq
		if f.Before != nil {
			before = parley.Seq(*f.Before)
		}
		told, r, err = h.before(s.hub.ctx, s.user, c, before, limit)
	}
	var entries []parley.Entry
	if err == nil {
		entries, err = h.fold(s.hub.ctx, c, r, told)
	}
	if err != nil {
		return wire.AppendError(nil, f.Ref, err)
	}
	encoded := make([][]byte, len(told))
	for i, t := range told {
		if e := &entries[i]; e.Fold == nil && e.Kind == t.Kind {
			encoded[i] = t.Wire(encode) // as everybody has it
		} else {
			encoded[i] = encode(e)
		}
	}
	if f.After != nil {
		encoded = encoded[:wire.FitEntries(encoded)]
	} else {
		slices.Reverse(encoded)
		encoded = encoded[:wire.FitEntries(encoded)]
		slices.Reverse(encoded)
	}
	return wire.AppendEntries(nil, f.Ref, c, encoded, r.Head, "")
}

// entriesOf is what was read as reader may have it.
func entriesOf(reader parley.UserID, told []*fanout.Told) []parley.Entry {
	entries := make([]parley.Entry, len(told))
	for i, t := range told {
		entries[i] = t.For(reader)
	}
	return entries
}
