package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// AddMembers adds users, by id or handle, to a group that one administers. They
// read from here on, or from the start if all is set.
func (c *Client) AddMembers(ctx context.Context, conv parley.ConversationID, all bool, users ...string) error {
	return c.once(ctx, http.MethodPost, conversationPath(conv)+"/members",
		wire.NewMembers{ID: string(c.NewMessageID()), Users: users, All: all})
}

// RemoveMember removes a user, by id or handle, from a group that one
// administers. They read nothing that comes after.
func (c *Client) RemoveMember(ctx context.Context, conv parley.ConversationID, user string) error {
	return c.once(ctx, http.MethodDelete, memberPath(conv, user)+"?id="+string(c.NewMessageID()), nil)
}

// Leave takes this user out of a group. If the owner leaves, the server makes
// another member the owner.
func (c *Client) Leave(ctx context.Context, conv parley.ConversationID) error {
	return c.RemoveMember(ctx, conv, "me")
}

// SetRole says what a member may do; only the owner may. Who makes another the
// owner is an admin afterwards.
func (c *Client) SetRole(ctx context.Context, conv parley.ConversationID, user string, role parley.Role) error {
	return c.once(ctx, http.MethodPatch, memberPath(conv, user), wire.MemberPatch{ID: string(c.NewMessageID()), Role: string(role)})
}

// once makes one request and looks at nothing but whether it succeeded.
func (c *Client) once(ctx context.Context, method, path string, in any) error {
	_, err := c.do(ctx, method, path, in, nil)
	return err
}

func memberPath(conv parley.ConversationID, user string) string {
	return conversationPath(conv) + "/members/" + url.PathEscape(user)
}

// NewGroupInvite makes a link into a group that one administers, good for so
// many uses within so many hours; zeros are the server's defaults.
func (c *Client) NewGroupInvite(ctx context.Context, conv parley.ConversationID, uses, hours uint64) (wire.GroupInvite, error) {
	return call[wire.GroupInvite](ctx, c, http.MethodPost, conversationPath(conv)+"/invites", wire.NewGroupInvite{Uses: uses, Hours: hours})
}

// GroupInvites lists the links into a group.
func (c *Client) GroupInvites(ctx context.Context, conv parley.ConversationID) ([]wire.GroupInvite, error) {
	return collect[wire.GroupInvite](ctx, c, conversationPath(conv)+"/invites")
}

// RevokeGroupInvite makes a link worthless.
func (c *Client) RevokeGroupInvite(ctx context.Context, conv parley.ConversationID, code string) error {
	return c.once(ctx, http.MethodDelete, conversationPath(conv)+"/invites/"+url.PathEscape(code), nil)
}

// GroupInvite says into which group a link leads, or parley.NotFound.
func (c *Client) GroupInvite(ctx context.Context, code string) (wire.GroupInvite, error) {
	return get[wire.GroupInvite](ctx, c, "/v1/join/"+url.PathEscape(code))
}

// Join makes this user a member of the group that a link leads into.
func (c *Client) Join(ctx context.Context, code string) (wire.Conversation, error) {
	return call[wire.Conversation](ctx, c, http.MethodPost, "/v1/join/"+url.PathEscape(code), nil)
}

// SetPersonal changes this user's own wishes for a conversation: what is nil in
// p stays. Its Hide is for [Client.Hide] and is not looked at.
func (c *Client) SetPersonal(ctx context.Context, conv parley.ConversationID, p parley.PersonalChange) error {
	patch := wire.ConversationPatch{Archived: p.Archived, Pinned: p.Pinned}
	if p.Muted != nil {
		muted := !p.Muted.IsZero()
		patch.Muted = &muted
		if muted {
			until := wire.Time(*p.Muted)
			patch.MutedUntil = &until
		}
	}
	if p.Draft != nil {
		patch.Draft = &wire.Draft{Text: p.Draft.Text, ReplyTo: uint64(p.Draft.ReplyTo)}
	}
	return c.once(ctx, http.MethodPatch, conversationPath(conv), patch)
}

// Hide deletes entries for this user alone, on all devices.
func (c *Client) Hide(ctx context.Context, conv parley.ConversationID, entries ...parley.Seq) error {
	in := wire.Hide{Entries: make([]uint64, len(entries))}
	for i, seq := range entries {
		in.Entries[i] = uint64(seq)
	}
	return c.once(ctx, http.MethodPost, conversationPath(conv)+"/hidden", in)
}

// Editions returns the wordings that a message had, the first one first.
func (c *Client) Editions(ctx context.Context, conv parley.ConversationID, message parley.Seq) ([]wire.Edition, error) {
	return collect[wire.Edition](ctx, c, conversationPath(conv)+"/edits/"+strconv.FormatUint(uint64(message), 10))
}

// Reactors returns who feels what about a message.
func (c *Client) Reactors(ctx context.Context, conv parley.ConversationID, message parley.Seq) ([]wire.Reactor, error) {
	return collect[wire.Reactor](ctx, c, conversationPath(conv)+"/reactions/"+strconv.FormatUint(uint64(message), 10))
}

// Search says what to search this user's messages for. What is zero does not
// narrow it.
type Search struct {
	Text          string
	Conversation  parley.ConversationID
	Sender        parley.UserID
	After, Before time.Time
}

// Search yields the messages that match, the newest first. It ends after the
// first error.
func (c *Client) Search(ctx context.Context, s Search) iter.Seq2[wire.Found, error] {
	q := url.Values{"q": {s.Text}, "limit": {strconv.Itoa(wire.DefaultLimit)}}
	if s.Conversation != "" {
		q.Set("conversation", string(s.Conversation))
	}
	if s.Sender != "" {
		q.Set("sender", string(s.Sender))
	}
	if !s.After.IsZero() {
		q.Set("after", wire.Time(s.After))
	}
	if !s.Before.IsZero() {
		q.Set("before", wire.Time(s.Before))
	}
	return pagesOf[wire.Found](ctx, c, "/v1/search", q)
}
