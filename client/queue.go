package client

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/parley-im/parley"
)

// MaxQueue bounds the bodies a queue holds, in bytes. Past it Enqueue refuses
// with parley.Overloaded: send what is there first.
const MaxQueue = 64 << 20

// compactAt is the waste, in bytes, at which a journal is written anew.
const compactAt = 1 << 20

// ErrQueueBusy says that another process has the queue open.
var ErrQueueBusy = parley.E(parley.Conflict, "client.queue", "another program is sending from this queue; try again when it is done")

// Queue keeps messages that are to be sent, on disk, until the server has
// acknowledged them. It survives the death of its process: who opens it again
// goes on with the same messages, the same ids and the same order per
// conversation, so that nothing is lost and nothing is said twice.
//
// One process at a time has a queue open; it may use it from any number of
// goroutines. A message is pending, then either gone (acknowledged) or failed
// (given up, see Failed); a failed message stays until Forget.
type Queue struct {
	// static after OpenQueue
	disk   disk
	lock   io.Closer
	rand   io.Reader
	damage int
	turn   chan struct{} // whoever holds its one token may write the journal
	send   chan struct{} // whoever holds its one token may send
	news   chan struct{} // capacity one: something was enqueued, or the queue was closed

	journal journal // belongs to the holder of turn

	mu      sync.Mutex
	items   []*item // pending, in the order of Enqueue; done ones linger until swept
	index   map[key]*item
	lanes   map[parley.ConversationID][]*item
	failed  []Failure
	pending int
	bytes   int64
	closed  bool
}

// item is one pending message.
type item struct {
	post  parley.Post
	about parley.MessageID // of an act on a message that had no number yet
	done  bool
}

// Failure is a message that was given up, and why.
type Failure struct {
	Post  parley.Post
	About parley.MessageID // see [Queue.EnqueueAbout]
	Err   *parley.Error
}

// OpenQueue opens the queue in the file at path, and makes it if there is
// none. It returns ErrQueueBusy if another process has it. Beside the file
// stand PATH.lock and, for a moment, PATH.new. Ids of messages are made of
// random; nil is crypto/rand.
func OpenQueue(path string, random io.Reader) (*Queue, error) {
	return openQueue(fileDisk(path), random)
}

func openQueue(d disk, random io.Reader) (*Queue, error) {
	const op = "client.queue"
	if random == nil {
		random = rand.Reader
	}
	lock, err := d.lock()
	if err != nil {
		return nil, diskError(op, "the queue cannot be opened", err)
	}
	q := &Queue{
		disk:  d,
		lock:  lock,
		rand:  random,
		turn:  make(chan struct{}, 1),
		send:  make(chan struct{}, 1),
		news:  make(chan struct{}, 1),
		index: map[key]*item{},
		lanes: map[parley.ConversationID][]*item{},
	}
	if err := q.load(); err != nil {
		_ = lock.Close() // nothing was written
		return nil, diskError(op, "the queue cannot be read", err)
	}
	return q, nil
}

// load replays the journal and writes it anew without what is over.
func (q *Queue) load() error {
	data, err := q.disk.read()
	if err != nil {
		return err
	}
	size, damaged, err := replay(data, q.apply)
	if err != nil {
		return err
	}
	if q.damage = damaged; damaged > 0 {
		if err := q.disk.keep(data); err != nil {
			return err
		}
	}
	q.sweep()
	old := !bytes.HasPrefix(data, []byte(journalHeader))
	if size == 0 || size != len(data) || damaged > 0 || old || size >= compactAt {
		return q.rewrite()
	}
	f, err := q.disk.open()
	if err != nil {
		return err
	}
	// What is replayed is about to be sent, so it must be durable first: a
	// record may have been written, and the process killed, before its sync.
	if err := f.Sync(); err != nil {
		_ = f.Close() // the error that matters is the one before
		return err
	}
	q.journal = journal{file: f, size: int64(size)}
	return nil
}

// Damaged says how many records could not be read when the queue was opened.
// If there are any, a copy of the file as it was stands at PATH.damaged.
func (q *Queue) Damaged() int { return q.damage }

// Enqueue keeps posts on disk, all or none, and returns when they are on
// stable storage: from here they are sent even if this process dies. A post
// without an id gets one. Sender should be set, so that another account never
// sends it; Base, the head the sender saw, spares the server a long search.
//
// A post whose id is already pending in its conversation is kept once; with
// another body that is parley.IDConflict. A failed one is pending again. It
// returns the posts with their ids, in order.
//
// Acts (see [Edit] and its kin) are queued like messages and keep their place
// among them.
func (q *Queue) Enqueue(posts ...parley.Post) ([]parley.Post, error) {
	return q.enqueue("", posts)
}

