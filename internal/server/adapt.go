package server

import (
	"context"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/wire"
)

// marks lets fanout see a store's dirty marks.
type marks struct{ store.Store }

// Where implements fanout.Marks.
func (m marks) Where(ctx context.Context, c parley.ConversationID) (*parley.Conversation, parley.Seq, uint64, error) {
	h, err := m.Load(ctx, c)
	return h.State, h.Seq, h.Count, err
}

// unfinished is marks of conversations that a crash may have left undone.
type unfinished struct {
	marks
	owner *convo.Owner
}

// Where implements fanout.Marks: what was deleted is erased before what became
// of it is noted.
func (u unfinished) Where(ctx context.Context, c parley.ConversationID) (*parley.Conversation, parley.Seq, uint64, error) {
	state, head, count, err := u.marks.Where(ctx, c)
	if err == nil && state != nil {
		err = u.owner.Finish(ctx, c, head)
	}
	return state, head, count, err
}

// news lets edge poll.
type news struct{ session.Poll }

// Sync implements edge.News.
func (n news) Sync(ctx context.Context, user parley.UserID, cursor *parley.Cursor, limit int) (edge.SyncPage, error) {
	page, err := n.Poll.Sync(ctx, user, cursor, limit)
	return edge.SyncPage(page), err
}

// online lets edge begin sessions.
type online struct {
	hub      *session.Hub
	accounts *account.Accounts
}

// Connect implements edge.Sessions.
func (o online) Connect(ctx context.Context, id account.Identity, hello wire.ClientFrame, conn edge.Conn) (edge.Session, error) {
	user, err := o.accounts.User(ctx, id.User)
	if err != nil {
		return nil, err
	}
	device := wire.Device{ID: string(id.Device)}
	devices, err := o.accounts.Devices(ctx, id.User)
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		if d.ID == id.Device {
			device.Name = d.Name
		}
	}
	s, err := o.hub.Connect(wireUser(user), device, hello, conn)
	if err != nil {
		return nil, err // not s: a nil *Session is not a nil edge.Session
	}
	// A sign-out between the token's check and the watching told nobody.
	if _, err := o.accounts.Authenticate(ctx, hello.Token); err != nil {
		s.Closed()
		return nil, err
	}
	return s, nil
}

func wireUser(u account.User) wire.User {
	return wire.User{ID: string(u.ID), Handle: u.Handle, Name: u.Name, Status: u.Status, Avatar: u.Avatar, Bot: u.Bot}
}
