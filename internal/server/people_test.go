package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/wire"
)

// object is a JSON object.
type object = map[string]any

func said(text string) object { return object{"type": "text/plain", "text": text} }

// group makes a group of by's.
func (w *world) group(by wire.SignedIn, title string, members ...string) (c wire.Conversation) {
	w.t.Helper()
	w.call(by.Token, "POST", "/v1/conversations", object{"kind": "group", "title": title, "members": members}, 201, &c)
	return c
}

// direct makes the conversation of two, or finds it.
func (w *world) direct(by wire.SignedIn, with string) (c wire.Conversation) {
	w.t.Helper()
	w.call(by.Token, "POST", "/v1/conversations", object{"kind": "direct", "members": []string{with}}, 201, &c)
	return c
}

// say posts a text.
func (w *world) say(by wire.SignedIn, conversation, id, text string) uint64 {
	w.t.Helper()
	var posted wire.Posted
	w.call(by.Token, "POST", "/v1/conversations/"+conversation+"/entries", message(id, text), 201, &posted)
	return posted.Seq
}

// act does something to an entry.
func (w *world) act(by wire.SignedIn, method, conversation string, seq uint64, after string, body object) {
	w.t.Helper()
	w.call(by.Token, method, fmt.Sprintf("/v1/conversations/%s/entries/%d%s", conversation, seq, after), body, 201, nil)
}

// get reads something as somebody.
func get[T any](w *world, by wire.SignedIn, path string) (out T) {
	w.t.Helper()
	w.call(by.Token, "GET", path, nil, 200, &out)
	return out
}

// raw is an answer as it came.
func (w *world) raw(by wire.SignedIn, path string) string {
	w.t.Helper()
	return string(get[json.RawMessage](w, by, path))
}

// row is a conversation in somebody's list, nil if it is not there.
func (w *world) row(by wire.SignedIn, conversation string) *wire.Row {
	w.t.Helper()
	list := get[wire.List[wire.Row]](w, by, "/v1/conversations")
	i := slices.IndexFunc(list.Items, func(r wire.Row) bool { return r.ID == conversation })
	if i < 0 {
		return nil
	}
	return &list.Items[i]
}

// log is what somebody reads of a conversation from its start.
func (w *world) log(by wire.SignedIn, conversation string) wire.EntryPage {
	w.t.Helper()
	return get[wire.EntryPage](w, by, "/v1/conversations/"+conversation+"/entries?after=0&limit=200")
}

// numbers are the numbers of a page.
func numbers(p wire.EntryPage) (all []uint64) {
	for i := range p.Items {
		all = append(all, p.Items[i].Seq)
	}
	return all
}

// everywhere is all the ways in which somebody could come upon what is said in
// a conversation.
func (w *world) everywhere(by wire.SignedIn, conversation, word string) string {
	w.t.Helper()
	base := "/v1/conversations/" + conversation
	all := w.raw(by, "/v1/conversations") + w.raw(by, base) + w.raw(by, base+"/entries") + w.raw(by, base+"/entries?after=0&limit=200") +
		w.raw(by, "/v1/sync?timeout=0&limit=200") + w.raw(by, "/v1/search?q="+url.QueryEscape(word)) + w.raw(by, "/v1/search?q="+url.QueryEscape(word)+"&conversation="+conversation)
	s := w.connect(by.Token, "")
	s.until("all of it", func(f wire.ServerFrame) bool {
		raw, _ := json.Marshal(f)
		all += string(raw)
		return f.T == wire.FrameChanges && !f.More
	})
	s.send(object{"t": "read", "ref": 1, "conversation": conversation, "after": 0})
	s.until("a page", func(f wire.ServerFrame) bool {
		raw, _ := json.Marshal(f)
		all += string(raw)
		return f.Ref == "1"
	})
	return all
}

// caughtUp is a new device that has everything.
func (w *world) caughtUp(by wire.SignedIn, banned ...string) *socket {
	w.t.Helper()
	s := w.connect(by.Token, "")
	s.banned = banned
	s.until("everything", func(f wire.ServerFrame) bool { return f.T == wire.FrameChanges && !f.More })
	return s
}

// hears waits for an entry by its id.
func (s *socket) hears(id string) (e wire.Entry) {
	s.t.Helper()
	s.until(id, func(f wire.ServerFrame) bool {
		for i := range f.Entries {
			if f.Entries[i].ID == id {
				e = f.Entries[i]
				return true
			}
		}
		return false
	})
	return e
}

func role(c wire.Conversation, u wire.SignedIn) string {
	for _, m := range c.Members {
		if m.User == u.User.ID {
			return m.Role
		}
	}
	return ""
}

