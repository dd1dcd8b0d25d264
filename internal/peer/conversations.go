package peer

import (
	"context"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

// maxForwarded bounds the bytes of posts on their way to other nodes. Past it
// a post is refused with overloaded.
const maxForwarded = 64 << 20

// Elsewhere is the way to the conversations of one shard, wherever they live.
// It keeps the contract of convo.Owner; a node that does not answer delays it
// until the cluster has another owner, failWithin at most.
type Elsewhere struct {
	p     *Peers
	shard int
}

// Elsewhere returns the way to a shard.
func (p *Peers) Elsewhere(shard int) Elsewhere { return Elsewhere{p, shard} }

// Here reports whether the shard is this node's, as far as it knows.
func (p *Peers) Here(shard int) bool { return p.owner(shard) == p.self() }

// Post takes a post to its owner. A try whose answer is lost is tried again
// under the same id, which is what makes that harmless.
func (e Elsewhere) Post(post parley.Post, done func(parley.Ack, error)) {
	p := e.p
	size := int64(512 + len(post.Body.Data))
	if p.forwarded.Add(size) > maxForwarded {
		p.forwarded.Add(-size)
		done(parley.Ack{}, &parley.Error{Code: parley.Overloaded, Op: "peer.post", After: time.Second, Detail: "too many messages are on their way to other nodes; send again later with the same id"})
		return
	}
	if !p.start(func() {
		defer p.forwarded.Add(-size)
		e.post(post, done)
	}) {
		p.forwarded.Add(-size)
		done(parley.Ack{}, errDraining("peer.post"))
	}
}

func (e Elsewhere) post(post parley.Post, done func(parley.Ack, error)) {
	var ack parley.Ack
	here, open := false, false
	err := e.p.atOwner(e.p.ctx, e.shard, "peer.post",
		func(context.Context) error { here = true; return nil },
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := e.p.ask(ctx, to, request{Op: opPost, Post: &post})
			if err == nil && r.Ack != nil {
				ack = *r.Ack
			}
			open = open || isSilence(err)
			return err
		})
	if open {
		final := done
		done = func(ack parley.Ack, err error) { final(ack, unsettled(err)) }
	}
	switch {
	case here: // by now
		e.p.cfg.Conversations.Post(post, done)
	default:
		done(ack, err)
	}
}

// unsettled is what err says after an earlier try whose answer was lost: a
// refusal is then not the last word, because what it rests on may have come
// after that try, which may be on its way into the store still.
func unsettled(err error) error {
	if err == nil || parley.CodeOf(err).Retry() != parley.GiveUp {
		return err
	}
	return unreachable("peer.post", err)
}

// Create makes a conversation at its owner.
func (e Elsewhere) Create(ctx context.Context, by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (c parley.Conversation, created bool, err error) {
	err = e.p.atOwner(ctx, e.shard, "peer.create",
		func(ctx context.Context) (err error) {
			c, created, err = e.p.cfg.Conversations.Create(ctx, by, kind, title, members)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := e.p.ask(ctx, to, request{Op: opCreate, User: by, Kind: kind, Title: title, Users: members})
			if err == nil && r.Conversation != nil {
				c, created = *r.Conversation, r.Yes
			}
			return err
		})
	return c, created, err
}

// Get asks the owner.
func (e Elsewhere) Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (c parley.Conversation, m parley.Member, head parley.Seq, err error) {
	err = e.p.atOwner(ctx, e.shard, "peer.get",
		func(ctx context.Context) (err error) {
			c, m, head, err = e.p.cfg.Conversations.Get(ctx, reader, id)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := e.p.ask(ctx, to, request{Op: opGet, User: reader, Conversation: id})
			if err == nil && r.Conversation != nil && r.Member != nil {
				c, m, head = *r.Conversation, *r.Member, r.Seq
			}
			return err
		})
	return c, m, head, err
}

// Find asks the owner.
func (e Elsewhere) Find(ctx context.Context, reader parley.UserID, id parley.ConversationID, message parley.MessageID) (seq parley.Seq, err error) {
	err = e.p.atOwner(ctx, e.shard, "peer.find",
		func(ctx context.Context) (err error) {
			seq, err = e.p.cfg.Conversations.Find(ctx, reader, id, message)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := e.p.ask(ctx, to, request{Op: opFind, User: reader, Conversation: id, Message: message})
			seq = r.Seq
			return err
		})
	return seq, err
}

func errDraining(op string) error {
	return &parley.Error{Code: parley.Draining, Op: op, Detail: "the server is shutting down; reconnect and send again with the same id", After: time.Second}
}
