package main

import (
	"context"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
)

// names knows how people and conversations are called. It asks the server once
// for each; what it cannot find out it calls by the id.
type names struct {
	client        *client.Client
	users         map[parley.UserID]string
	conversations map[parley.ConversationID]string
}

func newNames(c *client.Client) *names {
	me := c.Credentials().User
	return &names{
		client:        c,
		users:         map[parley.UserID]string{parley.UserID(me.ID): me.Handle},
		conversations: map[parley.ConversationID]string{},
	}
}

// user returns the handle of somebody who spoke in conv.
func (n *names) user(ctx context.Context, conv parley.ConversationID, id parley.UserID) string {
	if handle, ok := n.users[id]; ok {
		return handle
	}
	n.conversation(ctx, conv) // it names its members at once
	if handle, ok := n.users[id]; ok {
		return handle
	}
	handle := string(id)
	if u, err := n.client.User(ctx, string(id)); err == nil {
		handle = u.Handle
	} else if parley.CodeOf(err) != parley.NotFound {
		return handle // ask again the next time
	}
	n.users[id] = handle
	return handle
}

// conversation returns how conv is called: by its title, or by the other
// person in it.
func (n *names) conversation(ctx context.Context, id parley.ConversationID) string {
	if name, ok := n.conversations[id]; ok {
		return name
	}
	conv, err := n.client.Conversation(ctx, id)
	if err != nil {
		return string(id)
	}
	name, me := conv.Title, n.client.Credentials().User.ID
	for _, m := range conv.Members {
		if m.Handle == "" {
			continue
		}
		n.users[parley.UserID(m.User)] = m.Handle
		if conv.Kind == string(parley.Direct) && (m.User != me || len(conv.Members) == 1) {
			name = "@" + m.Handle
		}
	}
	n.conversations[id] = name
	return name
}