// TestGroupLife is who belongs to a group, from its first day to its last.
func TestGroupLife(t *testing.T) { everyway(t, groupLife) }

func groupLife(t *testing.T, w *world) {
	alice, bob, carol, dave, erin := w.register("alice"), w.register("bob"), w.register("carol"), w.register("dave"), w.register("erin")
	g := w.group(alice, "Lunch", "bob", "carol")
	other := w.group(alice, "Other", "carol")
	base := "/v1/conversations/" + g.ID
	w.say(alice, g.ID, "m2", "before they came") // 2
	w.call(alice.Token, "POST", base+"/members", object{"users": []string{"dave"}, "id": "add"}, 200, nil)
	w.call(alice.Token, "POST", base+"/members", object{"users": []string{"dave"}, "id": "add"}, 200, nil)       // a retry
	w.call(alice.Token, "POST", base+"/members", object{"users": []string{erin.User.ID}, "all": true}, 200, nil) // 4
	if got := numbers(w.log(dave, g.ID)); !slices.Equal(got, []uint64{3, 4}) || strings.Contains(w.everywhere(dave, g.ID, "came"), "before they came") {
		t.Errorf("dave, who came at 3, reads %v", got)
	}
	if got := numbers(w.log(erin, g.ID)); len(got) != 4 {
		t.Errorf("erin, who may read all, reads %v", got)
	}
	if r := w.row(dave, g.ID); r == nil || r.Unread != 0 || r.Since != 3 || r.Last != nil {
		t.Errorf("dave's row: %+v", r)
	}
	if r := w.row(erin, g.ID); r == nil || r.Unread != 0 || r.Read != 3 || r.Last == nil {
		t.Errorf("erin's row, who has read nothing and to whom nothing is new: %+v", r)
	}
	var now wire.Conversation
	w.call(alice.Token, "PATCH", base+"/members/bob", object{"role": "admin"}, 200, &now) // 5
	if role(now, bob) != "admin" || role(now, alice) != "owner" || role(now, dave) != "member" {
		t.Errorf("after a promotion: %+v", now.Members)
	}
	phone := w.caughtUp(carol)
	w.call(bob.Token, "PATCH", base, object{"title": "Dinner", "id": "t6"}, 200, nil) // 6
	phone.hears("t6")
	if r := w.row(carol, g.ID); r.Title != "Dinner" || r.Unread != 1 {
		t.Errorf("carol's row: %+v", r)
	}
	w.call(bob.Token, "DELETE", base+"/members/carol?id=r7", nil, 204, nil) // 7
	phone.hears("r7")
	phone.banned = []string{"without her"}
	w.say(dave, g.ID, "m8", "without her")                                              // 8
	w.call(alice.Token, "PATCH", base, object{"title": "Supper without her"}, 200, nil) // 9
	w.say(alice, other.ID, "end", "and so on")
	phone.hears("end")
	if got := w.log(carol, g.ID); got.Head != 7 || got.Items[len(got.Items)-1].Seq != 7 {
		t.Errorf("carol, who left at 7, reads to %d: %v", got.Head, numbers(got))
	}
	if r := w.row(carol, g.ID); r == nil || r.Until != 7 || r.Title != "Dinner" {
		t.Errorf("carol's row after she left: %+v", r)
	}
	if strings.Contains(w.everywhere(carol, g.ID, "without"), "without her") {
		t.Error("carol comes upon what was said after she left")
	}
	w.call(carol.Token, "POST", base+"/entries", message("late", "hi"), 404, nil)
	w.call(alice.Token, "POST", base+"/members", object{"users": []string{"carol"}}, 200, nil) // 10
	w.say(carol, g.ID, "m11", "again here")
	if got := numbers(w.log(carol, g.ID)); got[0] != 10 || strings.Contains(w.everywhere(carol, g.ID, "without"), "said without") {
		t.Errorf("carol, back since 10, reads %v", got)
	}
	w.call(alice.Token, "DELETE", base+"/members/me", nil, 204, nil) // 12
	if now = get[wire.Conversation](w, bob, base); role(now, bob) != "owner" || role(now, alice) != "" {
		t.Errorf("after the owner left: %+v", now.Members)
	}
	if got := w.log(alice, g.ID); got.Head != 12 {
		t.Errorf("alice, who left at 12, reads to %d", got.Head)
	}
	joinByLink(t, w, bob, g.ID)
}

