package peer_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/cluster"
	"github.com/parley-im/parley/internal/peer"
	"github.com/parley-im/parley/internal/store"
)

// TestPersonal wishes at each node for an inbox that another owns, with a
// fifth of the messages lost. It kills a wish that stays at the node where it
// was made, that loses a part on the way, and one that is granted to nobody.
func TestPersonal(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		ack := w.nodes["a"].said(g, you, "hello")
		n := 0
		w.loses(func(cluster.NodeID, cluster.NodeID) bool { n++; return n%5 == 0 })
		yes, until := true, time.UnixMilli(1_900_000_000_000).UTC()
		for i, at := range everybody {
			row, err := w.nodes[at].peers.Inboxes().Personal(t.Context(), me, g, parley.PersonalChange{
				Muted: &until, Archived: &yes, Hide: []parley.Run{{From: 1, To: ack.Seq}},
				Draft: &parley.Draft{Text: at2(at), ReplyTo: ack.Seq, At: until.Add(time.Duration(i) * time.Second)},
			})
			want := parley.Personal{
				Muted: until, Archived: true, Hidden: []parley.Run{{From: 1, To: ack.Seq}},
				Draft: parley.Draft{Text: at2(at), ReplyTo: ack.Seq, At: until.Add(time.Duration(i) * time.Second)},
			}
			if err != nil || !reflect.DeepEqual(row.Personal, want) {
				t.Errorf("at %s: %+v, %v\nwant %+v", at, row.Personal, err, want)
			}
			in, err := w.store.LoadInbox(t.Context(), me)
			if err != nil || fmt.Sprint(in.Rows[len(in.Rows)-1]) != fmt.Sprint(row) {
				t.Errorf("at %s: the store holds %+v, %v\nand the answer was %+v", at, in.Rows, err, row)
			}
			if _, err := w.nodes[at].peers.Inboxes().Personal(t.Context(), me, "g-none", parley.PersonalChange{Archived: &yes}); parley.CodeOf(err) != parley.NotFound {
				t.Errorf("at %s, of nobody's conversation: %v", at, err)
			}
		}
		w.loses(nil)
		if row, err := w.nodes["a"].peers.Inboxes().Row(t.Context(), me, g); err != nil || row.Personal.Draft.Text != at2("c") || row.Unread() != 1 {
			t.Errorf("in the end: %+v, %v", row, err)
		}
	})
}

func at2(id cluster.NodeID) string { return "written at " + string(id) }

// commit appends an entry to a conversation as another release's owner would,
// and has node a publish it.
func (w *world) commit(c *parley.Conversation, e parley.Entry) parley.Entry {
	w.t.Helper()
	h, err := w.store.Load(w.t.Context(), c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	e.Conversation, e.Seq, e.Count = c.ID, h.Seq+1, h.Count
	if e.Kind == parley.KindMessage {
		e.Count++
	}
	e.ID = parley.MessageID(fmt.Sprint(e.Seq))
	state := *c
	state.Members = slices.Clone(c.Members)
	if err := w.store.Append(w.t.Context(), store.Append{Conversation: c.ID, Base: h.Seq, Entries: []parley.Entry{e}, State: &state}); err != nil {
		w.t.Fatal(err)
	}
	w.nodes["a"].spread.Publish(&state, []parley.Entry{e}, func(error) {})
	<-time.After(10 * time.Millisecond)
	return e
}

// TestNewsTravels publishes at one node for an inbox at another. It kills what
// the way forgets: mentions, what is withheld, the end of a membership and its
// beginning, and that rows of a large conversation may rest.
func TestNewsTravels(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		c := &parley.Conversation{ID: "g-news", Kind: parley.Group, Members: []parley.Member{{User: you, Since: 1}, {User: me, Since: 1}}}
		for i := range 70 {
			c.Members = append(c.Members, parley.Member{User: w.userAt("b", i), Since: 1})
		}
		session := &watcher{}
		defer w.nodes["b"].peers.Watch(me, session)()
		<-time.After(10 * time.Millisecond)
		say := func(e parley.Entry) { e.Kind, e.Sender = parley.KindMessage, you; w.commit(c, e) }
		say(parley.Entry{Mentions: []parley.UserID{me}})
		say(parley.Entry{Withheld: []parley.UserID{me}, Mentions: []parley.UserID{me}})
		say(parley.Entry{})
		row := func() parley.Row {
			t.Helper()
			r, err := w.nodes["b"].peers.Inboxes().Row(t.Context(), me, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := row()
		if r.Head != 3 || r.Unread() != 2 || !slices.Equal(r.Mentioned, []parley.Seq{1}) || !slices.Equal(r.Own, []parley.Run{{From: 2, To: 2}}) {
			t.Errorf("the row is %+v", r)
		}
		c.Members[1].Until = 4
		w.commit(c, parley.Entry{Kind: parley.KindMembers, Sender: you})
		say(parley.Entry{})
		if r = row(); r.Head != 4 || r.Until != 4 {
			t.Errorf("after the removal: %+v", r)
		}
		if head, _ := session.told(); head != 4 {
			t.Errorf("nudged to %d, beyond the removal", head)
		}
		had, m, ok := w.nodes["b"].peers.Inboxes().HeadFor(t.Context(), me, c.ID, parley.Cursor{Pos: r.Pos})
		if had != 4 || m != (parley.Member{User: me, Since: 1, Until: 4}) || !ok {
			t.Errorf("HeadFor = %d, %+v, %v after the removal", had, m, ok)
		}
		c.Members[1] = parley.Member{User: me, Since: 6}
		w.commit(c, parley.Entry{Kind: parley.KindMembers, Sender: you})
		if had, m, ok = w.nodes["b"].peers.Inboxes().HeadFor(t.Context(), me, c.ID, parley.Cursor{Pos: r.Pos}); had != 5 || m.Since != 6 || m.Until != 0 || !ok {
			t.Errorf("HeadFor = %d, %+v, %v before the row says that its user is back", had, m, ok)
		}
		if r = row(); r.Head != 6 || r.Since != 6 || r.Unread() != 0 || len(r.Mentioned) != 0 {
			t.Errorf("back again: %+v", r)
		}
	})
}

// TestLazyTravels kills an item that forgets that its conversation is large:
// the node of the inbox sees some of its members only.
func TestLazyTravels(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		you := w.userAt("a", 0)
		c := &parley.Conversation{ID: "g-large", Kind: parley.Group, Members: []parley.Member{{User: you, Since: 1}}}
		for i := range 70 {
			c.Members = append(c.Members, parley.Member{User: w.userAt(everybody[i%3], 1+i), Since: 1})
		}
		heard := make(chan bool, 1000)
		for _, n := range w.nodes {
			n.peers.Hear(func(k peer.Keeper, f peer.Fanout) (peer.Keeper, peer.Fanout) { return ears{k, heard}, eyes{f, heard} })
		}
		w.commit(c, parley.Entry{Kind: parley.KindMessage, Sender: you})
		batch := w.nodes["a"].peers.Batch()
		batch.Advance(w.userAt("c", 3), parley.Advance{Conversation: c.ID, Since: 1, From: 1, Head: 1, Count: 1, Lazy: true})
		if err := batch.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(heard) != 4 { // three nodes, and the note
			t.Fatalf("told %d times", len(heard))
		}
		for range 4 {
			if !<-heard {
				t.Error("rows of a large conversation may not rest")
			}
		}
	})
}

