package client

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// acts is one of each.
func acts() []parley.Post {
	said := message("c1", "p0")
	said.Mentions, said.Forwarded, said.ReplyTo = []parley.UserID{"u2"}, true, 3
	out := []parley.Post{said, Edit("c1", 7, Text("better")), React("c1", 7, "👍"), React("c1", 7, ""), Pin("c1", 7), Unpin("c1", 7),
		Delete("c1", 7), Rename("c1", "Lunch")}
	for i := range out {
		out[i].ID, out[i].Sender = parley.MessageID("p"+string(rune('0'+i))), "u1"
	}
	return out
}

// TestActs kills: an act that the journal forgets a part of, that is sent as a
// message or before what was said before it, and one whose retry has another
// id.
func TestActs(t *testing.T) {
	var lines []string
	failed := false
	c, _ := wired(t, func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		lines = append(lines, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v1/conversations/c1")+" "+string(body))
		if failed = !failed; failed {
			return nil, errLost
		}
		return answer(200, wire.Posted{Seq: uint64(len(lines)), At: "2026-01-02T03:04:05.678Z"})
	})
	d := &memDisk{}
	q, err := openQueue(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, acts()...)
	d.crash(0)
	if q, err = openQueue(d, nil); err != nil {
		t.Fatal(err)
	}
	if got := q.Pending(); !slices.EqualFunc(got, acts(), func(a, b parley.Post) bool {
		a.Body.Data, b.Body.Data = append([]byte{}, a.Body.Data...), append([]byte{}, b.Body.Data...)
		return reflect.DeepEqual(a, b)
	}) {
		t.Errorf("after a crash:\n got %+v\nwant %+v", got, acts())
	}
	c.jitter = func() float64 { return 0 }
	if err := c.Flush(t.Context(), q, Notes{}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, line := range []string{
		`POST /entries {"id":"p0","body":{"type":"text/plain","text":"what p0 says"},"reply_to":3,"mentions":["u2"],"forwarded":true}`,
		`PATCH /entries/7 {"id":"p1","body":{"type":"text/plain","text":"better"}}`,
		`PUT /entries/7/reaction {"id":"p2","text":"👍"}`,
		`PUT /entries/7/reaction {"id":"p3","text":""}`,
		`PUT /entries/7/pin {"id":"p4"}`,
		`DELETE /entries/7/pin {"id":"p5"}`,
		`DELETE /entries/7 {"id":"p6"}`,
		`PATCH  {"id":"p7","title":"Lunch"}`,
	} {
		want = append(want, line, line)
	}
	if !slices.Equal(lines, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// TestEnqueueAbout kills: an act on a message that has no number yet which is
// sent without one, or that outlives a message which was refused.
func TestEnqueueAbout(t *testing.T) {
	var lines []string
	c, _ := wired(t, func(r *http.Request) (*http.Response, error) {
		lines = append(lines, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v1/conversations/"))
		switch {
		case strings.HasSuffix(r.URL.Path, "by-id/good"):
			return answer(200, wire.Entry{Conversation: "c1", Seq: 9, Kind: "message", ID: "good", At: "2026-01-02T03:04:05.678Z"})
		case r.Method == http.MethodGet:
			return refuse(parley.E(parley.NotFound, "", "No such message."))
		}
		var in wire.NewEntry
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		if in.ID == "bad" {
			return refuse(parley.E(parley.TooLarge, "", "Shorten it."))
		}
		return answer(201, wire.Posted{Seq: 9, At: "2026-01-02T03:04:05.678Z"})
	})
	d := &memDisk{}
	q, err := openQueue(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, message("c1", "good"), message("c1", "bad"))
	for _, id := range []parley.MessageID{"good", "bad"} {
		if _, err := q.EnqueueAbout(id, Edit("c1", 0, Text("better"))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.EnqueueAbout("good", Edit("c1", 4, Text("better"))); parley.CodeOf(err) != parley.BadRequest {
		t.Errorf("an act on two messages: %v", err)
	}
	if _, err := q.Enqueue(Edit("c1", 0, Text("better"))); parley.CodeOf(err) != parley.BadRequest {
		t.Errorf("an act on none: %v", err)
	}
	d.crash(0)
	if q, err = openQueue(d, nil); err != nil {
		t.Fatal(err)
	}
	if p := q.Pending(); len(p) != 4 || q.About("c1", p[3].ID) != "bad" || q.About("c1", "good") != "" {
		t.Errorf("pending: %+v", p)
	}
	if err := c.Flush(t.Context(), q, Notes{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"POST c1/entries", "POST c1/entries", "GET c1/entries/by-id/good", "PATCH c1/entries/9", "GET c1/entries/by-id/bad"}
	if !slices.Equal(lines, want) {
		t.Errorf("asked %q, want %q", lines, want)
	}
	if f := q.Failed(); len(f) != 2 || f[1].About != "bad" || f[1].Err.Code != parley.NotFound {
		t.Errorf("failed: %+v", f)
	}
}

// TestEnqueueRefusesActs kills: an act queued that no server would take.
func TestEnqueueRefusesActs(t *testing.T) {
	_, q := wired(t, nil)
	for name, p := range map[string]parley.Post{
		"an edit without a body":    Edit("c1", 1, parley.Body{}),
		"a deletion of nothing":     Delete("c1", 0),
		"a message about a message": {Conversation: "c1", Ref: 1, Body: Text("x")},
		"a long reaction":           React("c1", 1, strings.Repeat("👍", 17)),
		"a reaction with NUL":       React("c1", 1, "a\x00"),
		"a title of nothing":        Rename("c1", " "),
		"members":                   {Conversation: "c1", Kind: parley.KindMembers, Body: Text("x")},
	} {
		if _, err := q.Enqueue(p); parley.CodeOf(err).Retry() != parley.GiveUp || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	edit := Edit("c1", 1, Text("x"))
	edit.ID = "a1"
	enqueue(t, q, edit)
	edit.Ref = 2
	if _, err := q.Enqueue(edit); parley.CodeOf(err) != parley.IDConflict {
		t.Errorf("an id for two acts: %v", err)
	}
}

// TestFirstJournal kills: a queue of the first version that is not sent, or is
// written on as one that an old program would take for its own.
func TestFirstJournal(t *testing.T) {
	old, err := os.ReadFile(filepath.Join("testdata", "queue1"))
	if err != nil {
		t.Fatal(err)
	}
	d := &memDisk{now: old}
	q, err := openQueue(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := parley.Post{Conversation: "to:bob", ID: "m2", Sender: "u1", Body: Text("second"), Base: 4, ReplyTo: 2}
	if got := q.Pending(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("pending %+v", got)
	}
	if f := q.Failed(); len(f) != 1 || f[0].Post.ID != "m3" {
		t.Errorf("failed %+v", f)
	}
	enqueue(t, q, Delete("c1", 1))
	if !strings.HasPrefix(string(d.now), journalHeader) {
		t.Errorf("it begins with %.20q", d.now)
	}
}

// TestNewRequests kills: a request that a server of the contract would not
// understand.
func TestNewRequests(t *testing.T) {
	var line string
	c, _ := wired(t, func(r *http.Request) (*http.Response, error) {
		line = r.Method + " " + r.URL.RequestURI()
		if id := r.URL.Query().Get("id"); id != "" {
			line = strings.ReplaceAll(line, id, "ID")
		}
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			line += " " + strings.ReplaceAll(string(body), string(idIn(body)), "ID")
		}
		return answer(200, map[string]any{"items": []wire.Row{}, "next": nil})
	})
	ctx := t.Context()
	at := time.UnixMilli(0).UTC()
	yes := true
	for want, call := range map[string]func() error{
		`POST /v1/conversations/c1/members {"id":"ID","users":["bob"],"all":true}`: func() error { return c.AddMembers(ctx, "c1", true, "bob") },
		`DELETE /v1/conversations/c1/members/bob?id=ID`:                            func() error { return c.RemoveMember(ctx, "c1", "bob") },
		`PATCH /v1/conversations/c1/members/bob {"id":"ID","role":"admin"}`:        func() error { return c.SetRole(ctx, "c1", "bob", parley.RoleAdmin) },
		`POST /v1/conversations/c1/invites {"uses":3}`:                             func() error { _, err := c.NewGroupInvite(ctx, "c1", 3, 0); return err },
		`GET /v1/conversations/c1/invites?limit=200`:                               func() error { _, err := c.GroupInvites(ctx, "c1"); return err },
		`DELETE /v1/conversations/c1/invites/x`:                                    func() error { return c.RevokeGroupInvite(ctx, "c1", "x") },
		`GET /v1/join/x`:                                                           func() error { _, err := c.GroupInvite(ctx, "x"); return err },
		`POST /v1/join/x`:                                                          func() error { _, err := c.Join(ctx, "x"); return err },
		`PATCH /v1/conversations/c1 {"muted":true,"muted_until":"1970-01-01T00:00:00.000Z","archived":true,"pinned":true,"draft":{"text":"x"}}`: func() error {
			return c.SetPersonal(ctx, "c1", parley.PersonalChange{Muted: &at, Archived: &yes, Pinned: &yes, Draft: &parley.Draft{Text: "x"}})
		},
		`PATCH /v1/conversations/c1 {"muted":false}`:         func() error { return c.SetPersonal(ctx, "c1", parley.PersonalChange{Muted: &time.Time{}}) },
		`POST /v1/conversations/c1/hidden {"entries":[4,5]}`: func() error { return c.Hide(ctx, "c1", 4, 5) },
		`GET /v1/conversations/c1/edits/4?limit=200`:         func() error { _, err := c.Editions(ctx, "c1", 4); return err },
		`GET /v1/conversations/c1/reactions/4?limit=200`:     func() error { _, err := c.Reactors(ctx, "c1", 4); return err },
		`GET /v1/search?after=1970-01-01T00%3A00%3A00.000Z&conversation=c1&limit=50&q=a+b&sender=bob`: func() error {
			for _, err := range c.Search(ctx, Search{Text: "a b", Conversation: "c1", Sender: "bob", After: at}) {
				return err
			}
			return nil
		},
		`GET /v1/contacts?limit=200`:                                   func() error { _, err := c.Contacts(ctx); return err },
		`PUT /v1/contacts/u2 {"state":"blocked","rev":4}`:              func() error { _, err := c.SetContact(ctx, "u2", ContactBlocked, 4); return err },
		`DELETE /v1/contacts/u2`:                                       func() error { return c.DeleteContact(ctx, "u2") },
		`GET /v1/presence?users=u1%2Cu2`:                               func() error { _, err := c.Presence(ctx, "u1", "u2"); return err },
		`PATCH /v1/me {"receipts":true}`:                               func() error { _, err := c.SetProfile(ctx, wire.MePatch{Receipts: &yes}); return err },
		`PUT /v1/me/avatar picture`:                                    func() error { _, err := c.SetAvatar(ctx, "image/png", []byte("picture")); return err },
		`DELETE /v1/me/avatar`:                                         func() error { return c.DeleteAvatar(ctx) },
		`GET /v1/users/u2/avatar`:                                      func() error { _, err := c.Avatar(ctx, "u2"); return err },
		`POST /v1/bots {"handle":"helper"}`:                            func() error { _, err := c.NewBot(ctx, "helper", "", ""); return err },
		`GET /v1/bots?limit=200`:                                       func() error { _, err := c.Bots(ctx); return err },
		`PATCH /v1/bots/u3 {}`:                                         func() error { _, err := c.SetBot(ctx, "u3", wire.BotPatch{}); return err },
		`DELETE /v1/bots/u3`:                                           func() error { return c.DeleteBot(ctx, "u3") },
		`POST /v1/bots/u3/token`:                                       func() error { _, err := c.NewBotToken(ctx, "u3"); return err },
		`POST /v1/bots/u3/replay {"since":"1970-01-01T00:00:00.000Z"}`: func() error { return c.ReplayBot(ctx, "u3", at) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if line != want {
			t.Errorf("asked %s, want %s", line, want)
		}
	}
}

// idIn returns the id that a request was given, or what no request has.
func idIn(body []byte) []byte {
	var in struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(body, &in) != nil || in.ID == "" {
		return []byte("\x00")
	}
	return []byte(in.ID)
}
