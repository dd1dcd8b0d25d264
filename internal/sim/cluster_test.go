package sim

import (
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	o.count()
	return o
}

// TestClusters is T1 for three nodes, and T17 without real processes. It kills
// memory that is believed when another node may have written, an ack that
// nobody can see yet, and inboxes that are lost with the node that noted them.
func TestClusters(t *testing.T) {
	if testing.Short() {
		*clustersFlag = min(*clustersFlag, 5)
	}
	const acked, resends = 300, 20
	var sum tally
	one := func(seed int64) {
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
			sum.add(o.tally())
		})
	}
	if *clusterFlag != 0 {
		one(*clusterFlag)
		sum.proves(t, acked, resends)
		return
	}
	all, share, whole := inParts(t, fmt.Sprintf("-sim.clusters=%d", *clustersFlag), "-sim.history="+*fileFlag)
	if whole {
		all.proves(t, acked, resends)
		return
	}
	for seed := int64(1); seed <= int64(*clustersFlag); seed++ {
		if share.has(seed) {
			one(seed)
		}
	}
	t.Log(sum)
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

// TestCutFromStore has one of three nodes lose the store while the others hear
// it. It kills a cluster that waits for it: see cutOne.
func TestCutFromStore(t *testing.T) {
	cutOne(t, 2, 10*time.Second, func(_ *ClusterWorld, n *clusterNode) { n.cut.Store(true) })
}

// TestCutFromOthers has one of three nodes lose the others, while all reach the
// store. It kills a cluster that waits for it, and a node that keeps the clients
// it cannot serve: all devices are at the others in the end.
func TestCutFromOthers(t *testing.T) {
	cutOne(t, 3, 16*time.Second, func(w *ClusterWorld, n *clusterNode) { w.hub.Isolate(n.id) })
}

// cutOne cuts one of three nodes off. Devices talk to the first so many at
// first, and call only the other two shortly before the end, as a proxy has them.
// Then everybody signs in, syncs from nothing and sends, also those whose
// inboxes and conversations that node had; when the cut is over the checker
// looks at what everybody has.
func cutOne(t *testing.T, called int, within time.Duration, cut func(*ClusterWorld, *clusterNode)) {
	bubble(t, func(t *testing.T) {
		calls := atomic.Int64{}
		calls.Store(int64(called))
		w := NewClusterWorld(ClusterConfig{Seed: 1, Sends: 1})
		defer func() {
			if err := w.end(); err != nil {
				t.Error(err)
			}
		}()
		for _, n := range w.nodes {
			if err := w.start(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		pause(t.Context(), 10*time.Second)
		cfg := w.cast()
		cfg.Dial = func(device string) Dialer {
			return func(ctx context.Context) (net.Conn, error) {
				return w.nodes[w.dice.intn(int(calls.Load()))].net.Dial(ctx, device)
			}
		}
		var err error
		if w.party, err = NewParty(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		live, stop := context.WithCancel(t.Context())
		for n := range w.party.Devices {
			w.party.Live(live, n, 0)
		}
		pause(t.Context(), 5*time.Second)
		cut(w, w.nodes[2])
		pause(t.Context(), within-2*time.Second)
		calls.Store(2)
		pause(t.Context(), 2*time.Second)
		if left := w.nodes[2].net.open(); left != 0 {
			t.Errorf("%d connections to a node that cannot serve them", left)
		}

		soon, done := context.WithTimeout(t.Context(), 5*time.Second)
		for _, d := range w.party.Devices {
			for _, c := range d.Conversations() {
				if result, code := d.Say(soon, c); result != OK {
					t.Errorf("%s sends: %s %s", d.cfg.Name, result, code)
				}
			}
		}
		if _, err := w.party.Final(soon); err != nil {
			t.Error(err)
		}
		done()
		first := len(w.rec.History()) // the fresh devices of the end have the same names
		w.heal()
		pause(t.Context(), 15*time.Second)
		for _, d := range w.party.Devices {
			d.Hush()
		}
		rest, done := context.WithTimeout(t.Context(), time.Minute)
		if restless := w.party.Rest(rest); len(restless) > 0 {
			t.Errorf("still send or fetch: %v", restless)
		}
		w.party.Agree(rest)
		done()
		stop()
		w.party.Wait()
		f, err := w.party.Final(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h := slices.DeleteFunc(w.rec.History()[:first], func(o Op) bool { return strings.HasPrefix(o.Device, "fresh-") })
		for _, found := range Check(append(h, w.rec.History()[first:]...), f, Rules{}) {
			t.Error(found)
		}
	})
}
