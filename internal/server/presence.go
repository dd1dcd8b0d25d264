package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
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
		Fanout: s.fanout, Conversations: s.owner, Nodes: s.node.whisperers(), MaxMembers: wire.MaxReceipts,
		Blocks: blocks{s.accounts}, Hidden: acquainted.hidden, Now: cfg.Now, Logger: cfg.Logger,
	})
}

// blocks lets whispers see who blocks whom.
type blocks struct{ *account.Accounts }

// Blockers implements fanout.Blocks.
func (b blocks) Blockers(ctx context.Context, sender parley.UserID, among []parley.UserID) ([]parley.UserID, error) {
	return b.BlockersAmong(ctx, sender, among)
}

// acquaintances is who may see whom: contacts, and those who share a direct
// conversation, unless one of the two blocks the other or hides.
type acquaintances struct{ s *Server }

// hidden returns those of users who do not show whether they are online.
func (a acquaintances) hidden(ctx context.Context, users []parley.UserID) ([]parley.UserID, error) {
	hides, err := a.s.accounts.HidesPresence(ctx, users)
	return slices.Collect(maps.Keys(hides)), err
}

// apart returns those of targets whom asker does not see whatever they share.
func (a acquaintances) apart(ctx context.Context, asker parley.UserID, targets []parley.UserID) (map[parley.UserID]bool, error) {
	hides, err := a.s.accounts.HidesPresence(ctx, append(slices.Clone(targets), asker))
	if err != nil {
		return nil, err
	}
	blocked, err := a.s.accounts.Blocks(ctx, asker)
	if err != nil {
		return nil, err
	}
	blockers, err := a.s.accounts.BlockersAmong(ctx, asker, targets)
	if err != nil {
		return nil, err
	}
	out := make(map[parley.UserID]bool)
	for _, u := range targets {
		out[u] = u == asker || hides[asker] || hides[u] || slices.Contains(blocked, u) || slices.Contains(blockers, u)
	}
	return out, nil
}

// lookAtOnce bounds the conversations looked at at the same time: on several
// nodes, each may be a question to another.
const lookAtOnce = 16

// Visible implements presence.Visible.
func (a acquaintances) Visible(ctx context.Context, asker parley.UserID, targets []parley.UserID) ([]parley.UserID, error) {
	apart, err := a.apart(ctx, asker, targets)
	if err != nil {
		return nil, err
	}
	targets = slices.DeleteFunc(slices.Clone(targets), func(u parley.UserID) bool { return apart[u] })
	var mu sync.Mutex
	var seen []parley.UserID
	var failed error
	for some := range slices.Chunk(targets, lookAtOnce) {
		var looking sync.WaitGroup
		for _, u := range some {
			looking.Go(func() {
				knows, err := a.knows(ctx, asker, u)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case knows:
					seen = append(seen, u)
				case err != nil:
					failed = errors.Join(failed, err)
				}
			})
		}
		looking.Wait()
	}
	return seen, failed
}

// knows reports whether asker and u share a conversation or are contacts.
func (a acquaintances) knows(ctx context.Context, asker, u parley.UserID) (bool, error) {
	_, _, _, err := a.s.conversations.Get(ctx, asker, parley.DirectID(asker, u))
	if parley.CodeOf(err) != parley.NotFound {
		return err == nil, err
	}
	c, err := a.s.accounts.Contact(ctx, asker, u)
	return err == nil && c.State == account.ContactAccepted, err
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

// presenceShown is told of users who begin or cease to show whether they are
// online.
func (s *Server) presenceShown(user parley.UserID) { s.presence.Recheck(user) }

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
