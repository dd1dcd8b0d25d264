package server

import (
	"context"
	"encoding/base64"
	"strings"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/webhook"
)

// deliverer starts telling the webhooks of bots whose inboxes live here.
func (s *Server) deliverer(history session.History, inboxes inboxes, board session.Fanout) *webhook.Deliverer {
	cfg := &s.cfg
	client := webhook.NewClient(account.PrivateAddr)
	if cfg.PrivateWebhooks {
		client = webhook.NewClient(nil)
	}
	return webhook.New(webhook.Config{
		Hooks: hooks{s}, Inboxes: inboxes, History: history,
		News:  session.Poll{Inboxes: inboxes, Fanout: board, Epoch: cfg.Store.Epoch()},
		Epoch: cfg.Store.Epoch(), Owns: func(bot parley.UserID) bool { return s.here(parley.ShardOfUser(bot)) },
		Client: client, Now: cfg.Now, Logger: cfg.Logger,
	})
}

// here reports whether a shard is this node's, as far as it knows.
func (s *Server) here(shard int) bool { return s.node == nil || s.node.peers.Here(shard) }

// webhookChanged is told of bots whose webhooks were changed here.
func (s *Server) webhookChanged(bot parley.UserID) { s.webhooks.Changed(bot) }

// everJoined reports whether user is, or ever was, a member of a group.
func (s *Server) everJoined(ctx context.Context, group parley.ConversationID, user parley.UserID) (bool, error) {
	_, _, _, err := s.conversations.Get(ctx, user, group)
	if parley.CodeOf(err) == parley.NotFound {
		return false, nil
	}
	return err == nil, err
}

// hooks lets webhook see the registrations of this node's bots.
type hooks struct{ s *Server }

// Hooks implements webhook.Hooks.
func (h hooks) Hooks(ctx context.Context, after parley.UserID, limit int) ([]webhook.Hook, error) {
	all, err := h.s.accounts.Webhooks(ctx, h.s.here, after, limit)
	out := make([]webhook.Hook, len(all))
	for i := range all {
		out[i] = hookOf(all[i])
	}
	return out, err
}

// Hook implements webhook.Hooks.
func (h hooks) Hook(ctx context.Context, bot parley.UserID) (webhook.Hook, error) {
	w, err := h.s.accounts.Webhook(ctx, bot)
	return hookOf(w), err
}

// SaveHook implements webhook.Hooks.
func (h hooks) SaveHook(ctx context.Context, k webhook.Hook) (webhook.Hook, error) {
	w, err := h.s.accounts.SaveWebhook(ctx, account.Webhook{
		Bot: k.Bot, Cursor: k.Cursor, Failures: k.Failures, Next: k.Next, Error: k.Error, Paused: k.Paused, Version: k.Version,
	})
	return hookOf(w), err
}

func hookOf(w account.Webhook) webhook.Hook {
	// A secret that does not decode signs with no key, and no bot believes it.
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(w.Secret, "whsec_"))
	return webhook.Hook{
		Bot: w.Bot, URL: w.URL, Secret: key, Cursor: w.Cursor, Since: w.Since, Failures: w.Failures,
		Next: w.Next, Error: w.Error, Paused: w.Paused, Version: w.Version,
	}
}
