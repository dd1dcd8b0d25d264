package peer

import (
	"context"
	"errors"
	"math"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/presence"
)

// Told implements cluster.Listener.
func (p *Peers) Told(from cluster.NodeID, msg []byte) {
	q, err := decodeRequest(msg)
	if err != nil {
		p.cfg.Logger.Warn("a node said what this one does not understand", "node", string(from), "err", err)
		return
	}
	switch q.Op {
	case opWatch:
		p.remote.add(from, q.Users)
	case opUnwatch:
		p.remote.remove(from, q.Users)
	case opMark:
		p.cfg.Keeper.MarkSoon(q.User, q.Conversation, q.Marker[0], q.Marker[1])
	case opContacts:
		p.cfg.Fanout.ContactsChanged(q.User)
	case opNudge:
		for _, n := range q.News {
			if n.Conversation == "" {
				p.cfg.Fanout.Stir(n.User)
			} else {
				p.cfg.Fanout.Nudge(n.User, n.Conversation, n.Head)
			}
		}
	case opMarked, opReceipt, opShow, opWhisper, opWhispers, opMurmur:
		p.toldReceipts(&q)
	case opPresence:
		if q.Presence != nil {
			p.cfg.Presence.Told(presence.Node(from), *q.Presence)
		}
	}
}

// Asked implements cluster.Listener.
func (p *Peers) Asked(from cluster.NodeID, msg []byte, answer func([]byte)) {
	q, err := decodeRequest(msg)
	if err != nil {
		answer(encode(&response{V: version, Err: faultOf(parley.E(parley.BadRequest, "peer.asked", "this node runs another release; upgrade it"))}))
		return
	}
	if q.Op == opNote {
		// In the order of sending, and without waiting for anything.
		answer(encode(p.note(q.Items)))
		return
	}
	if q.Op == opPost && q.Post != nil {
		p.cfg.Conversations.Post(*q.Post, func(ack parley.Ack, err error) {
			answer(encode(&response{V: version, Ack: &ack, Err: faultOf(err)}))
		})
		return
	}
	p.start(func() {
		ctx, cancel := context.WithTimeout(p.ctx, time.Duration(q.Patience)*time.Millisecond)
		defer cancel()
		r, err := p.reply(ctx, from, &q)
		r.V, r.Err = version, faultOf(err)
		answer(encode(&r))
	})
}

// note takes items and says which of them it could not.
func (p *Peers) note(items []item) *response {
	r := &response{V: version}
	for i := range items {
		it := &items[i]
		mine := true
		for _, m := range it.Members {
			mine = mine && p.Here(parley.ShardOfUser(m.User))
		}
		if !mine {
			r.NotMine = append(r.NotMine, i)
			continue
		}
		p.take(it)
	}
	// After all is noted: a node that was frozen in between finds out here.
	for i := range items {
		for _, u := range items[i].Senders {
			if p.cfg.Cluster.Term(parley.ShardOfUser(u)) == 0 {
				r.Uncertain = append(r.Uncertain, i)
				break
			}
		}
	}
	return r
}

// reply answers one question.
func (p *Peers) reply(ctx context.Context, from cluster.NodeID, q *request) (r response, err error) {
	switch q.Op {
	case opCreate:
		var c parley.Conversation
		c, r.Yes, err = p.cfg.Conversations.Create(ctx, q.User, q.Kind, q.Title, q.Users)
		r.Conversation = &c
	case opGet:
		var c parley.Conversation
		var m parley.Member
		c, m, r.Seq, err = p.cfg.Conversations.Get(ctx, q.User, q.Conversation)
		r.Conversation, r.Member = &c, &m
	case opFind:
		r.Seq, err = p.cfg.Conversations.Find(ctx, q.User, q.Conversation, q.Message)
	case opMoved:
		p.cfg.Conversations.Moved(q.Conversation, q.Head)
	case opCaughtUp:
		r.Yes = p.gate.hasHanded(q.View)
	case opDurable:
		err = p.durable(ctx, q.Users)
	case opCheck:
		p.remote.add(from, q.Users)
		for _, u := range q.Users {
			_, pos, e := p.cfg.Keeper.Written(ctx, u, math.MaxInt64, 0)
			if e != nil {
				return r, e
			}
			r.Positions = append(r.Positions, pos)
		}
	case opStanding:
		r.Standing = p.cfg.Keeper.Receipts(ctx, q.Conversation, q.Users)
	case opOnline:
		r.States = p.cfg.Presence.States(q.Users)
	case opRevoke:
		p.cfg.SignedOut(q.User, q.Device)
		p.cfg.Fanout.Revoke(q.User, q.Device)
	default:
		return p.replyOfInbox(ctx, q)
	}
	return r, err
}

