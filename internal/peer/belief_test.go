package peer_test

import (
	"context"
	"math"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/store"
)

// sync is head for a node that may have no answer: then it waits, for a while.
func (n *node) sync(u parley.UserID, c parley.ConversationID) (parley.Seq, error) {
	ctx, cancel := context.WithTimeout(n.w.t.Context(), time.Second)
	defer cancel()
	rows, _, err := n.peers.Inboxes().After(ctx, u, 0, 100)
	for _, r := range rows {
		if r.Conversation == c {
			return r.Head, err
		}
	}
	return 0, err
}

// shows fails when a sync is answered that does not show what was acked.
func (n *node) shows(u parley.UserID, c parley.ConversationID, acked parley.Seq, when string) {
	n.w.t.Helper()
	if got, err := n.sync(u, c); err == nil && got < acked {
		n.w.t.Errorf("%s, a sync at %s ends at %d; acked was %d", when, n.id, got, acked)
	}
}

// TestFrozenReader has c stand still for so long that the others settle
// without it, and be asked before it knows. It kills a gate that is open
// because it was: the store, which c reads then, lacks what the new owner of
// the inbox noted.
func TestFrozenReader(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		w.nodes["a"].said(g, me, "before")
		<-time.After(2 * slow)
		c := w.nodes["c"]
		c.set(func() { c.announced = false })
		w.settle("a", "b")
		<-time.After(time.Second)
		ack := w.nodes["a"].said(g, me, "while c stood still")

		c.see(0, everybody...)
		c.shows(me, g, ack.Seq, "with the clock of before")
		c.see(0, "c")
		c.shows(me, g, ack.Seq, "hearing nobody yet")
		c.set(func() { c.announced, c.tenure = true, c.tenure+1 })
		c.see(0, everybody...)
		c.shows(me, g, ack.Seq, "announced again")
		w.settle(everybody...)
		if got := c.head(me, g); got != ack.Seq {
			t.Errorf("settled again, a sync at c ends at %d, want %d", got, ack.Seq)
		}
	})
}

// TestInboxGoneForAMoment has an inbox belong to another node and come back
// before c, which owned it and owns it, was settled in between. It kills a
// gate that looks at settled views only.
func TestInboxGoneForAMoment(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		<-time.After(2 * slow)
		members := []cluster.Member{{ID: "a", Weight: 8}, {ID: "b", Weight: 8}, {ID: "c", Weight: 8, Draining: true}}
		w.next++
		c := w.nodes["c"]
		c.sees(0, members)
		for _, id := range []cluster.NodeID{"a", "b"} {
			w.nodes[id].sees(w.next, members)
		}
		<-time.After(time.Second)
		ack := w.nodes["a"].said(g, me, "noted elsewhere")
		c.see(0, everybody...)
		c.shows(me, g, ack.Seq, "owner again")
		w.settle(everybody...)
		if got := c.head(me, g); got != ack.Seq {
			t.Errorf("settled again, a sync at c ends at %d, want %d", got, ack.Seq)
		}
	})
}

// TestOldMemory has the new owner of an inbox read it, for a session that is
// live, before the old one handed it over. It kills a memory that is believed
// because it was read in this term: the old owner wrote later.
func TestOldMemory(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		w.nodes["b"].said(g, you, "to be read")
		<-time.After(2 * slow)
		members := []cluster.Member{{ID: "a", Weight: 8}, {ID: "b", Weight: 8}, {ID: "c", Weight: 8, Draining: true}}
		w.next++
		for _, id := range []cluster.NodeID{"a", "b"} { // c itself is late
			w.nodes[id].sees(w.next, members)
		}
		for _, id := range []cluster.NodeID{"a", "b"} {
			if _, _, err := w.nodes[id].keeper.Written(t.Context(), me, math.MaxInt64, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.nodes["c"].peers.Inboxes().Mark(t.Context(), me, g, 2, 2); err != nil {
			t.Fatal(err)
		}
		w.nodes["c"].sees(w.next, members)
		row, err := w.nodes["a"].peers.Inboxes().Row(t.Context(), me, g)
		if err != nil || row.Read != 2 {
			t.Errorf("the new owner says read to %d (%v); the old one had moved the marker to 2", row.Read, err)
		}
	})
}

