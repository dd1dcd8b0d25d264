package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/wire"
)

// Contacts lists how this user stands with others: contacts, requests either
// way, and whom this user blocked.
func (c *Client) Contacts(ctx context.Context) ([]wire.Contact, error) {
	return collect[wire.Contact](ctx, c, "/v1/contacts")
}

// The states that SetContact may ask for.
const (
	ContactRequested = "requested"
	ContactAccepted  = "accepted"
	ContactRejected  = "rejected"
	ContactBlocked   = "blocked"
	ContactUnblocked = "unblocked"
)

// SetContact changes how this user stands with another, by id or handle. rev
// must be greater than that of the contact as it is known; an equal or smaller
// one is parley.Conflict, for another device was first, except that a block
// wins over anything else of the same rev. When a block was answered, nothing
// that the other says from then on reaches this user.
func (c *Client) SetContact(ctx context.Context, user, state string, rev uint64) (wire.Contact, error) {
	return call[wire.Contact](ctx, c, http.MethodPut, contactPath(user), wire.ContactChange{State: state, Rev: rev})
}

// DeleteContact forgets how this user stands with another.
func (c *Client) DeleteContact(ctx context.Context, user string) error {
	return c.once(ctx, http.MethodDelete, contactPath(user), nil)
}

func contactPath(user string) string { return "/v1/contacts/" + url.PathEscape(user) }

// Presence returns who of users is online, and else when they were last.
func (c *Client) Presence(ctx context.Context, users ...parley.UserID) ([]wire.Presence, error) {
	list, err := get[wire.List[wire.Presence]](ctx, c, "/v1/presence?"+url.Values{"users": {strings.Join(idsOf[string](users), ",")}}.Encode())
	return list.Items, err
}

// SetAvatar shows picture beside this user's name: PNG, JPEG, GIF or WebP, as
// its type says, 1 MiB and 4 megapixels at most.
func (c *Client) SetAvatar(ctx context.Context, mediaType string, picture []byte) (wire.Me, error) {
	var out wire.Me
	_, err := c.send(ctx, http.MethodPut, "/v1/me/avatar", mediaType, bytes.NewReader(picture), &out)
	return out, err
}

// DeleteAvatar takes the picture away.
func (c *Client) DeleteAvatar(ctx context.Context) error {
	return c.once(ctx, http.MethodDelete, "/v1/me/avatar", nil)
}

// Avatar returns the picture of a user, or parley.NotFound.
func (c *Client) Avatar(ctx context.Context, user parley.UserID) (picture []byte, err error) {
	var out bytes.Buffer
	_, err = c.send(ctx, http.MethodGet, "/v1/users/"+url.PathEscape(string(user))+"/avatar", "", nil, io.Writer(&out))
	return out.Bytes(), err
}

// NewBot makes a bot of this user's. webhook is where it hears; empty: it asks
// with Sync. The answer alone has its token and secret.
func (c *Client) NewBot(ctx context.Context, handle, name, webhook string) (wire.Bot, error) {
	return call[wire.Bot](ctx, c, http.MethodPost, "/v1/bots", wire.NewBot{Handle: handle, Name: name, Webhook: webhook})
}

// Bots lists this user's bots.
func (c *Client) Bots(ctx context.Context) ([]wire.Bot, error) {
	return collect[wire.Bot](ctx, c, "/v1/bots")
}

// SetBot changes a bot: what is nil in p stays. Another webhook makes another
// secret, which the answer has.
func (c *Client) SetBot(ctx context.Context, bot parley.UserID, p wire.BotPatch) (wire.Bot, error) {
	return call[wire.Bot](ctx, c, http.MethodPatch, botPath(bot), p)
}

// DeleteBot ends a bot; its token is no longer good.
func (c *Client) DeleteBot(ctx context.Context, bot parley.UserID) error {
	return c.once(ctx, http.MethodDelete, botPath(bot), nil)
}

// NewBotToken gives a bot another token; the one before is no longer good.
func (c *Client) NewBotToken(ctx context.Context, bot parley.UserID) (wire.Bot, error) {
	return call[wire.Bot](ctx, c, http.MethodPost, botPath(bot)+"/token", nil)
}

// ReplayBot has the webhook of a bot told again what was said since, and ends
// its pause if too many deliveries had failed.
func (c *Client) ReplayBot(ctx context.Context, bot parley.UserID, since time.Time) error {
	return c.once(ctx, http.MethodPost, botPath(bot)+"/replay", wire.Replay{Since: wire.Time(since)})
}

func botPath(bot parley.UserID) string { return "/v1/bots/" + url.PathEscape(string(bot)) }
