package wire

// This file and shapes_http.go hold every shape that crosses the wire, once;
// the generator in wire/gen reads them for the TypeScript of the web app. Field
// order is the order they are written in. "omitzero" fields may be absent;
// readers ignore fields they do not know, the server refuses them.

// Protocol is the WebSocket subprotocol and the version of everything here.
const Protocol = "parley.v1"

// Limits of the protocol. Sizes are bytes unless the name says otherwise.
const (
	MaxFrame       = 64 << 10  // one WebSocket message, either way
	MaxBodyBytes   = 16 << 10  // a body's data, whatever is configured
	MaxTextRunes   = 1000      // default limit of a text/plain body, in characters
	MaxNesting     = 32        // JSON nesting
	MaxNumber      = 1<<53 - 1 // the greatest number, so that every language reads it exactly
	MaxRef         = 64        // a ref, as JSON
	MaxType        = 127       // a media type
	MaxNameRunes   = 64        // names of users and devices, in characters
	MaxTitleRunes  = 128       // titles of groups, in characters
	MaxMembers     = 1000      // of a conversation, and ids in one list
	MaxReceipts    = 64        // members of the largest conversation that has receipts
	DefaultLimit   = 50        // items of a page that did not say
	MaxLimit       = 200       // items of any page
	MinPassword    = 8         // characters
	MaxPassword    = 1024      // characters
	MaxPollSeconds = 55        // of a long poll
)

// Close codes of the WebSocket: they tell a client what to do.
const (
	CloseNormal      = 1000
	CloseBadUTF8     = 1007 // do not return with such bytes
	ClosePolicy      = 1008 // do not return: protocol misuse
	CloseTooBig      = 1009 // do not return with such a frame
	CloseRetryNow    = 1012 // the server restarts or drains: reconnect now
	CloseRetryLater  = 1013 // overloaded or too slow: reconnect later, with jitter
	CloseSignedOut   = 4001 // the token is no longer good: sign in again
	CloseProtocolOld = 4003 // upgrade the client
)

// Ops a client may send, and frames a server may send, in the field "t".
const (
	OpHello   = "hello"
	OpPost    = "post"
	OpMark    = "mark"
	OpRead    = "read"
	OpWhisper = "whisper"
	OpWatch   = "watch"

	FrameWelcome  = "welcome"
	FrameAck      = "ack"
	FrameEntries  = "entries"
	FrameChanges  = "changes"
	FrameReceipts = "receipts"
	FrameWhisper  = "whisper"
	FramePresence = "presence"
	FrameContacts = "contacts"
	FrameError    = "error"
	FrameResync   = "resync"
	FrameGoaway   = "goaway"
)

// Ref is a client's own mark on a request, echoed in the answer: a JSON string
// or integer of at most MaxRef bytes, kept as the JSON it came as. Empty: none.
type Ref string

// Body is what was said: Text for text/plain, Data (base64 in JSON) for
// any other type.
type Body struct {
	Type string  `json:"type"`
	Text *string `json:"text,omitzero"`
	Data []byte  `json:"data,omitzero"`
}

// Entry is one number of a conversation's log.
type Entry struct {
	Conversation string `json:"conversation"`
	Seq          uint64 `json:"seq"`
	Kind         string `json:"kind"`
	ID           string `json:"id"`
	Sender       string `json:"sender"`
	Device       string `json:"device"`
	At           string `json:"at"` // RFC 3339, UTC, milliseconds
	Body         *Body  `json:"body,omitzero"`
	Ref          uint64 `json:"ref,omitzero"`
	ReplyTo      uint64 `json:"reply_to,omitzero"`
	Edited       bool   `json:"edited,omitzero"`
	Deleted      bool   `json:"deleted,omitzero"`

	EditedAt  string     `json:"edited_at,omitzero"`
	Reactions []Reaction `json:"reactions,omitzero"`
	Mentions  []string   `json:"mentions,omitzero"`
	Forwarded bool       `json:"forwarded,omitzero"`
}

// Reaction is what some members feel about an entry.
type Reaction struct {
	Text  string   `json:"text"`
	Count uint64   `json:"count"`
	Users []string `json:"users"` // the first of them, at most 32
}

