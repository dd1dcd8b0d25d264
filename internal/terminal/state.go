package terminal

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"charm.land/bubbles/v2/textarea"
	"github.com/charmbracelet/x/ansi"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// state is all that the screen shows. Update changes it and says what is to be
// done outside; the view reads it. Neither knows the network, the disk or the
// clock.
type state struct {
	// static
	me    wire.User
	zone  *time.Location
	newID func() parley.MessageID

	// the terminal
	now           time.Time
	width, height int
	theme         theme
	measure       ansi.Method
	away          bool // the terminal lost the focus: nothing is read

	// what is known
	link     link
	synced   bool // the rows that there were have come
	limits   wire.Limits
	chats    map[parley.ConversationID]*chat
	people   map[parley.UserID]wire.User
	presence map[parley.UserID]wire.Presence
	contacts map[parley.UserID]wire.Contact
	asked    map[parley.UserID]bool // their names are on the way
	errands  []errand               // what the server does not have yet
	waiting  []*waiting             // what this user said and the stream has not told

	// where the user is
	folder  folder
	cursor  parley.ConversationID // in the list
	open    *chat
	focus   focus
	compose textarea.Model
	popup   popup
	panel   *panel
	ask     *question
	notice  notice
	shelved time.Time // when the shelf was last put in order
	typed   time.Time // when others were last told that this user types
	goTo    string    // the handle of whom to open once it is known
}

// link is how the connection stands.
type link struct {
	up    bool
	why   string // it is not: one sentence
	ended bool   // it never will be again
}

// focus is what keys go to.
type focus int

const (
	onList focus = iota
	onLines
	onCompose
)

// folder is which conversations the list shows.
type folder int

const (
	folderAll folder = iota
	folderRequests
	folderArchived
	folders
)

func (f folder) String() string { return [...]string{"All", "Requests", "Archived"}[f] }

// notice is one sentence in the status line.
type notice struct {
	text  string
	bad   bool
	until time.Time
}

// question is asked in the status line; a key answers it.
type question struct {
	text    string
	answers map[string]func() []effect
}

// chat is one conversation.
type chat struct {
	id      parley.ConversationID
	row     wire.Row
	role    parley.Role
	members []wire.Member
	arrived time.Time // when it was first heard of, if that was not at the start
	lines   *client.Timeline

	whole  bool       // the newest page was read
	oldest parley.Seq // everything from here on was read
	begun  bool       // nothing stands before oldest
	busy   bool       // a page is on its way
	seek   parley.Seq // is to be shown once it was read

	unreadAfter parley.Seq // the unread line stands after this number
	unreadCount int
	marked      parley.Seq // read, as far as the server was told
	bottom      key        // the item at the bottom of the screen; zero: the newest
	below       int        // so many of its lines are out of sight
	selected    key
	typing      map[parley.UserID]time.Time // until when

	draft   draft
	draftAt time.Time // when it was last changed and not kept
}

// draft is what stands in the composer.
type draft struct {
	text    string
	replyTo parley.Seq
	editing key
}

// key names an item of a timeline: an entry by its number, or a message that
// has none yet by its id.
type key struct {
	seq parley.Seq
	id  parley.MessageID
}

func (k key) none() bool { return k == key{} }

// waiting is something this user said, from the moment of saying until the
// stream tells it.
type waiting struct {
	post  parley.Post
	about parley.MessageID // an act on a message without a number
	kept  bool             // on disk
	seq   parley.Seq       // acknowledged
	at    time.Time
	err   string // given up: why
}

func newState(me wire.User, now time.Time, zone *time.Location, newID func() parley.MessageID) *state {
	s := &state{
		me: me, zone: zone, newID: newID, now: now,
		width: 80, height: 24, measure: ansi.WcWidth,
		limits:   wire.DefaultLimits(),
		chats:    map[parley.ConversationID]*chat{},
		people:   map[parley.UserID]wire.User{parley.UserID(me.ID): me},
		presence: map[parley.UserID]wire.Presence{},
		contacts: map[parley.UserID]wire.Contact{},
		asked:    map[parley.UserID]bool{},
		compose:  newCompose(),
	}
	s.link.why = "connecting"
	s.dress(newTheme(true, false))
	return s
}

// chat returns the conversation with that id, and makes it if it is new.
func (s *state) chat(id parley.ConversationID) *chat {
	c := s.chats[id]
	if c == nil {
		c = &chat{id: id, row: wire.Row{ID: string(id)}, lines: client.NewTimeline(s.self()), typing: map[parley.UserID]time.Time{}}
		s.chats[id] = c
	}
	return c
}

func (s *state) self() parley.UserID { return parley.UserID(s.me.ID) }

// list returns the conversations of the folder, those kept at the top first,
// then the most recent.
func (s *state) list() []*chat {
	out := slices.DeleteFunc(slices.Collect(maps.Values(s.chats)), func(c *chat) bool { return s.folderOf(c) != s.folder })
	slices.SortFunc(out, func(a, b *chat) int {
		if a.row.Pinned != b.row.Pinned {
			return map[bool]int{true: -1, false: 1}[a.row.Pinned]
		}
		return cmp.Or(-a.moved().Compare(b.moved()), cmp.Compare(b.row.Pos, a.row.Pos), cmp.Compare(a.id, b.id))
	})
	return out
}

// moved is when something was last said in c.
func (c *chat) moved() time.Time {
	if c.row.Last == nil {
		return c.arrived
	}
	at, err := wire.ParseTime(c.row.Last.At)
	if err != nil {
		return c.arrived
	}
	return at
}

func (s *state) folderOf(c *chat) folder {
	switch {
	case c.row.Request:
		return folderRequests
	case c.row.Archived:
		return folderArchived
	}
	return folderAll
}

// name is how a conversation is called.
func (s *state) name(c *chat) string {
	if handle, ok := client.Handle(c.id); ok {
		return "@" + handle
	}
	if c.row.With != nil {
		if c.row.With.ID == s.me.ID {
			return "Notes to myself"
		}
		return Visible(cmp.Or(c.row.With.Name, c.row.With.Handle))
	}
	return Visible(cmp.Or(c.row.Title, string(c.id)))
}

// person is how a user is called, as far as is known.
func (s *state) person(id parley.UserID) string {
	switch u, ok := s.people[id]; {
	case id == s.self():
		return "you"
	case ok:
		return Visible(cmp.Or(u.Name, u.Handle))
	}
	return "someone"
}

// meet remembers how somebody is called.
func (s *state) meet(u wire.User) {
	if u.ID != "" && (u.Handle != "" || u.Name != "") {
		s.people[parley.UserID(u.ID)] = u
	}
}

// handleOf finds the user that a person calls @handle, as far as is known.
func (s *state) handleOf(handle string) (parley.UserID, bool) {
	for id, u := range s.people {
		if u.Handle == handle {
			return id, true
		}
	}
	return "", false
}

// blocked reports whether this user blocked u.
func (s *state) blocked(u parley.UserID) bool {
	return s.contacts[u].State == client.ContactBlocked
}

// may reports whether this user administers c.
func (c *chat) may() bool { return c.role == parley.RoleOwner || c.role == parley.RoleAdmin }

// isGroup reports whether c is for more than two.
func (c *chat) isGroup() bool { return c.row.Kind == string(parley.Group) }

// say puts a sentence into the status line.
func (s *state) say(text string) { s.notice = notice{text: text, until: s.now.Add(8 * time.Second)} }

// complain puts what went wrong into the status line.
func (s *state) complain(text string) {
	s.notice = notice{text: text, bad: true, until: s.now.Add(12 * time.Second)}
}
