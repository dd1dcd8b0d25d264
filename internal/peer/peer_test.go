package peer_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

// TestReadYourWrites says something at each node, in a conversation that
// another owns, by a user whose inbox a third owns, and syncs at each. It
// kills an ack that does not wait for the sender's inbox: rows are written
// ten seconds later here.
func TestReadYourWrites(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		for i, at := range everybody {
			begun := time.Now()
			ack := w.nodes[at].said(g, me, string(at))
			if took := time.Since(begun); took > 100*time.Millisecond {
				t.Errorf("an ack took %v while all is well", took)
			}
			if want := parley.Seq(2 + i); ack.Seq != want {
				t.Fatalf("at %s: %+v, want number %d", at, ack, want)
			}
			for _, look := range everybody {
				if got := w.nodes[look].head(me, g); got < ack.Seq {
					t.Errorf("said %d at %s; a sync at %s ends at %d", ack.Seq, at, look, got)
				}
			}
		}
	})
}

// TestLostMessages loses a fifth of the messages between nodes. It kills a
// forwarded post that is tried once, or twice with two effects.
func TestLostMessages(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		rng := rand.New(rand.NewPCG(1, 2))
		w.loses(func(cluster.NodeID, cluster.NodeID) bool { return rng.IntN(5) == 0 })
		for i, at := range everybody {
			if ack := w.nodes[at].said(g, me, string(at)); ack.Seq != parley.Seq(2+i) {
				t.Errorf("at %s: %+v, want number %d", at, ack, 2+i)
			}
		}
		w.loses(nil)
		if got := w.nodes["a"].head(you, g); got != 4 {
			t.Errorf("the other member's inbox ends at %d, want 4", got)
		}
	})
}

// TestRefusedAfterSilence loses the first answer to a post, and the second is
// a refusal. It kills one that is passed on: the first try may yet stand.
func TestRefusedAfterSilence(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		g := w.group("b", w.userAt("c", 0), w.userAt("a", 0))
		stranger := w.userAt("c", 1)
		n := 0
		w.loses(func(from, _ cluster.NodeID) bool {
			if from == "b" {
				n++
			}
			return from == "b" && n == 1
		})
		if got := <-w.nodes["a"].post(g, stranger, "m"); parley.CodeOf(got.err) != parley.Overloaded {
			t.Errorf("after a silence: %+v, want an outcome that is not known", got)
		}
		if got := <-w.nodes["a"].post(g, stranger, "m"); parley.CodeOf(got.err) != parley.NotFound {
			t.Errorf("answered at once: %+v, want a refusal", got)
		}
		w.loses(func(from, _ cluster.NodeID) bool { return from == "b" })
		time.AfterFunc(time.Second, func() { w.nodes["a"].see(0, "a") })
		if got := <-w.nodes["a"].post(g, stranger, "m"); parley.CodeOf(got.err) != parley.Overloaded {
			t.Errorf("refused here, after a silence there: %+v, want an outcome that is not known", got)
		}
	})
}

// TestDeadInboxOwner kills an ack that does not outlive the node that noted
// its row, and a gate that opens too early: c is gone, with what it had noted.
func TestDeadInboxOwner(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		ack := w.nodes["a"].said(g, me, "noted by c alone")
		w.loses(func(from, to cluster.NodeID) bool { return from == "c" || to == "c" })

		waiting := w.nodes["a"].post(g, me, "to nobody")
		<-time.After(900 * time.Millisecond)
		select {
		case a := <-waiting:
			t.Fatalf("answered %+v while the sender's inbox may still be read at c", a)
		default:
		}
		for _, id := range []cluster.NodeID{"a", "b"} {
			w.nodes[id].see(0, "a", "b")
		}
		a := <-waiting
		if a.err != nil || a.ack.Seq != ack.Seq+1 {
			t.Fatalf("%+v after c was given up", a)
		}
		time.AfterFunc(1500*time.Millisecond, func() { w.settle("a", "b") })
		for _, look := range []cluster.NodeID{"a", "b"} {
			if got := w.nodes[look].head(me, g); got != a.ack.Seq {
				t.Errorf("a sync at %s ends at %d, want %d", look, got, a.ack.Seq)
			}
		}
	})
}

// TestDeadConversationOwner has b say "sent" of a message that the inbox of
// its other member never heard of, and die. It kills a successor that does not
// sweep, and says so: without the sweep the message stays unseen.
func TestDeadConversationOwner(t *testing.T) {
	for name, unswept := range map[string]bool{"swept": false, "control": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, w *world) {
				w.unswept = unswept
				me, you := w.userAt("b", 0), w.userAt("c", 0)
				g := w.group("b", me, you)
				<-time.After(10 * time.Millisecond)
				if got := w.nodes["c"].head(you, g); got != 1 {
					t.Fatalf("the inbox begins at %d, want 1", got)
				}
				w.loses(func(from, to cluster.NodeID) bool { return from == "b" || to == "b" })
				ack := w.nodes["b"].said(g, me, "the last word of b")
				w.settle("a", "c")
				<-time.After(time.Minute)
				if got := w.nodes["c"].head(you, g); (got == ack.Seq) == unswept {
					t.Errorf("the inbox ends at %d, acked was %d", got, ack.Seq)
				}
			})
		})
	}
}

