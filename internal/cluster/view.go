package cluster

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
)

// NodeID names a node: 1 to 32 of a-z 0-9 -.
type NodeID string

// Member is one node as its heartbeats describe it.
type Member struct {
	ID          NodeID
	Incarnation uint64 // one start of the node; a later one is greater
	URL         string // where clients reach it; may be empty
	Route       string // where other nodes' buses reach it
	Version     string
	Weight      int // 1 to 16: its share of the shards beside the others'
	Draining    bool
}

// View is who is alive, as one node believes at one moment. It is immutable.
type View struct {
	// Term is greater with each settlement of this node, and 0 while the view
	// is not settled.
	Term uint64
	// Tenure is greater when this node may have been left out of a settled
	// view in between: it was not in the node table for a while.
	Tenure uint64
	// Digest names the members, their incarnations, weights and who drains.
	Digest uint64
	// Members is the nodes alive, this one among them, by id.
	Members []Member
	// Stint is greater than in an earlier view when this node settled in
	// between in other members or with another tenure, however briefly.
	Stint uint64

	owners  [][]NodeID // by shard
	number  uint64     // of this node's views
	held    []uint64   // by shard; see Held
	settled [2]uint64  // digest and tenure of the last settled view
}

// Held is not 0 while this node owns the shard. It is the same as in an
// earlier view of this node if it owned the shard in every view since, settled
// or not, and was in the node table all the while ([Node.Announced]): then no
// other node had a term for it since.
func (v *View) Held(shard int) uint64 {
	if v.held == nil {
		return 0
	}
	return v.held[shard]
}

// Follow makes v the view of node self that comes after another; nil: the
// first. It is called before anybody else sees v.
func (v *View) Follow(self NodeID, last *View) *View {
	if last == nil {
		last = new(View)
	}
	v.number, v.Stint, v.settled = last.number+1, last.Stint, last.settled
	if now := [2]uint64{v.Digest, v.Tenure}; v.Term != 0 && (v.Stint == 0 || now != v.settled) {
		v.Stint, v.settled = v.Stint+1, now
	}
	if v.Digest == last.Digest && v.Tenure == last.Tenure && last.held != nil {
		v.held = last.held // the owners are the same
		return v
	}
	v.held = make([]uint64, len(v.owners))
	for s := range v.owners {
		switch {
		case v.owners[s][0] != self:
		case last.Held(s) != 0 && v.Tenure == last.Tenure:
			v.held[s] = last.held[s]
		default:
			v.held[s] = v.number
		}
	}
	return v
}

// Member returns a member by its id.
func (v *View) Member(id NodeID) (Member, bool) {
	i, ok := slices.BinarySearchFunc(v.Members, id, func(m Member, id NodeID) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}

// Owners returns the members in the order in which they own a shard: the
// first owns it, the second would without it. Members that drain come last.
// The slice is the view's own.
func (v *View) Owners(shard int) []NodeID {
	if v.owners == nil {
		return nil
	}
	return v.owners[shard]
}

// ring orders the members for every shard, by rendezvous hashing: each node
// draws as many lots for a shard as it weighs, and its greatest lot is its
// rank. Lots are integers, so that all machines agree.
func ring(members []Member, shards int) [][]NodeID {
	n := len(members)
	seeds, best, order := make([]uint64, n), make([]uint64, n), make([]int, n)
	for i, m := range members {
		h := fnv.New64a()
		_, _ = h.Write([]byte(m.ID)) // a hash does not fail
		seeds[i] = h.Sum64()
	}
	owners, flat := make([][]NodeID, shards), make([]NodeID, 0, shards*n)
	for s := range owners {
		for i, m := range members {
			order[i], best[i] = i, 0
			for lot := range m.Weight {
				best[i] = max(best[i], mix(seeds[i]^mix(uint64(s)<<8|uint64(lot))))
			}
		}
		slices.SortFunc(order, func(a, b int) int {
			x, y := &members[a], &members[b]
			if x.Draining != y.Draining {
				if x.Draining {
					return 1
				}
				return -1
			}
			return cmp.Or(cmp.Compare(best[b], best[a]), cmp.Compare(x.ID, y.ID))
		})
		for _, i := range order {
			flat = append(flat, members[i].ID)
		}
		owners[s] = flat[len(flat)-n:]
	}
	return owners
}

// mix is the finaliser of splitmix64. It never changes: nodes of different
// releases must agree.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// NewView returns a view of members that is settled in that term (0: not),
// for a cluster of so many shards. The node that believes it is among them.
func NewView(term, tenure uint64, members []Member, shards int) *View {
	v := &View{Term: term, Tenure: tenure, Members: slices.Clone(members)}
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	h := fnv.New64a()
	for _, m := range v.Members {
		fmt.Fprintf(h, "%s %d %d %t\n", m.ID, m.Incarnation, m.Weight, m.Draining)
	}
	v.Digest = h.Sum64()
	v.owners = ring(v.Members, shards)
	return v
}

// with returns the view of node self that has the same members in another
// term and tenure, and comes after v.
func (v *View) with(self NodeID, term, tenure uint64) *View {
	w := *v
	w.Term, w.Tenure = term, tenure
	return w.Follow(self, v)
}
