package cluster

import (
	"fmt"
	"slices"
	"time"
)

// belief is what one node knows of the others, and whether that is enough to
// settle. It is a state machine without clocks, locks and goroutines: whoever
// calls it says what time it is, as the time since the node joined.
type belief struct {
	cfg  *Config
	self Member
	load float64

	peers map[NodeID]*peer
	gone  map[NodeID]uint64 // the incarnation that said goodbye

	view   *View
	turned time.Duration // when the members, or what they say of themselves, changed last
	proof  proof         // of agreement and of the node table
	agreed mark          // since when all members agree; unset: they do not
	ticked time.Duration
	table  table

	terms uint64 // given so far
	until time.Duration
	why   string // not settled, as a sentence; empty: settled
	lost  bool   // the name is another's: never settled again

	out   reason        // stepped out; see step and compare
	left  time.Duration // when it did
	well  mark          // since when the node table was read without a failure
	apart mark          // since when it is not among those who all hear each other
	whole mark          // since when it and all others alive hear each other
}

// peer is one other node that is alive.
type peer struct {
	Member
	heard  time.Duration // when its last heartbeat came
	sent   int64         // when it was sent, on its own clock: to be echoed
	echoed mark          // when we sent the last one it had heard
	digest uint64
	load   float64
	offset time.Duration // its clock's difference from ours, the way included
	stored bool          // it reaches the store
	out    bool          // it has stepped out: it is heard, and no member
}

// reason is why a node stepped out, as a sentence.
type reason string

const (
	in      reason = "" // it has not
	noStore reason = "this node does not reach the store, and the others go on without it"
	unheard reason = "this node and others do not hear each other, though all reach the store; those who all do go on without it"
	cutOff  reason = "this node reaches neither the store nor another node"
)

// mark is a moment that may not have been.
type mark struct {
	at  time.Duration
	set bool
}

// proof is until when something is certain, and why it is not.
type proof struct {
	until time.Duration
	why   string // empty: it is, until then
}

// never is a deadline beyond all others.
const never = time.Duration(1<<63 - 1)

func newBelief(cfg *Config, self Member) *belief {
	b := &belief{
		cfg: cfg, self: self, peers: make(map[NodeID]*peer), gone: make(map[NodeID]uint64),
		table: newTable(cfg), why: "the node has just started",
	}
	b.view = NewView(0, b.table.tenure, []Member{self}, cfg.Shards).Follow(self.ID, nil)
	return b
}

// tick notes that this node is running, and returns the heartbeat to send.
func (b *belief) tick(at time.Duration, wall time.Time) *beat {
	b.lapse(at)
	b.ticked = at
	b.step(at)
	b.judge(at)
	h := &beat{
		Protocol: protocol, ID: b.self.ID, Incarnation: b.self.Incarnation, URL: b.self.URL, Route: b.self.Route,
		Version: b.self.Version, Weight: b.self.Weight, Draining: b.self.Draining, Load: b.load,
		Stored: b.table.reached(at), Out: b.out != in,
		Wall: wall.UnixMilli(), Digest: b.view.Digest, Sent: int64(at),
	}
	for _, m := range b.view.Members {
		if p := b.peers[m.ID]; p != nil {
			h.Echoes = append(h.Echoes, echo{p.ID, p.Incarnation, p.sent})
		}
	}
	return h
}

// hear takes a heartbeat of another node that speaks our protocol.
func (b *belief) hear(at time.Duration, wall time.Time, h *beat) {
	b.lapse(at)
	if b.outdated(h) {
		return
	}
	if h.Leaving {
		b.gone[h.ID] = h.Incarnation
		delete(b.peers, h.ID)
		b.judge(at)
		return
	}
	p := b.peers[h.ID]
	if p == nil || p.Incarnation != h.Incarnation {
		p = &peer{sent: -1}
		b.peers[h.ID] = p
	}
	p.Member = h.member()
	p.heard, p.digest, p.load = at, h.Digest, h.Load
	p.sent = h.Sent
	p.stored, p.out = h.Stored, h.Out
	p.offset = time.UnixMilli(h.Wall).Sub(wall)
	if sent, ok := h.echoed(b.self.ID, b.self.Incarnation); ok {
		p.echoed = mark{max(sent, p.echoed.at), true}
	}
	b.judge(at)
}