// TestHandingOver kills a new owner that answers before the old one wrote
// what it had noted.
func TestHandingOver(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		ack := w.nodes["a"].said(g, me, "noted by c")
		// c leaves the ring in order: it drains, and is asked nothing more.
		w.next++
		members := []cluster.Member{{ID: "a", Weight: 8}, {ID: "b", Weight: 8}, {ID: "c", Weight: 8, Draining: true}}
		for _, id := range []cluster.NodeID{"a", "b"} { // c itself is late
			w.nodes[id].sees(w.next, members)
		}
		time.AfterFunc(time.Second, func() { w.nodes["c"].sees(w.next, members) })
		begun := time.Now()
		if got := w.nodes["a"].head(me, g); got != ack.Seq {
			t.Errorf("the new owner ends at %d, want %d", got, ack.Seq)
		}
		if took := time.Since(begun); took < time.Second {
			t.Errorf("the new owner answered after %v, before the old one had handed over", took)
		}
	})
}

// TestNotSettled kills a memory that is believed by nobody's leave, and an
// ack that trusts the noting of a node that does not trust itself.
func TestNotSettled(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		for _, id := range everybody {
			w.nodes[id].see(0, everybody...)
		}
		ack := w.nodes["a"].said(g, me, "durable")
		in, err := w.store.LoadInbox(t.Context(), me)
		if err != nil || !slices.ContainsFunc(in.Rows, func(r parley.Row) bool { return r.Conversation == g && r.Head == ack.Seq }) {
			t.Errorf("acked, and the store holds %+v, %v", in.Rows, err)
		}
		// Another node writes the inbox, and the owner must see it.
		b := w.nodes["b"]
		ack = b.said(g, me, "2")
		b.see(0, "b")
		ack2 := b.said(g, me, "by b alone")
		if got := w.nodes["c"].head(me, g); got != ack2.Seq {
			t.Errorf("the owner ends at %d, want %d (and %d before)", got, ack2.Seq, ack.Seq)
		}
	})
}

// TestLeftOut kills "sent" by a node that is not in the node table: others may
// be settled without it, and believe their memory over what it wrote.
func TestLeftOut(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		a := w.nodes["a"]
		a.mu.Lock()
		a.announced = false
		a.mu.Unlock()
		a.see(0, "a")
		got := <-a.post(g, me, "unheard")
		if parley.CodeOf(got.err) != parley.Overloaded {
			t.Fatalf("%+v by a node that others may leave out", got)
		}
		a.mu.Lock()
		a.announced = true
		a.mu.Unlock()
		w.settle(everybody...)
		if ack := w.nodes["b"].said(g, me, "unheard"); !ack.Again || ack.Seq != 2 {
			t.Errorf("the retry got %+v, want number 2 again", ack)
		}
		if got := w.nodes["c"].head(me, g); got != 2 {
			t.Errorf("a sync after the ack of a retry ends at %d, want 2", got)
		}
	})
}

// TestLeases kills interest that outlives whoever had it: a node says that it
// no longer watches, and is not heard.
func TestLeases(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me := w.userAt("c", 0)
		stop := w.nodes["a"].peers.Watch(me, &watcher{})
		<-time.After(time.Minute)
		if got := w.nodes["c"].peers.Interests(); got != 1 {
			t.Errorf("%d interests while a session watches, want 1", got)
		}
		w.loses(func(from, to cluster.NodeID) bool { return from == "a" })
		stop()
		<-time.After(time.Second)
		w.loses(nil)
		<-time.After(time.Minute)
		if got := w.nodes["c"].peers.Interests(); got != 0 {
			t.Errorf("%d interests long after the session ended", got)
		}
	})
}

// TestNudges kills a nudge that stays at the inbox's owner, and a lost one
// that nobody looks for.
func TestNudges(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		session := &watcher{}
		stop := w.nodes["a"].peers.Watch(me, session)
		defer stop()
		<-time.After(10 * time.Millisecond)
		ack := w.nodes["b"].said(g, you, "1")
		<-time.After(10 * time.Millisecond)
		if nudged, _ := session.told(); nudged != ack.Seq {
			t.Errorf("nudged to %d, want %d", nudged, ack.Seq)
		}
		// From now on nothing the owner says unasked arrives.
		w.nodes["a"].head(me, g)
		_, before := session.told()
		w.loses(func(from, to cluster.NodeID) bool { return from == "c" && to == "a" })
		w.nodes["b"].said(g, you, "2")
		<-time.After(slow)
		w.loses(nil)
		<-time.After(6 * time.Second)
		if _, changed := session.told(); changed == before {
			t.Error("rows changed, the nudge was lost, and nobody looked")
		}
	})
}
