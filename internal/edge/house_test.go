package edge_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/parley-im/parley/wire"
)

// The parts somebody may have in what a matrix is about, in the order of its
// columns. The revoked token is that of a device of the owner, the bot the
// owner's; neither bot, stranger nor operator (the server's administrator)
// ever were in the group. The owner blocks the one blocked, who is a plain
// member otherwise, as the member is.
var parts = []string{"none", "revoked", "stranger", "operator", "bot", "ex", "blocked", "member", "admin", "owner"}

// Canaries: what is said in the group, and what was said after somebody left.
const (
	insideCanary = "c4n4ry-1ns1d3"
	lateCanary   = "c4n4ry-l4t3r"
)

// house is a world with somebody in every part, around one group:
//
//	1 members
//	2 admin becomes one
//	3 member says something, which is edited
//	4 the edit
//	5 the owner says something
//	6 the owner pins it
//	7 ex leaves, not by themself
//	8 member says something
//
// and {direct}, of the owner and the one blocked: 1 members, 2 the owner says
// something, 3 the other does, then 4 blocked.
type house struct {
	*world
	tokens map[string]string // by part
	was    string            // see state
}

// newHouse builds a house.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{world: empty(t), tokens: make(map[string]string)}
	var pairs []string
	name := func(key, value string) { pairs = append(pairs, "{"+key+"}", value) }
	for _, part := range []string{"operator", "stranger", "ex", "blocked", "member", "admin", "owner"} {
		var s wire.SignedIn
		invite := ""
		if part == "operator" {
			invite = h.setup
		}
		h.must("", "POST", "/v1/accounts", `{"handle":"`+part+`","password":"correct horse","invite":"`+invite+`"}`, &s)
		h.tokens[part] = s.Token
		name(part, s.User.ID)
	}
	owner := h.tokens["owner"]
	var lost, tablet wire.SignedIn
	for _, s := range []*wire.SignedIn{&lost, &tablet} {
		h.must("", "POST", "/v1/sessions", `{"handle":"owner","password":"correct horse"}`, s)
	}
	h.must(owner, "DELETE", "/v1/devices/"+lost.Device.ID, "", nil)
	h.tokens["revoked"] = lost.Token
	name("tablet", tablet.Device.ID)
	var bot wire.Bot
	h.must(owner, "POST", "/v1/bots", `{"handle":"robo"}`, &bot)
	h.tokens["bot"] = bot.Token

	var group, direct, elsewhere wire.Conversation
	h.must(owner, "POST", "/v1/conversations", `{"kind":"group","title":"`+insideCanary+`","members":["admin","member","blocked","ex"]}`, &group)
	base := "/v1/conversations/" + group.ID
	h.must(owner, "PATCH", base+"/members/admin", `{"role":"admin"}`, nil)
	h.must(h.tokens["member"], "POST", base+"/entries", `{"id":"said","body":{"type":"text/plain","text":"`+insideCanary+`"}}`, nil)
	h.must(h.tokens["member"], "PATCH", base+"/entries/3", `{"id":"edited","body":{"type":"text/plain","text":"`+insideCanary+`!"}}`, nil)
	h.must(owner, "POST", base+"/entries", `{"id":"ruled","body":{"type":"text/plain","text":"`+insideCanary+`"}}`, nil)
	h.must(owner, "PUT", base+"/entries/5/pin", `{"id":"pinned"}`, nil)
	h.must(owner, "DELETE", base+"/members/ex", "", nil)
	h.must(h.tokens["member"], "POST", base+"/entries", `{"id":"late","body":{"type":"text/plain","text":"`+lateCanary+`"}}`, nil)
	h.must(owner, "POST", "/v1/conversations", `{"kind":"direct","members":["blocked"]}`, &direct)
	h.must(owner, "POST", "/v1/conversations/"+direct.ID+"/entries", `{"id":"d2","body":{"type":"text/plain","text":"`+insideCanary+`"}}`, nil)
	h.must(h.tokens["blocked"], "POST", "/v1/conversations/"+direct.ID+"/entries", `{"id":"d3","body":{"type":"text/plain","text":"`+insideCanary+`"}}`, nil)
	h.must(h.tokens["stranger"], "POST", "/v1/conversations", `{"kind":"group","members":[]}`, &elsewhere)
	name("group", group.ID)
	name("direct", direct.ID)
	name("elsewhere", elsewhere.ID)

	var link wire.GroupInvite
	h.must(owner, "POST", base+"/invites", "", &link)
	name("link", link.Code)
	var invite wire.Invite
	h.must(owner, "POST", "/v1/invites", "", &invite)
	name("invite", invite.Code)
	h.must(owner, "PUT", "/v1/me/avatar", picture(16, 16), nil)
	h.must(h.tokens["member"], "PUT", "/v1/contacts/owner", `{"state":"requested","rev":1}`, nil)
	h.must(owner, "PUT", "/v1/contacts/member", `{"state":"accepted","rev":1}`, nil)
	h.must(owner, "PUT", "/v1/contacts/blocked", `{"state":"blocked","rev":1}`, nil)
	h.names = strings.NewReplacer(pairs...)
	h.was = h.state()
	return h
}

