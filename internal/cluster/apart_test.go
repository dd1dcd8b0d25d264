package cluster_test

import (
	"slices"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/cluster"
)

// TestCutBus cuts the bus in every shape while all nodes reach the store. It
// kills a cluster that waits for it: within twelve seconds those who all hear each
// other own everything, the others have no terms and know that they are out,
// and soon after the bus is whole all are back. The control shows the wait.
func TestCutBus(t *testing.T) {
	all := []cluster.NodeID{"a", "b", "c", "d"}
	for name, c := range map[string]struct {
		fault string
		nodes int
		cut   [][2]cluster.NodeID // from, to
		left  []cluster.NodeID
	}{
		"one of two does not hear":         {"", 2, [][2]cluster.NodeID{{"a", "b"}}, all[:1]},
		"two of two do not hear":           {"", 2, [][2]cluster.NodeID{{"a", "b"}, {"b", "a"}}, all[:1]},
		"the first of three is cut off":    {"", 3, [][2]cluster.NodeID{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "a"}}, all[1:3]},
		"the first of three is not heard":  {"", 3, [][2]cluster.NodeID{{"a", "b"}, {"a", "c"}}, all[1:3]},
		"the last of three does not hear":  {"", 3, [][2]cluster.NodeID{{"a", "c"}, {"b", "c"}}, all[:2]},
		"two of three hear only the third": {"", 3, [][2]cluster.NodeID{{"a", "c"}, {"c", "a"}}, all[:2]},
		"two and two": {"", 4, [][2]cluster.NodeID{
			{"a", "c"}, {"c", "a"}, {"a", "d"}, {"d", "a"}, {"b", "c"}, {"c", "b"}, {"b", "d"}, {"d", "b"},
		}, all[:2]},
		"without the rule": {"apart", 3, [][2]cluster.NodeID{{"a", "c"}, {"b", "c"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.fault = c.fault
				for _, id := range all[:c.nodes] {
					w.join(id)
				}
				w.settled(10 * time.Second)
				for _, way := range c.cut {
					w.hub.Cut(way[0], way[1])
				}
				w.run(12 * time.Second)
				for _, id := range all[:c.nodes] {
					n, among := w.procs[id].node, slices.Contains(c.left, id)
					if (n.View().Term != 0) != among || n.Out() == among && c.left != nil {
						t.Errorf("%s, out: %t, %+v", id, n.Out(), n.Status())
					}
				}
				w.hub.Mend()
				w.settled(10 * time.Second)
			})
		})
	}
}

// TestNobodyStepsOutForTheDead kills a survivor that takes a neighbour's death
// for a cut, and a node that does so when it wakes up.
func TestNobodyStepsOutForTheDead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.join("a")
		b := w.join("b")
		never := func(d time.Duration) {
			t.Helper()
			for range d / (50 * time.Millisecond) {
				if w.run(50 * time.Millisecond); b.Out() {
					t.Fatalf("%+v", b.Status())
				}
			}
		}
		for _, pause := range []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond} {
			w.settled(10 * time.Second)
			w.run(pause)
			w.kill("a")
			never(8 * time.Second)
			w.settled(time.Second)
			w.join("a")
		}
		for _, id := range []cluster.NodeID{"a", "b"} {
			w.settled(10 * time.Second)
			w.freeze(id)
			w.run(12 * time.Second)
			w.thaw(id)
			never(8 * time.Second)
		}
	})
}

// TestNeverWhole has a cut that is mended for two seconds of every five. It
// kills a node that comes back with the first heartbeat it hears: the others
// would lose their terms each time.
func TestNeverWhole(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, id := range []cluster.NodeID{"a", "b", "c"} {
			w.join(id)
		}
		w.settled(10 * time.Second)
		a := w.procs["a"].node
		w.hub.Isolate("c")
		w.run(10 * time.Second)
		for range 5 {
			w.hub.Mend()
			w.run(2 * time.Second)
			w.hub.Isolate("c")
			for range 60 {
				if w.run(50 * time.Millisecond); a.View().Term == 0 || len(a.View().Members) != 2 {
					t.Fatalf("%+v", a.Status())
				}
			}
		}
	})
}
