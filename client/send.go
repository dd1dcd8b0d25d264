package client

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/parley-im/parley"
)

// maxLanes bounds the tries under way at once; there is at most one per
// conversation.
const maxLanes = 8

// Outcome is what became of a queued message: acknowledged, or, if Err is not
// nil, given up. Err then has a code that says to give up.
type Outcome struct {
	Post parley.Post
	Ack  parley.Ack
	Err  error
}

// Notes are what a sender may want to hear, one call at a time. Every field
// may be nil.
type Notes struct {
	Done  func(Outcome)                       // a message left the queue, or failed
	Retry func(err error, wait time.Duration) // a try failed and is repeated after wait
}

// toPrefix begins what To returns. No server makes ids with a colon.
const toPrefix = "to:"

// To stands for the direct conversation with that handle in a [Queue], also
// before anybody knows its id: Flush asks the server, and makes the
// conversation if there is none. The acknowledgement has the real id.
func To(handle string) parley.ConversationID {
	return parley.ConversationID(toPrefix + strings.ToLower(strings.TrimPrefix(handle, "@")))
}

// Handle returns the handle that [To] made conv of, if it did.
func Handle(conv parley.ConversationID) (handle string, ok bool) {
	return strings.CutPrefix(string(conv), toPrefix)
}

// Flush sends what is pending in q, in order and one at a time per
// conversation, and repeats each message, always with its id, until the
// server answers. It returns nil when nothing is pending, what was enqueued
// meanwhile included. It goes on for as long as ctx lets it; then, or when this
// device is signed out, it returns the reason and the rest stays pending.
//
// A message that the server refuses for good is failed; that is an [Outcome]
// and not an error of Flush. Messages of another account stay where they are.
// One Flush runs at a time per queue; another waits for it.
func (c *Client) Flush(ctx context.Context, q *Queue, n Notes) error {
	select {
	case q.send <- struct{}{}:
		defer func() { <-q.send }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &sender{
		client: c, queue: q, notes: n, cancel: cancel,
		slots: make(chan struct{}, maxLanes), reports: make(chan report), ended: make(chan parley.ConversationID),
		busy: map[parley.ConversationID]bool{},
	}
	err := s.run(ctx)
	cancel()
	s.running.Wait()
	return err
}

// Run is Flush that does not end when nothing is pending: it waits for more,
// until ctx is done or q is closed.
func (c *Client) Run(ctx context.Context, q *Queue, n Notes) error {
	for {
		if err := c.Flush(ctx, q, n); err != nil {
			return err
		}
		if q.over() {
			return nil
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sender is one Flush: a goroutine for each conversation with something
// pending, and the caller's, which starts them and hears them.
type sender struct {
	// static
	client  *Client
	queue   *Queue
	notes   Notes
	cancel  context.CancelFunc
	slots   chan struct{} // holds one token per try under way
	reports chan report
	ended   chan parley.ConversationID // a lane found nothing left
	running sync.WaitGroup

	busy map[parley.ConversationID]bool // the caller's: conversations with a lane
}

// report is what a lane has to say: an outcome, a failed try, or why nothing
// more can be sent.
type report struct {
	outcome *Outcome
	err     error
	wait    time.Duration
	fatal   bool
}

func (s *sender) run(ctx context.Context) error {
	user := parley.UserID(s.client.cred.User.ID)
	for {
		for _, conv := range s.queue.waiting(user) {
			if !s.busy[conv] {
				s.busy[conv] = true
				s.running.Go(func() { s.lane(ctx, user, conv) })
			}
		}
		if len(s.busy) == 0 {
			return nil
		}
		select {
		case r := <-s.reports:
			if r.fatal {
				return r.err
			}
			s.note(r)
		case conv := <-s.ended:
			delete(s.busy, conv)
		case <-s.queue.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *sender) note(r report) {
	switch {
	case r.outcome != nil && s.notes.Done != nil:
		s.notes.Done(*r.outcome)
	case r.outcome == nil && s.notes.Retry != nil:
		s.notes.Retry(r.err, r.wait)
	}
}

// lane sends what is pending in one conversation.
func (s *sender) lane(ctx context.Context, user parley.UserID, conv parley.ConversationID) {
	for {
		p, about, ok := s.queue.first(user, conv)
		if !ok {
			select {
			case s.ended <- conv:
			case <-ctx.Done():
			}
			return
		}
		ack, err := s.try(ctx, &p, about)
		if ctx.Err() != nil && err != nil {
			return
		}
		r := report{outcome: &Outcome{Post: p, Ack: ack, Err: err}}
		if parley.CodeOf(err) == parley.Unauthorized {
			r = report{err: err, fatal: true} // not the message's fault: it stays
		} else {
			s.queue.settled(&p, err)
		}
		s.say(ctx, r)
		if r.fatal {
			return
		}
	}
}

// say hands r to the caller's goroutine.
func (s *sender) say(ctx context.Context, r report) {
	select {
	case s.reports <- r:
	case <-ctx.Done():
	}
}

// try sends p until there is an answer that counts.
func (s *sender) try(ctx context.Context, p *parley.Post, about parley.MessageID) (ack parley.Ack, err error) {
	note := func(err error, wait time.Duration) { s.say(ctx, report{err: err, wait: wait}) }
	err = s.client.Retry(ctx, note, func(ctx context.Context) error {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
		numbered := *p
		if about != "" {
			if numbered.Ref, err = s.client.numberOf(ctx, p.Conversation, about); err != nil {
				return err
			}
		}
		ack, err = s.client.Post(ctx, numbered)
		return err
	})
	return ack, err
}

// direct returns the id of the direct conversation with handle, which never
// changes.
func (c *Client) direct(ctx context.Context, handle string) (parley.ConversationID, error) {
	if id, ok := c.directs.Load(handle); ok {
		return id.(parley.ConversationID), nil
	}
	conv, err := c.Direct(ctx, handle)
	if err != nil {
		return "", err
	}
	id := parley.ConversationID(conv.ID)
	c.directs.Store(handle, id)
	return id, nil
}

// over reports whether q was closed.
func (q *Queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// waiting returns the conversations in which user has something pending.
func (q *Queue) waiting(user parley.UserID) []parley.ConversationID {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	var out []parley.ConversationID
	for conv, lane := range q.lanes {
		if firstOf(lane, user) != nil {
			out = append(out, conv)
		}
	}
	return out
}

// first returns the next message that user has pending in conv, and the
// message it is about if only that one's id is known.
func (q *Queue) first(user parley.UserID, conv parley.ConversationID) (p parley.Post, about parley.MessageID, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := firstOf(q.lanes[conv], user); it != nil && !q.closed {
		return it.post, it.about, true
	}
	return parley.Post{}, "", false
}

func firstOf(lane []*item, user parley.UserID) *item {
	for _, it := range lane {
		if it.post.Sender == "" || it.post.Sender == user {
			return it
		}
	}
	return nil
}

// settled notes what became of p: acknowledged, or given up. That it is noted
// need not last, and may fail when the disk is full: a message sent again under
// its id is the same message, and gets the same answer.
func (q *Queue) settled(p *parley.Post, err error) {
	k := keyOf(p)
	if err == nil {
		_ = q.settle(record{Done: &k}, false)
		return
	}
	_ = q.settle(record{Fail: &failed{key: k, Code: parley.CodeOf(err), Detail: sentence(err)}}, true)
}
