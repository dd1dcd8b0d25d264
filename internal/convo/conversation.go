package convo

import (
	"container/list"
	"sync"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

const (
	// maxBatch and maxBatchBytes bound one append.
	maxBatch      = 512
	maxBatchBytes = 1 << 20
	// doubtFor is how long an append of unknown outcome may still happen: far
	// longer than a disk hangs that comes back at all. What happens even later
	// is found by the next post, or swept at the next start.
	doubtFor = time.Minute
	// doubtPause is how often the log is looked at meanwhile.
	doubtPause = 250 * time.Millisecond
)

// job is one post, or one creation, on its way.
type job struct {
	post   parley.Post
	create *parley.Conversation // non-nil: make this conversation
	done   func(parley.Ack, error)
}

func (j *job) size() int64 {
	return 256 + int64(len(j.post.Body.Data)) + int64(len(j.post.ID)) + parley.MaxID*int64(len(j.post.Mentions))
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
	term    uint64     // when head and state were true; see Config.Term
	least   parley.Seq // another owner got as far as this

	// More may stand in the log than was published, because an append had an
	// unknown outcome.
	doubt time.Time     // until when to keep looking; zero: no doubt
	told  parley.Seq    // published up to here, while there is
	wake  chan struct{} // capacity one: a post came while run waits to look again
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
	if c.wake != nil {
		select {
		case c.wake <- struct{}{}:
		default: // it was told
		}
	}
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

// certain reports whether what is in memory may be believed in this term.
// c.mu is held.
func (c *conversation) certain(term uint64) bool { return term != 0 && c.term == term }

// offer fills an idle conversation with what a reader loaded in that term,
// unless it holds as much.
func (c *conversation) offer(h store.Head, term uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy && c.doubt.IsZero() && (!c.loaded || h.Seq >= c.head.Seq) {
		c.set(h, term)
	}
}

// set takes over what the store said in that term. c.mu is held.
func (c *conversation) set(h store.Head, term uint64) {
	if h.Seq < c.least {
		term = 0 // it was read before another owner wrote
	}
	c.head, c.state, c.loaded, c.term = h, h.State, true, term
}

// run works until the queue is empty. It is the only goroutine that appends
// to this conversation from here.
func (c *conversation) run() {
	defer c.owner.running.Done()
	for {
		batch, idle := c.take()
		switch {
		case idle:
			return
		case batch != nil:
			c.commit(batch)
		default:
			c.look()
		}
	}
}

// look waits a moment, or for a post, and then publishes what an append of
// unknown outcome left in the log.
func (c *conversation) look() {
	c.mu.Lock()
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
	}
	wake := c.wake
	c.mu.Unlock()
	t := time.NewTimer(doubtPause)
	defer t.Stop()
	select {
	case <-t.C:
		// An error leaves the doubt; the next look finds out.
		_, _ = c.load()
	case <-wake:
	case <-c.owner.closing:
	}
}

// putBack returns jobs to the head of the queue.
func (c *conversation) putBack(jobs []*job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(jobs[:len(jobs):len(jobs)], c.queue...)
}

// take returns the next batch; none while there is a doubt and nothing to do;
// idle when the queue is empty and all is known.
func (c *conversation) take() (batch []*job, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(c.queue) && n < maxBatch && bytes < maxBatchBytes {
		bytes += c.queue[n].size()
		n++
	}
	if n == 0 {
		if !c.doubt.IsZero() && c.owner.cfg.Now().Before(c.doubt) && !c.owner.isClosing() {
			return nil, false
		}
		c.busy, c.queue, c.wake = false, nil, nil
		return nil, true
	}
	batch = c.queue[:n:n]
	c.queue = c.queue[n:]
	return batch, false
}
