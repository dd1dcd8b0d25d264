package cluster_test

import (
	"testing"
	"time"

	"github.com/parley-im/parley/internal/cluster"
)

// TestCutFromStore has one of three nodes lose the store while the others hear
// it. It kills a cluster that waits for it: within eight seconds the others own
// everything, the node itself sends to them what it is asked, and when it
// reaches the store again it is back. The control shows the wait.
func TestCutFromStore(t *testing.T) {
	for fault, settles := range map[string]bool{"": true, "step": false} {
		t.Run("without "+fault, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.fault = fault
				for _, id := range []cluster.NodeID{"a", "b", "c"} {
					w.join(id)
				}
				w.settled(10 * time.Second)
				a, c := w.procs["a"].node, w.procs["c"].node
				w.setStore(w.procs["c"], true, 0)
				w.run(8 * time.Second)
				if got := a.View().Term != 0; got != settles {
					t.Fatalf("the others are settled: %t; %+v", got, a.Status())
				}
				if !settles {
					return
				}
				for s := range shards {
					if got, want := c.View().Owners(s)[0], a.View().Owners(s)[0]; got != want || got == "c" {
						t.Fatalf("shard %d is of %s for the node cut off, of %s for the others", s, got, want)
					}
				}
				w.run(2 * time.Second)
				if !c.Out() || a.Out() {
					t.Error("clients are not sent to those who can serve them")
				}
				if c.View().Term != 0 || c.Announced() {
					t.Error("a node that does not reach the store believes")
				}
				w.setStore(w.procs["c"], false, 0)
				w.settled(12 * time.Second)
			})
		})
	}
}

// TestNowAndThen has a node reach the store for a second in every four. It
// kills a node that comes back with the first write: it would own what it cannot
// serve.
func TestNowAndThen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, id := range []cluster.NodeID{"a", "b", "c"} {
			w.join(id)
		}
		w.settled(10 * time.Second)
		c, a := w.procs["c"], w.procs["a"].node
		w.setStore(c, true, 0)
		w.run(8 * time.Second)
		for range 10 {
			w.setStore(c, false, 0)
			w.run(1200 * time.Millisecond)
			w.setStore(c, true, 0)
			w.run(2800 * time.Millisecond)
			if a.View().Term == 0 || len(a.View().Members) != 2 {
				t.Fatalf("%+v", a.Status())
			}
		}
	})
}

// TestCutFromAll has a node lose the store and the others. It kills a node that
// keeps its clients, and one that is alone by right and sends them away.
func TestCutFromAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.join("a")
		w.settled(10 * time.Second)
		w.setStore(w.procs["a"], true, 0)
		w.run(20 * time.Second)
		if a.Out() {
			t.Errorf("who is alone steps out: %+v", a.Status())
		}
		w.setStore(w.procs["a"], false, 0)
		w.join("b")
		c := w.join("c")
		w.settled(10 * time.Second)
		w.setStore(w.procs["c"], true, 0)
		w.hub.Isolate("c")
		w.run(6 * time.Second)
		if !c.Out() {
			t.Errorf("%+v", c.Status())
		}
		if w.run(4 * time.Second); a.View().Term == 0 || a.Out() {
			t.Errorf("%+v", a.Status())
		}
		w.setStore(w.procs["c"], false, 0)
		w.run(6 * time.Second)
		if a.View().Term == 0 || !c.Out() {
			t.Errorf("it reaches the store again, and nobody hears it: %+v", c.Status())
		}
		w.hub.Mend()
		w.settled(12 * time.Second)
	})
}

// TestStoreGone: where nobody reaches the store, nobody steps out, and all are
// settled soon after it is back.
func TestStoreGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, id := range []cluster.NodeID{"a", "b", "c"} {
			w.join(id)
		}
		w.settled(10 * time.Second)
		w.each(func(p *process) { p.lost = true })
		w.run(30 * time.Second)
		if got := len(w.procs["a"].node.View().Members); got != 3 {
			t.Errorf("%d members while the store is out of reach of all", got)
		}
		w.each(func(p *process) { p.lost = false })
		w.settled(8 * time.Second)
	})
}
