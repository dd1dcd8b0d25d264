package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/wire"
)

// composeEphemera wires what is dropped first: who is online, and whispers.
func (s *Server) composeEphemera() {
	cfg := &s.cfg
	acquainted := acquaintances{s}
	s.presence = presence.New(presence.Config{
		Nodes: s.node.presences(), Visible: acquainted, Other: acquainted.other,
		LastSeen: s.lastSeen, Now: cfg.Now, Logger: cfg.Logger,
		Lease: cfg.Lease,
	})
	s.whispers = fanout.NewWhispers(fanout.WhispersConfig{
		Fanout: s.fanout, Conversations: s.owner, Nodes: s.node.whisperers(), MaxMembers: wire.MaxReceipts, Now: cfg.Now, Logger: cfg.Logger,
	})
}

// acquaintances is who may see whom: those who share a direct conversation.
type acquaintances struct{ s *Server }

// lookAtOnce bounds the conversations looked at at the same time: on several
// nodes, each may be a question to another.
const lookAtOnce = 16

// Visible implements presence.Visible.
func (a acquaintances) Visible(ctx context.Context, asker parley.UserID, targets []parley.UserID) ([]parley.UserID, error) {
	var mu sync.Mutex
	var seen []parley.UserID
	var failed error
	for some := range slices.Chunk(targets, lookAtOnce) {
		var looking sync.WaitGroup
		for _, u := range some {
			looking.Go(func() {
				_, _, _, err := a.s.conversations.Get(ctx, asker, parley.DirectID(asker, u))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && u != asker:
					seen = append(seen, u)
				case err != nil && parley.CodeOf(err) != parley.NotFound:
					failed = errors.Join(failed, err)
				}
			})
		}
		looking.Wait()
	}
	return seen, failed
}

// other returns the other member of a direct conversation of user's; "" if it
// is none.
func (a acquaintances) other(ctx context.Context, user parley.UserID, id parley.ConversationID) (parley.UserID, error) {
	c, _, _, err := a.s.conversations.Get(ctx, user, id)
	if err != nil || c.Kind != parley.Direct {
		return "", err
	}
	for _, m := range c.Members {
		if m.User != user {
			return m.User, nil
		}
	}
	return "", nil
}

// lastSeen returns when a device of user was last seen, to the hour.
func (s *Server) lastSeen(ctx context.Context, user parley.UserID) (last time.Time, err error) {
	devices, err := s.accounts.Devices(ctx, user)
	for _, d := range devices {
		if d.LastSeen.After(last) {
			last = d.LastSeen
		}
	}
	return last, err
}
