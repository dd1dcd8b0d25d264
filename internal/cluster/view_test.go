package cluster_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

func view(members ...cluster.Member) *cluster.View {
	for i := range members {
		if members[i].Weight == 0 {
			members[i].Weight = 8
		}
	}
	return cluster.NewView(1, 1, members, parley.Shards)
}

func nodes(n int) []cluster.Member {
	var members []cluster.Member
	for i := range n {
		members = append(members, cluster.Member{ID: cluster.NodeID(fmt.Sprintf("node-%d", i))})
	}
	return members
}

func owned(v *cluster.View) map[cluster.NodeID]int {
	count := make(map[cluster.NodeID]int)
	for s := range parley.Shards {
		count[v.Owners(s)[0]]++
	}
	return count
}

// TestOwnersAreForEver pins the hash: nodes of two releases must agree.
func TestOwnersAreForEver(t *testing.T) {
	v := view(nodes(3)...)
	for shard, want := range map[int]string{
		0: "[node-2 node-1 node-0]", 1: "[node-1 node-2 node-0]", 2: "[node-2 node-1 node-0]", 4095: "[node-2 node-1 node-0]",
	} {
		if got := fmt.Sprint(v.Owners(shard)); got != want {
			t.Errorf("shard %d: %s, want %s", shard, got, want)
		}
	}
}

// TestBalance: equal nodes own about as much. With 4,096 shards chance alone
// makes a tenth of them uneven by 5 %; the bounds are three times that.
func TestBalance(t *testing.T) {
	for n, bound := range map[int]float64{3: 0.07, 10: 0.15} {
		fair := float64(parley.Shards) / float64(n)
		for id, got := range owned(view(nodes(n)...)) {
			if math.Abs(float64(got)-fair) > bound*fair {
				t.Errorf("of %d nodes %s owns %d shards, %.0f would be fair", n, id, got, fair)
			}
		}
	}
	members := nodes(3)
	members[0].Weight = 4
	for id, got := range owned(view(members...)) {
		fair := float64(parley.Shards) * 8 / 20
		if id == "node-0" {
			fair /= 2
		}
		if math.Abs(float64(got)-fair) > fair/10 {
			t.Errorf("%s owns %d shards, %.0f would be fair", id, got, fair)
		}
	}
}

// TestRemovalMovesLittle kills a ring in which others' shards move as well.
func TestRemovalMovesLittle(t *testing.T) {
	members := nodes(5)
	before, after := view(members...), view(slices.Delete(slices.Clone(members), 2, 3)...)
	for s := range parley.Shards {
		was := before.Owners(s)
		if was[0] != "node-2" && after.Owners(s)[0] != was[0] {
			t.Fatalf("shard %d went from %s to %s", s, was[0], after.Owners(s)[0])
		}
		if was[0] == "node-2" && after.Owners(s)[0] != was[1] {
			t.Fatalf("shard %d went to %s and not to the standby %s", s, after.Owners(s)[0], was[1])
		}
	}
}

func TestDrainingOwnsLast(t *testing.T) {
	members := nodes(3)
	members[1].Draining = true
	v := view(members...)
	for s := range parley.Shards {
		if o := v.Owners(s); len(o) != 3 || o[2] != "node-1" {
			t.Fatalf("shard %d: %v", s, o)
		}
	}
	members[0].Draining, members[2].Draining = true, true
	if got := owned(view(members...)); len(got) != 3 {
		t.Errorf("when all drain, %v own", got)
	}
}

func TestDigest(t *testing.T) {
	base := cluster.Member{ID: "a", Incarnation: 1, Weight: 8}
	digest := func(change func(*cluster.Member)) uint64 {
		m := base
		change(&m)
		return view(m).Digest
	}
	same := digest(func(*cluster.Member) {})
	for name, change := range map[string]func(*cluster.Member){
		"id":          func(m *cluster.Member) { m.ID = "b" },
		"incarnation": func(m *cluster.Member) { m.Incarnation = 2 },
		"weight":      func(m *cluster.Member) { m.Weight = 7 },
		"draining":    func(m *cluster.Member) { m.Draining = true },
	} {
		if digest(change) == same {
			t.Errorf("the digest does not see the %s", name)
		}
	}
	if digest(func(m *cluster.Member) { m.URL = "https://x" }) != same {
		t.Error("the digest sees what does not decide who owns")
	}
}

// TestHeld kills a shard that counts as held although it was another's for a
// moment, or this node was not in the node table; and a settled view that is
// forgotten because it was short.
func TestHeld(t *testing.T) {
	members := func(draining bool) []cluster.Member {
		return []cluster.Member{{ID: "a", Weight: 8, Draining: draining}, {ID: "b", Weight: 8}}
	}
	var last *cluster.View
	see := func(term, tenure uint64, draining bool) *cluster.View {
		last = cluster.NewView(term, tenure, members(draining), 64).Follow("a", last)
		return last
	}
	first := see(0, 1, false)
	mine, other := -1, -1
	for s := range 64 {
		if first.Owners(s)[0] == "a" {
			mine = s
		} else {
			other = s
		}
	}
	if first.Held(mine) == 0 || first.Held(other) != 0 {
		t.Fatalf("held as %d and %d", first.Held(mine), first.Held(other))
	}
	for what, v := range map[string]*cluster.View{"settled": see(1, 1, false), "not settled": see(0, 1, false), "settled again": see(2, 1, false)} {
		if v.Held(mine) != first.Held(mine) {
			t.Errorf("%s: a shard that was owned all the while is held as %d, was %d", what, v.Held(mine), first.Held(mine))
		}
	}
	if last.Stint != 1 {
		t.Errorf("stint %d, want 1: it settled as before", last.Stint)
	}
	see(0, 1, true)
	back := see(3, 1, false)
	if back.Held(mine) == 0 || back.Held(mine) == first.Held(mine) {
		t.Errorf("a shard that went and came back is held as %d, was %d", back.Held(mine), first.Held(mine))
	}
	if back.Stint != 1 {
		t.Errorf("stint %d, want 1: it was settled in nothing else", back.Stint)
	}
	see(4, 1, true)
	if again := see(5, 1, false); again.Stint != 3 {
		t.Errorf("stint %d, want 3: it settled elsewhere and here again", again.Stint)
	}
	was := last.Held(mine)
	if left := see(0, 2, false); left.Held(mine) == was {
		t.Error("held all the while, by a node that was not in the node table all the while")
	}
}
