package server

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/router"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/wire"
)

// describer gives rows what a screen needs beside numbers: how a conversation
// is called, its last message, and what the reader wishes of it.
type describer struct {
	conversations *router.Router
	people        *account.Accounts
	history       session.History
	now           func() time.Time
}

const (
	// namedMembers is how many members the title of an untitled group names.
	namedMembers = 4
	// lookBack is how many entries before the head are searched for the last
	// message; beyond it a list shows none.
	lookBack = 32
	// snippetRunes bounds the text of a last message in a row.
	snippetRunes = wire.MaxTextRunes
)

// Describe returns one wire.Row for each of rows, in order, as reader may see
// them.
func (d describer) Describe(ctx context.Context, reader parley.UserID, rows []parley.Row) ([]wire.Row, error) {
	out := make([]wire.Row, len(rows))
	for i := range rows {
		r := &rows[i]
		c, m, head, err := d.conversations.Get(ctx, reader, r.Conversation)
		if err != nil {
			return nil, err
		}
		w := d.numbers(r)
		w.Title = c.Title
		if err := d.name(ctx, reader, &c, &w); err != nil {
			return nil, err
		}
		if w.Last, err = d.last(ctx, r, &m, head); err != nil {
			return nil, err
		}
		if w.Request, err = d.request(ctx, reader, r, &w); err != nil {
			return nil, err
		}
		out[i] = w
	}
	return out, nil
}

// numbers is what a row says by itself.
func (d describer) numbers(r *parley.Row) wire.Row {
	w := wire.Row{
		ID: string(r.Conversation), Kind: string(r.Kind), Head: uint64(r.Head),
		Unread: r.Unread(), Mentions: uint64(r.UnreadMentions()), Read: uint64(r.Read), Delivered: uint64(r.Delivered), Pos: uint64(r.Pos),
		Archived: r.Personal.Archived, Pinned: r.Personal.Pinned, Until: uint64(r.Until),
	}
	if r.Since > 1 {
		w.Since = uint64(r.Since)
	}
	if r.Personal.Muted.After(d.now()) {
		w.Muted, w.MutedUntil = true, wire.Time(r.Personal.Muted)
	}
	for _, run := range r.Personal.Hidden {
		w.Hidden = append(w.Hidden, [2]uint64{uint64(run.From), uint64(run.To)})
	}
	if draft := r.Personal.Draft; draft.Text != "" || draft.ReplyTo != 0 {
		w.Draft = &wire.Draft{Text: draft.Text, ReplyTo: uint64(draft.ReplyTo), At: wire.Time(draft.At)}
	}
	return w
}

// request reports whether a stranger began a conversation that the reader has
// not answered: in what they said, or by making the stranger a contact. A
// stranger of whom the reader has not a word, whom they block perhaps, asks for
// nothing.
func (d describer) request(ctx context.Context, reader parley.UserID, r *parley.Row, w *wire.Row) (bool, error) {
	if r.Kind != parley.Direct || r.Spoke || w.Unread == 0 && w.Last == nil || w.With == nil || w.With.ID == string(reader) {
		return false, nil
	}
	c, err := d.people.Contact(ctx, reader, parley.UserID(w.With.ID))
	return err == nil && c.State != account.ContactAccepted, err
}

// name sets how the conversation is called for reader: a direct one by its
// other member, a group by its title, or by who is in it.
func (d describer) name(ctx context.Context, reader parley.UserID, c *parley.Conversation, w *wire.Row) error {
	if c.Kind != parley.Direct && c.Title != "" {
		return nil
	}
	others := make([]parley.UserID, 0, namedMembers)
	for i := range c.Members {
		if m := &c.Members[i]; m.User != reader && len(others) < namedMembers {
			others = append(others, m.User)
		}
	}
	if len(others) == 0 {
		others = append(others, reader) // a conversation with oneself
	}
	users, err := d.people.Users(ctx, others)
	if err != nil {
		return err
	}
	var names []string
	for _, id := range others {
		if u, ok := users[id]; ok {
			names = append(names, u.Name)
		}
	}
	w.Title = strings.Join(names, ", ")
	if u, ok := users[others[0]]; ok && c.Kind == parley.Direct {
		with := wireUser(u)
		w.With = &with
	}
	return nil
}

// last returns the newest message of a row's conversation that its member m may
// have, nil if there is none near the head.
func (d describer) last(ctx context.Context, r *parley.Row, m *parley.Member, head parley.Seq) (*wire.Last, error) {
	if r.Head < r.Since || r.Count == 0 {
		return nil, nil
	}
	for _, n := range []int{1, lookBack} {
		entries, err := d.history.Last(ctx, m, r.Conversation, r.Head, head, n)
		if err != nil {
			return nil, err
		}
		for i := len(entries) - 1; i >= 0; i-- {
			if e := &entries[i]; e.Kind == parley.KindMessage && !hidden(r.Personal.Hidden, e.Seq) {
				return &wire.Last{Seq: uint64(e.Seq), Sender: string(e.Sender), At: wire.Time(e.At), Text: snippet(e.Body), Deleted: e.Fold != nil && e.Fold.Deleted}, nil
			}
		}
	}
	return nil, nil
}

// hidden reports whether the reader deleted seq for themselves.
func hidden(runs []parley.Run, seq parley.Seq) bool {
	return slices.ContainsFunc(runs, func(r parley.Run) bool { return r.From <= seq && seq <= r.To })
}

// snippet is as much of a text as a list shows. Other types show nothing:
// they are opaque here.
func snippet(b parley.Body) string {
	if b.Type != parley.TextPlain {
		return ""
	}
	text, n := string(b.Data), 0
	for i := range text {
		if n++; n > snippetRunes {
			return text[:i]
		}
	}
	if !utf8.ValidString(text) {
		return ""
	}
	return text
}