// User is an account as others see it.
type User struct {
	ID     string `json:"id"`
	Handle string `json:"handle"`
	Name   string `json:"name"`
	Status string `json:"status,omitzero"` // a line of their own
	Avatar string `json:"avatar,omitzero"` // names the picture: GET /v1/users/{id}/avatar?v=NAME
	Bot    bool   `json:"bot,omitzero"`
}

// Device is one signed-in device.
type Device struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Created  string `json:"created,omitzero"`
	LastSeen string `json:"last_seen,omitzero"`
	Current  bool   `json:"current,omitzero"` // the device that asks
}

// Member is one user's part in a conversation. A marker that is absent is not
// known, or stands before the first entry.
type Member struct {
	User      string `json:"user"`
	Role      string `json:"role"`
	Handle    string `json:"handle,omitzero"`
	Name      string `json:"name,omitzero"`
	Delivered uint64 `json:"delivered,omitzero"` // stored on a device of this member
	Read      uint64 `json:"read,omitzero"`      // seen by this member
}

// Last is the newest message of a conversation.
type Last struct {
	Seq    uint64 `json:"seq"`
	Sender string `json:"sender"`
	At     string `json:"at"`
	Text   string `json:"text"`

	Deleted bool `json:"deleted,omitzero"` // it says nothing any more
}

// Row is one conversation in the reader's list.
type Row struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Title     string `json:"title"`         // of a direct conversation: the other's name
	With      *User  `json:"with,omitzero"` // of a direct conversation: the other
	Head      uint64 `json:"head"`
	Unread    uint64 `json:"unread"`
	Read      uint64 `json:"read"`
	Delivered uint64 `json:"delivered"`
	Last      *Last  `json:"last"`
	Pos       uint64 `json:"pos"`
	Muted     bool   `json:"muted"`

	Mentions   uint64      `json:"mentions,omitzero"`    // unread messages that mention the reader
	MutedUntil string      `json:"muted_until,omitzero"` // when muted
	Archived   bool        `json:"archived,omitzero"`
	Pinned     bool        `json:"pinned,omitzero"`
	Request    bool        `json:"request,omitzero"` // a stranger began it, and the reader has not answered
	Hidden     [][2]uint64 `json:"hidden,omitzero"`  // runs of entries the reader deleted for themselves, both ends included
	Draft      *Draft      `json:"draft,omitzero"`
	Since      uint64      `json:"since,omitzero"` // the first entry the reader may read, if not 1
	Until      uint64      `json:"until,omitzero"` // the last one, for who is a member no more
}

// Draft is what the reader began to write on some device.
type Draft struct {
	Text    string `json:"text"`
	ReplyTo uint64 `json:"reply_to,omitzero"`
	At      string `json:"at,omitzero"` // set by the server
}

// Conversation is one conversation with its members.
type Conversation struct {
	ID        string   `json:"id"`
	Kind      string   `json:"kind"`
	Title     string   `json:"title"`
	Members   []Member `json:"members"`
	Head      uint64   `json:"head"`
	Unread    uint64   `json:"unread"`
	Read      uint64   `json:"read"`
	Delivered uint64   `json:"delivered"`
	Last      *Last    `json:"last"`
	Pos       uint64   `json:"pos"`
	Muted     bool     `json:"muted"`

	Mentions   uint64      `json:"mentions,omitzero"`
	MutedUntil string      `json:"muted_until,omitzero"`
	Archived   bool        `json:"archived,omitzero"`
	Pinned     bool        `json:"pinned,omitzero"`
	Request    bool        `json:"request,omitzero"`
	Hidden     [][2]uint64 `json:"hidden,omitzero"`
	Draft      *Draft      `json:"draft,omitzero"`
	Since      uint64      `json:"since,omitzero"`
	Until      uint64      `json:"until,omitzero"`
	Pins       []uint64    `json:"pins,omitzero"` // numbers of pinned messages, in the order they were pinned
}

