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
	// Everywhere is the inboxes of all users, for Sweep and Settle. What was
	// noted there may be lost with its node, so a mark is settled only after
	// noting all of it again. Default: Inboxes, which lose nothing alone.
	Everywhere Inboxes
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
	watchers map[parley.UserID][]Watcher // replaced, never changed in place

	settle sync.Mutex
	moved  map[parley.ConversationID]struct{} // published since the last Settle
}

// New returns a switchboard without watchers.
func New(cfg Config) *Fanout {
	if cfg.TailBytes == 0 {
		cfg.TailBytes = 64 << 20
	}
	return &Fanout{
		cfg:      cfg,
		tail:     newTail(cfg.TailBytes),
		watchers: make(map[parley.UserID][]Watcher),
		moved:    make(map[parley.ConversationID]struct{}),
	}
}

// Watch has w told of what concerns user until stop is called.
func (f *Fanout) Watch(user parley.UserID, w Watcher) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.watchers[user]
	f.watchers[user] = append(old[:len(old):len(old)], w)
	return sync.OnceFunc(func() { f.unwatch(user, w) })
}

func (f *Fanout) unwatch(user parley.UserID, w Watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []Watcher
	for _, other := range f.watchers[user] {
		if other != w {
			left = append(left, other)
		}
	}
	if left == nil {
		delete(f.watchers, user)
		return
	}
	f.watchers[user] = left
}

func (f *Fanout) watching(user parley.UserID) []Watcher {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.watchers[user]
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
	f.moved[c] = struct{}{}
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
	for _, w := range f.watching(m.User) {
		w.Nudge(news.Conversation, news.Head)
	}
}

// Changed tells user's watchers that the inbox changed durably.
func (f *Fanout) Changed(user parley.UserID) {
	for _, w := range f.watching(user) {
		w.Changed()
	}
}

// Revoke tells user's watchers that a device was signed out.
func (f *Fanout) Revoke(user parley.UserID, device parley.DeviceID) {
	for _, w := range f.watching(user) {
		w.Revoked(device)
	}
}

// Nudge tells user's watchers that c may have entries up to head.
func (f *Fanout) Nudge(user parley.UserID, c parley.ConversationID, head parley.Seq) {
	for _, w := range f.watching(user) {
		w.Nudge(c, head)
	}
}

// Keep tells user's watchers which devices there are.
func (f *Fanout) Keep(user parley.UserID, devices []parley.DeviceID) {
	for _, w := range f.watching(user) {
		w.Keep(devices)
	}
}

// Lead tells user's watchers of a better server.
func (f *Fanout) Lead(user parley.UserID, url string) {
	for _, w := range f.watching(user) {
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