// picture is a PNG of that size.
func picture(w, h int) string {
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		panic(err)
	}
	return out.String()
}

// looks is what a house's people can see of what belongs to them: by part,
// and there nothing may change when somebody else is refused.
var looks = map[string][]string{
	"owner": {"/v1/me", "/v1/devices", "/v1/bots", "/v1/invites", "/v1/contacts", "/v1/conversations", "/v1/conversations/{group}",
		"/v1/conversations/{group}/entries?after=0&limit=200", "/v1/conversations/{group}/invites", "/v1/conversations/{group}/edits/3", "/v1/conversations/{direct}",
		"/v1/conversations/{direct}/entries?after=0&limit=200", "/v1/sync?timeout=0"},
	"member":   {"/v1/me", "/v1/contacts", "/v1/conversations", "/v1/conversations/{group}/entries?after=0&limit=200"},
	"blocked":  {"/v1/me", "/v1/contacts", "/v1/conversations", "/v1/conversations/{direct}/entries?after=0&limit=200"},
	"ex":       {"/v1/conversations"},
	"stranger": {"/v1/me", "/v1/contacts", "/v1/conversations"},
	"bot":      {"/v1/me", "/v1/conversations"},
}

// state is all that can be seen in a house by those it belongs to.
func (h *house) state() string { return h.seen(parts...) }

// seen is what some of them see.
func (h *house) seen(by ...string) string {
	h.t.Helper()
	var all strings.Builder
	for _, part := range by {
		for _, path := range looks[part] {
			var raw json.RawMessage
			h.must(h.tokens[part], "GET", h.names.Replace(path), "", &raw)
			fmt.Fprintf(&all, "%s %s: %s\n", part, path, raw)
		}
	}
	return all.String()
}

// changed returns the first line in which two states differ.
func changed(was, is string) string {
	before := strings.Split(was, "\n")
	for i, line := range strings.Split(is, "\n") {
		if i >= len(before) || line != before[i] {
			return line
		}
	}
	return ""
}

// as makes a call as somebody in that part.
func (h *house) as(part, method, path, body string) (status int, raw string) {
	h.t.Helper()
	headers := []string{"Content-Type: application/json"}
	if part != "none" {
		headers = append(headers, "Authorization: Bearer "+h.tokens[part])
	}
	res, got := h.do(method, h.names.Replace(path), strings.ReplaceAll(h.names.Replace(body), "{part}", part), headers...)
	return res.StatusCode, string(got)
}

// vast is a PNG of 12,000 pixels square, as its header says, in 500 KB.
func vast() string {
	out := []byte(picture(8, 8))
	binary.BigEndian.PutUint32(out[16:], 12000) // of the first chunk: 4 of length, IHDR, width, height
	binary.BigEndian.PutUint32(out[20:], 12000)
	binary.BigEndian.PutUint32(out[29:], crc32.ChecksumIEEE(out[12:29]))
	return string(out) + strings.Repeat("\x00", 500_000-len(out))
}