// TestDurableBehindMemory has b, whose view has just changed, let another node
// write the row of a sender whose inbox c still holds in a settled view. It
// kills an ack that takes what is durable for what is seen: c believes its
// memory. When c is the owner for b as well, c is told.
func TestDurableBehindMemory(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		w.nodes["c"].head(me, g)
		b := w.nodes["b"]
		b.set(func() { b.disputed = true })
		for _, id := range []cluster.NodeID{"a", "b"} {
			w.nodes[id].see(0, "a", "b")
		}
		waiting := b.post(g, me, "durable, and hidden")
		<-time.After(900 * time.Millisecond)
		select {
		case a := <-waiting:
			w.nodes["c"].shows(me, g, a.ack.Seq, "acked behind the back of a settled owner")
			t.Fatalf("answered %+v", a)
		default:
		}
		w.nodes["a"].see(0, everybody...)
		b.see(0, everybody...)
		b.set(func() { b.disputed = false })
		a := <-waiting
		if a.err != nil {
			t.Fatal(a.err)
		}
		w.nodes["c"].shows(me, g, a.ack.Seq, "acked when nobody could be settled elsewhere")
	})
}

// TestConfirmedByAnother has a message in the log that a node wrote which is
// gone, and a retry of it acknowledged by b. It kills an ack of another's
// message for which nobody stands: c, which noted it, dies.
func TestConfirmedByAnother(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		<-time.After(2 * slow)
		b := w.nodes["b"]
		if err := b.fanout.Settle(t.Context(), marks{w.store}, b.owner); err != nil {
			t.Fatal(err)
		}
		e := parley.Entry{
			Conversation: g, Seq: 2, Kind: parley.KindMessage, ID: "again", Sender: me, Device: "d", Count: 1,
			Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")},
		}
		if err := w.store.Append(t.Context(), store.Append{Conversation: g, Base: 1, Entries: []parley.Entry{e}}); err != nil {
			t.Fatal(err)
		}
		if ack := b.said(g, me, "again"); !ack.Again || ack.Seq != 2 {
			t.Fatalf("%+v, want 2 again", ack)
		}
		w.loses(func(from, to cluster.NodeID) bool { return from == "c" || to == "c" })
		w.settle("a", "b")
		if got := w.nodes["a"].head(me, g); got != 2 {
			t.Errorf("c died, and a sync ends at %d; acked was 2", got)
		}
	})
}

// TestCrowdBeforeTheGate has questions about an inbox wait that its owner may
// not answer yet. It kills a crowd that grows without a bound, and one behind
// which everything else that nodes ask each other waits.
func TestCrowdBeforeTheGate(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		a, b, c := w.nodes["a"], w.nodes["b"], w.nodes["c"]
		const crowd = 200
		c.peers.Crowd(crowd)
		c.set(func() { c.tenure++ })
		c.see(0, everybody...) // shut
		<-time.After(time.Second)
		begun, answered := time.Now(), make(chan error, 2*crowd)
		for range 2 * crowd {
			go func() {
				_, _, err := b.peers.Inboxes().After(t.Context(), me, 0, 1)
				answered <- err
			}()
		}
		<-time.After(100 * time.Millisecond)
		if got := len(answered); got != crowd {
			t.Errorf("%d questions were answered, want %d", got, crowd)
		}
		for len(answered) > 0 {
			if err := <-answered; parley.CodeOf(err) != parley.Overloaded {
				t.Fatalf("refused with %v", err)
			}
		}
		now := time.Now()
		ack := a.said(g, you, "meanwhile")
		if took := time.Since(now); ack.Seq != 2 || took > 100*time.Millisecond {
			t.Errorf("%+v after %v", ack, took)
		}
		w.settle(everybody...)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("open after %v", took)
		}
	})
}

// TestAppendedByAnother has b append to a conversation that a owns, and
// believes what it has in memory of. It kills a message that its members are
// told of while its owner says that there is none.
func TestAppendedByAnother(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("a", me, you)
		a, b := w.nodes["a"], w.nodes["b"]
		if _, _, head, err := a.owner.Get(t.Context(), me, g); err != nil || head != 1 {
			t.Fatalf("head %d, %v", head, err)
		}
		w.loses(func(from, to cluster.NodeID) bool { return from == "b" && to == "a" })
		got := make(chan answer, 1)
		b.owner.Post(parley.Post{
			Conversation: g, ID: "late", Sender: me, Device: "d", Body: parley.Body{Type: parley.TextPlain, Data: []byte("hello")},
		}, func(ack parley.Ack, err error) { got <- answer{ack, err} })
		<-time.After(2 * time.Second)
		if head := w.nodes["c"].head(me, g); head != 1 {
			t.Errorf("the inbox ends at %d before the owner heard of it", head)
		}
		w.loses(nil)
		if a := <-got; a.err != nil || a.ack.Seq != 2 {
			t.Fatalf("%+v", a)
		}
		if _, _, head, err := a.owner.Get(t.Context(), me, g); err != nil || head != 2 {
			t.Errorf("acked was 2; the owner says %d, %v", head, err)
		}
	})
}
