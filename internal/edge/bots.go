package edge

import (
	"net/http"

	"github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/wire"
)

func wireBot(b account.Bot) wire.Bot {
	out := wire.Bot{User: wireUser(b.User), Created: wire.Time(b.Created)}
	if h := b.Webhook; h != nil {
		out.Webhook = &wire.BotWebhook{URL: h.URL, Failures: uint64(h.Failures), Error: h.Error, Paused: h.Paused}
		if !h.Next.IsZero() {
			out.Webhook.Next = wire.Time(h.Next)
		}
	}
	return out
}

func (e *Edge) createBot(c *call) (int, any, error) {
	q := c.body.(*wire.NewBot)
	b, token, secret, err := e.cfg.Bots.CreateBot(c.Context(), c.id.User, q.Handle, q.Name, q.Webhook)
	if err != nil {
		return 0, nil, err
	}
	out := wireBot(b)
	out.Token, out.Secret = token, secret
	return http.StatusCreated, &out, nil
}

// bots lists all bots of the asker, who has few.
func (e *Edge) bots(c *call) (int, any, error) {
	all, err := e.cfg.Bots.Bots(c.Context(), c.id.User)
	if err != nil {
		return 0, nil, err
	}
	page := wire.List[wire.Bot]{Items: make([]wire.Bot, len(all))}
	for i := range all {
		page.Items[i] = wireBot(all[i])
	}
	return http.StatusOK, &page, nil
}

// bot returns the id of the bot in the path, by id or handle. Whose it is has
// not been checked: nobody is told apart from somebody else's.
func (e *Edge) bot(c *call) (parley.UserID, error) {
	u, err := e.find(c, c.PathValue("user"))
	if parley.CodeOf(err) == parley.NotFound {
		err = parley.E(parley.NotFound, "edge.bot", "You have no such bot.")
	}
	return u.ID, err
}

func (e *Edge) patchBot(c *call) (int, any, error) {
	q := c.body.(*wire.BotPatch)
	bot, err := e.bot(c)
	if err != nil {
		return 0, nil, err
	}
	b, secret, err := e.cfg.Bots.UpdateBot(c.Context(), c.id.User, bot, account.BotChange{Name: q.Name, Webhook: q.Webhook})
	if err != nil {
		return 0, nil, err
	}
	out := wireBot(b)
	out.Secret = secret
	return http.StatusOK, &out, nil
}

func (e *Edge) deleteBot(c *call) (int, any, error) {
	bot, err := e.bot(c)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, e.cfg.Bots.DeleteBot(c.Context(), c.id.User, bot)
}

func (e *Edge) renewBotToken(c *call) (int, any, error) {
	bot, err := e.bot(c)
	if err != nil {
		return 0, nil, err
	}
	token, err := e.cfg.Bots.RenewBotToken(c.Context(), c.id.User, bot)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, &wire.BotToken{Token: token}, nil
}

func (e *Edge) replayBot(c *call) (int, any, error) {
	q := c.body.(*wire.Replay)
	bot, err := e.bot(c)
	if err != nil {
		return 0, nil, err
	}
	since, err := wire.ParseTime(q.Since)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, e.cfg.Webhooks.ReplayWebhook(c.Context(), c.id.User, bot, since)
}
