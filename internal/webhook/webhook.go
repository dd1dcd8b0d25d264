// Package webhook tells bots what was said to them, by HTTP, in the manner of
// Standard Webhooks (https://www.standardwebhooks.com): signed, with an id that
// stays the same over retries, retried with growing pauses, and told again on
// demand.
//
// A webhook is a device that is pushed to: it has a cursor in its bot's inbox,
// and what lies after the cursor is read from the logs and told in order. The
// cursor moves when the bot has answered, so nothing is lost that a bot did
// not hear of, and what it heard and could not confirm is told again under the
// same id. A bot that is slow or away slows nobody but itself.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
)

const (
	// lookEvery is how often registrations are read again: how long a webhook
	// takes at most to begin, and to end, after it was changed elsewhere.
	lookEvery = 15 * time.Second
	// hooksAtOnce is how many registrations are read at a time.
	hooksAtOnce = 200
	// maxRunners bounds the webhooks one node serves. The rest wait for one to
	// end; a server with so many bots has several nodes.
	maxRunners = 1000
	// rowsAtOnce and entriesAtOnce bound what is read of an inbox and a log
	// before it is told.
	rowsAtOnce, entriesAtOnce = 50, 100
	// waitAtMost is how long a quiet inbox is waited for before the
	// registration is looked at again: another node may have changed it.
	waitAtMost = lookEvery
	// brokenPause is the rest after an error of our own.
	brokenPause = 5 * time.Second
)

// Hook is one registration.
type Hook struct {
	Bot      parley.UserID
	URL      string
	Secret   []byte    // the key that signs
	Cursor   string    // what lies after it was not told; empty: from nothing
	Since    time.Time // what was committed before is passed over
	Failures int       // in a row
	Next     time.Time // not before then
	Paused   bool      // too many failures: until somebody asks for a replay
	Error    string    // of the last failure, for the bot's owner
	Version  uint64    // of the registration
}

// Hooks keeps registrations.
type Hooks interface {
	// Hooks lists those after a bot, by bot, at most limit.
	Hooks(ctx context.Context, after parley.UserID, limit int) ([]Hook, error)
	// Hook returns one, or not_found.
	Hook(ctx context.Context, bot parley.UserID) (Hook, error)
	// SaveHook writes how a registration stands and returns it with its new
	// version. It is a conflict, and nothing is written, if somebody changed it
	// since that version.
	SaveHook(ctx context.Context, h Hook) (Hook, error)
}

// Inboxes reads rows and moves markers; see inbox.Keeper.
type Inboxes interface {
	After(ctx context.Context, user parley.UserID, pos parley.Pos, limit int) ([]parley.Row, parley.Pos, error)
	MarkSoon(user parley.UserID, c parley.ConversationID, delivered, read parley.Seq)
}

// History reads logs as a reader may see them; see session.History.
type History interface {
	Read(ctx context.Context, reader parley.UserID, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, parley.Seq, error)
}

// News waits for an inbox to move; see session.Poll.
type News interface {
	Wait(ctx context.Context, user parley.UserID, cursor parley.Cursor) error
}

// Config is what a Deliverer works with; what has no default is required.
type Config struct {
	Hooks   Hooks
	Inboxes Inboxes
	History History
	News    News
	Epoch   parley.Epoch
	Owns    func(parley.UserID) bool // whether the bot's webhook is told from here; nil: always
	Client  *http.Client             // see NewClient
	Now     func() time.Time         // time.Now
	Logger  *slog.Logger
}

// Deliverer tells webhooks. Close ends it.
type Deliverer struct {
	// static after New
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // capacity one: registrations changed

	running sync.WaitGroup

	mu      sync.Mutex
	runners map[parley.UserID]context.CancelFunc
}

// New starts telling.
func New(cfg Config) *Deliverer {
	if cfg.Owns == nil {
		cfg.Owns = func(parley.UserID) bool { return true }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Deliverer{cfg: cfg, wake: make(chan struct{}, 1), runners: make(map[parley.UserID]context.CancelFunc)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.running.Go(d.run)
	return d
}

// Close stops telling and returns when nothing runs. A delivery under way is
// cut off, and told again later.
func (d *Deliverer) Close() {
	d.cancel()
	d.running.Wait()
}

// Changed says that a bot's registration was changed here: what runs for it
// begins anew.
func (d *Deliverer) Changed(bot parley.UserID) {
	d.mu.Lock()
	if stop := d.runners[bot]; stop != nil {
		stop()
	}
	d.mu.Unlock()
	d.poke()
}

func (d *Deliverer) poke() {
	select {
	case d.wake <- struct{}{}:
	default: // it is about to look
	}
}

// run keeps a runner for each webhook that is told from here.
func (d *Deliverer) run() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		d.look()
		select {
		case <-t.C:
		case <-d.wake:
		case <-d.ctx.Done():
			return
		}
	}
}

// look starts runners for webhooks that have none. A runner ends by itself.
func (d *Deliverer) look() {
	var after parley.UserID
	for {
		hooks, err := d.cfg.Hooks.Hooks(d.ctx, after, hooksAtOnce)
		if err != nil {
			if d.ctx.Err() == nil {
				d.cfg.Logger.Warn("webhooks not listed; trying again", slog.Any("err", err))
			}
			return
		}
		for i := range hooks {
			if !hooks[i].Paused && d.cfg.Owns(hooks[i].Bot) {
				d.start(hooks[i])
			}
		}
		if len(hooks) < hooksAtOnce {
			return
		}
		after = hooks[len(hooks)-1].Bot
	}
}

func (d *Deliverer) start(h Hook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.runners[h.Bot] != nil || len(d.runners) >= maxRunners {
		return
	}
	ctx, cancel := context.WithCancel(d.ctx)
	d.runners[h.Bot] = cancel
	d.running.Go(func() {
		r := &runner{d: d, ctx: ctx, hook: h}
		r.run()
		cancel()
		d.mu.Lock()
		delete(d.runners, h.Bot)
		d.mu.Unlock()
		d.poke() // it may have ended because there is another registration
	})
}
