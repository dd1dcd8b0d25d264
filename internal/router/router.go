// Package router knows which node owns a conversation and takes what is asked
// of the conversation there.
//
// Conversations hash to [parley.Shards] logical shards, and a [Table] says who owns
// a shard. Ownership is a hint for speed: two nodes that both believe they
// own a shard cost conflicts in the store, and nothing else.
package router

import (
	"context"

	parley "github.com/parley-im/parley"
)

// Node is where conversations live: this one, or the way to another. See
// convo.Owner for what each call promises.
type Node interface {
	Post(p parley.Post, done func(parley.Ack, error))
	Create(ctx context.Context, by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (c parley.Conversation, created bool, err error)
	Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error)
	Find(ctx context.Context, reader parley.UserID, id parley.ConversationID, message parley.MessageID) (parley.Seq, error)
}

// Table says which node owns a shard. It may answer differently at any time.
type Table func(shard int) Node

// Alone is the table of a cluster of one node.
func Alone(here Node) Table { return func(int) Node { return here } }

// Router is itself a Node: that of every conversation.
type Router struct {
	here  Node
	owner Table
}

// New returns a router on the node here.
func New(here Node, owner Table) *Router { return &Router{here: here, owner: owner} }

func (r *Router) of(c parley.ConversationID) Node { return r.owner(parley.ShardOf(c)) }

// Post takes p to the owner of its conversation.
func (r *Router) Post(p parley.Post, done func(parley.Ack, error)) {
	r.of(p.Conversation).Post(p, done)
}

// Create takes a direct conversation to its owner, which is known before it
// exists. A group gets its id where it is made, so it is made here.
func (r *Router) Create(ctx context.Context, by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (parley.Conversation, bool, error) {
	node := r.here
	if kind == parley.Direct && len(members) > 0 {
		// More members than one other are the owner's to refuse, whoever it is.
		node = r.of(parley.DirectID(by, members[0]))
	}
	return node.Create(ctx, by, kind, title, members)
}

// Get asks the owner.
func (r *Router) Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	return r.of(id).Get(ctx, reader, id)
}

// Find asks the owner.
func (r *Router) Find(ctx context.Context, reader parley.UserID, id parley.ConversationID, message parley.MessageID) (parley.Seq, error) {
	return r.of(id).Find(ctx, reader, id, message)
}
