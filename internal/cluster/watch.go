package cluster

import (
	"log/slog"
	"time"
)

// watch is what operators are told once, and once more when it is over. It is
// guarded by the node's mu, but for unread, which is survey's own.
type watch struct {
	rival   bool   // another incarnation of our name was heard
	out     reason // why this node has stepped out
	skewed  map[NodeID]bool
	foreign map[NodeID]int // the protocol a node speaks that we do not
	garbled map[NodeID]bool
	say     []func() // to be logged when mu is free

	unread bool // the node table could not be read
}

// maxSkew is how far two nodes' clocks may differ before people are told.
// Nothing depends on clocks but the times that people see.
const maxSkew = 30 * time.Second

func newWatch() watch {
	return watch{skewed: make(map[NodeID]bool), foreign: make(map[NodeID]int), garbled: make(map[NodeID]bool)}
}

// later has something logged when the node's mu is free.
func (w *watch) later(log func()) { w.say = append(w.say, log) }

// clocks compares the members' clocks with ours. A clock must be well within
// the limit to be right again, so that one on the edge is not told every time.
func (w *watch) clocks(log *slog.Logger, b *belief) {
	for id := range w.skewed {
		if b.peers[id] == nil {
			delete(w.skewed, id)
		}
	}
	for id, p := range b.peers {
		ahead := p.offset.Round(time.Second)
		switch off := p.offset.Abs(); {
		case off > maxSkew && !w.skewed[id]:
			w.skewed[id] = true
			w.later(func() {
				log.Warn("the clock of a node differs from this node's; set both by NTP: people see wrong times, the order is not affected",
					slog.String("node", string(id)), slog.Duration("ahead", ahead))
			})
		case off < maxSkew/2 && w.skewed[id]:
			delete(w.skewed, id)
			w.later(func() { log.Info("the clocks agree again", slog.String("node", string(id))) })
		}
	}
}

// stepped tells that this node has stepped out, and when it is back.
func (w *watch) stepped(log *slog.Logger, b *belief) {
	if w.out == b.out {
		return
	}
	if w.out = b.out; w.out == in {
		w.later(func() { log.Info("this node is back among the others") })
		return
	}
	why := string(b.out)
	w.later(func() {
		log.Warn("this node has stepped out until its network is mended, and sends its clients to the others", slog.String("why", why))
	})
}

// stranger tells of a node whose protocol we do not speak.
func (w *watch) stranger(log *slog.Logger, h *beat) {
	if w.foreign[h.ID] == h.Protocol {
		return
	}
	w.foreign[h.ID] = h.Protocol
	w.later(func() {
		log.Error("a node speaks another protocol between nodes and is not taken in; run releases that go together",
			slog.String("node", string(h.ID)), slog.String("version", h.Version),
			slog.Int("protocol", h.Protocol), slog.Int("ours", protocol))
	})
}

// broken tells of a node whose heartbeats cannot be read.
func (w *watch) broken(log *slog.Logger, from NodeID) {
	if w.garbled[from] {
		return
	}
	w.garbled[from] = true
	w.later(func() {
		log.Error("a node sends heartbeats that cannot be read and is not taken in", slog.String("node", string(from)))
	})
}

// logChange says who came and who went between two views.
func logChange(log *slog.Logger, before, after *View) {
	if before.Digest == after.Digest {
		return
	}
	for _, m := range after.Members {
		if was, ok := before.Member(m.ID); !ok || was.Incarnation != m.Incarnation {
			log.Info("a node joined", slog.String("node", string(m.ID)), slog.String("version", m.Version))
		}
	}
	for _, m := range before.Members {
		if _, ok := after.Member(m.ID); !ok {
			log.Info("a node is gone", slog.String("node", string(m.ID)))
		}
	}
}

// tableRead tells when the node table cannot be read, and when it can again.
func (w *watch) tableRead(n *Node, err error) {
	switch {
	case n.ctx.Err() != nil:
	case err != nil && !w.unread:
		w.unread = true
		n.cfg.Logger.Warn("the node table cannot be read; this node does not trust its memory until it can", slog.Any("err", err))
	case err == nil && w.unread:
		w.unread = false
		n.cfg.Logger.Info("the node table can be read again")
	}
}

// Status is a node for its operators to look at.
type Status struct {
	Self      NodeID         `json:"self"`
	Term      uint64         `json:"term"`   // 0: not settled
	Tenure    uint64         `json:"tenure"` // see View
	Why       string         `json:"why,omitempty"`
	Announced bool           `json:"announced"`
	TableAge  time.Duration  `json:"table_age"` // since the node table was read; negative: never
	Members   []MemberStatus `json:"members"`
}

// MemberStatus is one member as a node sees it.
type MemberStatus struct {
	Member
	Load    float64       `json:"load"`
	Heard   time.Duration `json:"heard"`  // ago; 0 for the node itself
	Clock   time.Duration `json:"clock"`  // how far its clock is ahead of this node's
	Agrees  bool          `json:"agrees"` // sees the same members
	Skewed  bool          `json:"skewed"` // its clock is worth a look
	InTable bool          `json:"in_table"`
}

// Status returns how this node sees the cluster, and in a sentence why it is
// not settled.
func (n *Node) Status() Status {
	n.note(func(at time.Duration, b *belief) { b.lapse(at) })
	announced := n.Announced()
	n.mu.Lock()
	defer n.mu.Unlock()
	b, at := n.belief, n.since()
	s := Status{Self: n.cfg.ID, Term: b.view.Term, Tenure: b.view.Tenure, Why: b.why, Announced: announced, TableAge: -1}
	if b.table.read.set {
		s.TableAge = at - b.table.read.at
	}
	for _, m := range b.view.Members {
		state := MemberStatus{Member: m, Load: b.load, Agrees: true, InTable: b.table.alive[m.ID] == m.Incarnation}
		if p := b.peers[m.ID]; p != nil {
			state.Load, state.Heard, state.Clock = p.load, at-p.heard, p.offset
			state.Agrees, state.Skewed = p.digest == b.view.Digest, n.watch.skewed[m.ID]
		}
		s.Members = append(s.Members, state)
	}
	return s
}