// joinByLink has three try a link for two.
func joinByLink(t *testing.T, w *world, by wire.SignedIn, group string) {
	t.Helper()
	base := "/v1/conversations/" + group
	var link wire.GroupInvite
	w.call(by.Token, "POST", base+"/invites", object{"uses": 2, "hours": 1}, 201, &link)
	frank, gina, hana := w.register("frank"), w.register("gina"), w.register("hana")
	before := get[wire.Conversation](w, by, base)
	if seen := get[wire.GroupInvite](w, frank, "/v1/join/"+link.Code); seen.Title != before.Title || seen.Members != uint64(len(before.Members)) || seen.By.Handle != by.User.Handle {
		t.Errorf("the link shows %+v of %+v", seen, before)
	}
	for range 2 { // the second is a retry
		w.call(frank.Token, "POST", "/v1/join/"+link.Code, nil, 200, nil)
	}
	w.call(gina.Token, "POST", "/v1/join/"+link.Code, nil, 200, nil)
	w.call(hana.Token, "POST", "/v1/join/"+link.Code, nil, 404, nil)
	w.call(hana.Token, "GET", "/v1/join/"+link.Code, nil, 404, nil)
	after := get[wire.Conversation](w, by, base)
	if after.Head != before.Head+2 || role(after, frank) != "member" || role(after, gina) != "member" || role(after, hana) != "" {
		t.Errorf("after two joined: head %d, was %d: %+v", after.Head, before.Head, after.Members)
	}
	if links := get[wire.List[wire.GroupInvite]](w, by, base+"/invites"); len(links.Items) == 1 && links.Items[0].Used != 2 {
		t.Errorf("the link counts %+v", links.Items)
	}
	w.say(gina, group, "gina", "here")
}

// TestMessageLife is what can become of a message.
func TestMessageLife(t *testing.T) { everyway(t, messageLife) }

func messageLife(t *testing.T, w *world) {
	alice, bob, carol := w.register("alice"), w.register("bob"), w.register("carol")
	g := w.group(alice, "Lunch", "bob", "carol")
	base := "/v1/conversations/" + g.ID
	his := w.caughtUp(bob)
	m := w.say(alice, g.ID, "m", "the frist wording")
	w.act(alice, "PATCH", g.ID, m, "", object{"id": "e1", "body": said("the second wording")})
	w.act(alice, "PATCH", g.ID, m, "", object{"id": "e2", "body": said("the third wording")})
	if e := his.hears("e2"); e.Kind != "edit" || e.Ref != m || *e.Body.Text != "the third wording" {
		t.Errorf("an edit comes as %+v", e)
	}
	if e := w.log(bob, g.ID).Items[m-1]; *e.Body.Text != "the third wording" || !e.Edited || e.EditedAt == "" || e.Kind != "message" {
		t.Errorf("an edited message reads %+v", e)
	}
	if all := get[wire.List[wire.Edition]](w, carol, fmt.Sprintf("%s/edits/%d", base, m)); len(all.Items) != 3 || *all.Items[0].Body.Text != "the frist wording" || all.Items[0].Seq != m {
		t.Errorf("its wordings: %+v", all)
	}
	if r := w.row(bob, g.ID); r.Last == nil || r.Last.Text != "the third wording" || r.Unread != 1 {
		t.Errorf("bob's row: %+v", r)
	}
	found := func(by wire.SignedIn, q string) []wire.Found {
		t.Helper()
		return get[wire.List[wire.Found]](w, by, "/v1/search?q="+url.QueryEscape(q)).Items
	}
	if hit, miss := found(carol, "third"), found(carol, "frist"); len(hit) != 1 || hit[0].Entry.Seq != m || len(miss) != 0 {
		t.Errorf("search finds %+v, and of what it said before %+v", hit, miss)
	}

	for by, text := range map[*wire.SignedIn]string{&bob: "👍", &carol: "👍", &alice: "🎉"} {
		w.act(*by, "PUT", g.ID, m, "/reaction", object{"id": "r-" + by.User.Handle, "text": text})
	}
	w.act(carol, "PUT", g.ID, m, "/reaction", object{"id": "r2-carol", "text": "🎉"})
	w.act(bob, "PUT", g.ID, m, "/reaction", object{"id": "r2-bob", "text": ""})
	if got := w.log(bob, g.ID).Items[m-1].Reactions; len(got) != 1 || got[0].Text != "🎉" || got[0].Count != 2 || len(got[0].Users) != 2 {
		t.Errorf("reactions: %+v", got)
	}
	if all := get[wire.List[wire.Reactor]](w, bob, fmt.Sprintf("%s/reactions/%d", base, m)); len(all.Items) != 2 {
		t.Errorf("who reacted: %+v", all)
	}

	var posted wire.Posted
	reply := message("reply", "to that")
	reply["reply_to"], reply["mentions"] = m, []string{carol.User.ID}
	w.call(bob.Token, "POST", base+"/entries", reply, 201, &posted)
	if e := w.log(carol, g.ID).Items[posted.Seq-1]; e.ReplyTo != m || !slices.Equal(e.Mentions, []string{carol.User.ID}) {
		t.Errorf("a reply reads %+v", e)
	}
	if hers, his := w.row(carol, g.ID), w.row(bob, g.ID); hers.Mentions != 1 || hers.Unread != 2 || his.Mentions != 0 {
		t.Errorf("mentioned: %+v, and not: %+v", hers, his)
	}
	w.call(carol.Token, "PUT", base+"/markers", object{"read": posted.Seq}, 200, nil)
	if r := w.row(carol, g.ID); r.Mentions != 0 || r.Unread != 0 {
		t.Errorf("after she read: %+v", r)
	}
	forward := message("forward", "they said")
	forward["forwarded"] = true
	w.call(carol.Token, "POST", base+"/entries", forward, 201, &posted)
	if e := w.log(bob, g.ID).Items[posted.Seq-1]; !e.Forwarded {
		t.Errorf("what was forwarded reads %+v", e)
	}
	w.act(alice, "PUT", g.ID, m, "/pin", object{"id": "p1"})
	w.act(alice, "PUT", g.ID, posted.Seq, "/pin", object{"id": "p2"})
	w.act(alice, "DELETE", g.ID, posted.Seq, "/pin", object{"id": "p3"})
	if c := get[wire.Conversation](w, bob, base); !slices.Equal(c.Pins, []uint64{m}) {
		t.Errorf("pinned: %v", c.Pins)
	}

	w.act(alice, "DELETE", g.ID, m, "", object{"id": "d"})
	w.call(alice.Token, "DELETE", fmt.Sprintf("%s/entries/%d", base, m), object{"id": "d"}, 200, nil) // a retry
	if e := his.hears("d"); e.Kind != "delete" || e.Ref != m {
		t.Errorf("a delete comes as %+v", e)
	}
	for _, by := range []wire.SignedIn{alice, bob, carol} {
		if all := w.everywhere(by, g.ID, "wording"); strings.Contains(strings.ReplaceAll(all, "q=wording", ""), "wording") {
			t.Errorf("%s comes upon what was deleted: %s", by.User.Handle, all)
		}
	}
	if e := w.log(bob, g.ID).Items[m-1]; !e.Deleted || e.Body != nil || len(e.Reactions) != 0 || e.ID != "m" {
		t.Errorf("a deleted message reads %+v", e)
	}
	if all := get[wire.List[wire.Edition]](w, bob, fmt.Sprintf("%s/edits/%d", base, m)); len(all.Items) != 0 {
		t.Errorf("it was worded %+v", all)
	}
	if c := get[wire.Conversation](w, bob, base); len(c.Pins) != 0 {
		t.Errorf("pinned, and deleted: %v", c.Pins)
	}
}

