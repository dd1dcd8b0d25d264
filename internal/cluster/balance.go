package cluster

import (
	"math"
	"time"
)

// Rebalancing by load. A node that carries much more than its share for a
// while lowers its own weight by one, and raises it again when it carries much
// less. In the whole cluster one node at a time does so, and then everybody
// waits: a change moves sessions, and its effect shows only when they moved.
const (
	crowded   = 1.5         // of the mean load: too much
	idle      = 0.75        // of the mean load: too little
	patience  = time.Minute // how long, and how long between two changes
	minWeight = defaultWeight / 2
)

// scale is one node's weight over time.
type scale struct {
	configured int
	seen       map[NodeID]int // the weights at the last look
	moved      time.Duration  // when any weight changed last
	over       mark           // since when this node carries too much
	under      mark           // since when too little
}

func newScale(configured int) scale { return scale{configured: configured} }

// share is what one member carries.
type share struct {
	id       NodeID
	weight   int
	load     float64
	draining bool
}

// weigh returns the weight that self should have now, given what all members
// carry. It is to be called regularly.
func (s *scale) weigh(at time.Duration, self NodeID, all []share) int {
	seen := make(map[NodeID]int, len(all))
	var mine share
	var sum, most float64
	least, n := math.Inf(1), 0
	for _, m := range all {
		seen[m.id] = m.weight
		if was, known := s.seen[m.id]; !known || was != m.weight {
			s.moved = at
		}
		if m.id == self {
			mine = m
		}
		if !m.draining {
			sum, n = sum+m.load, n+1
			most, least = max(most, m.load), min(least, m.load)
		}
	}
	if len(seen) < len(s.seen) {
		s.moved = at
	}
	s.seen = seen
	if n < 2 || mine.draining || sum == 0 {
		s.over, s.under = mark{}, mark{}
		return mine.weight
	}
	mean := sum / float64(n)
	s.over.hold(at, mine.load > crowded*mean && mine.load == most)
	s.under.hold(at, mine.load < idle*mean && mine.load == least)
	switch patient := at-s.moved >= patience; {
	case patient && s.over.heldFor(at, patience) && mine.weight > min(minWeight, s.configured):
		return mine.weight - 1
	case patient && s.under.heldFor(at, patience) && mine.weight < s.configured:
		return mine.weight + 1
	}
	return mine.weight
}

// hold keeps the moment since when something has been so.
func (m *mark) hold(at time.Duration, so bool) {
	if !so {
		*m = mark{}
	} else if !m.set {
		*m = mark{at, true}
	}
}

func (m *mark) heldFor(at, d time.Duration) bool { return m.set && at-m.at >= d }

// SetLoad says how much this node carries, in a unit that all nodes share.
// Negative loads and those that are not numbers count as 0.
func (n *Node) SetLoad(load float64) {
	if !(load > 0) || math.IsInf(load, 1) {
		load = 0
	}
	n.note(func(_ time.Duration, b *belief) { b.load = load })
}

// rebalance changes this node's weight when it carries too much or too little.
// n.mu is held.
func (n *Node) rebalance(at time.Duration, b *belief) {
	all := make([]share, 0, len(b.view.Members))
	for _, m := range b.view.Members {
		load := b.load
		if p := b.peers[m.ID]; p != nil {
			load = p.load
		}
		all = append(all, share{m.ID, m.Weight, load, m.Draining})
	}
	if w := n.scale.weigh(at, b.self.ID, all); w != b.self.Weight {
		b.change(at, func(m *Member) { m.Weight = w })
	}
}