// outdated reports a heartbeat of an incarnation that is no more, or one that
// came again.
func (b *belief) outdated(h *beat) bool {
	if gone, left := b.gone[h.ID]; left && gone == h.Incarnation {
		return true
	}
	p := b.peers[h.ID]
	return p != nil && (h.Incarnation < p.Incarnation || h.Incarnation == p.Incarnation && h.Sent <= p.sent && !h.Leaving)
}

// surveyed takes what a reading of the node table found; begun is when it was
// asked for.
func (b *belief) surveyed(begun, at time.Duration, rows []row) {
	b.lapse(at)
	b.table.surveyed(begun, at, rows)
	b.well.hold(at, true)
	b.compare(begun, at)
	b.judge(at)
}

// unread takes note that the node table could not be read.
func (b *belief) unread() { b.well, b.apart, b.whole = mark{}, mark{}, mark{} }

// announced takes note that a write of our own row, asked for at begun, is
// durable at at.
func (b *belief) announced(begun, at time.Duration) {
	b.lapse(at)
	if b.out != in && begun < b.left {
		return // it was under way then
	}
	b.table.announced(begun, at)
	b.out = in
	b.judge(at)
}

// unannounced takes note that our row may have been missing.
func (b *belief) unannounced(at time.Duration) {
	b.lapse(at)
	b.table.unannounced()
	b.judge(at)
}

// change changes this node's own part of the view.
func (b *belief) change(at time.Duration, to func(*Member)) {
	b.lapse(at)
	to(&b.self)
	b.judge(at)
}

// lapse unsettles a view whose proof ended before at, although nobody looked.
// What follows begins anew, so that a proof never has a hole.
func (b *belief) lapse(at time.Duration) {
	if b.agreed.set && at >= b.proof.until && !b.cfg.seeded.noClock {
		b.agreed = mark{}
	}
	if b.why == "" && at >= b.until && !b.cfg.seeded.noClock {
		b.unsettle("what the other nodes or the node table said is too old")
	}
	b.table.lapse(at)
}

// undisputed reports whether nobody can be settled in another view than this
// node's: who is has a heartbeat of ours with its digest that we sent at most
// an echo ago.
func (b *belief) undisputed(at time.Duration) bool {
	return b.table.shown(at).why == "" && (at-b.turned >= b.cfg.echo() || b.cfg.seeded.noTurned)
}

// step has this node step out when its row in the node table is no longer
// alive while a node that it hears reaches the store: nobody can settle with a
// member that is not in the table, and whatever this node owned would wait for
// a store that it does not reach. Who is out owns nothing and is no member;
// what it is asked goes to the others. Where nobody reaches the store nothing
// would be gained, as long as somebody is heard: a node that hears none of those
// who were alive when it could still read the table is the one that is cut off.
// It is over with the next write of the row; see mayWrite.
func (b *belief) step(at time.Duration) {
	if b.out != in || b.table.writes(at) || b.cfg.seeded.noStep {
		return
	}
	if len(b.peers) == 0 && b.table.others(b.self.ID) {
		b.stepOut(at, cutOff)
		return
	}
	// Of a node that wakes up, what it heard before counts: better it asks
	// first than it disturbs those who went on.
	for _, p := range b.peers {
		if p.stored && !p.out {
			b.stepOut(at, noStore)
			return
		}
	}
}

// stepOut takes this node out of the cluster.
func (b *belief) stepOut(at time.Duration, why reason) {
	b.out, b.left = why, at
	b.well, b.apart, b.whole = mark{}, mark{}, mark{}
	b.table.unannounced() // before its row goes, if it does
}

