package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// request is one caller's write: parts that each have their own condition and
// are committed together with whatever else is waiting. The caller encodes it
// before it queues, so that nothing of the caller's is kept, and the
// committer only compares and copies.
type request struct {
	parts []part
	buf   []byte // the operations of all parts, and keys that conditions need
	err   error  // concerns all parts; set before done

	phase atomic.Int32
	done  chan struct{} // one token when answered
}

// The phases of a request. Whoever moves it out of queued owns its outcome.
const (
	queued    = iota
	taken     // the committer works on it
	withdrawn // the caller went away before
)

// part is one condition and what to write when it holds.
type part struct {
	kind   byte
	c      parley.ConversationID // kindAppend, kindSettle, kindErase
	u      parley.UserID         // kindInbox
	base   uint64                // the head or position believed in; kindErase: the greatest number erased
	next   uint64                // what it becomes
	count  uint64                // kindAppend: the count at next
	conds  []cond                // kindRecords
	lo, hi int                   // the operations in buf
	err    error                 // nil or store.ErrConflict
}

type cond struct {
	lo, hi  int    // the record's key in buf
	version uint64 // expected; 0: none
	becomes uint64 // 0: removed
}

const (
	kindAppend = iota
	kindSettle
	kindInbox
	kindRecords
	kindErase
)

const (
	opSet    = 0
	opDelete = 1
	opHeader = 7 // bytes before the key
)

var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

func newRequest() *request { return requests.Get().(*request) }

// recycle is for a request that nobody else can see any more.
func (r *request) recycle() {
	if cap(r.buf) > 64<<10 {
		r.buf = nil
	}
	clear(r.parts)
	r.parts, r.buf, r.err = r.parts[:0], r.buf[:0], nil
	r.phase.Store(queued)
	requests.Put(r)
}

// op appends an operation: its kind, two bytes for the length of the key and
// four for that of the value, both filled in when they are known.
func (r *request) op(kind byte, key, value func([]byte) []byte) {
	at := len(r.buf)
	r.buf = key(append(r.buf, kind, 0, 0, 0, 0, 0, 0))
	k := len(r.buf)
	if value != nil {
		r.buf = value(r.buf)
	}
	binary.LittleEndian.PutUint16(r.buf[at+1:], uint16(k-at-opHeader))
	binary.LittleEndian.PutUint32(r.buf[at+3:], uint32(len(r.buf)-k))
}