// EnqueueAbout is Enqueue of an act on the message with that id in the act's
// conversation, which may have no number yet: it may be pending itself, before
// the act. Flush asks the server for the number. If the message was given up,
// so is the act, as parley.NotFound. The act's Ref stays 0.
func (q *Queue) EnqueueAbout(message parley.MessageID, act parley.Post) (parley.Post, error) {
	const op = "client.enqueue"
	if !parley.ValidID(string(message)) || act.Ref != 0 || !pointing(act.Kind) {
		return parley.Post{}, parley.E(parley.BadRequest, op, "only an act without a number can be about a message by its id")
	}
	out, err := q.enqueue(message, []parley.Post{act})
	if err != nil {
		return parley.Post{}, err
	}
	return out[0], nil
}

func (q *Queue) enqueue(about parley.MessageID, posts []parley.Post) ([]parley.Post, error) {
	const op = "client.enqueue"
	out := slices.Clone(posts)
	q.turn <- struct{}{}
	defer func() { <-q.turn }()
	fresh, err := q.admit(op, about, out)
	if err != nil {
		return nil, err
	}
	if len(fresh) == 0 {
		return out, nil
	}
	add := record{Add: make([]queued, len(fresh))}
	for i := range fresh {
		add.Add[i] = queuedOf(&fresh[i], about)
	}
	if err := q.journal.append(true, add); err != nil {
		return nil, diskError(op, "nothing was queued, for the queue cannot be written", err)
	}
	q.mu.Lock()
	q.apply(add)
	q.mu.Unlock()
	q.wake()
	return out, nil
}

// admit gives ids to posts, checks them, and returns those that are new.
func (q *Queue) admit(op string, about parley.MessageID, posts []parley.Post) ([]parley.Post, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, parley.E(parley.Conflict, op, "the queue is closed")
	}
	var fresh []parley.Post
	batch := map[key]*parley.Post{}
	total := q.bytes
	for i := range posts {
		p := &posts[i]
		if p.ID == "" {
			p.ID = parley.MessageID(parley.NewID("m", q.rand))
		}
		if !parley.ValidID(string(p.ID)) || !parley.ValidID(string(p.Conversation)) {
			return nil, parley.E(parley.BadRequest, op, "an id is 1 to %d letters, digits and - . _ ~ :", parley.MaxID)
		}
		if err := check(op, p, about); err != nil {
			return nil, err
		}
		same := batch[keyOf(p)]
		if it := q.index[keyOf(p)]; it != nil {
			same = &it.post
		}
		if same != nil {
			if kindOf(same) != kindOf(p) || same.Ref != p.Ref || same.Body.Type != p.Body.Type || !bytes.Equal(same.Body.Data, p.Body.Data) {
				return nil, parley.E(parley.IDConflict, op, "another message with this id is waiting to be sent; choose a fresh id")
			}
			continue
		}
		if total += int64(len(p.Body.Data)); total > MaxQueue {
			return nil, parley.E(parley.Overloaded, op, "the queue is full; send what is waiting first")
		}
		p.Body.Data, p.Mentions = slices.Clone(p.Body.Data), slices.Clone(p.Mentions)
		batch[keyOf(p)] = p
		fresh = append(fresh, *p)
	}
	return fresh, nil
}

// Len returns how many messages are pending.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pending
}

// Pending returns the messages that are to be sent, in the order of Enqueue.
func (q *Queue) Pending() []parley.Post {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]parley.Post, 0, q.pending)
	for _, it := range q.items {
		if !it.done {
			out = append(out, it.post)
		}
	}
	return out
}

// About returns the message that a pending act is about, if it was queued with
// EnqueueAbout; else it is empty.
func (q *Queue) About(conv parley.ConversationID, act parley.MessageID) parley.MessageID {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.index[key{conv, act}]; it != nil {
		return it.about
	}
	return ""
}

// Failed returns the messages that were given up and not yet forgotten.
func (q *Queue) Failed() []Failure {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.failed)
}

// Forget drops a failed message: somebody has seen that it was not sent.
func (q *Queue) Forget(conv parley.ConversationID, id parley.MessageID) error {
	return q.settle(record{Forget: &key{conv, id}}, true)
}

// Close lets go of the queue. What is pending stays on disk.
func (q *Queue) Close() error { return q.close(false) }

// Remove is Close that takes the file away as well, unless a message in it is
// pending or failed.
func (q *Queue) Remove() error { return q.close(true) }

func (q *Queue) close(remove bool) error {
	q.turn <- struct{}{}
	defer func() { <-q.turn }()
	q.mu.Lock()
	over := q.closed
	q.closed = true
	idle := q.pending == 0 && len(q.failed) == 0
	q.mu.Unlock()
	if over {
		return nil
	}
	q.wake()
	var err error
	switch {
	case idle && remove:
		err = q.disk.remove()
	case idle && q.journal.size > int64(len(journalHeader)):
		// Sent messages need not stay on disk. If this fails they stay, and the
		// journal is still right.
		_ = q.rewrite()
	}
	if err = errors.Join(err, q.journal.file.Close(), q.lock.Close()); err != nil {
		return diskError("client.queue", "the queue cannot be closed", err)
	}
	return nil
}

// wake tells whoever sends that there may be something to do.
func (q *Queue) wake() {
	select {
	case q.news <- struct{}{}:
	default: // somebody was told already
	}
}
