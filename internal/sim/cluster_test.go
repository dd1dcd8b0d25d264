package sim

import (
	"flag"
	"fmt"
	"testing"
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
