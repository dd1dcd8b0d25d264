package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// contact asks for a state with somebody.
func (w *world) contact(by wire.SignedIn, with, state string, rev int) (c wire.Contact) {
	w.t.Helper()
	w.call(by.Token, "PUT", "/v1/contacts/"+with, object{"state": state, "rev": rev}, 200, &c)
	return c
}

// TestContactsAndBlocks is two who meet, fall out and make up, where they are
// two and in a group.
func TestContactsAndBlocks(t *testing.T) { everyway(t, contactsAndBlocks) }

func contactsAndBlocks(t *testing.T, w *world) {
	alice, bob, carol := w.register("alice"), w.register("bob"), w.register("carol")
	his, hers := w.caughtUp(bob), w.caughtUp(alice)
	w.contact(alice, "bob", "requested", 1)
	his.until("that somebody asks", func(f wire.ServerFrame) bool { return f.T == wire.FrameContacts && f.Rev > 0 })
	if got := get[wire.Contact](w, bob, "/v1/contacts/alice"); got.State != "pending" {
		t.Errorf("bob was asked: %+v", got)
	}
	w.contact(bob, "alice", "accepted", 1)
	hers.until("the answer", func(f wire.ServerFrame) bool {
		return f.T == wire.FrameContacts && get[wire.Contact](w, alice, "/v1/contacts/bob").State == "accepted"
	})

	d, g := w.direct(alice, "bob"), w.group(carol, "All", "alice", "bob")
	w.say(bob, d.ID, "b1", "hello to her")
	first := w.say(alice, d.ID, "a1", "hello to him")
	w.say(alice, g.ID, "g1", "hello to all")
	w.call(bob.Token, "PUT", "/v1/conversations/"+d.ID+"/markers", object{"delivered": first, "read": first}, 200, nil)
	hers.until("that he read it", func(f wire.ServerFrame) bool { return f.T == wire.FrameReceipts && f.Read == first })

	const secret = "never to be heard"
	w.contact(bob, "alice", "blocked", 2)
	his.banned = []string{secret}
	// To her all looks as ever.
	var posted wire.Posted
	w.call(alice.Token, "POST", "/v1/conversations/"+d.ID+"/entries", message("a2", secret), 201, &posted)
	w.act(alice, "PATCH", d.ID, first, "", object{"id": "a3", "body": said(secret + ", edited")})
	w.act(alice, "PUT", d.ID, first, "/reaction", object{"id": "a4", "text": "👀"})
	hers.send(object{"t": "post", "ref": 1, "conversation": d.ID, "id": "a5", "body": said(secret)})
	hers.until("an ack", func(f wire.ServerFrame) bool { return f.T == wire.FrameAck && f.ID == "a5" })
	mention := message("g2", secret)
	mention["mentions"] = []string{bob.User.ID, carol.User.ID}
	w.call(alice.Token, "POST", "/v1/conversations/"+g.ID+"/entries", mention, 201, nil)
	if got := get[wire.Contact](w, alice, "/v1/contacts/bob"); got.State != "accepted" {
		t.Errorf("she sees that she was blocked: %+v", got)
	}
	w.call(alice.Token, "POST", "/v1/conversations", object{"kind": "direct", "members": []string{"bob"}}, 200, nil)
	if all := w.everywhere(alice, d.ID, "heard"); !strings.Contains(all, secret) || strings.Contains(all, "withheld") {
		t.Error("her own words are not hers to read")
	}
	// He comes upon nothing of it.
	last := w.say(carol, g.ID, "g3", "and so on")
	his.hears("g3")
	for _, c := range []wire.Conversation{d, g} {
		if all := w.everywhere(bob, c.ID, "heard"); strings.Contains(all, secret) || strings.Contains(all, "👀") {
			t.Errorf("he comes upon it: %s", all)
		}
	}
	if e := w.log(bob, g.ID).Items; uint64(len(e)) != last || e[last-2].Kind != "withheld" || e[last-2].Sender != "" || e[last-2].ID != "" {
		t.Errorf("in the group he reads %+v", e)
	}
	if r := w.row(bob, g.ID); r.Unread != 2 || r.Mentions != 0 || r.Last.Text != "and so on" {
		t.Errorf("his row of the group: %+v", r)
	}
	if r := w.row(bob, d.ID); r.Unread != 0 || r.Last == nil || r.Last.Text != "hello to him" {
		t.Errorf("his row of the two: %+v", r)
	}
	if e := w.log(carol, g.ID).Items[last-2]; e.Body == nil || *e.Body.Text != secret {
		t.Errorf("carol reads %+v", e)
	}
	if r := w.row(carol, g.ID); r.Mentions != 1 {
		t.Errorf("carol's row: %+v", r)
	}
	// And nothing of him tells her: not how far he has read, not that he is there.
	w.call(bob.Token, "PUT", "/v1/conversations/"+d.ID+"/markers", object{"delivered": posted.Seq, "read": posted.Seq}, 200, nil)
	his.send(object{"t": "whisper", "conversation": d.ID, "kind": "typing"})
	w.say(carol, g.ID, "g4", "the end")
	hers.until("the end", func(f wire.ServerFrame) bool {
		if f.T == wire.FrameReceipts && f.Conversation == d.ID || f.T == wire.FrameWhisper {
			t.Errorf("she is told %+v", f)
		}
		return len(f.Entries) > 0 && f.Entries[len(f.Entries)-1].ID == "g4"
	})
	for _, m := range get[wire.Conversation](w, alice, "/v1/conversations/"+d.ID).Members {
		if m.User == bob.User.ID && (m.Delivered != 0 || m.Read != 0) {
			t.Errorf("she is shown %+v", m)
		}
	}
	if got := get[wire.List[wire.Presence]](w, alice, "/v1/presence?users="+bob.User.ID); len(got.Items) != 0 {
		t.Errorf("she sees that he is there: %+v", got)
	}
	w.call(bob.Token, "POST", "/v1/conversations/"+d.ID+"/entries", message("b2", "to her"), 403, nil)

	w.contact(bob, "alice", "unblocked", 3)
	w.say(alice, d.ID, "a6", "back again")
	his.hears("a6")
	if all := w.everywhere(bob, d.ID, "heard"); strings.Contains(all, secret) || !strings.Contains(all, "back again") {
		t.Errorf("after all is well: %s", all)
	}
	w.say(bob, d.ID, "b3", "and to you")
	hers.hears("b3")
}

