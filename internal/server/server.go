package server

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/account"
	"github.com/parley-im/parley/internal/convo"
	"github.com/parley-im/parley/internal/edge"
	"github.com/parley-im/parley/internal/fanout"
	"github.com/parley-im/parley/internal/fold"
	"github.com/parley-im/parley/internal/inbox"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/router"
	"github.com/parley-im/parley/internal/search"
	"github.com/parley-im/parley/internal/session"
	"github.com/parley-im/parley/internal/webhook"
	"github.com/parley-im/parley/wire"
)

// Server is a server that runs.
type Server struct {
	// static after Start
	cfg      Config
	inboxes  *inbox.Keeper
	fanout   *fanout.Fanout
	receipts *fanout.Receipts
	whispers *fanout.Whispers
	presence *presence.Presence
	owner    *convo.Owner
	accounts *account.Accounts
	sessions *session.Hub
	edge     *edge.Edge
	webhooks *webhook.Deliverer
	node     *node // nil: alone
	setup    string

	conversations *router.Router // wherever they live

	ctx      context.Context // ends with the server
	cancel   context.CancelFunc
	running  sync.WaitGroup // the settle loop and the listeners' loops
	stopping sync.Once
	failed   chan error // capacity one: a listener ended by itself
}

// Start makes a server run. What a crash left undone in the store is done
// before the first request is answered; ctx bounds that, and nothing after.
// On an error nothing runs, and Store and Listener are still the caller's.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, failed: make(chan error, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.compose(); err != nil {
		s.abandon()
		return nil, err
	}
	if s.node != nil {
		err = s.join(ctx)
	} else {
		err = s.sweep(ctx, nil)
	}
	if err == nil {
		s.setup, _, _, err = s.accounts.SetupCode(ctx)
		if cfg.Store.Writable() != nil {
			err = nil // a full disk is served read-only
		}
	}
	if err != nil {
		s.abandon()
		return nil, err
	}
	s.run(s.settle)
	s.serve(s.edge.Serve, cfg.Listener)
	if cfg.Admin != nil {
		s.serve(s.edge.ServeAdmin, cfg.Admin)
	}
	return s, nil
}

// compose wires the parts together, from the store to the sockets.
func (s *Server) compose() (err error) {
	cfg := &s.cfg
	if cfg.Cluster != nil {
		s.node = newNode(s)
	}
	s.inboxes = inbox.New(inbox.Config{
		Store: cfg.Store, Log: cfg.Store, Logger: cfg.Logger, Now: cfg.Now, Coalesce: cfg.Coalesce,
		Changed: func(u parley.UserID) { s.fanout.Changed(u) }, Term: s.node.termOfUser(),
		Marked: func(r parley.Receipt) { s.receipts.Note(r) },
	})
	s.fanout = fanout.New(fanout.Config{Inboxes: s.inboxes, Everywhere: s.node.everywhere(), Log: cfg.Store, Logger: cfg.Logger})
	s.accounts, err = account.New(account.Config{
		Records: cfg.Store, Registration: cfg.Registration, RateLimits: !cfg.NoRateLimits, Hasher: cfg.Hasher,
		Now: cfg.Now, Rand: cfg.Rand, Logger: cfg.Logger, Alone: cfg.Cluster == nil, PrivateWebhooks: cfg.PrivateWebhooks,
		Revoked: s.revoked, ContactsChanged: s.contactsChanged, PresenceShown: s.presenceShown, WebhookChanged: s.webhookChanged, Joined: s.everJoined,
	})
	if err != nil {
		return err
	}
	s.owner = convo.New(convo.Config{
		Log: cfg.Store, Acts: cfg.Store, Publisher: s.publisher(), Blocks: s.accounts, Now: cfg.Now, Rand: cfg.Rand, Logger: cfg.Logger,
		Term: s.node.term(), KnewBetter: func(parley.UserID) { s.edge.CountKnewBetter() },
	})
	s.conversations = router.New(s.owner, s.table())
	s.receipts = fanout.NewReceipts(fanout.ReceiptsConfig{
		Fanout: s.fanout, Conversations: s.owner, Nodes: s.node.others(), MaxMembers: wire.MaxReceipts, Privacy: s.accounts, Blocks: blocks{s.accounts}, Now: cfg.Now, Logger: cfg.Logger,
	})
	s.composeEphemera()
	s.node.compose(s)
	return s.composeEdge()
}

