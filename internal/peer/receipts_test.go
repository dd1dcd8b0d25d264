package peer_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
)

// soon is longer than a receipt takes while all is well: a pace, the writer's
// pause and some hops.
const soon = slow + time.Second

// TestReceipts has the marker, the conversation, the others' inboxes and the
// others' sessions on every node in turn. It kills a receipt that stays at one
// of them, that comes twice or to one of the two others alone, and that a
// stranger or the user hears.
func TestReceipts(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		for i, owner := range everybody {
			for j, at := range everybody {
				me, you, stranger := w.userAt("a", i), w.userAt(everybody[(i+j)%3], 10+i), w.userAt("b", 20+i)
				third := w.userAt(everybody[(i+j)%3], 30+i) // at home where you are
				g := w.group(owner, me, you, third)
				var sessions, wrong []*watcher
				var stops []func()
				for _, node := range everybody {
					yours, thirds, mine, none := &watcher{}, &watcher{}, &watcher{}, &watcher{}
					sessions, wrong = append(sessions, yours, thirds), append(wrong, mine, none)
					p := w.nodes[node].peers
					stops = append(stops, p.Watch(you, yours), p.Watch(third, thirds), p.Watch(me, mine), p.Watch(stranger, none))
				}
				<-time.After(10 * time.Millisecond) // until the owners know of them
				ack := w.nodes[at].said(g, you, fmt.Sprintf("%s-%s", owner, at))
				w.nodes[at].peers.Inboxes().MarkSoon(me, g, ack.Seq, 1)
				w.nodes[at].peers.Inboxes().MarkSoon(stranger, g, ack.Seq, ack.Seq)
				<-time.After(soon)
				want := []parley.Receipt{{Conversation: g, User: me, Delivered: ack.Seq, Read: 1}}
				for k, s := range sessions {
					if got := s.receipts(); !slices.Equal(got, want) {
						t.Errorf("marked at %s, owned by %s: a session at %s heard %+v", at, owner, everybody[k/2], got)
					}
				}
				for _, s := range wrong {
					if got := s.receipts(); got != nil {
						t.Errorf("the user or a stranger heard %+v", got)
					}
				}
				for _, stop := range stops {
					stop()
				}
			}
		}
	})
}

// TestReceiptsAreHints loses them. It kills a mark that waits for a receipt,
// and a receipt that is told again for ever.
func TestReceiptsAreHints(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("a", 0), w.userAt("b", 0)
		g := w.group("c", me, you)
		session := &watcher{}
		defer w.nodes["b"].peers.Watch(you, session)()
		ack := w.nodes["a"].said(g, you, "m")
		w.loses(func(from, to cluster.NodeID) bool { return from == "a" && to == "c" })
		begun := time.Now()
		row, err := w.nodes["a"].peers.Inboxes().Mark(t.Context(), me, g, 0, ack.Seq)
		if took := time.Since(begun); err != nil || row.Read != ack.Seq || took > time.Second {
			t.Errorf("marked %+v, %v after %v", row, err, took)
		}
		<-time.After(soon)
		w.loses(nil)
		<-time.After(soon)
		if got := session.receipts(); got != nil {
			t.Errorf("heard %+v, which was lost", got)
		}
		got := w.nodes["b"].peers.Inboxes().Receipts(t.Context(), g, []parley.UserID{me, you})
		if i := slices.IndexFunc(got, func(r parley.Receipt) bool { return r.User == me }); len(got) != 2 || got[i].Read != ack.Seq {
			t.Errorf("asked, and got %+v", got)
		}
	})
}

// TestReceiptsWhileViewsDiffer has two nodes each believe that the other owns
// the conversation. It kills a receipt that goes back and forth.
func TestReceiptsWhileViewsDiffer(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("a", 0), w.userAt("b", 0)
		g := w.group("c", me, you)
		session := &watcher{}
		defer w.nodes["b"].peers.Watch(you, session)()
		ack := w.nodes["a"].said(g, you, "m")
		<-time.After(slow)
		w.nodes["c"].see(0, "a", "b") // c thinks itself gone; a sends to c all the same
		messages := 0
		w.loses(func(cluster.NodeID, cluster.NodeID) bool { messages++; return false })
		w.nodes["a"].peers.Inboxes().MarkSoon(me, g, 0, ack.Seq)
		<-time.After(soon)
		if got := session.receipts(); len(got) != 1 || got[0].Read != ack.Seq {
			t.Errorf("heard %+v", got)
		}
		if messages > 50 {
			t.Errorf("one receipt made %d messages between nodes", messages)
		}
	})
}