// TestBlockedStranger kills a request of somebody who was blocked before they
// ever wrote.
func TestBlockedStranger(t *testing.T) {
	w := start(t, memstore.New())
	alice, bob := w.register("alice"), w.register("bob")
	phone := w.caughtUp(bob, "let me in")
	w.contact(bob, "alice", "blocked", 1)
	w.contact(alice, "bob", "requested", 1)
	d := w.direct(alice, "bob")
	w.say(alice, d.ID, "m2", "let me in")
	note := w.direct(bob, "bob")
	w.say(bob, note.ID, "end", "a note")
	phone.hears("end")
	if r := w.row(bob, d.ID); r != nil && (r.Request || r.Unread != 0 || r.Last != nil) {
		t.Errorf("bob's row: %+v", r)
	}
	if got := get[wire.List[wire.Contact]](w, bob, "/v1/contacts"); len(got.Items) != 1 || got.Items[0].State != "blocked" {
		t.Errorf("bob's contacts: %+v", got.Items)
	}
	if strings.Contains(w.everywhere(bob, d.ID, "let"), "let me in") {
		t.Error("bob comes upon what he was told")
	}
}

// TestWishes is what one device does for the others of its user.
func TestWishes(t *testing.T) { everyway(t, wishes) }

func wishes(t *testing.T, w *world) {
	alice, bob := w.register("alice"), w.register("bob")
	d, other := w.direct(bob, "alice"), w.direct(alice, "alice")
	m2, m3 := w.say(bob, d.ID, "m2", "to be kept"), w.say(bob, d.ID, "m3", "to be hidden")
	w.say(alice, other.ID, "note", "a note")
	laptop := w.caughtUp(alice)
	was := get[wire.Sync](w, alice, "/v1/sync?timeout=0")
	base := "/v1/conversations/" + d.ID
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	var now wire.Conversation
	w.call(alice.Token, "PATCH", base, object{"muted": true, "muted_until": until, "archived": true, "pinned": true, "draft": object{"text": "dear b", "reply_to": m2}}, 200, &now)
	w.call(alice.Token, "POST", base+"/hidden", object{"entries": []uint64{m3}}, 204, nil)
	good := func(r *wire.Row) bool {
		return r != nil && r.ID == d.ID && r.Muted && r.MutedUntil != "" && r.Archived && r.Pinned && r.Draft != nil && r.Draft.Text == "dear b" && r.Draft.ReplyTo == m2 &&
			len(r.Hidden) == 1 && r.Hidden[0] == [2]uint64{m3, m3} && r.Last != nil && r.Last.Text == "to be kept"
	}
	laptop.until("what the other device wished", func(f wire.ServerFrame) bool {
		return f.T == wire.FrameChanges && len(f.Rows) > 0 && good(&f.Rows[len(f.Rows)-1])
	})
	page := get[wire.Sync](w, alice, "/v1/sync?timeout=0&cursor="+was.Cursor)
	if len(page.Changes) != 1 || !good(&page.Changes[0]) || len(page.Entries) != 0 {
		t.Errorf("sync: %+v", page)
	}
	if !good(w.row(alice, d.ID)) || !now.Muted || !now.Archived || !now.Pinned || now.Draft == nil {
		t.Errorf("her row: %+v, answered: %+v", w.row(alice, d.ID), now)
	}
	if list := get[wire.List[wire.Row]](w, alice, "/v1/conversations"); list.Items[0].ID != other.ID {
		t.Error("a wish reorders the list")
	}
	if r := w.row(bob, d.ID); r.Muted || r.Archived || r.Pinned || r.Draft != nil || len(r.Hidden) > 0 || r.Last.Text != "to be hidden" {
		t.Errorf("his row: %+v", r)
	}
	w.call(alice.Token, "PATCH", base, object{"muted": false, "archived": false, "pinned": false, "draft": object{"text": ""}}, 200, nil)
	if r := w.row(alice, d.ID); r.Muted || r.MutedUntil != "" || r.Archived || r.Pinned || r.Draft != nil || len(r.Hidden) != 1 {
		t.Errorf("taken back: %+v", r)
	}
}