// write copies the operations of p into b.
func (r *request) write(p *part, b *pebble.Batch) error {
	for ops := r.buf[p.lo:p.hi]; len(ops) > 0; {
		kind, k := ops[0], int(binary.LittleEndian.Uint16(ops[1:]))
		v := int(binary.LittleEndian.Uint32(ops[3:]))
		key, value := ops[opHeader:opHeader+k], ops[opHeader+k:opHeader+k+v]
		ops = ops[opHeader+k+v:]
		var err error
		if kind == opSet {
			err = b.Set(key, value, nil)
		} else {
			err = b.Delete(key, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxBatch bounds one commit; what waits beyond it is the next.
const maxBatch = 8 << 20

// queue holds the requests that wait, bounded in bytes.
type queue struct {
	wake chan struct{} // one token when there may be work

	mu     sync.Mutex
	list   []*request
	bytes  int64
	closed bool
}

func (q *queue) put(r *request, limit int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return store.ErrClosed
	}
	if q.bytes > 0 && q.bytes+int64(len(r.buf)) > limit {
		return store.ErrUnavailable
	}
	q.bytes += int64(len(r.buf))
	q.list = append(q.list, r)
	if len(q.list) == 1 {
		q.signal()
	}
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list)
}

// take moves up to limit bytes of requests into out; at least one.
func (q *queue) take(out []*request, limit int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for ; n < len(q.list) && (n == 0 || size+len(q.list[n].buf) <= limit); n++ {
		size += len(q.list[n].buf)
	}
	out = append(out, q.list[:n]...)
	rest := copy(q.list, q.list[n:])
	clear(q.list[rest:])
	q.list = q.list[:rest]
	q.bytes -= int64(size)
	if rest > 0 {
		q.signal()
	}
	return out
}

// submit queues r and waits for its outcome. r is the caller's again only
// when ok: otherwise the committer may still be reading it.
func (s *Store) submit(ctx context.Context, r *request) (err error, ok bool) {
	if err := ctx.Err(); err != nil {
		return err, true
	}
	if err := s.queue.put(r, s.o.QueueBytes); err != nil {
		return err, true
	}
	select {
	case <-r.done:
		return r.err, true
	case <-ctx.Done():
		// Not begun: then nothing is written. Begun: the outcome is unknown.
		r.phase.CompareAndSwap(queued, withdrawn)
		return ctx.Err(), false
	}
}

func (r *request) answer(err error) {
	if r.err == nil {
		r.err = err
	}
	r.done <- struct{}{}
}

// batchState is what the batch under construction, or under way, changes. The
// conditions of later requests are judged against it first.
type batchState struct {
	reqs    []*request
	heads   map[parley.ConversationID]head
	inboxes map[parley.UserID]parley.Pos
	records map[string]uint64
	batch   *pebble.Batch
	sync    bool
	commit  uint64
	started time.Time
}

func (b *batchState) reset() {
	clear(b.reqs)
	b.reqs = b.reqs[:0]
	clear(b.heads)
	clear(b.inboxes)
	clear(b.records)
	b.sync = false
}

// committer is the one goroutine that decides what is written. Its fields are
// its own.
type committer struct {
	s       *Store
	eng     *engine // nil: abandoned, see revive
	broken  *engine // the one abandoned last, when eng is nil
	view    *view   // what stands; the committer's own reference
	heads   *lru[parley.ConversationID, head]
	inboxes *lru[parley.UserID, parley.Pos]
	commit  uint64 // number of the last durable commit
	cur     batchState
	hung    bool // cur is under way past its deadline, its callers answered
	lost    bool // at the end: an engine is being opened, and nobody waits for it

	reopened chan reopening // non-nil: a reopening is under way
	retry    *time.Timer
	tick     *time.Timer
	fullSaid bool

	abandoned int // engines, in the life of this store
}

// head is where a conversation stands: what an append needs to know.
type head struct {
	seq   parley.Seq
	count uint64
	dirty bool
}

func (c *committer) run() {
	defer close(c.s.committed)
	for {
		var results chan result
		var broken chan struct{}
		if c.hung {
			results, broken = c.eng.results, c.eng.fence.broken
		}
		select {
		case <-c.s.queue.wake:
			c.serve()
		case res := <-results:
			c.finish(res)
		case <-broken:
			c.abandon(c.eng.fence.cause)
		case re := <-c.reopened:
			c.adopt(re)
		case <-c.retry.C:
			c.revive()
		case <-c.s.quit:
			c.stop()
			return
		}
	}
}

// serve commits one batch of what waits, or answers all of it when it cannot.
func (c *committer) serve() {
	if err := c.refusal(); err != nil {
		c.refuse(err)
		return
	}
	c.gather()
	if len(c.cur.reqs) == 0 {
		return
	}
	if !c.build() {
		return
	}
	c.eng.jobs <- job{c.cur.batch, c.writeOptions()}
	c.await()
}

func (c *committer) writeOptions() *pebble.WriteOptions {
	if c.cur.sync && !c.s.o.UnsafeNoSyncForControlTests {
		return pebble.Sync
	}
	return pebble.NoSync
}

// refusal is why nothing can be written now, or nil.
func (c *committer) refusal() error {
	err := c.s.guard.check()
	if full := errors.Is(err, store.ErrFull); full != c.fullSaid {
		c.fullSaid = full
		if full {
			c.s.o.Logger.Error("store: the disk is nearly full, writes are refused until there is room")
		} else {
			c.s.o.Logger.Info("store: there is room again, writes are accepted")
		}
	}
	if err == nil && (c.eng == nil || c.hung) {
		return store.ErrUnavailable
	}
	return err
}

// refuse answers everything that waits.
func (c *committer) refuse(err error) {
	list := c.s.queue.take(nil, 1<<62)
	for _, r := range list {
		if r.phase.CompareAndSwap(queued, taken) {
			r.answer(err)
		}
	}
}

func (c *committer) gather() {
	c.cur.reqs = c.s.queue.take(c.cur.reqs, maxBatch)
	kept := c.cur.reqs[:0]
	for _, r := range c.cur.reqs {
		if r.phase.CompareAndSwap(queued, taken) {
			kept = append(kept, r)
		}
	}
	clear(c.cur.reqs[len(kept):])
	c.cur.reqs = kept
}

// build judges every part in turn and makes the batch of those that may. It
// is false when there is nothing to commit: then all are answered.
func (c *committer) build() bool {
	b := &c.cur
	b.batch = c.eng.db.NewBatchWithSize(4096)
	b.started = c.s.o.Now()
	for _, r := range b.reqs {
		for i := range r.parts {
			p := &r.parts[i]
			if p.err, r.err = c.judge(r, p); r.err != nil {
				break // of what the request wrote so far, the outcome is unknown to its caller
			}
		}
	}
	var fault error
	if !b.batch.Empty() {
		if b.sync {
			b.commit = c.commit + 1
			var v [binary.MaxVarintLen64]byte
			fault = b.batch.Set(keyCommit, binary.AppendUvarint(v[:0], b.commit), nil)
		}
		if fault == nil {
			return true
		}
	}
	_ = b.batch.Close() // nothing of it was applied
	for _, r := range b.reqs {
		r.answer(fault)
	}
	b.reset()
	return false
}

// await waits for the batch under way, but no longer than a caller should.
func (c *committer) await() {
	const look = 250 * time.Millisecond
	c.tick.Reset(look)
	defer c.tick.Stop()
	for waited := time.Duration(0); ; {
		select {
		case res := <-c.eng.results:
			c.finish(res)
			return
		case <-c.eng.fence.broken:
			c.abandon(c.eng.fence.cause)
			return
		case <-c.tick.C:
			waited += look
			// A commit that hangs on a full disk will not come back soon.
			full := waited >= time.Second && errors.Is(c.s.guard.check(), store.ErrFull)
			if waited < c.s.o.CommitTimeout && !full {
				c.tick.Reset(look)
				continue
			}
			c.s.o.Logger.Error("store: the disk does not answer, writes are refused until it does")
			c.hung = true
			c.s.setState(store.ErrUnavailable)
			c.answerAll(store.ErrUnavailable)
			c.serve()
			return
		}
	}
}

func (c *committer) answerAll(err error) {
	for i, r := range c.cur.reqs {
		r.answer(err)
		c.cur.reqs[i] = nil
	}
	c.cur.reqs = c.cur.reqs[:0]
}

// finish takes in that the batch under way was committed, or was not.
func (c *committer) finish(res result) {
	if res.err != nil {
		c.abandon(res.err)
		return
	}
	if c.hung {
		c.hung = false
		c.s.setState(nil)
		c.s.o.Logger.Info("store: the disk answers again")
	}
	b := &c.cur
	v := c.s.publish(c.eng, res.snap)
	c.view.release()
	c.view = v
	for k, h := range b.heads {
		c.heads.put(k, h)
	}
	for u, p := range b.inboxes {
		c.inboxes.put(u, p)
	}
	if b.sync {
		c.commit = b.commit
		c.s.mark.reached(b.commit)
	}
	_ = b.batch.Close() // returns its memory; it cannot fail after a commit
	c.answerAll(nil)
	b.reset()
	if c.s.queue.len() > 0 {
		c.s.queue.signal()
	}
}
