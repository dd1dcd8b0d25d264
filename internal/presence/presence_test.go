package presence_test

import (
	"math/rand/v2"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/presence"
)

// TestStayAndGrace kills "online" of who does not stay, "offline" of who is
// back at once, a second device that counts as a change, and a last seen that
// is not the end of the last connection.
func TestStayAndGrace(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		play(t, nodes, func(t *testing.T, w *world) {
			a := w.nodes["a"]
			far := w.nodes[presence.Node('a'+rune(nodes-1))]
			s := a.session("u-s")
			s.Watch([]parley.UserID{"u-x"})
			rest(time.Second)
			if got := s.take(); s.answers != 1 || len(got) != 1 || got[0].Online {
				t.Fatalf("the answer was %+v", got)
			}
			far.arrive("u-x")
			rest(2 * time.Second)
			far.leave("u-x")
			rest(20 * time.Second)
			if got := s.take(); got != nil {
				t.Errorf("told %+v of who did not stay", got)
			}
			far.arrive("u-x")
			rest(7500 * time.Millisecond)
			if got := s.take(); len(got) != 1 || !got[0].Online || !got[0].LastSeen.IsZero() {
				t.Errorf("told %+v of who stayed", got)
			}
			a.arrive("u-x")
			rest(10 * time.Second)
			far.leave("u-x")
			rest(10 * time.Second)
			a.leave("u-x")
			rest(3900 * time.Millisecond)
			far.arrive("u-x")
			rest(20 * time.Second)
			if got := s.take(); got != nil {
				t.Errorf("told %+v of who was never away for long", got)
			}
			far.leave("u-x")
			left := time.Now()
			rest(7500 * time.Millisecond)
			got := s.take()
			if len(got) != 1 || got[0].Online {
				t.Fatalf("told %+v of who left", got)
			}
			if off := got[0].LastSeen.Sub(left); off < -time.Second || off > time.Second {
				t.Errorf("last seen %v after the end", off)
			}
			items, err := a.Of(t.Context(), "u-s", []parley.UserID{"u-x", "u-x"})
			if err != nil || len(items) != 1 || items[0].Online || !items[0].LastSeen.Equal(got[0].LastSeen) {
				t.Errorf("asked, and got %+v, %v", items, err)
			}
		})
	}
}

// TestFlapping is T18: 1,000 devices connect and disconnect for a minute. It
// kills traffic without a bound, between nodes and to a session, and presence
// that is not right within 10 s of the last change.
func TestFlapping(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		play(t, nodes, func(t *testing.T, w *world) {
			all := users(1000)
			var sessions []*session
			for i := range 9 {
				s := w.nodes[presence.Node('a'+rune(i%nodes))].session("u-s")
				s.Watch(all[i*100 : i*100+presence.MaxWatched/2])
				sessions = append(sessions, s)
			}
			rest(10 * time.Second)
			dice := rand.New(rand.NewPCG(7, uint64(nodes)))
			at := make(map[parley.UserID]*node)
			w.counted()
			for range 600 {
				for range 200 {
					u := all[dice.IntN(len(all))]
					if n := at[u]; n != nil {
						n.leave(u)
						delete(at, u)
					} else {
						n = w.nodes[presence.Node('a'+rune(dice.IntN(nodes)))]
						n.arrive(u)
						at[u] = n
					}
				}
				rest(100 * time.Millisecond)
			}
			counted := w.counted()
			for s, notes := range counted {
				// Two each tick, and what is asked for once a watch begins.
				if most := 2 * int(time.Second/presence.Tick); notes > most {
					t.Errorf("%d nodes: %d notes from %s, want %d at most", nodes, notes, s, most)
				}
			}
			if nodes > 1 && len(counted) < 300 {
				t.Errorf("%d pairs and seconds with notes; nothing was told", len(counted))
			}
			rest(10 * time.Second)
			for i, s := range sessions {
				if s.fast || s.frames > 81 {
					t.Errorf("session %d was told %d times in 80 s", i, s.frames)
				}
				for _, u := range all[i*100 : i*100+100] {
					if s.online(u) != (at[u] != nil) {
						t.Errorf("%d nodes: %s is told online=%v", nodes, u, s.online(u))
					}
				}
			}
		})
	}
}

// TestFlapsAreFew flaps one device as fast as it goes. It kills a user who
// becomes online and offline more often than once in stay and grace.
func TestFlapsAreFew(t *testing.T) {
	for _, every := range []time.Duration{100 * time.Millisecond, time.Second, 3500 * time.Millisecond, 5600 * time.Millisecond} {
		play(t, 3, func(t *testing.T, w *world) {
			s := w.nodes["a"].session("u-s")
			s.Watch([]parley.UserID{"u-x"})
			for begun := time.Now(); time.Since(begun) < 2*time.Minute; {
				w.nodes["b"].arrive("u-x")
				rest(every)
				w.nodes["b"].leave("u-x")
				rest(every)
			}
			if n, most := len(s.take()), 2+2*int(2*time.Minute/(presence.Stay+presence.Grace)); n > most {
				t.Errorf("every %v: told %d times, want %d at most", every, n, most)
			}
		})
	}
}

