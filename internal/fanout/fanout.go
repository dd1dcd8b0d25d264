// Package fanout takes a committed entry to the inbox of every member and
// nudges whoever watches. It holds the list of watchers and the warm tail of
// active conversations, and it redoes what a crash interrupted.
//
// A nudge is a hint: it says that there may be something to read. It is never
// queued per reader, so nothing here waits for one.
package fanout

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	parley "github.com/parley-im/parley"
)

// Inboxes takes note that conversations moved. Advance must not block.
type Inboxes interface {
	Advance(user parley.UserID, a parley.Advance)
	// Flush returns when everything advanced before the call is durable.
	Flush(ctx context.Context) error
}

// Log reads what the tail no longer holds.
type Log interface {
	Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error)
}

// Watcher is somebody who wants to know at once: a device online, a poll
// that waits. Its methods are called on the path of a commit; they take note
// and return.
type Watcher interface {
	// Nudge says that conversation c has entries up to head.
	Nudge(c parley.ConversationID, head parley.Seq)
	// Changed says that the user's inbox rows changed durably.
	Changed()
	// Revoked says that the device was signed out.
	Revoked(d parley.DeviceID)
	// Keep names all devices of the user that are signed in: others were
	// signed out.
	Keep(devices []parley.DeviceID)
	// Lead says that another server serves the user better, and where it is.
	Lead(url string)
}

// Config is what a Fanout works with; what has no default is required.
type Config struct {
	Inboxes Inboxes // those that live here
	// Everywhere begins a batch for the inboxes of all users, for Sweep and
	// Settle: its Flush speaks of what was advanced in it alone. What was
	// noted there may be lost with its node, so a mark is settled only after
	// noting all of it again. Default: Inboxes, which lose nothing alone.
	Everywhere func() Inboxes
	Log        Log
	Logger     *slog.Logger
	TailBytes  int64 // bound of the warm tail; default 64 MiB
}

// Fanout is one node's switchboard.
type Fanout struct {
	// static after New
	cfg  Config
	tail *tail

	mu       sync.RWMutex
	watchers watchers // sessions and polls here
	away     watchers // other nodes, on behalf of theirs

	settle sync.Mutex
	moved  map[parley.ConversationID]uint64 // published and not settled since: how often
}

// New returns a switchboard without watchers.
func New(cfg Config) *Fanout {
	if cfg.TailBytes == 0 {
		cfg.TailBytes = 64 << 20
	}
	return &Fanout{
		cfg:      cfg,
		tail:     newTail(cfg.TailBytes),
		watchers: make(watchers),
		away:     make(watchers),
		moved:    make(map[parley.ConversationID]uint64),
	}
}

// watchers is who watches, by user. Each list is replaced, never changed in
// place.
type watchers map[parley.UserID][]Watcher

// Watch has w told of what concerns user until stop is called.
func (f *Fanout) Watch(user parley.UserID, w Watcher) (stop func()) {
	return f.add(f.watchers, user, w)
}

// WatchAway is Watch for another node: w hears what begins here, and nothing
// that another node said, which would go back and forth for ever.
func (f *Fanout) WatchAway(user parley.UserID, w Watcher) (stop func()) {
	return f.add(f.away, user, w)
}

func (f *Fanout) add(to watchers, user parley.UserID, w Watcher) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := to[user]
	to[user] = append(old[:len(old):len(old)], w)
	return sync.OnceFunc(func() { f.remove(to, user, w) })
}

func (f *Fanout) remove(from watchers, user parley.UserID, w Watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []Watcher
	for _, other := range from[user] {
		if other != w {
			left = append(left, other)
		}
	}
	if left == nil {
		delete(from, user)
		return
	}
	from[user] = left
}

// watching returns who watches user here, and who does elsewhere.
func (f *Fanout) watching(user parley.UserID) (here, away []Watcher) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.watchers[user], f.away[user]
}

// Publish takes entries just committed to c to every member here, where all
// inboxes live, and says so: they are noted, and whoever syncs waits until
// what is noted is durable.
func (f *Fanout) Publish(c *parley.Conversation, entries []parley.Entry, told func(error)) {
	f.Moved(c.ID)
	f.Deliver(c, entries)
	told(nil)
}

