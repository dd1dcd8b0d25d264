package terminal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/wire"
)

// aCommand is something that is typed after a colon.
type aCommand struct {
	name  string // lower case letters
	takes string // what stands behind it
	does  string
	group bool // of an open group
	chat  bool // of an open conversation
	run   func(s *state, c *chat, arg string) []effect
}

// commands are in the order of the help.
var commands []aCommand

func init() { // help is one of them, and lists them
	commands = []aCommand{
		{name: "to", takes: "@handle", does: "open the conversation with a person", run: (*state).cmdTo},
		{name: "new", takes: "Title @a @b", does: "make a group", run: (*state).cmdNew},
		{name: "join", takes: "CODE", does: "join a group by a link or its code", run: (*state).cmdJoin},
		{name: "search", takes: "words", does: "search here, or everywhere if nothing is open", run: func(s *state, c *chat, arg string) []effect { return s.searchPanel(arg, c != nil) }},
		{name: "members", does: "who belongs", chat: true, run: func(s *state, c *chat, _ string) []effect { s.membersPanel(c); return nil }},
		{name: "pins", does: "what is pinned", chat: true, run: func(s *state, c *chat, _ string) []effect { s.pinsPanel(c); return nil }},
		{name: "add", takes: "@a @b", does: "add people to the group", group: true, run: (*state).cmdAdd},
		{name: "remove", takes: "@a", does: "take somebody out of the group", group: true, run: (*state).cmdRemove},
		{name: "role", takes: "@a admin|member|owner", does: "say what a member may do", group: true, run: (*state).cmdRole},
		{name: "rename", takes: "Title", does: "rename the group", group: true, run: (*state).cmdRename},
		{name: "invite", takes: "[uses] [hours]", does: "make a link into the group", group: true, run: (*state).cmdInvite},
		{name: "leave", does: "leave the group", group: true, run: (*state).cmdLeave},
		{name: "mute", takes: "[8h]", does: "make no noise, for a while or until :unmute", chat: true, run: func(s *state, c *chat, arg string) []effect { return s.setMuted(c, true, arg) }},
		{name: "unmute", does: "make noise again", chat: true, run: func(s *state, c *chat, _ string) []effect { return s.setMuted(c, false, "") }},
		{name: "archive", does: "put the conversation away", chat: true, run: func(s *state, c *chat, _ string) []effect { return s.setArchived(c, true) }},
		{name: "unarchive", does: "bring it back", chat: true, run: func(s *state, c *chat, _ string) []effect { return s.setArchived(c, false) }},
		{name: "keep", does: "keep it at the top of the list", chat: true, run: func(s *state, c *chat, _ string) []effect { return s.setKept(c, true) }},
		{name: "unkeep", does: "no more", chat: true, run: func(s *state, c *chat, _ string) []effect { return s.setKept(c, false) }},
		{name: "accept", takes: "[@a]", does: "accept a request", run: contact(client.ContactAccepted, "Accepted %s")},
		{name: "reject", takes: "[@a]", does: "reject a request", run: contact(client.ContactRejected, "Rejected %s; they are not told")},
		{name: "contact", takes: "@a", does: "ask somebody to be a contact", run: contact(client.ContactRequested, "Asked %s")},
		{name: "contacts", does: "how you stand with others", run: func(s *state, _ *chat, _ string) []effect { s.contactsPanel(); return []effect{readContacts()} }},
		{name: "block", takes: "[@a]", does: "hear nothing more of somebody; they are not told", run: contact(client.ContactBlocked, "Blocked %s; they are not told")},
		{name: "unblock", takes: "[@a]", does: "hear of them again", run: contact(client.ContactUnblocked, "Unblocked %s")},
		{name: "name", takes: "Name", does: "the name others see", run: (*state).cmdName},
		{name: "status", takes: "[text]", does: "a line of your own that others see", run: (*state).cmdStatus},
		{name: "receipts", takes: "on|off", does: "whether others see what you read, and you what they did", run: (*state).cmdReceipts},
		{name: "presence", takes: "on|off", does: "whether others see you online, and you them", run: (*state).cmdPresence},
		{name: "help", does: "every key and command", run: func(s *state, _ *chat, _ string) []effect { s.help(); return nil }},
		{name: "quit", does: "leave; what waits is sent the next time", run: func(s *state, _ *chat, _ string) []effect { return append(s.leave(), quit{}) }},
	}
}