// replyOfInbox answers a question about an inbox that must live here.
func (p *Peers) replyOfInbox(ctx context.Context, q *request) (r response, err error) {
	shard := parley.ShardOfUser(q.User)
	live := q.Op == opHeadFor || q.Op == opAfter && q.Live
	if live && !p.Here(shard) {
		return r, errNotMine
	}
	if !live {
		leave, err := p.wait(shard)
		if err != nil {
			return r, err
		}
		err = p.gate.enter(ctx, shard)
		leave()
		if err != nil {
			return r, err
		}
	}
	k := p.cfg.Keeper
	switch q.Op {
	case opAfter:
		read := k.After
		if q.Live {
			read = k.Written
		}
		r.Rows, r.Pos, err = read(ctx, q.User, q.Pos, q.Limit)
	case opHeadFor:
		var m parley.Member
		r.Seq, m, r.Yes = p.Inboxes().headFor(ctx, q.User, q.Conversation, q.At)
		r.Member, r.Until = &m, m.Until
	case opList:
		r.Rows, err = k.List(ctx, q.User, q.Pos, q.Limit)
	case opMark:
		var row parley.Row
		row, err = p.Inboxes().mark(ctx, q.User, q.Conversation, q.Marker[0], q.Marker[1])
		r.Rows = []parley.Row{row}
	case opPersonal:
		if q.Personal == nil {
			return r, parley.E(parley.BadRequest, "peer.asked", "personal: what is to change is missing")
		}
		var row parley.Row
		row, err = k.Personal(ctx, q.User, q.Conversation, *q.Personal)
		r.Rows = []parley.Row{row}
	default:
		err = parley.E(parley.BadRequest, "peer.asked", "%s: this node runs an older release; upgrade it", q.Op)
	}
	return r, err
}

// maxWaiting bounds the questions of other nodes that wait for the gate. Past
// it they are told to come back. Nothing else waits with them: each has a
// goroutine, and no place that another kind of question needs.
const maxWaiting = 1 << 14

// wait takes a place before the gate, unless it is open anyway.
func (p *Peers) wait(shard int) (leave func(), err error) {
	if p.gate.isOpen(shard) {
		return func() {}, nil
	}
	leave = func() { p.waiting.Add(-1) }
	if p.waiting.Add(1) > p.crowd {
		leave()
		return nil, unreachable("peer.gate", errCrowded)
	}
	return leave, nil
}

var errCrowded = errors.New("peer: too many questions wait until this node may answer")

// durable returns when what is noted of users is.
func (p *Peers) durable(ctx context.Context, users []parley.UserID) error {
	done := make(chan error, len(users))
	for _, u := range users {
		p.cfg.Keeper.WhenDurable(u, func(err error) { done <- err })
	}
	for range users {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ContactsChanged has every node tell the sessions of user that their list of
// contacts changed. A node that does not hear it costs them a moment.
func (p *Peers) ContactsChanged(user parley.UserID) {
	p.cfg.Fanout.ContactsChanged(user)
	for _, m := range p.cfg.Cluster.View().Members {
		if m.ID != p.self() {
			p.tell(m.ID, request{Op: opContacts, User: user})
		}
	}
}

// Revoke has every node close the connections of a device that was signed
// out here. A node that does not hear it is either gone, or looks itself when
// it is back.
func (p *Peers) Revoke(user parley.UserID, device parley.DeviceID) {
	p.cfg.Fanout.Revoke(user, device)
	for _, m := range p.cfg.Cluster.View().Members {
		if m.ID == p.self() {
			continue
		}
		p.start(func() {
			for {
				_, err := p.ask(p.ctx, m.ID, request{Op: opRevoke, User: user, Device: device})
				if _, member := p.cfg.Cluster.View().Member(m.ID); err == nil || !member || !p.pause(p.ctx, askPause) {
					return
				}
			}
		})
	}
}
