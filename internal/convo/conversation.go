package convo

import (
	"container/list"
	"sync"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// maxBatch bounds one append, in posts and in bytes.
const (
	maxBatch      = 512
	maxBatchBytes = 1 << 20
)

// job is one post, or one creation, on its way.
type job struct {
	post   parley.Post
	create *parley.Conversation // non-nil: make this conversation
	done   func(parley.Ack, error)
}

func (j *job) size() int64 {
	return 256 + int64(len(j.post.Body.Data)) + int64(len(j.post.ID))
}

func (j *job) answer(o *Owner, ack parley.Ack, err error) {
	o.queued.Add(-j.size())
	j.done(ack, err)
}

// conversation is one conversation in memory.
type conversation struct {
	// static after New
	id    parley.ConversationID
	owner *Owner
	place *list.Element // guarded by owner.mu

	mu      sync.Mutex
	queue   []*job
	busy    bool                 // a goroutine works; it alone changes what follows
	retired bool                 // gone from memory: look it up again
	head    store.Head           // where the log stands, as far as known; State aside
	state   *parley.Conversation // nil: not loaded, or does not exist; immutable once set
	loaded  bool
	marked  bool // a dirty mark stands
}

// push queues j and starts the goroutine when none runs.
func (c *conversation) push(j *job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired {
		return errRetired
	}
	if len(c.queue) >= c.owner.cfg.MaxQueuedHere {
		return overloaded("too many messages are waiting in this conversation")
	}
	if !c.busy {
		if !c.owner.start() {
			return errDraining()
		}
		c.busy = true
		go c.run()
	}
	c.queue = append(c.queue, j)
	return nil
}

// retire takes an idle conversation out of use.
func (c *conversation) retire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return false
	}
	c.retired = true
	return true
}

// offer fills an idle, unloaded conversation with what a reader loaded.
func (c *conversation) offer(h store.Head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy && !c.loaded {
		c.set(h)
	}
}

// set takes over what the store said. c.mu is held.
func (c *conversation) set(h store.Head) {
	c.head, c.state, c.marked, c.loaded = h, h.State, h.Dirty, true
}

// run works until the queue is empty. It is the only goroutine that appends
// to this conversation from here.
func (c *conversation) run() {
	defer c.owner.running.Done()
	for {
		batch := c.take()
		if batch == nil {
			return
		}
		c.commit(batch)
	}
}

// take returns the next batch, or nil when the queue is empty; then the
// conversation is idle.
func (c *conversation) take() []*job {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(c.queue) && n < maxBatch && bytes < maxBatchBytes {
		bytes += c.queue[n].size()
		n++
	}
	if n == 0 {
		c.busy, c.queue = false, nil
		return nil
	}
	batch := c.queue[:n:n]
	c.queue = c.queue[n:]
	return batch
}
