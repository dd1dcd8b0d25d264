package edge_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-im/parley/internal/edge"
)

// matrixRow is a call of the matrix, and how it is answered for each part,
// in the order of parts. A status with "=" after it is a success of which
// nobody else sees anything.
type matrixRow struct {
	route, path, body string
	want              string
}

// Rows that many calls have: of what is one's own, of a group's members, of
// those who lead it, and of its owner alone.
const (
	ownRow     = "401 401 200 200 200 200 200 200 200 200"
	readerRow  = "401 401 404 404 404 200 200 200 200 200"
	presentRow = "401 401 404 404 404 404 201 201 201 201"
)

const groupPath = "/v1/conversations/{group}"

// matrix is S4 over HTTP.
var matrix = []matrixRow{
	{"register", "/v1/accounts", `{"handle":"carol-{part}","password":"correct horse"}`, "201 201 201 201 201 201 201 201 201 201"},
	{"sign_in", "/v1/sessions", `{"handle":"member","password":"correct horse"}`, "201 201 201 201 201 201 201 201 201 201"},
	{"sign_out", "/v1/sessions/current", "", "401 401 204 204 204 204 204 204 204 204"},
	{"devices", "/v1/devices", "", ownRow},
	{"sign_out_device", "/v1/devices/{tablet}", "", "401 401 404 404 404 404 404 404 404 204"},
	{"me", "/v1/me", "", ownRow},
	{"change_me", "/v1/me", `{"status":"here"}`, ownRow},
	{"set_avatar", "/v1/me/avatar", picture(8, 8), ownRow},
	{"remove_avatar", "/v1/me/avatar", "", ownRow},
	{"node", "/v1/node", "", ownRow},
	{"user", "/v1/users/owner", "", ownRow},
	{"avatar", "/v1/users/owner/avatar", "", ownRow},

	{"contacts", "/v1/contacts", "", ownRow},
	{"contact", "/v1/contacts/admin", "", ownRow},
	{"change_contact", "/v1/contacts/owner", `{"state":"requested","rev":5}`, "401 401 200 200 200 200 200= 200 200 400"},
	{"change_contact", "/v1/contacts/owner", `{"state":"accepted","rev":5}`, "401 401 409 409 409 409 409 200 409 400"},
	{"forget_contact", "/v1/contacts/member", "", "401 401 404 404 404 404 404 404 404 204"},
	{"presence", "/v1/presence?users={owner}", "", ownRow},

	{"create_conversation", "/v1/conversations", `{"kind":"direct","members":["owner"]}`, "401 401 201 201 201 201 200= 201 201 201"},
	{"conversations", "/v1/conversations", "", ownRow},
	{"conversation", groupPath, "", readerRow},
	{"conversation", "/v1/conversations/{direct}", "", "401 401 404 404 404 404 200 404 404 200"},
	{"change_conversation", groupPath, `{"title":"Ours"}`, "401 401 404 404 404 404 403 403 200 200"},
	{"change_conversation", groupPath, `{"muted":true,"draft":{"text":"so"}}`, "401 401 404 404 404 200= 200= 200= 200= 200"},
	{"change_conversation", groupPath, `{"title":"Ours","archived":true}`, "401 401 404 404 404 404 403 403 200 200"},
	{"change_conversation", "/v1/conversations/{direct}", `{"title":"Ours"}`, "401 401 404 404 404 404 400 404 404 400"},
	{"hide", groupPath + "/hidden", `{"entries":[3]}`, "401 401 404 404 404 204= 204= 204= 204= 204"},
	{"mark", groupPath + "/markers", `{"read":3}`, "401 401 404 404 404 200= 200 200 200 200"},

	{"post", groupPath + "/entries", `{"id":"new-{part}","body":{"type":"text/plain","text":"hi"}}`, presentRow},
	{"post", "/v1/conversations/{direct}/entries", `{"id":"new-{part}","body":{"type":"text/plain","text":"hi"}}`, "401 401 404 404 404 404 201 404 404 403"},
	{"entries", groupPath + "/entries", "", readerRow},
	{"entries", groupPath + "/entries?after=0", "", readerRow},
	{"entry_by_id", groupPath + "/entries/by-id/said", "", readerRow},
	{"entry_by_id", groupPath + "/entries/by-id/late", "", "401 401 404 404 404 404 200 200 200 200"},
	{"edit", groupPath + "/entries/3", `{"id":"new-{part}","body":{"type":"text/plain","text":"hi"}}`, "401 401 404 404 404 404 403 201 403 403"},
	{"delete", groupPath + "/entries/3", `{"id":"new-{part}"}`, "401 401 404 404 404 404 403 201 201 201"},
	{"delete", groupPath + "/entries/5", `{"id":"new-{part}"}`, "401 401 404 404 404 404 403 403 201 201"},
	{"delete", "/v1/conversations/{direct}/entries/2", `{"id":"new-{part}"}`, "401 401 404 404 404 404 403 404 404 201"},
	{"editions", groupPath + "/edits/3", "", readerRow},
	{"editions", groupPath + "/edits/8", "", "401 401 404 404 404 404 200 200 200 200"},
	{"reactors", groupPath + "/reactions/3", "", readerRow},
	{"reactors", groupPath + "/reactions/8", "", "401 401 404 404 404 404 200 200 200 200"},
	{"react", groupPath + "/entries/3/reaction", `{"id":"new-{part}","text":"!"}`, presentRow},
	{"pin", groupPath + "/entries/3/pin", `{"id":"new-{part}"}`, "401 401 404 404 404 404 403 403 201 201"},
	{"unpin", groupPath + "/entries/5/pin", `{"id":"new-{part}"}`, "401 401 404 404 404 404 403 403 201 201"},
	{"pin", "/v1/conversations/{direct}/entries/2/pin", `{"id":"new-{part}"}`, "401 401 404 404 404 404 201 404 404 403"},

	{"add_members", groupPath + "/members", `{"users":["operator"]}`, "401 401 404 404 404 404 403 403 200 200"},
	{"change_member", groupPath + "/members/member", `{"role":"admin"}`, "401 401 404 404 404 404 403 403 403 200"},
	{"change_member", groupPath + "/members/owner", `{"role":"member"}`, "401 401 404 404 404 404 403 403 403 403"},
	{"remove_member", groupPath + "/members/member", "", "401 401 404 404 404 404 403 204 204 204"},
	{"remove_member", groupPath + "/members/admin", "", "401 401 404 404 404 404 403 403 204 204"},
	{"remove_member", groupPath + "/members/owner", "", "401 401 404 404 404 404 403 403 403 204"},
	{"remove_member", groupPath + "/members/me", "", "401 401 404 404 404 404 204 204 204 204"},

	{"invite_to_group", groupPath + "/invites", "", "401 401 404 404 404 404 403 403 201 201"},
	{"invite_to_group", "/v1/conversations/{direct}/invites", "", "401 401 404 404 404 404 400 404 404 400"},
	{"group_invites", groupPath + "/invites", "", "401 401 404 404 404 404 403 403 200 200"},
	{"revoke_group_invite", groupPath + "/invites/{link}", "", "401 401 404 404 404 404 403 403 204 204"},
	{"revoke_group_invite", "/v1/conversations/{elsewhere}/invites/{link}", "", "401 401 404 404 404 404 404 404 404 404"},
	{"preview_invite", "/v1/join/{link}", "", ownRow},
	{"join", "/v1/join/{link}", "", ownRow},

	{"create_bot", "/v1/bots", `{"handle":"beep-{part}"}`, "401 401 201 201 403 201 201 201 201 201"},
	{"bots", "/v1/bots", "", ownRow},
	{"change_bot", "/v1/bots/robo", `{"name":"Robo"}`, "401 401 404 404 404 404 404 404 404 200"},
	{"delete_bot", "/v1/bots/robo", "", "401 401 404 404 404 404 404 404 404 204"},
	{"renew_bot_token", "/v1/bots/robo/token", "", "401 401 404 404 404 404 404 404 404 201"},
	{"replay_bot", "/v1/bots/robo/replay", `{"since":"2026-01-02T03:04:05Z"}`, "401 401 404 404 404 404 404 404 404 404"},

	{"search", "/v1/search?q=c4n4ry", "", ownRow},
	{"search", "/v1/search?q=c4n4ry&conversation={group}", "", readerRow},
	{"sync", "/v1/sync?timeout=0", "", ownRow},
	{"invite", "/v1/invites", "", "401 401 201 201 403 201 201 201 201 201"},
	{"invites", "/v1/invites", "", ownRow},
	{"revoke_invite", "/v1/invites/{invite}", "", "401 401 404 204 404 404 404 404 404 204"},
}