// TestAvatar is a picture from one node to another.
func TestAvatar(t *testing.T) { everyway(t, avatar) }

func avatar(t *testing.T, w *world) {
	alice, bob := w.register("alice"), w.register("bob")
	picture := func(token, method, path string, body io.Reader, tag string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, w.url()+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		res, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, raw
	}
	var small bytes.Buffer
	if err := png.Encode(&small, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	res, raw := picture(alice.Token, "PUT", "/v1/me/avatar", bytes.NewReader(small.Bytes()), "")
	var me wire.Me
	if err := json.Unmarshal(raw, &me); err != nil || res.StatusCode != 200 || me.Avatar == "" {
		t.Fatalf("%s: %s", res.Status, raw)
	}
	if u := get[wire.User](w, bob, "/v1/users/alice"); u.Avatar != me.Avatar {
		t.Errorf("bob sees %+v of %+v", u, me)
	}
	path := "/v1/users/" + alice.User.ID + "/avatar?v=" + me.Avatar
	res, raw = picture(bob.Token, "GET", path, nil, "")
	if kind := http.DetectContentType(raw); res.StatusCode != 200 || res.Header.Get("Content-Type") != kind || !strings.HasPrefix(kind, "image/") {
		t.Errorf("the picture is %s, %s", res.Status, kind)
	}
	if res, _ := picture(bob.Token, "GET", path, nil, res.Header.Get("ETag")); res.StatusCode != 304 {
		t.Errorf("asked for again: %s", res.Status)
	}
	w.call(alice.Token, "DELETE", "/v1/me/avatar", nil, 200, nil)
	w.call(bob.Token, "GET", "/v1/users/alice/avatar", nil, 404, nil)
}
