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
	raw          int      // the body is bytes and no JSON, so many at most; 0: it is not
	kinds        []string // of the answer, if it is no JSON
	status       int      // of success
	also         int      // another status of success, 0: none
	out          any      // the shape of the answer; nil: none
	errors       []int    // statuses of errors beside those of every call
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

// routes is every call of the API.
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
	{method: "PATCH", path: "/v1/me", name: "change_me", summary: "Change how you are called, your status, and what others see of you.",
		in: body[wire.MePatch](), status: 200, out: wire.Me{}, call: (*Edge).patchMe},
	{method: "PUT", path: "/v1/me/avatar", name: "set_avatar", summary: "Be shown by the middle of a picture: PNG, JPEG, GIF or WebP of 4 megapixels and 1 MiB at most.",
		raw: maxPicture, status: 200, out: wire.Me{}, call: (*Edge).setAvatar},
	{method: "DELETE", path: "/v1/me/avatar", name: "remove_avatar", summary: "Be shown by your initials.", status: 200, out: wire.Me{}, call: (*Edge).removeAvatar},
	{method: "GET", path: "/v1/node", name: "node", summary: "The server of a cluster that is best for you to connect to.",
		status: 200, out: wire.Node{}, call: (*Edge).node},
	{method: "GET", path: "/v1/users/{user}", name: "user", summary: "A user by id or exact handle.",
		status: 200, out: wire.User{}, errors: []int{404}, call: (*Edge).user},

	{method: "GET", path: "/v1/users/{user}/avatar", name: "avatar", summary: "The picture a user is shown by, 256 pixels square. With v, the user's avatar, it may be kept for ever.",
		query:  []param{{"v", false, "the picture's name"}},
		status: 200, kinds: []string{"image/jpeg", "image/png"}, errors: []int{404}, call: (*Edge).avatar},

	{method: "GET", path: "/v1/contacts", name: "contacts", summary: "How you stand with others: contacts, requests and blocks.",
		query: pageParams, status: 200, out: wire.List[wire.Contact]{}, call: (*Edge).contacts},
	{method: "GET", path: "/v1/contacts/{user}", name: "contact", summary: "How you stand with one user.",
		status: 200, out: wire.Contact{}, errors: []int{404}, call: (*Edge).getContact},
	{method: "PUT", path: "/v1/contacts/{user}", name: "change_contact", summary: "Ask somebody to be a contact, answer, block or unblock; the greater rev stays.",
		in: body[wire.ContactChange](), status: 200, out: wire.Contact{}, errors: []int{404, 409, 507}, call: (*Edge).putContact},
	{method: "DELETE", path: "/v1/contacts/{user}", name: "forget_contact", summary: "Forget a contact, or take a request back.",
		status: 204, errors: []int{404, 409, 507}, call: (*Edge).deleteContact},
	{method: "GET", path: "/v1/presence", name: "presence", summary: "Who of these is online, and when the others last were, as far as you may know.",
		query:  []param{{"users", false, "ids, 200 at most, with commas between them"}},
		status: 200, out: wire.List[wire.Presence]{}, call: (*Edge).presence},

	{method: "POST", path: "/v1/conversations", name: "create_conversation", summary: "Make a group, or the one direct conversation with a user.",
		in: body[wire.NewConversation](), status: 201, also: 200, out: wire.Conversation{}, errors: []int{404}, call: (*Edge).create},
	{method: "GET", path: "/v1/conversations", name: "conversations", summary: "Your conversations, most recent first.",
		query: pageParams, status: 200, out: wire.List[wire.Row]{}, call: (*Edge).conversations},
	{method: "GET", path: "/v1/conversations/{conversation}", name: "conversation", summary: "One conversation with its members and your markers.",
		status: 200, out: wire.Conversation{}, errors: []int{404}, call: (*Edge).conversation},
	{method: "PATCH", path: "/v1/conversations/{conversation}", name: "change_conversation", summary: "Rename a group for everybody; mute, archive, pin a conversation or keep a draft for yourself.",
		in: body[wire.ConversationPatch](), status: 200, out: wire.Conversation{}, errors: []int{404, 409, 507}, call: (*Edge).patchConversation},
	{method: "POST", path: "/v1/conversations/{conversation}/hidden", name: "hide", summary: "Delete entries for yourself alone.",
		in: body[wire.Hide](), status: 204, errors: []int{404, 507}, call: (*Edge).hide},
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
	{method: "GET", path: "/v1/conversations/{conversation}/edits/{seq}", name: "editions", summary: "What a message said first, and with each edit; nothing if it was deleted.",
		query: pageParams, status: 200, out: wire.List[wire.Edition]{}, errors: []int{404}, call: (*Edge).editions},
	{method: "GET", path: "/v1/conversations/{conversation}/reactions/{seq}", name: "reactors", summary: "Every reaction to a message, and whose it is.",
		query: pageParams, status: 200, out: wire.List[wire.Reactor]{}, errors: []int{404}, call: (*Edge).reactors},
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

	{method: "POST", path: "/v1/conversations/{conversation}/invites", name: "invite_to_group", summary: "Make a link that lets people into a group you lead.",
		in: body[wire.NewGroupInvite](), bodyOptional: true, status: 201, out: wire.GroupInvite{}, errors: []int{404, 507}, call: (*Edge).groupInvite},
	{method: "GET", path: "/v1/conversations/{conversation}/invites", name: "group_invites", summary: "The links into a group you lead, newest first.",
		query: pageParams, status: 200, out: wire.List[wire.GroupInvite]{}, errors: []int{404}, call: (*Edge).groupInvites},
	{method: "DELETE", path: "/v1/conversations/{conversation}/invites/{code}", name: "revoke_group_invite", summary: "Withdraw a link into a group.",
		status: 204, errors: []int{404, 507}, call: (*Edge).revokeGroupInvite},
	{method: "GET", path: "/v1/join/{code}", name: "preview_invite", summary: "What a link leads to.",
		status: 200, out: wire.GroupInvite{}, errors: []int{404}, call: (*Edge).previewInvite},
	{method: "POST", path: "/v1/join/{code}", name: "join", summary: "Join the group that a link leads to.",
		status: 200, out: wire.Conversation{}, errors: []int{404, 409, 413, 507}, call: (*Edge).join},

	{method: "POST", path: "/v1/bots", name: "create_bot", summary: "Make a bot: an account for a program, with a token and perhaps a webhook.",
		in: body[wire.NewBot](), status: 201, out: wire.Bot{}, errors: []int{404, 409, 507}, call: (*Edge).createBot},
	{method: "GET", path: "/v1/bots", name: "bots", summary: "Your bots.", status: 200, out: wire.List[wire.Bot]{}, call: (*Edge).bots},
	{method: "PATCH", path: "/v1/bots/{user}", name: "change_bot", summary: "Rename a bot, or change where it hears; a webhook gets a new secret.",
		in: body[wire.BotPatch](), status: 200, out: wire.Bot{}, errors: []int{404, 507}, call: (*Edge).patchBot},
	{method: "DELETE", path: "/v1/bots/{user}", name: "delete_bot", summary: "End a bot; its handle stays taken.", status: 204, errors: []int{404, 507}, call: (*Edge).deleteBot},
	{method: "POST", path: "/v1/bots/{user}/token", name: "renew_bot_token", summary: "A new token for a bot; the one before is no good any more.",
		status: 201, out: wire.BotToken{}, errors: []int{404, 507}, call: (*Edge).renewBotToken},
	{method: "POST", path: "/v1/bots/{user}/replay", name: "replay_bot", summary: "Have a bot's webhook told again what was said since then.",
		in: body[wire.Replay](), status: 204, errors: []int{404, 507}, call: (*Edge).replayBot},

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