// ClientFrame is any frame a client sends: T says which, and which fields
// may be there (see Ops).
type ClientFrame struct {
	T            string   `json:"t"`
	Token        string   `json:"token,omitzero"`  // hello
	Cursor       string   `json:"cursor,omitzero"` // hello; empty or null: from nothing
	Client       string   `json:"client,omitzero"` // hello: name/version
	Follow       bool     `json:"follow,omitzero"` // hello: this client goes where a goaway sends it
	Ref          Ref      `json:"ref,omitzero"`    // post, read
	Conversation string   `json:"conversation,omitzero"`
	ID           string   `json:"id,omitzero"`   // post
	Body         *Body    `json:"body,omitzero"` // post
	Base         uint64   `json:"base,omitzero"` // post
	ReplyTo      uint64   `json:"reply_to,omitzero"`
	Delivered    uint64   `json:"delivered,omitzero"` // mark
	Read         uint64   `json:"read,omitzero"`      // mark
	After        *uint64  `json:"after,omitzero"`     // read
	Before       *uint64  `json:"before,omitzero"`    // read
	Limit        uint64   `json:"limit,omitzero"`     // read
	Kind         string   `json:"kind,omitzero"`      // whisper, post; of a post without: message
	Users        []string `json:"users,omitzero"`     // watch
	Target       uint64   `json:"target,omitzero"`    // post of an edit, a delete, a reaction, a pin: the entry it is about
	Mentions     []string `json:"mentions,omitzero"`  // post of a message: ids of members
	Forwarded    bool     `json:"forwarded,omitzero"` // post of a message
}

// ServerFrame is any frame a server sends, as a client reads it.
type ServerFrame struct {
	T            string  `json:"t"`
	User         *User   `json:"user,omitzero"`   // welcome
	Device       *Device `json:"device,omitzero"` // welcome
	Epoch        string  `json:"epoch,omitzero"`  // welcome, resync
	Server       string  `json:"server,omitzero"` // welcome: name/version
	Limits       *Limits `json:"limits,omitzero"` // welcome
	Ref          Ref     `json:"ref,omitzero"`
	Conversation string  `json:"conversation,omitzero"`
	ID           string  `json:"id,omitzero"`      // ack
	Seq          uint64  `json:"seq,omitzero"`     // ack
	At           string  `json:"at,omitzero"`      // ack
	Entries      []Entry `json:"entries,omitzero"` // entries: contiguous, ascending
	Head         uint64  `json:"head,omitzero"`    // entries
	Cursor       string  `json:"cursor,omitzero"`  // entries, changes: may be kept once all before it is stored
	Rows         []Row   `json:"rows,omitzero"`    // changes
	More         bool    `json:"more,omitzero"`    // changes: more rows follow at once
	Code         string  `json:"code,omitzero"`    // error
	Message      string  `json:"message,omitzero"` // error
	RetryAfterMS int64   `json:"retry_after_ms,omitzero"`
	AfterMS      int64   `json:"after_ms,omitzero"` // goaway
	URL          string  `json:"url,omitzero"`      // goaway: connect there; empty: where you came from

	Member    string     `json:"member,omitzero"`    // receipts: the id of the user whose markers moved
	Delivered uint64     `json:"delivered,omitzero"` // receipts: stored on a device of that user
	Read      uint64     `json:"read,omitzero"`      // receipts: seen by that user
	Sender    string     `json:"sender,omitzero"`    // whisper: the user who does it
	Kind      string     `json:"kind,omitzero"`      // whisper: what, "typing"
	Items     []Presence `json:"items,omitzero"`     // presence
	Rev       uint64     `json:"rev,omitzero"`       // contacts, welcome: how far the list of contacts has got
}

// Limits are what the server allows, told in welcome.
type Limits struct {
	Frame     int `json:"frame"`      // bytes
	Text      int `json:"text"`       // characters
	BodyBytes int `json:"body_bytes"` // bytes
	Members   int `json:"members"`
}

// Problem is an RFC 9457 answer.
type Problem struct {
	Type         string `json:"type"`
	Title        string `json:"title"`
	Status       int    `json:"status"`
	Detail       string `json:"detail,omitzero"`
	Code         string `json:"code"`
	RetryAfterMS int64  `json:"retry_after_ms,omitzero"`
}

