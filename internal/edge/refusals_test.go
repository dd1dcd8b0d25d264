package edge_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/server"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/wire"
)

// TestRefusals is what people may try with each other, over HTTP and where
// there is an op for it over WebSocket: each has its code, and changes nothing.
func TestRefusals(t *testing.T) {
	const hi = `"body":{"type":"text/plain","text":"hi"}`
	h := newHouse(t)
	for _, c := range []struct {
		what, part, method, path, body string
		frame                          string // empty: there is no op
		code                           parley.Code
	}{
		{"a member twice in one change", "owner", "POST", groupPath + "/members", `{"users":["stranger","stranger"]}`, "", parley.BadRequest},
		{"who is a member already", "owner", "POST", groupPath + "/members", `{"users":["member"]}`, "", parley.Conflict},
		{"an ex-member's post", "ex", "POST", groupPath + "/entries", `{"id":"x",` + hi + `}`, `"kind":"message",` + hi, parley.NotFound},
		{"an ex-member's edit", "ex", "PATCH", groupPath + "/entries/3", `{"id":"x",` + hi + `}`, `"kind":"edit","target":3,` + hi, parley.NotFound},
		{"an ex-member's delete", "ex", "DELETE", groupPath + "/entries/3", `{"id":"x"}`, `"kind":"delete","target":3`, parley.NotFound},
		{"an ex-member's reaction", "ex", "PUT", groupPath + "/entries/3/reaction", `{"id":"x","text":"!"}`, `"kind":"reaction","target":3,` + hi, parley.NotFound},
		{"a reaction to no number", "member", "PUT", groupPath + "/entries/99/reaction", `{"id":"x","text":"!"}`, `"kind":"reaction","target":99,` + hi, parley.BadRequest},
		{"a reaction to no message", "member", "PUT", groupPath + "/entries/1/reaction", `{"id":"x","text":"!"}`, `"kind":"reaction","target":1,` + hi, parley.BadRequest},
		{"an edit of no number", "member", "PATCH", groupPath + "/entries/99", `{"id":"x",` + hi + `}`, `"kind":"edit","target":99,` + hi, parley.BadRequest},
		{"an edit of another's", "admin", "PATCH", groupPath + "/entries/3", `{"id":"x",` + hi + `}`, `"kind":"edit","target":3,` + hi, parley.Forbidden},
		{"a delete of another's", "member", "DELETE", groupPath + "/entries/5", `{"id":"x"}`, `"kind":"delete","target":5`, parley.Forbidden},
		{"renaming by a member", "member", "PATCH", groupPath, `{"title":"Mine"}`, "", parley.Forbidden},
		{"pinning by a member", "member", "PUT", groupPath + "/entries/3/pin", `{"id":"x"}`, `"kind":"pin","target":3`, parley.Forbidden},
		{"a mention of a stranger", "member", "POST", groupPath + "/entries", `{"id":"x",` + hi + `,"mentions":["{stranger}"]}`, `"mentions":["{stranger}"],` + hi, parley.BadRequest},
		{"a mention of an ex-member", "member", "POST", groupPath + "/entries", `{"id":"x",` + hi + `,"mentions":["{ex}"]}`, `"mentions":["{ex}"],` + hi, parley.BadRequest},
		{"blocking oneself", "member", "PUT", "/v1/contacts/member", `{"state":"blocked","rev":9}`, "", parley.BadRequest},
		{"receipts where one is no member", "stranger", "PUT", groupPath + "/markers", `{"read":3}`, "", parley.NotFound},
		{"writing to whom one blocks", "owner", "POST", "/v1/conversations/{direct}/entries", `{"id":"x",` + hi + `}`, "", parley.Forbidden},
		{"a picture of 12,000 pixels square in 500 KB", "member", "PUT", "/v1/me/avatar", vast(), "", parley.TooLarge},
	} {
		status, raw := h.as(c.part, c.method, c.path, c.body)
		var p wire.Problem
		if err := json.Unmarshal([]byte(raw), &p); err != nil || status != wire.Status(c.code) || p.Code != string(c.code) {
			t.Errorf("%s: %d %s, want %s", c.what, status, raw, c.code)
		}
		if c.frame != "" {
			if got, raw := h.answered(c.part, `{"t":"post",`+inGroup+`,`+c.frame+`}`); got != string(c.code) {
				t.Errorf("%s, as a frame: %s %s, want %s", c.what, got, raw, c.code)
			}
		}
		if is := h.state(); is != h.was {
			t.Fatalf("%s changed %.600s", c.what, changed(h.was, is))
		}
	}
	// A marker past the head is one at the head.
	var now wire.MarkersNow
	h.must(h.tokens["member"], "PUT", h.names.Replace(groupPath+"/markers"), `{"read":9007199254740991}`, &now)
	if now.Read != 8 {
		t.Errorf("read up to 2^53-1: %+v, and the head is 8", now)
	}
}

