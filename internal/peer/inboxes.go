package peer

import (
	"context"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

// Inboxes is all users' inboxes, each asked of its owner. It keeps the
// contract of inbox.Keeper.
type Inboxes struct{ p *Peers }

// Inboxes returns all users' inboxes.
func (p *Peers) Inboxes() Inboxes { return Inboxes{p} }

// at asks the owner of user's inbox. here waits until this node knows what
// there is to know of the inboxes it gained.
func (i Inboxes) at(ctx context.Context, user parley.UserID, op string, here func(context.Context) error, there func(context.Context, cluster.NodeID) error) error {
	shard := parley.ShardOfUser(user)
	return i.p.atOwner(ctx, shard, op, func(ctx context.Context) error {
		if err := i.p.gate.enter(ctx, shard); err != nil {
			return err
		}
		return here(ctx)
	}, there)
}

// After returns the rows of user past pos, and the inbox's position.
func (i Inboxes) After(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) (rows []parley.Row, now parley.Pos, err error) {
	return i.rows(ctx, user, pos, limit, false)
}

// Written is After without waiting for what is not yet durable.
func (i Inboxes) Written(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) (rows []parley.Row, now parley.Pos, err error) {
	if i.p.Here(parley.ShardOfUser(user)) {
		return i.p.cfg.Keeper.Written(ctx, user, pos, limit)
	}
	return i.rows(ctx, user, pos, limit, true)
}

func (i Inboxes) rows(ctx context.Context, user parley.UserID, pos parley.Pos, limit int, live bool) (rows []parley.Row, now parley.Pos, err error) {
	err = i.at(ctx, user, "peer.after",
		func(ctx context.Context) (err error) {
			rows, now, err = i.p.cfg.Keeper.After(ctx, user, pos, limit)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := i.p.ask(ctx, to, request{Op: opAfter, User: user, Pos: pos, Limit: limit, Live: live})
			if err == nil {
				rows, now = r.Rows, r.Pos
				i.p.watch.saw(user, now)
			}
			return err
		})
	return rows, now, err
}

// HeadFor returns what a device with that cursor had of c, and the user's
// membership. It is false, and the membership without Since, also when the
// owner does not answer: rows tell the same later.
func (i Inboxes) HeadFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (had parley.Seq, m parley.Member, ok bool) {
	to := i.p.owner(parley.ShardOfUser(user))
	if to == i.p.self() {
		return i.headFor(ctx, user, c, at)
	}
	r, err := i.p.ask(ctx, to, request{Op: opHeadFor, User: user, Conversation: c, At: at})
	if err != nil || r.Member == nil {
		return 0, parley.Member{}, false // also a node of a release that did not tell
	}
	return r.Seq, *r.Member, r.Yes
}

// headFor is HeadFor at the owner. While the former owner may know of another
// membership than the rows do, nothing is certain.
func (i Inboxes) headFor(ctx context.Context, user parley.UserID, c parley.ConversationID, at parley.Cursor) (had parley.Seq, m parley.Member, ok bool) {
	if !i.p.gate.isOpen(parley.ShardOfUser(user)) {
		return 0, parley.Member{}, false
	}
	return i.p.cfg.Keeper.HeadFor(ctx, user, c, at)
}

// MarkSoon tells the owner. A marker that is lost on the way is set again
// with the next.
func (i Inboxes) MarkSoon(user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) {
	to := i.p.owner(parley.ShardOfUser(user))
	if to == i.p.self() {
		i.p.cfg.Keeper.MarkSoon(user, c, delivered, read)
		return
	}
	i.p.tell(to, request{Op: opMark, User: user, Conversation: c, Marker: [2]parley.Seq{delivered, read}})
}

// List returns user's conversations, the one that moved last first.
func (i Inboxes) List(ctx context.Context, user parley.UserID, before parley.Pos, limit int) (rows []parley.Row, err error) {
	err = i.at(ctx, user, "peer.list",
		func(ctx context.Context) (err error) {
			rows, err = i.p.cfg.Keeper.List(ctx, user, before, limit)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := i.p.ask(ctx, to, request{Op: opList, User: user, Pos: before, Limit: limit})
			rows = r.Rows
			return err
		})
	return rows, err
}

// Row returns one row, or not_found.
func (i Inboxes) Row(ctx context.Context, user parley.UserID, c parley.ConversationID) (parley.Row, error) {
	return i.Mark(ctx, user, c, 0, 0)
}

// Mark moves markers forward and returns the row once that is durable.
func (i Inboxes) Mark(ctx context.Context, user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) (row parley.Row, err error) {
	err = i.at(ctx, user, "peer.mark",
		func(ctx context.Context) (err error) {
			row, err = i.mark(ctx, user, c, delivered, read)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := i.p.ask(ctx, to, request{Op: opMark, User: user, Conversation: c, Marker: [2]parley.Seq{delivered, read}})
			if err == nil && len(r.Rows) == 1 {
				row = r.Rows[0]
			}
			return err
		})
	return row, err
}

// mark is Mark at the owner.
func (i Inboxes) mark(ctx context.Context, user parley.UserID, c parley.ConversationID, delivered, read parley.Seq) (parley.Row, error) {
	if delivered == 0 && read == 0 {
		return i.p.cfg.Keeper.Row(ctx, user, c)
	}
	return i.p.cfg.Keeper.Mark(ctx, user, c, delivered, read)
}

// Personal changes the user's own wishes for c and returns the row once that
// is durable. A change whose answer was lost is made again.
func (i Inboxes) Personal(ctx context.Context, user parley.UserID, c parley.ConversationID, change parley.PersonalChange) (row parley.Row, err error) {
	err = i.at(ctx, user, "peer.personal",
		func(ctx context.Context) (err error) {
			row, err = i.p.cfg.Keeper.Personal(ctx, user, c, change)
			return err
		},
		func(ctx context.Context, to cluster.NodeID) error {
			r, err := i.p.ask(ctx, to, request{Op: opPersonal, User: user, Conversation: c, Personal: &change})
			if err == nil && len(r.Rows) == 1 {
				row = r.Rows[0]
			}
			return err
		})
	return row, err
}
