package server_test

import (
	"fmt"
	"testing"

	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// TestReceipts is receipts from one device to another.
func TestReceipts(t *testing.T) { everyway(t, receipts) }

func receipts(t *testing.T, w *world) {
	alice, bob, carol := w.register("alice"), w.register("bob"), w.register("carol")
	var c, other wire.Conversation
	w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "direct", "members": []string{"bob"}}, 201, &c)
	w.call(carol.Token, "POST", "/v1/conversations", map[string]any{"kind": "group", "members": []string{"alice", "bob"}}, 201, &other)
	post := func(token, conversation, id string) (posted wire.Posted) {
		w.call(token, "POST", "/v1/conversations/"+conversation+"/entries", message(id, "hello"), 201, &posted)
		return posted
	}
	// Two devices of each, on different nodes where there are several.
	devices := map[string][]*socket{}
	for name, token := range map[string]string{"alice": alice.Token, "bob": bob.Token, "carol": carol.Token} {
		for range 2 {
			s := w.connect(token, "")
			s.until(name+" has caught up", func(f wire.ServerFrame) bool { return f.T == wire.FrameChanges && !f.More })
			devices[name] = append(devices[name], s)
		}
	}
	m1 := post(alice.Token, c.ID, "m1")

	// hears waits for a receipt, and fails for one that should not be.
	hears := func(name string, s *socket, delivered, read uint64) {
		t.Helper()
		s.until(fmt.Sprintf("%s hears %d, %d", name, delivered, read), func(f wire.ServerFrame) bool {
			if f.T != wire.FrameReceipts {
				return false
			}
			if f.Conversation != c.ID || f.Member != bob.User.ID || f.Cursor != "" {
				t.Errorf("%s heard %+v", name, f)
			}
			return f.Delivered == delivered && f.Read == read
		})
	}
	laptop := devices["bob"][0]
	has := func(id string) {
		t.Helper()
		laptop.until("bob has "+id, func(f wire.ServerFrame) bool {
			return f.T == wire.FrameEntries && f.Entries[len(f.Entries)-1].ID == id
		})
	}
	mark := func(delivered, read uint64) {
		laptop.send(map[string]any{"t": "mark", "conversation": c.ID, "delivered": delivered, "read": read})
	}
	has("m1")
	mark(m1.Seq, 0)
	for _, s := range devices["alice"] {
		hears("alice", s, m1.Seq, 0)
	}
	// Marks of who is no member do nothing.
	devices["carol"][0].send(map[string]any{"t": "mark", "conversation": c.ID, "read": m1.Seq})
	w.call(carol.Token, "PUT", "/v1/conversations/"+c.ID+"/markers", map[string]any{"read": m1.Seq}, 404, nil)
	mark(0, m1.Seq)
	for _, s := range devices["alice"] {
		hears("alice", s, m1.Seq, m1.Seq)
	}
	// A mark at every message: the last one arrives.
	var last wire.Posted
	for i := range 20 {
		id := fmt.Sprintf("n%d", i)
		last = post(alice.Token, c.ID, id)
		has(id)
		mark(0, last.Seq)
	}
	for _, s := range devices["alice"] {
		hears("alice", s, last.Seq, last.Seq)
	}

	var got wire.Conversation
	w.call(alice.Token, "GET", "/v1/conversations/"+c.ID, nil, 200, &got)
	for _, m := range got.Members {
		if m.Delivered != last.Seq || m.Read != last.Seq {
			t.Errorf("alice is shown %+v, want %d", m, last.Seq)
		}
	}
	w.call(carol.Token, "GET", "/v1/conversations/"+c.ID, nil, 404, nil)

	// Who marked, and who is no member, heard nothing: all that was told to
	// them stands before something said later.
	post(alice.Token, other.ID, "end")
	for _, name := range []string{"bob", "carol"} {
		for _, s := range devices[name] {
			s.until(name+" hears the end", func(f wire.ServerFrame) bool {
				if f.T == wire.FrameReceipts {
					t.Errorf("%s heard %+v", name, f)
				}
				return f.T == wire.FrameEntries && f.Entries[len(f.Entries)-1].ID == "end"
			})
		}
	}
}

// TestReceiptsOfLargeGroups: a group of more than 64 shows no markers of its
// members, and tells nobody of them; one of 64 does.
func TestReceiptsOfLargeGroups(t *testing.T) {
	w := start(t, memstore.New())
	alice, bob := w.register("alice"), w.register("bob")
	names := []string{"bob"}
	for i := range wire.MaxReceipts - 1 {
		names = append(names, fmt.Sprintf("member%d", i))
		w.register(names[i+1])
	}
	group := func(members []string) (c wire.Conversation) {
		w.call(alice.Token, "POST", "/v1/conversations", map[string]any{"kind": "group", "members": members}, 201, &c)
		return c
	}
	large, small := group(names), group(names[:len(names)-1])
	phone := w.connect(alice.Token, "")
	phone.until("she has caught up", func(f wire.ServerFrame) bool { return f.T == wire.FrameChanges && !f.More })
	for _, c := range []wire.Conversation{large, small} {
		w.call(bob.Token, "PUT", "/v1/conversations/"+c.ID+"/markers", map[string]any{"read": 1}, 200, nil)
	}
	heard := phone.until("a receipt", func(f wire.ServerFrame) bool { return f.T == wire.FrameReceipts })
	if heard.Conversation != small.ID {
		t.Errorf("heard %+v of the larger group", heard)
	}
	shown := func(id string) (n int) {
		var got wire.Conversation
		w.call(alice.Token, "GET", "/v1/conversations/"+id, nil, 200, &got)
		for _, m := range got.Members {
			if m.Read != 0 || m.Delivered != 0 {
				n++
			}
		}
		return n
	}
	if n, m := shown(small.ID), shown(large.ID); n == 0 || m != 0 {
		t.Errorf("shown %d markers of 64 members and %d of 65, want some and none", n, m)
	}
}