// Confirm has nothing to add: what an earlier life of the store committed was
// swept before this one began.
func (f *Fanout) Confirm(_ *parley.Conversation, _ *parley.Entry, told func(error)) { told(nil) }

// Moved takes note that c has a dirty mark to be settled once it rests.
func (f *Fanout) Moved(c parley.ConversationID) {
	f.settle.Lock()
	f.moved[c]++
	f.settle.Unlock()
}

// Deliver takes entries of c to the members that c names, recipients first
// and the sender last. The entries are contiguous; those of one conversation
// come in order, or the tail gives up what it holds.
func (f *Fanout) Deliver(c *parley.Conversation, entries []parley.Entry) {
	if len(entries) == 0 {
		return
	}
	last := &entries[len(entries)-1]
	f.tail.add(c.ID, entries)
	news := parley.Advance{Conversation: c.ID, Kind: c.Kind, From: entries[0].Seq - 1, Head: last.Seq, Count: last.Count}
	for i := range c.Members {
		if m := &c.Members[i]; m.User != last.Sender {
			f.deliver(m, news, entries)
		}
	}
	if m, ok := c.Member(last.Sender); ok {
		f.deliver(&m, news, entries)
	}
}

// deliver advances one member's inbox and nudges the member's watchers.
func (f *Fanout) deliver(m *parley.Member, news parley.Advance, entries []parley.Entry) {
	if m.Until != 0 && m.Until < entries[0].Seq {
		return // left before these
	}
	news.Since, news.Until = m.Since, m.Until
	for i := range entries {
		if e := &entries[i]; e.Sender == m.User && e.Kind == parley.KindMessage {
			news.Own = append(news.Own, parley.Own{Seq: e.Seq, Count: e.Count})
		}
	}
	f.cfg.Inboxes.Advance(m.User, news)
	here, away := f.watching(m.User)
	for _, w := range here {
		w.Nudge(news.Conversation, news.Head)
	}
	for _, w := range away {
		w.Nudge(news.Conversation, news.Head)
	}
}

// Changed tells user's watchers, also on other nodes, that the inbox changed
// durably.
func (f *Fanout) Changed(user parley.UserID) {
	here, away := f.watching(user)
	for _, w := range here {
		w.Changed()
	}
	for _, w := range away {
		w.Changed()
	}
}

// Stir tells user's watchers here, and only them, that the inbox may have
// changed.
func (f *Fanout) Stir(user parley.UserID) {
	here, _ := f.watching(user)
	for _, w := range here {
		w.Changed()
	}
}

// Revoke tells user's watchers that a device was signed out.
func (f *Fanout) Revoke(user parley.UserID, device parley.DeviceID) {
	here, _ := f.watching(user)
	for _, w := range here {
		w.Revoked(device)
	}
}

// Nudge tells user's watchers here, and only them, that c may have entries up to head.
func (f *Fanout) Nudge(user parley.UserID, c parley.ConversationID, head parley.Seq) {
	here, _ := f.watching(user)
	for _, w := range here {
		w.Nudge(c, head)
	}
}

// Keep tells user's watchers which devices there are.
func (f *Fanout) Keep(user parley.UserID, devices []parley.DeviceID) {
	here, _ := f.watching(user)
	for _, w := range here {
		w.Keep(devices)
	}
}

// Lead tells user's watchers of a better server.
func (f *Fanout) Lead(user parley.UserID, url string) {
	here, _ := f.watching(user)
	for _, w := range here {
		w.Lead(url)
	}
}

// Watching returns the users with watchers.
func (f *Fanout) Watching() []parley.UserID {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Collect(maps.Keys(f.watchers))
}

// Read returns the entries after seq, at most limit of them, from the tail
// when it holds them and from the log otherwise.
func (f *Fanout) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*Told, error) {
	if told, ok := f.tail.read(c, after, limit); ok {
		return told, nil
	}
	entries, err := f.cfg.Log.Read(ctx, c, after, limit)
	if err != nil {
		return nil, err
	}
	told := make([]*Told, len(entries))
	for i := range entries {
		told[i] = &Told{Entry: entries[i]}
	}
	return told, nil
}