// commandIn reads a command: a colon and two small letters at least, so that a
// smile stays one.
func commandIn(text string) (name, arg string, ok bool) {
	name, arg, _ = strings.Cut(text, " ")
	name, ok = strings.CutPrefix(name, ":")
	ok = ok && len(name) >= 2 && !strings.ContainsFunc(name, func(r rune) bool { return r < 'a' || r > 'z' }) && !strings.Contains(text, "\n")
	return name, strings.TrimSpace(arg), ok
}

// command does what was typed after a colon. What cannot be done stays in the
// composer.
func (s *state) command(name, arg string) []effect {
	i := slices.IndexFunc(commands, func(c aCommand) bool { return c.name == name })
	if i < 0 {
		s.complain("There is no command :" + name + "; :help lists them, and :: begins a message with a colon")
		return nil
	}
	cmd, c := &commands[i], s.open
	switch {
	case (cmd.chat || cmd.group) && c == nil:
		s.complain("Open a conversation first")
		return nil
	case cmd.group && !c.isGroup():
		s.complain("This is for groups")
		return nil
	case cmd.takes != "" && cmd.takes[0] != '[' && arg == "" && name != "search":
		s.complain("It takes more: :" + name + " " + cmd.takes)
		return nil
	}
	s.compose.Reset()
	s.popup = popup{}
	if c == nil && s.narrow() {
		s.focus = onList
	}
	return cmd.run(s, c, arg)
}

// handlesIn splits words into handles and the rest.
func handlesIn(arg string) (handles []string, rest string) {
	var other []string
	for _, w := range strings.Fields(arg) {
		if h, ok := strings.CutPrefix(w, "@"); ok && h != "" {
			handles = append(handles, strings.ToLower(h))
		} else {
			other = append(other, w)
		}
	}
	return handles, strings.Join(other, " ")
}

func (s *state) cmdTo(_ *chat, arg string) []effect {
	handle, err := wire.CleanHandle(arg)
	if err != nil {
		s.complain(sentence(err))
		return nil
	}
	return s.openHandle(handle)
}

// openHandle opens the conversation with @handle. Offline a conversation that
// is not known yet is written to all the same.
func (s *state) openHandle(handle string) []effect {
	for _, c := range s.chats {
		if c.row.With != nil && c.row.With.Handle == handle {
			return s.enter(c)
		}
	}
	if s.link.up {
		s.goTo = handle
		return []effect{openDirect(handle)}
	}
	return s.enter(s.place(client.To(handle)))
}

func (s *state) cmdNew(_ *chat, arg string) []effect {
	handles, title := handlesIn(arg)
	return []effect{newGroup(title, handles)}
}

func (s *state) cmdJoin(_ *chat, arg string) []effect {
	return []effect{join(arg[strings.LastIndexAny(arg, "/#=")+1:])}
}

func (s *state) cmdAdd(c *chat, arg string) []effect {
	handles, _ := handlesIn(arg)
	id := c.id
	return []effect{command(fmt.Sprint("add ", id, handles), "Added", func(ctx context.Context, c *client.Client) error {
		return c.AddMembers(ctx, id, false, handles...)
	})}
}

func (s *state) cmdRemove(c *chat, arg string) []effect {
	id, handle := c.id, strings.TrimPrefix(arg, "@")
	return []effect{command(fmt.Sprint("remove ", id, " ", handle), "Removed", func(ctx context.Context, c *client.Client) error {
		return c.RemoveMember(ctx, id, handle)
	})}
}

func (s *state) cmdRole(c *chat, arg string) []effect {
	who, role, _ := strings.Cut(arg, " ")
	id, handle, role := c.id, strings.TrimPrefix(who, "@"), strings.TrimSpace(role)
	return []effect{command(fmt.Sprint("role ", id, " ", handle, " ", role), "Done", func(ctx context.Context, c *client.Client) error {
		return c.SetRole(ctx, id, handle, parley.Role(role))
	})}
}

func (s *state) cmdRename(c *chat, arg string) []effect {
	if _, err := wire.CleanTitle(arg); err != nil {
		s.complain(sentence(err))
		return nil
	}
	return s.enqueue(c, client.Rename("", arg), "")
}