// once is calls after which a house is not what it was for the next who makes
// them.
var once = []string{"sign_out", "sign_out_device", "forget_contact", "edit", "delete", "add_members", "change_member", "remove_member",
	"revoke_group_invite", "revoke_invite", "delete_bot", "renew_bot_token"}

// TestMatrix is S4 over HTTP: it kills a call that lets somebody do what is
// not theirs, one that changes something although it refuses, one whose
// refusal tells what is not theirs from what is not there, and a call that the
// matrix does not know.
func TestMatrix(t *testing.T) {
	methods := make(map[string]string)
	for _, r := range edge.Routes() {
		methods[r.Name] = r.Method
		if !slices.ContainsFunc(matrix, func(row matrixRow) bool { return row.route == r.Name }) {
			t.Errorf("%s %s is not in the matrix", r.Method, r.Path)
		}
	}
	calm := newHouse(t) // where nobody succeeds in changing anything
	for _, row := range matrix {
		method, ok := methods[row.route]
		wants := strings.Fields(row.want)
		if !ok || len(wants) != len(parts) {
			t.Fatalf("%s: no such call, or %d parts", row.route, len(wants))
		}
		t.Run(row.route, func(t *testing.T) {
			var lived *house // where those who may do it do, one after the other
			for i, part := range parts {
				what := fmt.Sprintf("%s: %s %s %.40q", part, method, row.path, row.body)
				if !strings.HasPrefix(wants[i], "2") || method == http.MethodGet {
					calm.try(what, part, method, &row, wants[i])
					continue
				}
				if lived == nil || slices.Contains(once, row.route) {
					lived = newHouse(t)
				} else {
					lived.was = lived.state()
				}
				lived.try(what, part, method, &row, wants[i])
			}
			calm.unchanged(row.route + " " + row.path)
		})
	}
	if got := calm.metric("parley_http_panics_total"); got != "0" {
		t.Errorf("panics: %q", got)
	}
}