// isAway reports whether this node has stepped out for good, as far as can be
// known. Who lacks the store alone may just have woken up: it passes on what it
// is asked, and is back in a moment.
func (b *belief) isAway(at time.Duration) bool {
	return b.out != in && (b.out != noStore || at-b.left >= b.cfg.lasting())
}

// mayWrite reports whether the row may be written. Who is out first reads the
// table for a while, and where it was not heard, is heard and hears for a
// while: a row that is alive now and then, or without its node knowing, keeps
// the others from settling.
func (b *belief) mayWrite(at time.Duration) bool {
	well := b.well.heldFor(at, b.cfg.fresh())
	if b.out != noStore {
		well = b.whole.heldFor(at, b.cfg.lasting()) && b.hearsAll()
	}
	return b.out == in || well && at-b.table.read.at < 2*b.cfg.Announce
}

// judge decides anew who is a member and whether the view is settled.
func (b *belief) judge(at time.Duration) {
	self := b.self
	self.Draining = self.Draining || b.out != in // it owns nothing that another can
	members := []Member{self}
	for id, p := range b.peers {
		if at-p.heard >= b.cfg.Silence {
			delete(b.peers, id)
			continue
		}
		if p.out {
			continue
		}
		members = append(members, p.Member)
	}
	if next := NewView(0, b.table.tenure, members, 0); next.Digest != b.view.Digest {
		b.unsettle("the members have just changed")
		b.agreed = mark{}
		b.view = NewView(0, b.table.tenure, members, b.cfg.Shards).Follow(b.self.ID, b.view)
		b.turned = at
	} else if !slices.Equal(next.Members, b.view.Members) {
		b.view = b.view.with(b.self.ID, b.view.Term, b.view.Tenure)
		b.view.Members = next.Members
	}

	b.proof = b.agreement(at)
	if b.out != in {
		b.proof = proof{why: string(b.out)}
	}
	if b.lost {
		b.proof = proof{why: "this node's name is another's"}
	}
	switch {
	case b.proof.why != "":
		b.agreed = mark{}
		b.unsettle(b.proof.why)
		return
	case !b.agreed.set:
		b.agreed = mark{at, true}
	}
	if at-b.agreed.at < b.cfg.Settle {
		b.unsettle("the nodes have agreed for a moment only")
		return
	}
	listed := b.table.proves(at, b.view.Members, b.self)
	if listed.why != "" {
		b.unsettle(listed.why)
		return
	}
	b.until = min(b.proof.until, listed.until)
	if b.why != "" {
		b.terms++
		b.why = ""
		b.view = b.view.with(b.self.ID, b.terms, b.table.tenure)
	}
}

// unsettle takes the term away. The next one will be greater.
func (b *belief) unsettle(why string) {
	b.why = why
	if b.view.Term != 0 || b.view.Tenure != b.table.tenure {
		b.view = b.view.with(b.self.ID, 0, b.table.tenure)
	}
}

// agreement is whether every member was heard in time and sees what we see.
func (b *belief) agreement(at time.Duration) proof {
	until := b.ticked + b.cfg.Trust
	if at >= until {
		return proof{why: "this node did not get to run in time"}
	}
	for _, m := range b.view.Members {
		p := b.peers[m.ID]
		if p == nil {
			continue // this node
		}
		heard, proved := p.heard+b.cfg.Trust, p.echoed.at+b.cfg.echo()
		if b.cfg.seeded.noEcho {
			p.echoed.set, proved = true, never
		}
		switch {
		case at >= heard:
			return proof{why: fmt.Sprintf("node %q is late with its heartbeats", m.ID)}
		case p.digest != b.view.Digest && !b.cfg.seeded.noDigest:
			return proof{why: fmt.Sprintf("node %q sees other members than this one", m.ID)}
		case !p.echoed.set || at >= proved:
			return proof{why: fmt.Sprintf("node %q is heard, but does not say that it hears this one", m.ID)}
		}
		until = min(until, heard, proved)
	}
	return proof{until: until}
}