// TestRequestsAndDiscretion is a stranger who writes, and somebody who shows
// nobody what they read.
func TestRequestsAndDiscretion(t *testing.T) { everyway(t, requests) }

func requests(t *testing.T, w *world) {
	alice, bob, carol := w.register("alice"), w.register("bob"), w.register("carol")
	// Before anybody asks for bob: what a node knows of him it believes a while.
	w.call(bob.Token, "PATCH", "/v1/me", object{"receipts": false}, 200, nil)
	d := w.direct(alice, "bob")
	if w.row(bob, d.ID).Request {
		t.Error("a request without a word")
	}
	m := w.say(alice, d.ID, "m2", "you do not know me")
	if his, hers := w.row(bob, d.ID), w.row(alice, d.ID); !his.Request || hers.Request {
		t.Errorf("his %+v, hers %+v", his, hers)
	}
	if page := get[wire.Sync](w, bob, "/v1/sync?timeout=0"); len(page.Changes) != 1 || !page.Changes[0].Request {
		t.Errorf("sync: %+v", page.Changes)
	}
	w.say(bob, d.ID, "m3", "now I do")
	if w.row(bob, d.ID).Request {
		t.Error("a request after the answer")
	}
	e := w.direct(carol, "bob")
	w.say(carol, e.ID, "m2", "nor me")
	w.contact(bob, "carol", "requested", 1)
	w.contact(carol, "bob", "accepted", 1)
	if w.row(bob, e.ID).Request {
		t.Error("a request of a contact")
	}

	phone := w.caughtUp(alice)
	w.call(bob.Token, "PUT", "/v1/conversations/"+d.ID+"/markers", object{"delivered": m, "read": m}, 200, nil)
	w.call(alice.Token, "PUT", "/v1/conversations/"+d.ID+"/markers", object{"delivered": m + 1, "read": m + 1}, 200, nil)
	phone.until("that he has it", func(f wire.ServerFrame) bool {
		if f.T == wire.FrameReceipts && f.Member == bob.User.ID && f.Read >= m {
			t.Errorf("told that he read: %+v", f)
		}
		return f.T == wire.FrameReceipts && f.Delivered >= m
	})
	for _, by := range []wire.SignedIn{alice, bob} {
		for _, m := range get[wire.Conversation](w, by, "/v1/conversations/"+d.ID).Members {
			if other := m.User != by.User.ID; m.Delivered == 0 || (m.Read == 0) != other {
				t.Errorf("%s is shown %+v", by.User.Handle, m)
			}
		}
	}
}