// TestMemberTooMany kills a group of 1,001, however the last one comes.
func TestMemberTooMany(t *testing.T) {
	w := empty(t)
	var owner, late wire.SignedIn
	w.must("", "POST", "/v1/accounts", `{"handle":"owner","password":"correct horse"}`, &owner)
	names := make([]string, wire.MaxMembers-1)
	for i := range names {
		names[i] = fmt.Sprintf("member%d", i)
		w.must("", "POST", "/v1/accounts", `{"handle":"`+names[i]+`","password":"correct horse"}`, nil)
	}
	w.must("", "POST", "/v1/accounts", `{"handle":"late","password":"correct horse"}`, &late)
	var group wire.Conversation
	all, err := json.Marshal(map[string]any{"kind": "group", "members": names})
	if err != nil {
		t.Fatal(err)
	}
	w.must(owner.Token, "POST", "/v1/conversations", string(all), &group)
	base := "/v1/conversations/" + group.ID
	var link wire.GroupInvite
	w.must(owner.Token, "POST", base+"/invites", "", &link)
	for _, c := range []struct{ token, path, body string }{
		{owner.Token, base + "/members", `{"users":["late"]}`}, {late.Token, "/v1/join/" + link.Code, ""},
	} {
		res, raw := w.do("POST", c.path, c.body, "Authorization: Bearer "+c.token, asJSON)
		checkProblem(t, "one too many", &badCall{method: "POST", code: parley.TooLarge}, res, raw)
	}
	var is wire.Conversation
	w.must(owner.Token, "GET", base, "", &is)
	if is.Head != group.Head || len(is.Members) != wire.MaxMembers {
		t.Errorf("head %d and %d members after that, want %d and %d", is.Head, len(is.Members), group.Head, wire.MaxMembers)
	}
	var links wire.List[wire.GroupInvite]
	w.must(owner.Token, "GET", base+"/invites", "", &links)
	if len(links.Items) != 1 || links.Items[0].Used != 0 {
		t.Errorf("who did not come in used the link: %+v", links.Items)
	}
	// With one who leaves there is room for one who joins.
	w.must(owner.Token, "DELETE", base+"/members/member7", "", nil)
	w.must(late.Token, "POST", "/v1/join/"+link.Code, "", &is)
	if !slices.ContainsFunc(is.Members, func(m wire.Member) bool { return m.User == late.User.ID }) {
		t.Error("who joined is no member")
	}
}

// TestContactsInBulk kills a server that lets one user ask the whole world.
func TestContactsInBulk(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Config{Store: memstore.New(), Listener: l, Hasher: account.HashParams{Time: 1, MemoryKiB: 64, Threads: 1}, Registration: account.Open})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	w := &world{t: t, addr: l.Addr().String()}
	var alice wire.SignedIn
	w.must("", "POST", "/v1/accounts", `{"handle":"alice","password":"correct horse"}`, &alice)
	w.must("", "POST", "/v1/accounts", `{"handle":"bob","password":"correct horse"}`, nil)
	refused, stood := 0, ""
	for rev := range 40 {
		if refused == 1 {
			_, raw := w.do("GET", "/v1/contacts", "", "Authorization: Bearer "+alice.Token)
			stood = string(raw)
		}
		res, raw := w.do("PUT", "/v1/contacts/bob", fmt.Sprintf(`{"state":"requested","rev":%d}`, rev+1), "Authorization: Bearer "+alice.Token, asJSON)
		switch {
		case res.StatusCode == 429 && strings.Contains(string(raw), "retry_after_ms"):
			refused++
		case res.StatusCode != 200 || refused > 0:
			t.Fatalf("request %d: %s: %s", rev, res.Status, raw)
		}
	}
	if refused != 20 {
		t.Errorf("%d of 40 requests were refused, want 20", refused)
	}
	if _, raw := w.do("GET", "/v1/contacts", "", "Authorization: Bearer "+alice.Token); string(raw) != stood {
		t.Errorf("refused, and yet %s, which was %s", raw, stood)
	}
}
