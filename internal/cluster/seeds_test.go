package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/cluster"
)

// torment lets a world turn for a minute and more while everything happens to
// it that can, and returns the first violation of the invariant.
func torment(w *world, seed uint64) string {
	rng := rand.New(rand.NewPCG(seed, 1))
	names := []cluster.NodeID{"a", "b", "c", "d"}[:2+rng.IntN(3)]
	for _, id := range names {
		w.start(id)
	}
	w.run(time.Duration(5+rng.IntN(3)) * time.Second)
	for end := time.Now().Add(75 * time.Second); time.Now().Before(end) && w.bad == ""; {
		w.harm(rng, names)
		w.run(time.Duration(50+rng.IntN(4000)) * time.Millisecond)
	}
	if w.bad != "" {
		return w.bad
	}
	w.heal()
	for _, id := range names {
		if w.procs[id] == nil {
			w.start(id)
		}
	}
	w.run(time.Second)
	if w.fault == "" { // a fault may also keep nodes from settling
		w.settled(25 * time.Second)
	}
	return w.bad
}

// harm does one thing to the world.
func (w *world) harm(rng *rand.Rand, names []cluster.NodeID) {
	id, other := names[rng.IntN(len(names))], names[rng.IntN(len(names))]
	p := w.procs[id]
	switch what := rng.IntN(16); {
	case what == 0:
		w.heal()
	case p == nil:
		w.start(id)
	case what == 1:
		w.hub.Cut(id, other)
	case what == 2:
		w.hub.Isolate(id)
	case what == 3:
		w.hub.Mend()
	case what == 4:
		w.hub.Fault(0.3*rng.Float64(), 0.3*rng.Float64(), 300*time.Millisecond)
	case what == 5:
		w.hub.Fault(0, 0, 4*time.Second)
	case what <= 7:
		w.freeze(id)
	case what == 8:
		w.thaw(id)
	case what == 9:
		w.kill(id)
	case what == 10:
		w.setStore(p, true, 0)
	case what == 11:
		w.setStore(p, false, rng.Float64())
	case what == 12 && rng.IntN(2) == 0:
		w.each(func(p *process) { p.lost = true })
	case what == 12:
		w.each(func(q *process) { q.deaf = p == q })
	case what <= 14:
		if n := w.running()[id]; n != nil {
			n.Reweigh(1 + rng.IntN(16))
		}
	default:
		if n := w.running()[id]; n != nil {
			n.Drain()
		}
	}
}

func (w *world) setStore(p *process, lost bool, unknown float64) {
	p.mu.Lock()
	p.lost, p.unknown = lost, unknown
	p.mu.Unlock()
}

// play runs one seeded world.
func play(t *testing.T, seed uint64, fault string) (bad string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, fault)
		bad = torment(w, seed)
		w.hub.Mend()
		w.close()
	})
	return bad
}

// TestOneOwner is the invariant of the package: in no world, at no instant,
// have two nodes a term for one shard, or are settled in different views, or
// is a node announced and left out of a settled view, or sure of another view
// than one that somebody is settled in; and every world settles
// when its faults end.
func TestOneOwner(t *testing.T) {
	for seed := range uint64(worlds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if bad := play(t, seed, ""); bad != "" {
				t.Error(bad)
			}
		})
	}
}

// TestOneOwnerFindsFaults shows that the worlds above can fail: each rule that
// a settled view rests on, left out, gives a shard two owners.
func TestOneOwnerFindsFaults(t *testing.T) {
	for fault, likely := range map[string]uint64{ // a seed that is known to find it
		"digest":    32, // members may see different members
		"table":     0,  // a cut cluster settles on both sides
		"announced": 2,  // who is not in the table for long enough counts as announced
		"clock":     7,  // a frozen node believes what it believed before
		"turned":    0,  // a view that has just changed counts as everybody's
	} {
		t.Run(fault, func(t *testing.T) {
			for i := range uint64(150) {
				if play(t, likely+i, fault) != "" {
					t.Logf("found by seed %d", likely+i)
					return
				}
			}
			t.Error("no world found the fault")
		})
	}
}
