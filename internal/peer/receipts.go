package peer

import (
	"context"
	"slices"
	"sync"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

const (
	// maxReceipts bounds the receipts that wait for one node. Past it they are
	// dropped; nudges, which do not wait here, are not.
	maxReceipts = 4096
	// receiptsAtOnce bounds the receipts of one message.
	receiptsAtOnce = 128
)

// receipt is one receipt between nodes.
type receipt struct {
	Of parley.Receipt  `json:"of"`
	To []parley.UserID `json:"to,omitzero"` // whose sessions hear of it; in marked: nobody yet
}

// satchels is the receipts that wait for other nodes. It implements
// fanout.Nodes.
type satchels struct {
	p *Peers

	mu sync.Mutex
	of map[cluster.NodeID]*satchel
}

// satchel is the receipts that wait for one node: the newest of each member in
// each conversation, in the order in which they came first.
type satchel struct {
	receipts map[waiting]*receipt
	order    []waiting
	busy     bool
}

// waiting is what a receipt is about, and what is to be done about it.
type waiting struct {
	op           string
	conversation parley.ConversationID
	user         parley.UserID
	discreet     bool // without Read, which those who hear the other form may not pass on
}

func newSatchels(p *Peers) *satchels {
	return &satchels{p: p, of: make(map[cluster.NodeID]*satchel)}
}

// ToConversation implements fanout.Nodes.
func (p *Peers) ToConversation(r parley.Receipt) bool {
	to := p.owner(parley.ShardOf(r.Conversation))
	if to == p.self() {
		return false
	}
	p.satchels.put(to, opMarked, r)
	return true
}

// ToInboxes implements fanout.Nodes.
func (p *Peers) ToInboxes(users []parley.UserID, r parley.Receipt) (here []parley.UserID) {
	for _, u := range users {
		if to := p.owner(parley.ShardOfUser(u)); to == p.self() {
			here = append(here, u)
		} else {
			p.satchels.put(to, opReceipt, r, u)
		}
	}
	return here
}

// Receipt implements fanout.Receiver for another node.
func (s *seat) Receipt(r parley.Receipt) { s.r.p.satchels.put(s.node, opShow, r, s.user) }

// put has a node hear of a receipt.
func (s *satchels) put(node cluster.NodeID, op string, r parley.Receipt, to ...parley.UserID) {
	key := waiting{op, r.Conversation, r.User, r.Read == 0}
	s.mu.Lock()
	b := s.of[node]
	if b == nil {
		b = &satchel{receipts: make(map[waiting]*receipt)}
		s.of[node] = b
	}
	known := b.receipts[key]
	switch {
	case known != nil:
		known.Of.Delivered, known.Of.Read = max(known.Of.Delivered, r.Delivered), max(known.Of.Read, r.Read)
		for _, u := range to {
			if !slices.Contains(known.To, u) {
				known.To = append(known.To, u)
			}
		}
	case len(b.receipts) < maxReceipts:
		b.receipts[key] = &receipt{Of: r, To: to}
		b.order = append(b.order, key)
	}
	begin := !b.busy
	b.busy = true
	s.mu.Unlock()
	if begin {
		s.p.start(func() { s.send(node, b) })
	}
}

// send empties a satchel.
func (s *satchels) send(node cluster.NodeID, b *satchel) {
	for {
		s.mu.Lock()
		receipts, order := b.receipts, b.order
		b.receipts, b.order = make(map[waiting]*receipt), nil
		if len(order) == 0 {
			delete(s.of, node)
		}
		s.mu.Unlock()
		if len(order) == 0 {
			return
		}
		byOp := make(map[string][]receipt)
		for _, key := range order {
			byOp[key.op] = append(byOp[key.op], *receipts[key])
		}
		for op, all := range byOp {
			for chunk := range slices.Chunk(all, receiptsAtOnce) {
				s.p.tell(node, request{Op: op, Receipts: chunk})
			}
		}
	}
}

// toldReceipts takes receipts that another node told.
func (p *Peers) toldReceipts(q *request) {
	for _, r := range q.Receipts {
		switch q.Op {
		case opMarked:
			p.cfg.Receipts.Heard(r.Of)
		case opReceipt:
			p.cfg.Receipts.Tell(r.To, r.Of)
		case opShow:
			p.cfg.Receipts.Show(r.To, r.Of)
		}
	}
}

// Receipts returns how far those of users have got in c whose inboxes' owners
// answered before ctx ended. It does not wait for the gate: a marker that the
// former owner had not written yet is a little behind.
func (i Inboxes) Receipts(ctx context.Context, c parley.ConversationID, users []parley.UserID) []parley.Receipt {
	at := make(map[cluster.NodeID][]parley.UserID)
	for _, u := range users {
		to := i.p.owner(parley.ShardOfUser(u))
		at[to] = append(at[to], u)
	}
	self := i.p.self()
	here := at[self]
	delete(at, self)
	answers := make(chan []parley.Receipt, len(at))
	asked := 0
	for to, of := range at {
		if i.p.start(func() {
			// An error leaves them out, and the answer is empty.
			r, _ := i.p.ask(ctx, to, request{Op: opStanding, Conversation: c, Users: of})
			answers <- r.Standing
		}) {
			asked++
		}
	}
	all := i.p.cfg.Keeper.Receipts(ctx, c, here)
	for range asked {
		all = append(all, <-answers...)
	}
	return all
}
