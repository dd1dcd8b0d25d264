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

	owners [][]NodeID // by shard
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

// with returns the same members in another term and tenure.
func (v *View) with(term, tenure uint64) *View {
	w := *v
	w.Term, w.Tenure = term, tenure
	return &w
}
