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
	// maxWhispers bounds the whispers among them, which are dropped first.
	maxWhispers = 256
	// receiptsAtOnce bounds the receipts of one message.
	receiptsAtOnce = 128
)

// receipt is one receipt between nodes, or one whisper, which goes the same
// way.
type receipt struct {
	Of   parley.Receipt  `json:"of"`
	Kind string          `json:"kind,omitzero"` // of a whisper, whose sender Of names
	To   []parley.UserID `json:"to,omitzero"`   // whose sessions hear of it; in marked and whisper: nobody yet
}

// whisper is the whisper that r is.
func (r *receipt) whisper() parley.Whisper {
	return parley.Whisper{Conversation: r.Of.Conversation, Sender: r.Of.User, Kind: r.Kind}
}

// satchels is the receipts and whispers that wait for other nodes. It
// implements fanout.Nodes and fanout.WhisperNodes.
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
	whispers int // among them
	busy     bool
}

// waiting is what a receipt is about, and what is to be done about it.
type waiting struct {
	op           string
	conversation parley.ConversationID
	user         parley.UserID
	kind         string
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
	p.satchels.put(to, opMarked, receipt{Of: r})
	return true
}

// ToInboxes implements fanout.Nodes.
func (p *Peers) ToInboxes(users []parley.UserID, r parley.Receipt) (here []parley.UserID) {
	for _, u := range users {
		if to := p.owner(parley.ShardOfUser(u)); to == p.self() {
			here = append(here, u)
		} else {
			p.satchels.put(to, opReceipt, receipt{Of: r}, u)
		}
	}
	return here
}

// WhisperToConversation implements fanout.WhisperNodes.
func (p *Peers) WhisperToConversation(w parley.Whisper) bool {
	to := p.owner(parley.ShardOf(w.Conversation))
	if to == p.self() {
		return false
	}
	p.satchels.put(to, opWhisper, whispered(w))
	return true
}

// WhisperToInboxes implements fanout.WhisperNodes.
func (p *Peers) WhisperToInboxes(users []parley.UserID, w parley.Whisper) (here []parley.UserID) {
	for _, u := range users {
		if to := p.owner(parley.ShardOfUser(u)); to == p.self() {
			here = append(here, u)
		} else {
			p.satchels.put(to, opWhispers, whispered(w), u)
		}
	}
	return here
}

// whispered is a whisper between nodes.
func whispered(w parley.Whisper) receipt {
	return receipt{Of: parley.Receipt{Conversation: w.Conversation, User: w.Sender}, Kind: w.Kind}
}

// Receipt implements fanout.Receiver for another node.
func (s *seat) Receipt(r parley.Receipt) {
	s.r.p.satchels.put(s.node, opShow, receipt{Of: r}, s.user)
}

// Whisper implements fanout.Hearer for another node.
func (s *seat) Whisper(w parley.Whisper) {
	s.r.p.satchels.put(s.node, opMurmur, whispered(w), s.user)
}

// put has a node hear of a receipt or a whisper.
func (s *satchels) put(node cluster.NodeID, op string, r receipt, to ...parley.UserID) {
	key := waiting{op, r.Of.Conversation, r.Of.User, r.Kind, r.Kind == "" && r.Of.Read == 0}
	s.mu.Lock()
	b := s.of[node]
	if b == nil {
		b = &satchel{receipts: make(map[waiting]*receipt)}
		s.of[node] = b
	}
	known := b.receipts[key]
	switch {
	case known != nil:
		known.Of.Delivered, known.Of.Read = max(known.Of.Delivered, r.Of.Delivered), max(known.Of.Read, r.Of.Read)
		for _, u := range to {
			if !slices.Contains(known.To, u) {
				known.To = append(known.To, u)
			}
		}
	case r.Kind != "" && b.whispers >= maxWhispers:
	case len(b.receipts)-b.whispers < maxReceipts:
		r.To = to
		b.receipts[key] = &r
		b.order = append(b.order, key)
		if r.Kind != "" {
			b.whispers++
		}
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
		b.receipts, b.order, b.whispers = make(map[waiting]*receipt), nil, 0
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

// toldReceipts takes receipts and whispers that another node told.
func (p *Peers) toldReceipts(q *request) {
	for i := range q.Receipts {
		r := &q.Receipts[i]
		switch q.Op {
		case opMarked:
			p.cfg.Receipts.Heard(r.Of)
		case opReceipt:
			p.cfg.Receipts.Tell(r.To, r.Of)
		case opShow:
			p.cfg.Receipts.Show(r.To, r.Of)
		case opWhisper:
			p.cfg.Whispers.Heard(r.whisper())
		case opWhispers:
			p.cfg.Whispers.Tell(r.To, r.whisper())
		case opMurmur:
			p.cfg.Whispers.Show(r.To, r.whisper())
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