func (s *state) cmdInvite(c *chat, arg string) []effect {
	var n [2]uint64
	for i, w := range strings.Fields(arg) {
		v, err := strconv.ParseUint(w, 10, 32)
		if err != nil || i >= len(n) {
			s.complain("It takes two numbers: :invite uses hours")
			return nil
		}
		n[i] = v
	}
	return []effect{invite(c.id, n[0], n[1])}
}

func (s *state) cmdLeave(c *chat, _ string) []effect {
	id := c.id
	s.ask = &question{text: "Leave " + s.name(c) + "? y leaves, Esc stays", answers: map[string]func() []effect{
		"y": func() []effect {
			return []effect{command("leave "+string(id), "You left", func(ctx context.Context, c *client.Client) error { return c.Leave(ctx, id) })}
		},
	}}
	return nil
}

// forGood is until when something is muted that has no end.
var forGood = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *state) setMuted(c *chat, on bool, arg string) []effect {
	until, text := time.Time{}, "Not muted any more"
	if on {
		until, text = forGood, "Muted"
		if arg != "" {
			d, err := time.ParseDuration(arg)
			if err != nil || d <= 0 {
				s.complain("Say for how long like 30m or 8h")
				return nil
			}
			until, text = s.now.Add(d).UTC(), "Muted until "+s.now.Add(d).In(s.zone).Format("Mon 15:04")
		}
	}
	return s.wishes(errand{Conversation: c.id, Personal: &parley.PersonalChange{Muted: &until}, Text: text})
}

func (s *state) setArchived(c *chat, on bool) []effect {
	text := map[bool]string{true: "Archived", false: "Back in the list"}[on]
	return s.wishes(errand{Conversation: c.id, Personal: &parley.PersonalChange{Archived: &on}, Text: text})
}

func (s *state) setKept(c *chat, on bool) []effect {
	text := map[bool]string{true: "Kept at the top", false: "No longer at the top"}[on]
	return s.wishes(errand{Conversation: c.id, Personal: &parley.PersonalChange{Pinned: &on}, Text: text})
}

// contact returns the command that asks for a contact's state: of the person
// named, or of the one whose conversation is open.
func contact(to, text string) func(s *state, c *chat, arg string) []effect {
	return func(s *state, c *chat, arg string) []effect { return s.setContact(c, arg, to, text) }
}

func (s *state) setContact(c *chat, arg, to, text string) []effect {
	handle := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(arg), "@"))
	if handle == "" && c != nil && c.row.With != nil {
		handle = c.row.With.Handle
	}
	if handle == "" {
		s.complain("Say whom: @handle")
		return nil
	}
	if handle == s.me.Handle {
		s.complain("That is you")
		return nil
	}
	user := handle
	if id, known := s.handleOf(handle); known {
		user = string(id)
	}
	if state := s.contacts[parley.UserID(user)].State; to == client.ContactAccepted && state != "pending" && state != "accepted" {
		s.complain("@" + handle + " did not ask to be a contact; answer them, or :contact @" + handle + " asks")
		return nil
	}
	rev := max(s.contacts[parley.UserID(user)].Rev+1, uint64(s.now.UnixMilli()))
	return s.wishes(errand{User: user, State: to, Rev: rev, Text: fmt.Sprintf(text, "@"+handle)})
}

func (s *state) cmdName(_ *chat, arg string) []effect {
	return []effect{profile("name", "You are "+Visible(arg)+" now", wire.MePatch{Name: &arg})}
}

func (s *state) cmdStatus(_ *chat, arg string) []effect {
	return []effect{profile("status", "Others see your status", wire.MePatch{Status: &arg})}
}

func (s *state) cmdReceipts(_ *chat, arg string) []effect {
	return s.privacy("receipts", arg, func(on *bool) wire.MePatch { return wire.MePatch{Receipts: on} })
}

func (s *state) cmdPresence(_ *chat, arg string) []effect {
	return s.privacy("presence", arg, func(on *bool) wire.MePatch { return wire.MePatch{Presence: on} })
}

func (s *state) privacy(what, arg string, patch func(on *bool) wire.MePatch) []effect {
	on := arg == "on"
	if !on && arg != "off" {
		s.complain("Say on or off")
		return nil
	}
	return []effect{profile(what+" "+arg, "Your "+what+" are "+arg, patch(&on))}
}