// The bodies of HTTP requests and answers.
type (
	// NewAccount asks for an account (POST /v1/accounts).
	NewAccount struct {
		Handle   string `json:"handle"`
		Password string `json:"password"`
		Name     string `json:"name,omitzero"`
		Invite   string `json:"invite,omitzero"`
		Device   string `json:"device,omitzero"` // a name for this device
		Cookie   bool   `json:"cookie,omitzero"` // keep the token in a cookie that no script can read
	}
	// NewSession signs in (POST /v1/sessions).
	NewSession struct {
		Handle   string `json:"handle"`
		Password string `json:"password"`
		Device   string `json:"device,omitzero"`
		Cookie   bool   `json:"cookie,omitzero"`
	}
	// SignedIn answers both. Token is shown once; it is empty when it went
	// into a cookie.
	SignedIn struct {
		User   User   `json:"user"`
		Device Device `json:"device"`
		Token  string `json:"token"`
	}
	// Me is the asker's own account.
	Me struct {
		ID     string `json:"id"`
		Handle string `json:"handle"`
		Name   string `json:"name"`
		Admin  bool   `json:"admin"`
		Device Device `json:"device"`

		Status  string   `json:"status,omitzero"`
		Avatar  string   `json:"avatar,omitzero"`
		Bot     bool     `json:"bot,omitzero"`
		Privacy *Privacy `json:"privacy,omitzero"`
	}
	// Privacy is what others may see of the asker; who does not show it does
	// not see it of others.
	Privacy struct {
		Receipts bool `json:"receipts"` // how far the asker has read
		Presence bool `json:"presence"` // whether the asker is online, and when last; and typing
	}
	// MePatch changes the asker's account.
	MePatch struct {
		Name     *string `json:"name,omitzero"`
		Status   *string `json:"status,omitzero"`
		Receipts *bool   `json:"receipts,omitzero"`
		Presence *bool   `json:"presence,omitzero"`
	}
	// NewConversation creates one. Members are user ids or handles; the asker
	// is always a member.
	NewConversation struct {
		Kind    string   `json:"kind"`
		Title   string   `json:"title,omitzero"`
		Members []string `json:"members"`
	}
	// NewEntry posts.
	NewEntry struct {
		ID      string `json:"id"`
		Body    *Body  `json:"body"`
		Base    uint64 `json:"base,omitzero"`
		ReplyTo uint64 `json:"reply_to,omitzero"`

		Mentions  []string `json:"mentions,omitzero"` // ids of members
		Forwarded bool     `json:"forwarded,omitzero"`
	}
	// Posted answers NewEntry: committed.
	Posted struct {
		Seq uint64 `json:"seq"`
		At  string `json:"at"`
		ID  string `json:"id"`
	}
	// Markers moves the asker's markers, forward only.
	Markers struct {
		Delivered uint64 `json:"delivered,omitzero"`
		Read      uint64 `json:"read,omitzero"`
	}
	// MarkersNow answers Markers with where they stand.
	MarkersNow struct {
		Delivered uint64 `json:"delivered"`
		Read      uint64 `json:"read"`
		Unread    uint64 `json:"unread"`
	}
	// EntryPage is a stretch of a log.
	EntryPage struct {
		Items []Entry `json:"items"`
		Head  uint64  `json:"head"`
	}
	// Sync answers the long poll.
	Sync struct {
		Changes  []Row     `json:"changes"`
		Entries  []Entry   `json:"entries"`
		Cursor   string    `json:"cursor"`
		Epoch    string    `json:"epoch"`
		More     bool      `json:"more"`
		Contacts []Contact `json:"contacts,omitzero"`
		Resync   bool      `json:"resync,omitzero"` // the cursor was not good: drop what is held and start from this answer
	}
	// NewInvite asks for an invite.
	NewInvite struct {
		Uses  uint64 `json:"uses,omitzero"`  // default 1
		Hours uint64 `json:"hours,omitzero"` // default 168
	}
	// Invite lets somebody sign up.
	Invite struct {
		Code    string `json:"code"`
		Uses    uint64 `json:"uses"`
		Used    uint64 `json:"used"`
		Expires string `json:"expires"`
		Link    string `json:"link,omitzero"`
	}
	// List is a page of anything.
	List[T any] struct {
		Items []T     `json:"items"`
		Next  *string `json:"next"`
	}
)
