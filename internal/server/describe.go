package server

import (
	"context"
	"strings"
	"unicode/utf8"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/router"
	"github.com/parley-im/parley/wire"
)

// describer gives rows what a screen needs beside numbers: how a conversation
// is called, and its last message.
type describer struct {
	conversations *router.Router
	people        *account.Accounts
	fanout        *fanout.Fanout
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
		w := wire.Row{
			ID: string(r.Conversation), Kind: string(r.Kind), Title: c.Title,
			Head: uint64(r.Head), Unread: r.Unread(), Read: uint64(r.Read), Delivered: uint64(r.Delivered), Pos: uint64(r.Pos),
		}
		if err := d.name(ctx, reader, &c, &w); err != nil {
			return nil, err
		}
		if w.Last, err = d.last(ctx, r, &m, head); err != nil {
			return nil, err
		}
		out[i] = w
	}
	return out, nil
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
	for _, n := range []parley.Seq{1, lookBack} {
		after := max(r.Since-1, r.Head-min(n, r.Head))
		var told []*fanout.Told
		var err error
		if m.Until == 0 {
			told, err = d.fanout.ReadAt(ctx, r.Conversation, after, int(r.Head-after), head)
		} else {
			told, err = d.fanout.Read(ctx, r.Conversation, after, int(r.Head-after))
		}
		if err != nil {
			return nil, err
		}
		for i := len(told) - 1; i >= 0; i-- {
			if e := &told[i].Entry; e.Kind == parley.KindMessage && !e.WithheldFrom(m.User) {
				return &wire.Last{Seq: uint64(e.Seq), Sender: string(e.Sender), At: wire.Time(e.At), Text: snippet(e.Body)}, nil
			}
		}
	}
	return nil, nil
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