// TestNothingIsCertainBeforeTheGate kills a new owner of an inbox that says
// what its user may read while the former owner may know better.
func TestNothingIsCertainBeforeTheGate(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		me, you := w.userAt("c", 0), w.userAt("a", 0)
		g := w.group("b", me, you)
		<-time.After(slow)
		a := w.nodes["a"]
		a.see(0, "a", "b") // c is gone, and nobody handed over
		b := w.nodes["b"]
		b.see(0, "a", "b")
		for _, n := range []*node{a, b} {
			if had, m, ok := n.peers.Inboxes().HeadFor(t.Context(), me, g, parley.Cursor{}); ok || m.Since != 0 {
				t.Errorf("at %s: %d, %+v, %v", n.id, had, m, ok)
			}
		}
		w.settle("a", "b")
		<-time.After(5 * time.Second)
		for _, n := range []*node{a, b} {
			if had, m, ok := n.peers.Inboxes().HeadFor(t.Context(), me, g, parley.Cursor{}); !ok || m.Since != 1 || had != 0 {
				t.Errorf("settled, at %s: %d, %+v, %v", n.id, had, m, ok)
			}
		}
	})
}

// TestDiscreetReceiptsDoNotMeetOthers sends one receipt in both forms to one
// node. It kills a satchel that puts them together.
func TestDiscreetReceiptsDoNotMeetOthers(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		hider, open, me := w.userAt("c", 0), w.userAt("c", 1), w.userAt("a", 0)
		g := w.group("b", me, hider, open)
		atHider, atOpen := &watcher{}, &watcher{}
		defer w.nodes["a"].peers.Watch(hider, atHider)()
		defer w.nodes["a"].peers.Watch(open, atOpen)()
		<-time.After(time.Second)
		b := w.nodes["b"].peers
		for range 3 { // the first is on its way at once
			b.ToInboxes([]parley.UserID{open}, parley.Receipt{Conversation: g, User: me, Delivered: 5, Read: 5})
			b.ToInboxes([]parley.UserID{hider}, parley.Receipt{Conversation: g, User: me, Delivered: 5})
		}
		<-time.After(time.Second)
		for _, r := range atHider.receipts() {
			if r.Read != 0 {
				t.Errorf("who hides heard %+v", r)
			}
		}
		if got := atOpen.receipts(); len(got) == 0 || got[len(got)-1].Read != 5 {
			t.Errorf("who does not heard %+v", got)
		}
	})
}

// ears is a keeper, and eyes a switchboard, that say whether rows may rest.
type ears struct {
	peer.Keeper
	heard chan bool
}

func (e ears) Advance(u parley.UserID, a parley.Advance) {
	e.heard <- a.Lazy
	e.Keeper.Advance(u, a)
}

type eyes struct {
	peer.Fanout
	heard chan bool
}

func (e eyes) Deliver(c *parley.Conversation, entries []parley.Entry, lazy bool) {
	e.heard <- lazy
	e.Fanout.Deliver(c, entries, lazy)
}