// TestReceiptsDoNotEcho has two nodes each tell the other of one user's news.
// It kills a receipt that they tell each other for ever.
func TestReceiptsDoNotEcho(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("a", 0), w.userAt("b", 0)
		b, c := w.nodes["b"], w.nodes["c"]
		atB, atC := &watcher{}, &watcher{}
		defer b.peers.Watch(you, atB)()
		defer c.peers.Watch(you, atC)() // b tells c
		b.see(0, "c")                   // c tells b
		<-time.After(time.Second)
		w.settle(everybody...)
		<-time.After(time.Second)
		if c.peers.Interests() != 1 || b.peers.Interests() != 1 {
			t.Fatal("they do not tell each other")
		}
		b.receipts.Tell([]parley.UserID{you}, parley.Receipt{Conversation: "g", User: me, Read: 1})
		<-time.After(time.Second)
		if here, there := atB.receipts(), atC.receipts(); len(here) != 1 || len(there) != 1 {
			t.Errorf("heard %d times here and %d times there", len(here), len(there))
		}
	})
}

// TestReceiptsInTime asks for members whose inboxes live on a node that does
// not answer. It kills an asker that fails, or waits longer than it was told.
func TestReceiptsInTime(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		users := []parley.UserID{w.userAt("a", 0), w.userAt("b", 0), w.userAt("c", 0)}
		g := w.group("c", users...)
		<-time.After(slow)
		w.loses(func(_, to cluster.NodeID) bool { return to == "c" })
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		got := w.nodes["a"].peers.Inboxes().Receipts(ctx, g, users)
		if took := time.Since(begun); took > 500*time.Millisecond || len(got) != 2 {
			t.Errorf("%+v after %v, want those of two members within half a second", got, took)
		}
		for _, r := range got {
			if r.User == users[2] || r.Conversation != g {
				t.Errorf("%+v of a node that does not answer", r)
			}
		}
	})
}

// TestReceiptsUnderPressure stops what nodes tell each other, and tells far
// more than may wait. It kills a queue without a bound, one that keeps the
// oldest of what it is told twice, and one that takes the place of nudges.
func TestReceiptsUnderPressure(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("a", 0), w.userAt("b", 0)
		session := &watcher{}
		defer w.nodes["c"].peers.Watch(you, session)()
		<-time.After(time.Second)
		release := w.holds()
		b := w.nodes["b"]
		at := func(i int, read parley.Seq) parley.Receipt {
			return parley.Receipt{Conversation: parley.ConversationID(fmt.Sprintf("g-%d", i)), User: me, Delivered: read, Read: read}
		}
		b.receipts.Tell([]parley.UserID{you}, at(0, 1)) // is on its way, and waits
		synctest.Wait()
		for i := range 20_000 {
			b.receipts.Tell([]parley.UserID{you}, at(1+i, 2))
			b.receipts.Tell([]parley.UserID{you}, at(1+i, 3))
			b.receipts.Tell([]parley.UserID{you}, at(1+i, 1))
		}
		for range 8192 {
			b.fanout.Changed(you)
		}
		release()
		<-time.After(time.Second)
		got := session.receipts()
		if len(got) != 4097 {
			t.Errorf("%d receipts came, want the one under way and 4,096", len(got))
		}
		for _, r := range got {
			if r.Conversation != "g-0" && (r.Read != 3 || r.Delivered != 3) {
				t.Errorf("%+v is not the newest", r)
			}
		}
		if _, changed := session.told(); changed < 8192 {
			t.Errorf("%d of 8,192 nudges came", changed)
		}
		if n := b.peers.Satchels(); n != 0 {
			t.Errorf("%d satchels are kept for nothing", n)
		}
	})
}
