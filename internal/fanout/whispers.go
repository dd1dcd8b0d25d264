package fanout

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
)

const (
	// whisperPace is the least time between two whispers of one member in one
	// conversation. What comes sooner is dropped, not kept: it is over before
	// it could be told.
	whisperPace = 2 * time.Second
	// maxWhispering bounds the members and conversations whose pace is kept,
	// and maxWhispered those of one user. Past them whispers are dropped.
	maxWhispering = 8192
	maxWhispered  = 4
	// maxWhispers bounds the whispers that wait to be told.
	maxWhispers = 256
)

// Hearer is a Watcher that also wants to know what others do just now.
type Hearer interface {
	// Whisper says what another member does. It takes note and returns, as the
	// methods of a Watcher do.
	Whisper(w parley.Whisper)
}

// WhisperNodes takes whispers to other nodes. It does not block, and what it
// cannot take is lost.
type WhisperNodes interface {
	// WhisperToConversation takes w to where its conversation lives; false:
	// here.
	WhisperToConversation(w parley.Whisper) bool
	// WhisperToInboxes takes w to where the inboxes of users live, and returns
	// those of them that live here.
	WhisperToInboxes(users []parley.UserID, w parley.Whisper) (here []parley.UserID)
}

// Blocks knows who blocked whom.
type Blocks interface {
	// Blockers returns those among who blocked sender.
	Blockers(ctx context.Context, sender parley.UserID, among []parley.UserID) ([]parley.UserID, error)
}

// WhispersConfig is what Whispers works with; what has no default is required.
type WhispersConfig struct {
	Fanout        *Fanout
	Conversations Conversations // those that live here
	Nodes         WhisperNodes  // nil: everything lives here
	MaxMembers    int           // of a conversation whose members hear each other whisper
	Blocks        Blocks        // nil: nobody blocks
	// Hidden returns those of users who show nobody what they do, and are
	// shown nothing. nil: nobody hides.
	Hidden func(ctx context.Context, users []parley.UserID) ([]parley.UserID, error)
	Now    func() time.Time
	Logger *slog.Logger
}

// Whispers tells the members of a conversation what another does just now. It
// goes the way of [Receipts], from the sender's session to the owner of the
// conversation, who knows the members, and from there by their inboxes to the
// sessions that watch. But it waits for nothing: it is told now or never, and
// it is the first thing that is dropped.
type Whispers struct {
	// static after NewWhispers
	cfg    WhispersConfig
	ctx    context.Context
	cancel context.CancelFunc
	queue  chan whisper // never closed
	done   chan struct{}

	mu     sync.Mutex
	paced  map[about]struct{}
	users  map[parley.UserID]int // how many of paced are each user's
	resume []pause               // the first to be over first
}

// whisper is one that waits.
type whisper struct {
	parley.Whisper
	here bool // another node said that the conversation lives here
}

// pause is how long a member says nothing more in a conversation.
type pause struct {
	about
	until time.Time
}

// NewWhispers begins to tell; Close ends it.
func NewWhispers(cfg WhispersConfig) *Whispers {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Whispers{
		cfg: cfg, ctx: ctx, cancel: cancel,
		queue: make(chan whisper, maxWhispers), done: make(chan struct{}),
		paced: make(map[about]struct{}), users: make(map[parley.UserID]int),
	}
	go w.run()
	return w
}

// Close drops what waits and returns when nothing runs.
func (w *Whispers) Close() {
	w.cancel()
	<-w.done
}

// Say takes a whisper of a session here. It does no I/O. Kinds nobody relays
// are dropped.
func (w *Whispers) Say(what parley.Whisper) { w.put(whisper{what, false}) }

// Heard is Say for another node, which says that the conversation lives here.
func (w *Whispers) Heard(what parley.Whisper) { w.put(whisper{what, true}) }

func (w *Whispers) put(s whisper) {
	if s.Kind != parley.Typing {
		return
	}
	now := w.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.resume) > 0 && !now.Before(w.resume[0].until) {
		over := w.resume[0].about
		w.resume = w.resume[1:]
		delete(w.paced, over)
		if w.users[over.user]--; w.users[over.user] == 0 {
			delete(w.users, over.user)
		}
	}
	key := about{s.Conversation, s.Sender}
	if _, early := w.paced[key]; early || len(w.paced) >= maxWhispering || w.users[s.Sender] >= maxWhispered {
		return
	}
	select {
	case w.queue <- s:
	default:
		return // too many wait
	}
	w.paced[key] = struct{}{}
	w.users[s.Sender]++
	w.resume = append(w.resume, pause{key, now.Add(whisperPace)})
}

// run tells what was said until the server ends.
func (w *Whispers) run() {
	defer close(w.done)
	for {
		select {
		case s := <-w.queue:
			w.tell(&s)
		case <-w.ctx.Done():
			return
		}
	}
}

// tell takes one whisper to the other members, or to the node that knows them.
func (w *Whispers) tell(s *whisper) {
	if !s.here && w.cfg.Nodes != nil && w.cfg.Nodes.WhisperToConversation(s.Whisper) {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, findWithin)
	defer cancel()
	to, err := w.hearers(ctx, s.Whisper)
	if err != nil {
		if parley.CodeOf(err) != parley.NotFound && w.ctx.Err() == nil {
			w.cfg.Logger.Debug("whisper dropped", slog.Any("err", err))
		}
		return
	}
	if len(to) > 0 && w.cfg.Nodes != nil {
		to = w.cfg.Nodes.WhisperToInboxes(to, s.Whisper)
	}
	w.Tell(to, s.Whisper)
}

// hearers returns who is to hear s: the others who belong now, if the sender
// does and they are not too many, but for those who are not to hear of the
// sender or of anybody.
func (w *Whispers) hearers(ctx context.Context, s parley.Whisper) ([]parley.UserID, error) {
	c, m, _, err := w.cfg.Conversations.Get(ctx, s.Sender, s.Conversation)
	if err != nil {
		return nil, err
	}
	to := others(&c, &m, w.cfg.MaxMembers)
	if len(to) == 0 {
		return nil, nil
	}
	if w.cfg.Hidden != nil {
		hidden, err := w.cfg.Hidden(ctx, append(slices.Clip(to), s.Sender))
		if err != nil || slices.Contains(hidden, s.Sender) {
			return nil, err
		}
		to = without(to, hidden)
	}
	if w.cfg.Blocks == nil || len(to) == 0 {
		return to, nil
	}
	if c.Kind == parley.Direct {
		// Nor to whom the sender blocked: in a group that hides the other
		// from the sender, and the sender from nobody.
		if blocked, err := w.cfg.Blocks.Blockers(ctx, to[0], []parley.UserID{s.Sender}); err != nil || len(blocked) > 0 {
			return nil, err
		}
	}
	blockers, err := w.cfg.Blocks.Blockers(ctx, s.Sender, to)
	return without(to, blockers), err
}

// without returns users but for those of some others.
func without(users, some []parley.UserID) []parley.UserID {
	return slices.DeleteFunc(users, func(u parley.UserID) bool { return slices.Contains(some, u) })
}

// Tell tells the watchers of users, also on other nodes.
func (w *Whispers) Tell(users []parley.UserID, s parley.Whisper) {
	each(w.cfg.Fanout, users, true, func(h Hearer) { h.Whisper(s) })
}

// Show tells the watchers of users here, and only them.
func (w *Whispers) Show(users []parley.UserID, s parley.Whisper) {
	each(w.cfg.Fanout, users, false, func(h Hearer) { h.Whisper(s) })
}
