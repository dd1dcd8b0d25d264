package cluster

import (
	"maps"
	"slices"
	"time"
)

// A bus may be cut while the store is reachable: each side sees the other
// alive in the node table, and nobody can settle. So every row says whom its
// node hears, and all nodes compute from the rows who goes on: company, a set
// of nodes that all hear each other. Who is not in it for a while steps out.
// That readers of different moments may disagree costs time, and no promise:
// who is out has no terms and is not announced.

// compare takes note of what a reading of the node table, asked for at begun,
// says about who hears whom. Who has been apart for long enough steps out, and
// has its row removed, so that the others need not wait until it is stale. It
// is over with the next write of the row; see mayWrite.
func (b *belief) compare(begun, at time.Duration) {
	hears := b.table.hears
	_, own := hears[b.self.ID]
	b.apart.hold(at, own && !slices.Contains(company(hears), b.self.ID))
	b.whole.hold(at, b.hearsAll())
	if b.apart.heldFor(begun, b.cfg.fresh()) && b.out == in && !b.cfg.seeded.noApart {
		b.stepOut(at, unheard)
	}
}

// hearsAll reports whether this node and each one alive in the node table hear
// each other.
func (b *belief) hearsAll() bool {
	for id := range b.table.alive {
		if id == b.self.ID {
			continue
		}
		of, lately := b.table.hears[id]
		if b.peers[id] == nil || lately && !hasHeard(of, b.self.ID) {
			return false
		}
	}
	return true
}

// heard returns the nodes that this node hears, by id.
func (b *belief) heard() []NodeID {
	return slices.AppendSeq(make([]NodeID, 0, len(b.peers)), maps.Keys(b.peers))
}

// company returns nodes that all hear each other, by id. Of those that some do
// not, the one that is mutual with the fewest goes first, of equals the one
// with the greatest id. The result is what everybody computes from the same
// rows; that it is always the greatest such set is not certain, but it is when
// one part of a cluster is cut off from the rest.
func company(hears map[NodeID][]NodeID) []NodeID {
	left := slices.Sorted(maps.Keys(hears))
	for len(left) > 1 {
		worst, fewest := 0, len(left)
		for i, a := range left {
			mutual := 0
			for _, b := range left {
				if a != b && hasHeard(hears[a], b) && hasHeard(hears[b], a) {
					mutual++
				}
			}
			if mutual <= fewest {
				worst, fewest = i, mutual
			}
		}
		if fewest == len(left)-1 {
			break
		}
		left = slices.Delete(left, worst, worst+1)
	}
	return left
}

// hasHeard reports whether a row says that its node hears id. An older
// release's says nothing, which is taken for yes.
func hasHeard(hears []NodeID, id NodeID) bool { return hears == nil || slices.Contains(hears, id) }