// try makes one call of the matrix.
func (h *house) try(what, part, method string, row *matrixRow, want string) {
	h.t.Helper()
	want, quiet := strings.CutSuffix(want, "=")
	status, raw := h.as(part, method, row.path, row.body)
	if strconv.Itoa(status) != want {
		h.t.Errorf("%s: %d, want %s: %.300s", what, status, want, raw)
		return
	}
	if quiet {
		others := slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == part })
		if was, is := h.only(h.was, others), h.seen(others...); is != was {
			h.t.Errorf("%s: the others see it: %.600s", what, changed(was, is))
		}
	}
	if status == http.StatusNotFound {
		h.sameAsNowhere(what, part, method, row, raw)
	}
	// Who is not inside sees nothing of it, but for who has a link.
	outside := part == "stranger" || part == "operator" || part == "bot" || part == "none" || part == "revoked"
	if !strings.Contains(row.path, "/join/") && (outside && strings.Contains(raw, insideCanary) || (outside || part == "ex") && strings.Contains(raw, lateCanary)) {
		h.t.Errorf("%s: gives away %s", what, raw)
	}
}

// unchanged holds a house to what it was before what was refused.
func (h *house) unchanged(what string) {
	h.t.Helper()
	if is := h.state(); is != h.was {
		h.t.Errorf("%s: somebody was refused, and yet: %.600s", what, changed(h.was, is))
		h.was = is
	}
}

// only is what some see of a state.
func (h *house) only(state string, by []string) string {
	var out strings.Builder
	for line := range strings.Lines(state) {
		if part, _, _ := strings.Cut(line, " "); slices.Contains(by, part) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// nowhere replaces what is there by what is not.
var nowhere = strings.NewReplacer("{group}", "gnothere", "{direct}", "gnothere", "{tablet}", "dnothere", "{link}", "nothere",
	"{invite}", "nothere", "/bots/robo", "/bots/nobody")

// afterwards replaces what came after somebody left by what never came.
var afterwards = strings.NewReplacer("by-id/late", "by-id/never", "edits/8", "edits/99", "reactions/8", "reactions/99")

// sameAsNowhere holds the answer raw, of 404, to that for what is not there.
func (h *house) sameAsNowhere(what, part, method string, row *matrixRow, raw string) {
	h.t.Helper()
	path := nowhere.Replace(row.path)
	if part == "ex" && afterwards.Replace(row.path) != row.path {
		path = afterwards.Replace(row.path)
	}
	if path == row.path || part == "owner" { // whose it is
		return
	}
	if _, other := h.as(part, method, path, row.body); !json.Valid([]byte(raw)) || raw != other {
		h.t.Errorf("%s: 404 and %s, but %s where there is nothing", what, raw, other)
	}
}