// deadNode kills a node with devices while others watch them, and returns
// what is wrong a minute later.
func deadNode(t *testing.T, change ...func(*presence.Config)) (err error) {
	play(t, 3, func(t *testing.T, w *world) {
		all := users(60)
		s := w.nodes["a"].session("u-s")
		s.Watch(all)
		for i, u := range all {
			w.nodes[[]presence.Node{"b", "c"}[i%2]].arrive(u)
		}
		rest(30 * time.Second)
		if err := w.check(s); err != nil || !s.online(all[0]) {
			t.Fatal("before:", err)
		}
		var there []parley.UserID
		for i := 1; i < len(all); i += 2 {
			there = append(there, all[i])
		}
		w.kill("c", there...)
		rest(time.Second)
		w.see("a", "b")
		for range 60 {
			rest(time.Second)
			if s.online(all[0]) != true {
				t.Fatal("who is connected elsewhere is told offline")
			}
		}
		err = w.check(s)
		// One who is back elsewhere is right within 10 s.
		w.nodes["b"].arrive(there[0])
		rest(10 * time.Second)
		if !s.online(there[0]) {
			t.Error("who came back elsewhere is not online")
		}
	}, change...)
	return err
}

// TestNodeDies kills a ghost: a user who is held for online more than a minute
// after the node with the device died without a word.
func TestNodeDies(t *testing.T) {
	if err := deadNode(t); err != nil {
		t.Error(err)
	}
}

// TestWithoutLeases is the control: presence without a lease is caught.
func TestWithoutLeases(t *testing.T) {
	if deadNode(t, func(c *presence.Config) { c.Lease = 24 * time.Hour }) == nil {
		t.Error("leases that do not end were not noticed")
	}
}

// TestOwnerDies kills presence that dies with the owner of the shard, and a
// new owner who says that somebody is offline because it has not heard of them
// yet.
func TestOwnerDies(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		var x parley.UserID // of c, and then of a
		for _, u := range users(1000) {
			if s := parley.ShardOfUser(u); s%3 == 2 && s%2 == 0 {
				x = u
			}
		}
		y := parley.UserID("u-y")
		s := w.nodes["a"].session("u-s")
		s.Watch([]parley.UserID{x, y})
		w.nodes["b"].arrive(x)
		rest(10 * time.Second)
		if got := s.take(); !s.online(x) {
			t.Fatalf("told %+v", got)
		}
		w.kill("c")
		w.loses(func(from, to presence.Node) bool { return from == "b" }) // its report is late
		w.see("a", "b")
		rest(3 * time.Second)
		w.loses(nil)
		w.nodes["b"].Turned()
		rest(20 * time.Second)
		if got := s.take(); got != nil {
			t.Errorf("told %+v while only the owner changed", got)
		}
		w.nodes["b"].leave(x)
		rest(10 * time.Second)
		if got := s.take(); len(got) != 1 || got[0].Online {
			t.Errorf("told %+v by the new owner", got)
		}
	})
}

// TestOwnerComesBack has the owner change and change back, and a device leave
// in between. It kills a lease that the first owner kept for the second time.
func TestOwnerComesBack(t *testing.T) {
	for _, at := range []presence.Node{"a", "b"} {
		play(t, 3, func(t *testing.T, w *world) {
			var x parley.UserID // of b, then of c
			for _, u := range users(1000) {
				if s := parley.ShardOfUser(u); s%3 == 1 && s%2 == 1 {
					x = u
				}
			}
			s := w.nodes["a"].session("u-s")
			s.Watch([]parley.UserID{x})
			w.nodes[at].arrive(x)
			rest(10 * time.Second)
			w.see("a", "c")
			rest(2 * time.Second)
			w.nodes[at].leave(x)
			rest(2 * time.Second)
			w.see("a", "b", "c")
			rest(10 * time.Second)
			if s.online(x) {
				t.Errorf("who left %s while another node was the owner is a ghost", at)
			}
		})
	}
}

// TestLostNotes loses what nodes tell each other while things change. It kills
// a subscription, a report and a change that are told once and never again.
func TestLostNotes(t *testing.T) {
	play(t, 3, func(t *testing.T, w *world) {
		x := w.ownedBy("c")
		s := w.nodes["a"].session("u-s")
		w.loses(func(_, to presence.Node) bool { return true })
		s.Watch([]parley.UserID{x})
		w.nodes["b"].arrive(x)
		rest(5 * time.Second)
		w.loses(nil)
		rest(30 * time.Second)
		if !s.online(x) {
			t.Error("what was lost was never told again")
		}
		w.loses(func(_, to presence.Node) bool { return to == "a" })
		w.nodes["b"].leave(x)
		rest(10 * time.Second)
		w.loses(nil)
		rest(20 * time.Second)
		if s.online(x) {
			t.Error("a change that was lost was never told again")
		}
	})
}
