package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store"
)

var (
	clustersFlag = flag.Int("sim.clusters", defaultSeeds/10, "how many worlds of three nodes TestClusters tries")
	clusterFlag  = flag.Int64("sim.cluster", 0, "the one world of three nodes that TestClusters tries")
)

// liveCluster runs one world in a bubble and judges it.
func liveCluster(t *testing.T, cfg ClusterConfig) (o lived) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		var f *Final
		o.history, f, o.err = NewClusterWorld(cfg).Run(t.Context())
		if o.err == nil {
			o.found = Check(o.history, f, Rules{})
		}
	})
	o.acked, o.resends = o.history.Acked()
	return o
}

// TestClusters is T1 for three nodes, and T17 without real processes. It kills
// memory that is believed when another node may have written, an ack that
// nobody can see yet, and inboxes that are lost with the node that noted them.
func TestClusters(t *testing.T) {
	first, last := int64(1), int64(*clustersFlag)
	if testing.Short() {
		last = min(last, 5)
	}
	if *clusterFlag != 0 {
		first, last = *clusterFlag, *clusterFlag
	}
	acked, resends := 0, 0
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := liveCluster(t, ClusterConfig{Seed: seed})
			if o.err != nil {
				t.Error(o.err)
			}
			for _, f := range o.found {
				t.Error(f)
			}
			if t.Failed() {
				t.Logf("make this world again with: go test ./internal/sim -run TestClusters -sim.cluster=%d", seed)
				keep(t, o.history)
			}
			acked, resends = acked+o.acked, resends+o.resends
		})
	}
	n := int(last - first + 1)
	t.Logf("%d worlds of three nodes: %d acked, %d resends", n, acked, resends)
	if acked < 300*n || resends < 20*n {
		t.Errorf("too little happened to prove anything: want 300 acked and 20 resends a world")
	}
}

// TestSeededClusterFaultsAreCaught lives a few worlds of three nodes with each
// fault, and dies when the checker lets one pass. (What no sweep leaves behind
// the next message repairs; package peer has that fault's test.)
func TestSeededClusterFaultsAreCaught(t *testing.T) {
	const worlds = 12
	for _, fault := range []struct {
		name     string
		wrap     func() func(store.Store) store.Store
		restless bool // see seededFaults
	}{
		{"no dedupe row", func() func(store.Store) store.Store { return noDedupe }, false},
		{"a stale head from a replica", func() func(store.Store) store.Store {
			return (&staleHead{written: map[parley.ConversationID]map[parley.Seq]parley.Entry{}}).wrap
		}, true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for seed := int64(1); seed <= worlds; seed++ {
				wrap := fault.wrap()
				o := liveCluster(t, ClusterConfig{Seed: seed, Wrap: func(_ cluster.NodeID, s store.Store) store.Store { return wrap(s) }})
				if len(o.found) > 0 || fault.restless && o.err != nil && strings.Contains(o.err.Error(), "still send or fetch") {
					t.Logf("world %d: %v %v", seed, o.err, o.found[:min(1, len(o.found))])
					return
				}
			}
			t.Errorf("nothing was noticed in %d worlds", worlds)
		})
	}
}
