// Package convo is the only writer of conversations: it decides who may
// append, whether an id was seen before, and which number comes next.
//
// A conversation in memory is a queue of posts and, while the queue is not
// empty, one goroutine that takes all of it, appends it in one
// compare-and-append and answers. Posts that arrive meanwhile are the next
// batch, so a busy conversation commits in groups without a timer.
//
// What is in memory is a cache. Another owner of the same conversation, on
// another node or in a race here, costs a conflict and a reload: the store's
// condition on the head is what keeps the log whole.
package convo

import (
	"container/list"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Publisher takes commits to readers, in the order of each conversation's
// numbers. Neither method blocks.
type Publisher interface {
	// Publish is told of every commit. told is called once, on any goroutine,
	// when a sync that any sender of the entries begins from then on shows
	// them, or with why that cannot be said: then nobody is told "sent", and
	// a retry asks again.
	Publish(c *parley.Conversation, entries []parley.Entry, told func(error))
	// Confirm does for one entry what Publish promises, when its commit was
	// an earlier try's, perhaps on another node.
	Confirm(c *parley.Conversation, e *parley.Entry, told func(error))
}

// Config is what an Owner works with. All fields but the bounds, and those
// that say what nil means, are required.
type Config struct {
	Log       store.Log
	Acts      store.Acts // of the same store
	Publisher Publisher
	Now       func() time.Time
	Rand      io.Reader
	Logger    *slog.Logger

	// Blocks is asked at the commit for each sender of a batch. nil: nobody
	// blocks anybody.
	Blocks Blocks
	// KnewBetter is told of each post that was refused because its sender
	// blocks the recipient, which the client could have known. nil: nobody is.
	KnewBetter func(sender parley.UserID)

	// Term says how long what is in memory of a conversation may be believed
	// without asking the log: while the answer is the same and not 0. 0: not
	// now, another node may write to it. nil: for ever.
	Term func(parley.ConversationID) uint64

	MaxQueued     int64 // bytes of posts waiting in all conversations; default 64 MiB
	MaxQueuedHere int   // posts waiting in one conversation; default 4,096
	MaxResident   int   // conversations kept in memory; default 65,536
}

// Owner serialises the writes of the conversations that live here.
type Owner struct {
	// static after New
	cfg    Config
	ctx    context.Context // ends when Close gives up waiting
	cancel context.CancelFunc
	queued atomic.Int64 // bytes waiting

	closing chan struct{} // closed when Close begins

	mu       sync.Mutex
	resident map[parley.ConversationID]*conversation
	recent   *list.List // of *conversation, most recently used first
	closed   bool
	running  sync.WaitGroup // conversations with a goroutine
}

// New returns an owner of every conversation it is asked for.
func New(cfg Config) *Owner {
	if cfg.MaxQueued == 0 {
		cfg.MaxQueued = 64 << 20
	}
	if cfg.MaxQueuedHere == 0 {
		cfg.MaxQueuedHere = 4096
	}
	if cfg.Term == nil {
		cfg.Term = func(parley.ConversationID) uint64 { return 1 }
	}
	if cfg.MaxResident == 0 {
		cfg.MaxResident = 1 << 16
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Owner{
		cfg: cfg, ctx: ctx, cancel: cancel,
		closing:  make(chan struct{}),
		resident: make(map[parley.ConversationID]*conversation),
		recent:   list.New(),
	}
}

// Close refuses new posts with draining, lets those queued be committed and
// answered, and returns when no goroutine is left. When ctx ends first, what
// is still under way is abandoned with an unknown outcome.
func (o *Owner) Close(ctx context.Context) {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.closing)
	}
	o.mu.Unlock()
	stop := context.AfterFunc(ctx, o.cancel)
	o.running.Wait()
	stop()
	o.cancel()
}

// Post appends p. done is called exactly once, on any goroutine, when the
// outcome is known:
//
//   - nil: committed, or committed by an earlier try (Ack.Again). A delete of
//     what is deleted already is not committed once more: it has the number of
//     the one that did it, and is Again. To a sender who is blocked all looks
//     the same.
//   - not_found: no such conversation, or its sender is not a member; or who
//     is to be removed or given a role is none
//   - id_conflict: the id stands in the conversation with another body
//   - bad_request: it answers, or is about, what does not exist or is no
//     message, or what its sender could not read; it mentions a stranger; its
//     parts do not belong together; members or a title where there are none
//   - forbidden: not its sender's to do; or its sender blocks the recipient
//   - conflict: what it is about was deleted; who is to be added is a member
//     already, or stands in the change twice
//   - too_large: a member, an edit, or a pin too many
//   - overloaded, storage_full, draining: not now; the same id may be retried.
//     After overloaded the outcome may be unknown; a retry finds out.
//
// A delete is acknowledged when the bodies of the message and of its edits are
// out of the store. Nobody is refused on the word of memory alone.
//
// The caller has checked sizes and shapes; the body is opaque here, but for
// that of a change of members, which is a parley.MembersBody. What follows
// from the change is written into it: see parley.MembersBody.
func (o *Owner) Post(p parley.Post, done func(parley.Ack, error)) {
	o.enqueue(&job{post: p, done: done})
}