// composeEdge wires what faces the outside.
func (s *Server) composeEdge() (err error) {
	cfg := &s.cfg
	var limiter *edge.Limiter // nil: none
	if !cfg.NoRateLimits {
		limiter = edge.NewLimiter(cfg.Now)
	}
	conversations := s.conversations
	inboxes, board := s.allInboxes(), s.switchboard()
	history := session.History{Conversations: conversations, Fanout: board, Folder: fold.Folder{Acts: cfg.Store, Log: cfg.Store}}
	describer := describer{conversations: conversations, people: s.accounts, history: history, now: cfg.Now}
	s.sessions = session.New(session.Config{
		Conversations: conversations, Inboxes: inboxes, Fanout: board, History: history, Contacts: s.accounts, Describer: describer,
		Limiter: limiter, Logger: cfg.Logger, Epoch: cfg.Store.Epoch(), Server: "parley/" + cfg.Version, Limits: cfg.limits(),
		Whispers: s.whispers, Presence: s.presence,
	})
	s.webhooks = s.deliverer(history, inboxes, board)
	s.edge, err = edge.New(edge.Config{
		SignIn: s.accounts, People: s.accounts, Invites: s.accounts, Contacts: s.accounts, Pictures: s.accounts,
		Bots: s.accounts, Webhooks: s.accounts, GroupInvites: s.accounts,
		Conversations: conversations,
		History:       history,
		Inboxes:       inboxes,
		Discretion:    s.receipts,
		Search:        search.New(history, inboxes, cfg.Now),
		News:          news{session.Poll{Inboxes: inboxes, Fanout: board, Epoch: cfg.Store.Epoch()}},
		Describer:     describer,
		Presence:      s.presence,
		Node:          s.node.nearest(),
		Cluster:       s.node.status(),
		Sessions:      online{hub: s.sessions, accounts: s.accounts},
		Limiter:       limiter, Limits: cfg.limits(), Ready: cfg.Store.Writable,
		Origins: cfg.Origins, BaseURL: cfg.BaseURL, App: cfg.App, Logger: cfg.Logger,
		MaxConnections: cfg.MaxConnections, NoPolling: cfg.NoPolling,
	})
	return err
}

// serve answers on l until the server stops.
func (s *Server) serve(answer func(net.Listener) error, l net.Listener) {
	s.run(func() {
		if err := answer(l); err != nil {
			s.fail(err)
		}
	})
}

// fail says why the server cannot go on.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // one reason is enough
	}
}

// run runs loop on a goroutine that stopping waits for.
func (s *Server) run(loop func()) {
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		loop()
	}()
}

// settle removes the dirty marks of conversations that rest.
func (s *Server) settle() {
	t := time.NewTicker(s.cfg.SettleEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := s.fanout.Settle(s.ctx, marks{s.cfg.Store}, s.owner); err != nil && s.ctx.Err() == nil {
				s.cfg.Logger.Warn("dirty marks not settled", slog.Any("err", err))
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// Addr returns where the public port listens.
func (s *Server) Addr() net.Addr { return s.cfg.Listener.Addr() }

// Setup returns the one-time code that makes the first (admin) account; empty
// when there is one already.
func (s *Server) Setup() string { return s.setup }

// Failed delivers why a listener ended by itself, if one does.
func (s *Server) Failed() <-chan error { return s.failed }

// Close drains: nothing new is let in, every connection is told to go, what
// was accepted is committed and answered, inboxes and marks are settled, and
// the store is closed. When ctx ends first, the rest is hurried as after a
// crash, which costs a sweep at the next start and no message. Only the first
// Close or Kill does something.
func (s *Server) Close(ctx context.Context) (err error) {
	s.stopping.Do(func() { err = s.drain(ctx) })
	return err
}

func (s *Server) drain(ctx context.Context) error {
	s.node.drain()
	s.edge.Drain(ctx, s.spread())
	s.edge.Shutdown(ctx)
	s.edge.Close()
	s.owner.Close(ctx)
	s.sessions.Close()
	s.webhooks.Close()
	s.receipts.Close()
	s.whispers.Close()
	s.presence.Close()
	if err := s.fanout.Settle(ctx, marks{s.cfg.Store}, s.owner); err != nil {
		s.cfg.Logger.Warn("dirty marks not settled; the next start sweeps", slog.Any("err", err))
	}
	s.node.leave(ctx)
	_ = s.inboxes.Close(ctx) // what is not written is swept at the next start
	s.cancel()
	s.running.Wait()
	return s.cfg.Store.Close()
}

// spread is over how long the connections there are may leave: a thousand a
// second come back elsewhere without a stampede.
func (s *Server) spread() time.Duration {
	return min(s.cfg.DrainSpread, time.Duration(s.edge.Connections())*time.Millisecond)
}

// Kill stops at once, as a crash would: nothing is finished, nobody is told,
// and the store is left as it is, open. It returns when nothing runs.
func (s *Server) Kill() {
	s.stopping.Do(func() {
		s.abandon()
	})
}

// abandon ends what compose began, without finishing anything.
func (s *Server) abandon() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if s.edge != nil {
		s.edge.Shutdown(ended)
		s.edge.Close()
	}
	s.owner.Close(ended)
	s.receipts.Close()
	s.whispers.Close()
	s.presence.Kill()
	s.node.kill()
	if s.webhooks != nil {
		s.webhooks.Close()
	}
	if s.sessions != nil {
		s.sessions.Close()
	}
	_ = s.inboxes.Close(ended)
	s.cancel()
	s.running.Wait()
}
