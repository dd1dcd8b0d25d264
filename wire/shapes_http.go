package wire

// The rest of the bodies of HTTP requests and answers.
type (
	// ConversationPatch changes a conversation: its title for everybody, the
	// rest for the asker alone. ID, of a new title, makes a retry harmless.
	ConversationPatch struct {
		ID         string  `json:"id,omitzero"`
		Title      *string `json:"title,omitzero"`
		Muted      *bool   `json:"muted,omitzero"`       // true without MutedUntil: until further notice
		MutedUntil *string `json:"muted_until,omitzero"` // RFC 3339
		Archived   *bool   `json:"archived,omitzero"`
		Pinned     *bool   `json:"pinned,omitzero"`
		Draft      *Draft  `json:"draft,omitzero"` // an empty text: none
	}
	// Hide deletes entries for the asker alone (POST …/hidden).
	Hide struct {
		Entries []uint64 `json:"entries"`
	}
	// NewMembers adds users, by id or handle, to a group. ID makes a retry
	// harmless.
	NewMembers struct {
		ID    string   `json:"id,omitzero"`
		Users []string `json:"users"`
		All   bool     `json:"all,omitzero"` // they read from the start
	}
	// MemberPatch changes what a member may do.
	MemberPatch struct {
		ID   string `json:"id,omitzero"`
		Role string `json:"role"`
	}
	// NewGroupInvite asks for a link into a group (POST …/invites).
	NewGroupInvite struct {
		Uses  uint64 `json:"uses,omitzero"`  // default 100
		Hours uint64 `json:"hours,omitzero"` // default 168
	}
	// GroupInvite lets whoever has it join a group.
	GroupInvite struct {
		Code         string `json:"code"`
		Conversation string `json:"conversation"`
		Title        string `json:"title"`
		Members      uint64 `json:"members"`
		By           User   `json:"by"`
		Uses         uint64 `json:"uses"`
		Used         uint64 `json:"used"`
		Expires      string `json:"expires"`
		Link         string `json:"link,omitzero"`
	}
	// Edition is one wording of a message that was edited, the first one
	// included (GET …/edits/{seq}).
	Edition struct {
		Seq  uint64 `json:"seq"`
		At   string `json:"at"`
		Body *Body  `json:"body,omitzero"`
	}
	// Reactor is one member's reaction (GET …/reactions/{seq}).
	Reactor struct {
		User string `json:"user"`
		Text string `json:"text"`
		At   string `json:"at"`
	}
	// Found is one entry that a search found (GET /v1/search), the newest first.
	Found struct {
		Entry Entry    `json:"entry"`
		Spans [][2]int `json:"spans"` // where in the text, in UTF-16 units: from, to
	}
	// EntryEdit replaces the body of an entry. ID names the edit itself.
	EntryEdit struct {
		ID   string `json:"id"`
		Body *Body  `json:"body"`
	}
	// EntryDelete removes the body of an entry. ID names the deletion itself.
	EntryDelete struct {
		ID string `json:"id"`
	}
	// Feeling reacts to an entry (PUT …/entries/{seq}/reaction). An empty text
	// takes the asker's reaction back. ID names the reaction itself.
	Feeling struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	// EntryPin pins an entry for every member, or takes it down. ID names that
	// act itself.
	EntryPin struct {
		ID string `json:"id"`
	}
	// NewBot makes a bot (POST /v1/bots). Webhook is where it hears; empty: it
	// asks by /v1/sync.
	NewBot struct {
		Handle  string `json:"handle"`
		Name    string `json:"name,omitzero"`
		Webhook string `json:"webhook,omitzero"`
	}
	// Bot is a bot as its owner sees it. Token and Secret are shown once, when
	// they are made.
	Bot struct {
		User    User        `json:"user"`
		Webhook *BotWebhook `json:"webhook"`
		Token   string      `json:"token,omitzero"`
		Secret  string      `json:"secret,omitzero"` // whsec_…, signs what the webhook is told
		Created string      `json:"created"`
	}
	// BotWebhook is how deliveries to a bot stand.
	BotWebhook struct {
		URL      string `json:"url"`
		Failures uint64 `json:"failures"` // in a row
		Next     string `json:"next,omitzero"`
		Error    string `json:"error,omitzero"` // of the last failure
		Paused   bool   `json:"paused"`         // after too many: replay begins again
	}
	// BotPatch changes a bot. A new Webhook makes a new secret; empty: none.
	BotPatch struct {
		Name    *string `json:"name,omitzero"`
		Webhook *string `json:"webhook,omitzero"`
	}
	// BotToken is a bot's new token; the one before is no good any more.
	BotToken struct {
		Token string `json:"token"`
	}
	// Replay has a webhook told again, from a time on.
	Replay struct {
		Since string `json:"since"`
	}
	// Contact is how the asker stands with another user. Rev decides between
	// devices: the greater one stays.
	Contact struct {
		User  User   `json:"user"`
		State string `json:"state"` // requested, pending, accepted, rejected, blocked, none
		Rev   uint64 `json:"rev"`
		At    string `json:"at,omitzero"`
	}
	// ContactChange asks for a state (PUT /v1/contacts/{user}).
	ContactChange struct {
		State string `json:"state"`
		Rev   uint64 `json:"rev"`
	}
	// Presence is whether a user is online, and else when last.
	Presence struct {
		User     string `json:"user"`
		Online   bool   `json:"online"`
		LastSeen string `json:"last_seen,omitzero"`
	}
)

// Node is where a device had best connect. Both are empty when every address
// is as good.
type Node struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}