// TestBots is a program that asks, and one that is told.
func TestBots(t *testing.T) { everyway(t, bots) }

func bots(t *testing.T, w *world) {
	alice := w.register("alice")
	var bot wire.Bot
	w.call(alice.Token, "POST", "/v1/bots", object{"handle": "robo", "name": "Robo"}, 201, &bot)
	robo := wire.SignedIn{User: bot.User, Token: bot.Token}
	if u := get[wire.User](w, alice, "/v1/users/robo"); !u.Bot || bot.Secret != "" || bot.Webhook != nil {
		t.Errorf("a bot: %+v, %+v", u, bot)
	}
	d := w.direct(alice, "robo")
	at := get[wire.Sync](w, robo, "/v1/sync?timeout=0")
	heard := make(chan wire.Sync, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", w.url()+"/v1/sync?timeout=50&cursor="+at.Cursor, nil)
		req.Header.Set("Authorization", "Bearer "+bot.Token)
		var page wire.Sync
		if res, err := w.client.Do(req); err == nil {
			_ = json.NewDecoder(res.Body).Decode(&page)
			_ = res.Body.Close()
		}
		heard <- page
	}()
	w.say(alice, d.ID, "m2", "do you hear?")
	if page := <-heard; len(page.Entries) == 0 || page.Entries[len(page.Entries)-1].ID != "m2" {
		t.Errorf("the bot that asked heard %+v", page)
	}
	w.say(robo, d.ID, "m3", "beep")
	if e := w.log(alice, d.ID).Items[2]; e.Sender != bot.User.ID {
		t.Errorf("the bot said %+v", e)
	}
	w.call(alice.Token, "POST", "/v1/bots/robo/token", nil, 201, nil)
	w.call(bot.Token, "GET", "/v1/me", nil, 401, nil)
}

// TestBotIsTold calls a bot's webhook, which is reached over real sockets.
func TestBotIsTold(t *testing.T) {
	onSockets(t, told, func(c *server.Config) { c.PrivateWebhooks = true })
}

// told is a bot whose webhook is told, and again on demand.
func told(t *testing.T, w *world) {
	owner := w.register("alice")
	type delivery struct {
		id, body string
		good     bool
	}
	deliveries := make(chan delivery, 100)
	secret := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := <-secret
		secret <- key
		deliveries <- delivery{r.Header.Get("Webhook-Id"), string(body), verified(key, r.Header, body)}
	}))
	defer receiver.Close()
	var bot wire.Bot
	w.call(owner.Token, "POST", "/v1/bots", object{"handle": "hook", "webhook": receiver.URL + "/here"}, 201, &bot)
	secret <- bot.Secret
	d := w.direct(owner, "hook")
	begun := time.Now().Add(-time.Minute)
	w.say(owner, d.ID, "m2", "can you be told?")
	next := func(what string) (got delivery, e wire.Entry) {
		t.Helper()
		for e.ID != "m2" {
			select {
			case got = <-deliveries:
			case <-time.After(30 * time.Second):
				t.Fatalf("the webhook was not told %s: %+v", what, get[wire.List[wire.Bot]](w, owner, "/v1/bots").Items)
			}
			var event struct {
				Type, Timestamp string
				Data            wire.Entry
			}
			if err := json.Unmarshal([]byte(got.body), &event); err != nil || !got.good || event.Type != "entry."+event.Data.Kind {
				t.Errorf("told %s %s, %v, signed well: %v", got.id, got.body, err, got.good)
			}
			e = event.Data
		}
		return got, e
	}
	first, e := next("once")
	if *e.Body.Text != "can you be told?" || e.Sender != owner.User.ID || e.Conversation != d.ID {
		t.Errorf("told %+v", e)
	}
	w.call(owner.Token, "POST", "/v1/bots/hook/replay", object{"since": begun.UTC().Format(time.RFC3339)}, 204, nil)
	if again, _ := next("again"); again.id != first.id {
		t.Errorf("told again as %s, and before as %s", again.id, first.id)
	}
	w.call(owner.Token, "DELETE", "/v1/bots/hook", nil, 204, nil)
	w.call(bot.Token, "GET", "/v1/me", nil, 401, nil)
}