// Create makes a conversation of by and members (by itself may be among
// them, twice or not at all). A direct conversation has one or two members in
// all and is made once: whoever asks again, also at the same moment, gets the
// one that exists and created false. The members have been checked to exist.
func (o *Owner) Create(ctx context.Context, by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (c parley.Conversation, created bool, err error) {
	draft, err := o.draft(by, kind, title, members)
	if err != nil {
		return parley.Conversation{}, false, err
	}
	type outcome struct {
		ack parley.Ack
		err error
	}
	ch := make(chan outcome, 1)
	o.enqueue(&job{
		post:   parley.Post{Conversation: draft.ID, Sender: by, ID: parley.MessageID(parley.NewID("m", o.cfg.Rand))},
		create: draft,
		done:   func(ack parley.Ack, err error) { ch <- outcome{ack, err} },
	})
	select {
	case out := <-ch:
		if out.err != nil {
			return parley.Conversation{}, false, out.err
		}
		state, _, err := o.state(ctx, draft.ID)
		if err != nil {
			return parley.Conversation{}, false, err
		}
		return *state, !out.ack.Again, nil
	case <-ctx.Done():
		return parley.Conversation{}, false, ctx.Err()
	}
}

// Get returns a conversation as reader may see it, the reader's membership
// and the last number the reader may read. It is not_found alike when there
// is no such conversation and when reader never was a member. Who was one
// sees it as it was then, without its pins.
func (o *Owner) Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error) {
	state, head, err := o.state(ctx, id)
	if err != nil {
		return parley.Conversation{}, parley.Member{}, 0, err
	}
	m, ok := state.Member(reader)
	if !ok {
		return parley.Conversation{}, parley.Member{}, 0, errNotFound("convo.get")
	}
	if m.Until != 0 {
		c, err := o.knownTo(ctx, state, m)
		return c, m, min(head, m.Until), err
	}
	c := *state
	c.Pins = pinsWithin(c.Pins, m.Since, head)
	return c, m, head, nil
}

// pinsWithin returns the pins between two numbers.
func pinsWithin(pins []parley.Seq, since, head parley.Seq) []parley.Seq {
	outside := func(s parley.Seq) bool { return s < since || s > head }
	if !slices.ContainsFunc(pins, outside) {
		return pins
	}
	return slices.DeleteFunc(slices.Clone(pins), outside)
}

// Find returns the number an id has, as far as reader may see it, or
// not_found.
func (o *Owner) Find(ctx context.Context, reader parley.UserID, id parley.ConversationID, message parley.MessageID) (parley.Seq, error) {
	_, m, head, err := o.Get(ctx, reader, id)
	if err != nil {
		return 0, err
	}
	seq, err := o.cfg.Log.Find(ctx, id, message, 0)
	if err != nil {
		return 0, coded("convo.find", err)
	}
	if seq == 0 || seq < m.Since || seq > head {
		return 0, errNotFound("convo.find")
	}
	return seq, nil
}

// Rests returns the head at which the dirty mark of a conversation may be
// settled, and false while somebody appends here, or while it is not known
// what the log holds.
func (o *Owner) Rests(ctx context.Context, id parley.ConversationID) (parley.Seq, bool) {
	if _, _, err := o.state(ctx, id); err != nil {
		return 0, false
	}
	c := o.conversation(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || c.retired || !c.loaded || !c.doubt.IsZero() {
		return 0, false
	}
	return c.head.Seq, true
}

// state returns the folded state and the head, loading them when needed.
func (o *Owner) state(ctx context.Context, id parley.ConversationID) (*parley.Conversation, parley.Seq, error) {
	c := o.conversation(id)
	term := o.cfg.Term(id)
	c.mu.Lock()
	state, head, certain := c.state, c.head.Seq, c.certain(term)
	c.mu.Unlock()
	if state != nil && certain {
		return state, head, nil
	}
	// Read past the cache rather than through the queue: a reader must not
	// wait for writers, and only the queue's goroutine fills the cache.
	h, err := o.cfg.Log.Load(ctx, id)
	if err != nil {
		return nil, 0, coded("convo.load", err)
	}
	if h.State == nil {
		return nil, 0, errNotFound("convo.load")
	}
	c.offer(h, term)
	return h.State, h.Seq, nil
}

// conversation returns the resident conversation, making room for it. It does
// no I/O: the conversation loads itself when it first works.
func (o *Owner) conversation(id parley.ConversationID) *conversation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.resident[id]; c != nil {
		o.recent.MoveToFront(c.place)
		return c
	}
	c := &conversation{id: id, owner: o}
	c.place = o.recent.PushFront(c)
	o.resident[id] = c
	for e := o.recent.Back(); e != nil && o.recent.Len() > o.cfg.MaxResident; {
		old := e.Value.(*conversation)
		e = e.Prev()
		if old != c && old.retire() {
			o.recent.Remove(old.place)
			delete(o.resident, old.id)
		}
	}
	return c
}

// enqueue hands j to its conversation, or answers it with why not.
func (o *Owner) enqueue(j *job) {
	if o.queued.Add(j.size()) > o.cfg.MaxQueued {
		j.answer(o, parley.Ack{}, overloaded("too many messages are waiting to be stored"))
		return
	}
	// A conversation that retires between the look-up and the push is looked
	// up again; it then is a new one, so this ends.
	for {
		err := o.conversation(j.post.Conversation).push(j)
		if err == errRetired {
			continue
		}
		if err != nil {
			j.answer(o, parley.Ack{}, err)
		}
		return
	}
}

func (o *Owner) isClosing() bool {
	select {
	case <-o.closing:
		return true
	default:
		return false
	}
}

// start counts a goroutine in, unless the owner is closed.
func (o *Owner) start() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.running.Add(1)
	return true
}
