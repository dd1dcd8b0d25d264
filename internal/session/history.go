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
	s, err := h.after(ctx, reader, c, after, limit)
	if err != nil {
		return nil, 0, err
	}
	entries, err := h.entries(ctx, s)
	return entries, s.Head, err
}

// ReadBefore returns the entries of c before that number (0: from the head),
// descending, without a gap, at most limit, and the last number the reader
// may read.
func (h History) ReadBefore(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) ([]parley.Entry, parley.Seq, error) {
	s, err := h.before(ctx, reader, c, before, limit)
	if err != nil {
		return nil, 0, err
	}
	entries, err := h.entries(ctx, s)
	slices.Reverse(entries)
	return entries, s.Head, err
}

// stretch is numbers of a log that somebody may read: after+1..to.
type stretch struct {
	fold.Reader
	of        parley.ConversationID
	after, to parley.Seq
}

// stood is the head that the log is known to have stood at when the reading
// began; 0: who left is not told where.
func (s *stretch) stood() parley.Seq {
	if s.Latest {
		return s.Head
	}
	return 0
}

// entries reads and folds s.
func (h History) entries(ctx context.Context, s stretch) ([]parley.Entry, error) {
	entries, err := whole(s, func(after parley.Seq, limit int) ([]parley.Entry, error) {
		return h.Fanout.Entries(ctx, s.of, after, limit, s.stood())
	})
	if err != nil {
		return nil, err
	}
	return entries, h.Folder.Page(ctx, s.of, s.Reader, entries)
}

// told reads s in the form that all readers share, and folds it; entries is nil
// if that changes nothing.
func (h History) told(ctx context.Context, s stretch) (told []*fanout.Told, entries []parley.Entry, err error) {
	told, err = whole(s, func(after parley.Seq, limit int) ([]*fanout.Told, error) {
		if s.Latest {
			return h.Fanout.ReadAt(ctx, s.of, after, limit, s.Head)
		}
		return h.Fanout.Read(ctx, s.of, after, limit)
	})
	if err != nil {
		return nil, nil, err
	}
	if s.Latest && s.to == s.Head && !slices.ContainsFunc(told, func(t *fanout.Told) bool { return !fold.Plain(&t.Entry) }) {
		return told, nil, nil // nearly every page that is asked for
	}
	entries = make([]parley.Entry, len(told))
	for i, t := range told {
		entries[i] = t.Entry
	}
	return told, entries, h.Folder.Page(ctx, s.of, s.Reader, entries)
}

// whole reads all of s.
func whole[T any](s stretch, read func(after parley.Seq, limit int) ([]T, error)) ([]T, error) {
	if s.after >= s.to {
		return nil, nil
	}
	want := int(s.to - s.after)
	got, err := read(s.after, want)
	for err == nil && len(got) > 0 && len(got) < want {
		// The tail ended before the log did: what follows is in the log.
		var more []T
		if more, err = read(s.after+parley.Seq(len(got)), want-len(got)); len(more) == 0 {
			break
		}
		got = append(got, more...)
	}
	return got, err
}

// nearHead is how many more entries are read to get to the head, where folding
// needs not ask for acts: a row is often a few entries behind.
const nearHead = 16

// Last returns the last entries of c up to to, ascending, at most limit, for a
// reader whom Conversations.Get told of the membership m and the head.
func (h History) Last(ctx context.Context, m *parley.Member, c parley.ConversationID, to, head parley.Seq, limit int) ([]parley.Entry, error) {
	to = min(to, head)
	s := stretch{
		Reader: fold.Reader{User: m.User, Since: m.Since, Head: head, Latest: m.Until == 0}, of: c,
		after: max(m.Since-1, to-min(parley.Seq(limit), to)), to: to,
	}
	if s.Latest && head-to <= nearHead {
		s.to = head
	}
	entries, err := h.entries(ctx, s)
	return entries[:min(len(entries), int(max(to, s.after)-s.after))], err
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

// after is the first numbers after that one, before the last before it; at
// most limit.
func (h History) after(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) (stretch, error) {
	r, err := h.reader(ctx, reader, c)
	after = max(after, r.Since-1)
	return stretch{Reader: r, of: c, after: after, to: min(r.Head, upTo(after, limit))}, err
}

func (h History) before(ctx context.Context, reader parley.UserID, c parley.ConversationID, before parley.Seq, limit int) (stretch, error) {
	r, err := h.reader(ctx, reader, c)
	if before == 0 || before > r.Head+1 {
		before = r.Head + 1
	}
	after := r.Since - 1
	if n := parley.Seq(limit); before > after+1+n {
		after = before - 1 - n
	}
	return stretch{Reader: r, of: c, after: after, to: before - 1}, err
}

// upTo is limit numbers further, if there are so many.
func upTo(after parley.Seq, limit int) parley.Seq {
	if to := after + parley.Seq(limit); to > after {
		return to
	}
	return after
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
	var which stretch
	var err error
	if f.After != nil {
		which, err = h.after(s.hub.ctx, s.user, c, parley.Seq(*f.After), limit)
	} else {
		var before parley.Seq
		if f.Before != nil {
			before = parley.Seq(*f.Before)
		}
		which, err = h.before(s.hub.ctx, s.user, c, before, limit)
	}
	var told []*fanout.Told
	var entries []parley.Entry
	if err == nil {
		told, entries, err = h.told(s.hub.ctx, which)
	}
	if err != nil {
		return wire.AppendError(nil, f.Ref, err)
	}
	encoded := make([][]byte, len(told))
	for i, t := range told {
		if entries == nil || entries[i].Fold == nil && entries[i].Kind == t.Kind {
			encoded[i] = t.Wire(encode) // as everybody has it
		} else {
			encoded[i] = encode(&entries[i])
		}
	}
	if f.After != nil {
		encoded = encoded[:wire.FitEntries(encoded)]
	} else {
		slices.Reverse(encoded)
		encoded = encoded[:wire.FitEntries(encoded)]
		slices.Reverse(encoded)
	}
	return wire.AppendEntries(nil, f.Ref, c, encoded, which.Head, "")
}

// entriesOf is what was read as reader may have it.
func entriesOf(reader parley.UserID, told []*fanout.Told) []parley.Entry {
	entries := make([]parley.Entry, len(told))
	for i, t := range told {
		entries[i] = t.For(reader)
	}
	return entries
}
