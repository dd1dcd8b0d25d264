// Package fanout takes a committed entry to the inbox of every member and
// nudges whoever watches. It holds the list of watchers and the warm tail of
// active conversations, and it redoes what a crash interrupted.
//
// A nudge is a hint: it says that there may be something to read. It is never
// queued per reader, so nothing here waits for one.
//
// # What was deleted
//
// The owner of a conversation acknowledges a delete when the bodies are erased
// from the log and the delete is published. What is held of them in a tail is
// replaced when the delete gets there. Alone that is before the
// acknowledgement, and the tail answers everybody. On a node of a cluster it
// may be later, or never. So the tail answers there only
//
//   - who was told by the owner, after the reading began, where the
//     conversation stands, if the tail has got as far: the tail has no gaps, so
//     it has every delete up to there, and what is acknowledged later was not
//     when the reading began;
//   - live pushes, of what the owner had just published.
//
// Everybody else (a sync, a resume, whoever left) reads the log, whose bodies
// were erased before the acknowledgement.
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
	// Nudge says that conversation c has entries up to head, which is not
	// beyond the user's membership.
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
	// noting all of it again. nil: this node is alone, and Inboxes lose nothing.
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

// each tells those watchers of users that want to hear of such things: here,
// and on other nodes if everywhere.
func each[W any](f *Fanout, users []parley.UserID, everywhere bool, tell func(W)) {
	for _, u := range users {
		here, away := f.watching(u)
		if !everywhere {
			away = nil
		}
		for _, watchers := range [...][]Watcher{here, away} {
			for _, w := range watchers {
				if w, ok := w.(W); ok {
					tell(w)
				}
			}
		}
	}
}

// Publish takes entries just committed to c to every member here, where all
// inboxes live, and says so: they are noted, and whoever syncs waits until
// what is noted is durable.
func (f *Fanout) Publish(c *parley.Conversation, entries []parley.Entry, told func(error)) {
	f.Moved(c.ID)
	f.Deliver(c, entries, Lazy(c))
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

// lazyAbove is how many may belong to a conversation whose members' rows
// follow each entry.
const lazyAbove = 64

// Lazy reports whether the rows of c's members may be written once a second:
// so many belong now. Nudges do not wait for them.
func Lazy(c *parley.Conversation) bool {
	n := 0
	for i := range c.Members {
		if c.Members[i].Until == 0 {
			n++
		}
	}
	return n > lazyAbove
}

// Deliver takes entries of c to the members that c names, recipients first
// and the sender last: to each those of the membership, which may begin or end
// among them. lazy says whether their rows may follow later; c may name only
// some of the members. The entries are contiguous; those of one conversation
// come in order, or the tail gives up what it holds.
func (f *Fanout) Deliver(c *parley.Conversation, entries []parley.Entry, lazy bool) {
	if len(entries) == 0 {
		return
	}
	last := &entries[len(entries)-1]
	f.tail.add(c.ID, entries)
	came := latecomers(entries)
	for i := range c.Members {
		if m := &c.Members[i]; m.User != last.Sender {
			f.deliver(c, m, entries, came[m.User], lazy)
		}
	}
	if m, ok := c.Member(last.Sender); ok {
		f.deliver(c, &m, entries, came[m.User], lazy)
	}
}

// latecomers returns the last of entries that makes each of its users one.
func latecomers(entries []parley.Entry) map[parley.UserID]parley.Seq {
	var came map[parley.UserID]parley.Seq
	for i := range entries {
		for _, u := range entries[i].Latecomers() {
			if came == nil {
				came = make(map[parley.UserID]parley.Seq)
			}
			came[u] = entries[i].Seq
		}
	}
	return came
}

// deliver advances one member's inbox and nudges the member's watchers.
func (f *Fanout) deliver(c *parley.Conversation, m *parley.Member, entries []parley.Entry, came parley.Seq, lazy bool) {
	first, head := entries[0].Seq, entries[len(entries)-1].Seq
	if m.Until != 0 {
		head = min(head, m.Until)
	}
	from := max(first, m.Since)
	if from > head {
		return // left before these, or belongs from later on
	}
	news := parley.Advance{
		Conversation: c.ID, Kind: c.Kind, Since: m.Since, Until: m.Until, Came: came, Lazy: lazy,
		From: from - 1, Head: head, Count: entries[head-first].Count,
	}
	for i := from - first; i <= head-first; i++ {
		e := &entries[i]
		own := e.Sender == m.User
		switch {
		case e.Kind != parley.KindMessage:
		case own || e.WithheldFrom(m.User):
			news.Own = append(news.Own, parley.Own{Seq: e.Seq, Count: e.Count, Withheld: !own})
			news.Spoke = news.Spoke || own
		case slices.Contains(e.Mentions, m.User):
			news.Mentioned = append(news.Mentioned, e.Seq)
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

// Acquaintance is a Watcher that also wants to know when the user's list of
// contacts changed.
type Acquaintance interface {
	// ContactsChanged takes note and returns, as the methods of a Watcher do.
	ContactsChanged()
}

// ContactsChanged tells user's watchers here that their list of contacts
// changed. It is a hint: who missed it compares at the next connection.
func (f *Fanout) ContactsChanged(user parley.UserID) {
	each(f, []parley.UserID{user}, false, Acquaintance.ContactsChanged)
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

// Read returns the entries after seq, at most limit of them. No body is in it
// that was deleted before the call.
func (f *Fanout) Read(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*Told, error) {
	if f.alone() {
		return f.ReadAt(ctx, c, after, limit, 0)
	}
	return f.log(ctx, c, after, limit)
}

// ReadAt is Read for whoever asked the owner of c where it stands, and was
// told head, when the reading began: memory answers if it has got as far. A
// head of 0 is for live pushes: memory answers as it is.
func (f *Fanout) ReadAt(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]*Told, error) {
	if f.alone() {
		head = 0 // whatever is acknowledged went through the tail before
	}
	if told, ok := f.tail.read(c, after, limit, head); ok {
		return told, nil
	}
	return f.log(ctx, c, after, limit)
}

// Entries is Read for whoever needs no form on the wire, or ReadAt for whoever
// of them was told head. The entries are the caller's own.
func (f *Fanout) Entries(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int, head parley.Seq) ([]parley.Entry, error) {
	if f.alone() {
		head = 0
	}
	if f.alone() || head > 0 {
		if told, ok := f.tail.read(c, after, limit, head); ok {
			entries := make([]parley.Entry, len(told))
			for i, t := range told {
				entries[i] = t.Entry
			}
			return entries, nil
		}
	}
	return f.said(ctx, c, after, limit)
}

// alone reports whether all that is committed is delivered here first.
func (f *Fanout) alone() bool { return f.cfg.Everywhere == nil }

// said reads entries from the log.
func (f *Fanout) said(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]parley.Entry, error) {
	entries, err := f.cfg.Log.Read(ctx, c, after, limit)
	if err != nil {
		return nil, err
	}
	unsay(entries)
	return entries, nil
}

func (f *Fanout) log(ctx context.Context, c parley.ConversationID, after parley.Seq, limit int) ([]*Told, error) {
	entries, err := f.said(ctx, c, after, limit)
	if err != nil {
		return nil, err
	}
	all, told := make([]Told, len(entries)), make([]*Told, len(entries))
	for i := range entries {
		all[i].Entry, told[i] = entries[i], &all[i]
	}
	return told, nil
}
