package wire

// The rest of the bodies of HTTP requests and answers.
type (
	// ConversationPatch changes a conversation: its title for everybody, or
	// whether it is muted for the asker.
	ConversationPatch struct {
		Title *string `json:"title,omitzero"`
		Muted *bool   `json:"muted,omitzero"`
	}
	// NewMembers adds users, by id or handle, to a group.
	NewMembers struct {
		Users []string `json:"users"`
	}
	// MemberPatch changes what a member may do.
	MemberPatch struct {
		Role string `json:"role"`
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
	// Contact is how the asker stands with another user. Rev decides between
	// devices: the greater one stays.
	Contact struct {
		User  User   `json:"user"`
		State string `json:"state"`
		Rev   uint64 `json:"rev"`
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
