package edge

import (
	"reflect"
	"strings"

	"github.com/parley-im/parley/wire"
)

// route is one call of the API: how it is found, what is checked before it
// runs, and what /openapi.json says of it.
type route struct {
	method, path string
	name         string // for metrics, and operationId
	summary      string
	open         bool // needs no token
	poll         bool // may wait for news
	query        []param
	in           func() any // makes what the body is read into; nil: no body
	bodyOptional bool
	status       int   // of success
	also         int   // another status of success, 0: none
	out          any   // the shape of the answer; nil: none
	errors       []int // statuses of errors beside those of every call
	call         func(e *Edge, c *call) (status int, out any, err error)
}

// param is one parameter of a query.
type param struct {
	name   string
	number bool
	about  string
}

// ids returns the names in the path that must be ids.
func (rt *route) ids() []string {
	var names []string
	for part := range strings.SplitSeq(rt.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// body makes a fresh T for each request.
func body[T any]() func() any { return func() any { return new(T) } }

// shape returns the type of what a body is read into.
func (rt *route) shape() reflect.Type { return reflect.TypeOf(rt.in()).Elem() }

var (
	limitParam  = param{"limit", true, "how many at most; 50 if absent, and never more than 200"}
	cursorParam = param{"cursor", false, "where the page before ended: its next"}
	pageParams  = []param{limitParam, cursorParam}
)

// routes is every call of the API. Further ones come with their features.
var routes = []route{
	{method: "POST", path: "/v1/accounts", name: "register", summary: "Make an account and sign its first device in.",
		open: true, in: body[wire.NewAccount](), status: 201, out: wire.SignedIn{}, errors: []int{404, 409}, call: (*Edge).register},
	{method: "POST", path: "/v1/sessions", name: "sign_in", summary: "Sign a device in.",
		open: true, in: body[wire.NewSession](), status: 201, out: wire.SignedIn{}, call: (*Edge).signIn},
	{method: "DELETE", path: "/v1/sessions/current", name: "sign_out", summary: "Sign this device out.", status: 204, call: (*Edge).signOut},
	{method: "GET", path: "/v1/devices", name: "devices", summary: "The devices that are signed in.",
		query: pageParams, status: 200, out: wire.List[wire.Device]{}, call: (*Edge).devices},
	{method: "DELETE", path: "/v1/devices/{id}", name: "sign_out_device", summary: "Sign another device out; its connections close within a second.",
		status: 204, errors: []int{404}, call: (*Edge).signOutDevice},

	{method: "GET", path: "/v1/me", name: "me", summary: "The account that asks.", status: 200, out: wire.Me{}, call: (*Edge).me},
	{method: "PATCH", path: "/v1/me", name: "rename", summary: "Change how you are called.",
		in: body[wire.MePatch](), status: 200, out: wire.Me{}, call: (*Edge).patchMe},
	{method: "GET", path: "/v1/node", name: "node", summary: "The server of a cluster that is best for you to connect to.",
		status: 200, out: wire.Node{}, call: (*Edge).node},
	{method: "GET", path: "/v1/users/{user}", name: "user", summary: "A user by id or exact handle.",
		status: 200, out: wire.User{}, errors: []int{404}, call: (*Edge).user},

	{method: "POST", path: "/v1/conversations", name: "create_conversation", summary: "Make a group, or the one direct conversation with a user.",
		in: body[wire.NewConversation](), status: 201, also: 200, out: wire.Conversation{}, errors: []int{404}, call: (*Edge).create},
	{method: "GET", path: "/v1/conversations", name: "conversations", summary: "Your conversations, most recent first.",
		query: pageParams, status: 200, out: wire.List[wire.Row]{}, call: (*Edge).conversations},
	{method: "GET", path: "/v1/conversations/{conversation}", name: "conversation", summary: "One conversation with its members and your markers.",
		status: 200, out: wire.Conversation{}, errors: []int{404}, call: (*Edge).conversation},
	{method: "PUT", path: "/v1/conversations/{conversation}/markers", name: "mark", summary: "Move your markers forward.",
		in: body[wire.Markers](), status: 200, out: wire.MarkersNow{}, errors: []int{404}, call: (*Edge).mark},

	{method: "POST", path: "/v1/conversations/{conversation}/entries", name: "post", summary: "Say something. The same id again gives the same number.",
		in: body[wire.NewEntry](), status: 201, also: 200, out: wire.Posted{}, errors: []int{404, 409, 507}, call: (*Edge).post},
	{method: "GET", path: "/v1/conversations/{conversation}/entries", name: "entries", summary: "A stretch of the log: ascending after a number, or descending before one.",
		query:  []param{{"after", true, "the entries after this number, ascending"}, {"before", true, "the entries before this number, descending; the head if absent"}, limitParam},
		status: 200, out: wire.EntryPage{}, errors: []int{404}, call: (*Edge).entries},
	{method: "GET", path: "/v1/conversations/{conversation}/entries/by-id/{id}", name: "entry_by_id", summary: "Was this message committed?",
		status: 200, out: wire.Entry{}, errors: []int{404}, call: (*Edge).entryByID},
	{method: "PATCH", path: "/v1/conversations/{conversation}/entries/{seq}", name: "edit", summary: "Say a message of yours otherwise.",
		in: body[wire.EntryEdit](), status: 201, also: 200, out: wire.Posted{}, errors: []int{404, 409, 507}, call: (*Edge).edit},
	{method: "DELETE", path: "/v1/conversations/{conversation}/entries/{seq}", name: "delete", summary: "Take a message back, for everybody and for good.",
		in: body[wire.EntryDelete](), status: 201, also: 200, out: wire.Posted{}, errors: []int{404, 409, 507}, call: (*Edge).delete},
	{method: "PUT", path: "/v1/conversations/{conversation}/entries/{seq}/reaction", name: "react", summary: "React to a message; an empty text takes your reaction back.",
		in: body[wire.Feeling](), status: 201, also: 200, out: wire.Posted{}, errors: []int{404, 409, 507}, call: (*Edge).react},
	{method: "PUT", path: "/v1/conversations/{conversation}/entries/{seq}/pin", name: "pin", summary: "Pin a message for every member.",
		in: body[wire.EntryPin](), status: 201, also: 200, out: wire.Posted{}, errors: []int{404, 409, 507}, call: (*Edge).pin},
	{method: "DELETE", path: "/v1/conversations/{conversation}/entries/{seq}/pin", name: "unpin", summary: "Take a pinned message down.",
		in: body[wire.EntryPin](), status: 201, also: 200, out: wire.Posted{}, errors: []int{404, 409, 507}, call: (*Edge).unpin},

	{method: "POST", path: "/v1/conversations/{conversation}/members", name: "add_members", summary: "Add users to a group.",
		in: body[wire.NewMembers](), status: 200, out: wire.Conversation{}, errors: []int{404, 409, 507}, call: (*Edge).addMembers},
	{method: "PATCH", path: "/v1/conversations/{conversation}/members/{user}", name: "change_member", summary: "Change what a member may do.",
		in: body[wire.MemberPatch](), status: 200, out: wire.Conversation{}, errors: []int{404, 409, 507}, call: (*Edge).changeMember},
	{method: "DELETE", path: "/v1/conversations/{conversation}/members/{user}", name: "remove_member", summary: "Remove a member from a group, or leave it: \"me\" is you.",
		query:  []param{{"id", false, "names the removal itself, so that a retry is harmless"}},
		status: 204, errors: []int{404, 409, 507}, call: (*Edge).removeMember},

	{method: "GET", path: "/v1/search", name: "search", summary: "Your own messages that hold all of some words, or parts of words, the newest first.",
		query: []param{{"q", false, "words; words in double quotes belong together"}, {"conversation", false, "in this conversation only"},
			{"sender", false, "by this user, an id, only"}, {"after", false, "committed at this time or later, RFC 3339"},
			{"before", false, "committed before this time"}, limitParam, cursorParam},
		status: 200, out: wire.List[wire.Found]{}, errors: []int{404}, call: (*Edge).search},

	{method: "GET", path: "/v1/sync", name: "sync", summary: "What changed after a cursor: at once if there is something, else when there is or the time is over.", poll: true,
		query:  []param{{"cursor", false, "where this device stands; absent: from nothing"}, {"timeout", true, "seconds to wait for news, 30 if absent, and never more than 55"}, limitParam},
		status: 200, out: wire.Sync{}, call: (*Edge).sync},

	{method: "POST", path: "/v1/invites", name: "invite", summary: "Let somebody in.",
		in: body[wire.NewInvite](), bodyOptional: true, status: 201, out: wire.Invite{}, call: (*Edge).invite},
	{method: "GET", path: "/v1/invites", name: "invites", summary: "The invites you made, newest first.",
		query: pageParams, status: 200, out: wire.List[wire.Invite]{}, call: (*Edge).invites},
	{method: "DELETE", path: "/v1/invites/{code}", name: "revoke_invite", summary: "Withdraw an invite.",
		status: 204, errors: []int{404}, call: (*Edge).revokeInvite},
}
