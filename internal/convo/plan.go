package convo

import (
	"errors"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// plan is what one try would append, and whom to tell what. It sees the
// conversation as the entries it already holds will have left it.
type plan struct {
	c     *conversation
	at    time.Time
	term  uint64 // when the plan was made
	fresh bool   // memory was read from the log for this very batch
	count uint64 // messages up to its end

	append  store.Append
	state   *parley.Conversation // at its end; immutable: a change replaces it
	founded bool                 // its first entry makes the conversation
	alone   bool                 // it holds a change of members, and nothing else
	erase   []parley.Seq         // whose bodies go once it is durable
	numbers map[parley.MessageID]int
	targets map[parley.Seq]*target
	blocks  map[parley.UserID][]parley.UserID

	waiting []waiting // jobs whose answer depends on the append
	later   []*job    // jobs whose entries have no room in this append
	stale   bool      // the log is further than what is in memory: load and plan again
}

// waiting is a job whose answer is the entry at index.
type waiting struct {
	job   *job
	index int
	again bool
}

// outcome is what became of a job in a plan.
type outcome int

const (
	answered outcome = iota // it has its answer
	planned                 // its answer depends on the append
	nextTime                // it and whatever follows belong into the next append
	outdated                // the plan is stale
)

// plan decides every job of the batch at the present head. Those it can
// decide without writing are answered; the rest stand in the returned slice
// and, with their entries, in the plan.
func (c *conversation) plan(batch []*job, fresh bool) (*plan, []*job) {
	o := c.owner
	term := o.cfg.Term(c.id)
	p := &plan{
		c: c, at: o.cfg.Now().UTC().Truncate(time.Millisecond), term: term, fresh: fresh,
		count: c.head.Count, state: c.state,
		append:  store.Append{Conversation: c.id, Base: c.head.Seq},
		numbers: make(map[parley.MessageID]int, len(batch)),
	}
	room := store.Room(p.append.Base)
	rest := batch[:0:0]
	for i, j := range batch {
		what := nextTime
		if len(p.append.Entries) < room && !p.alone {
			what = p.take(j)
		}
		switch what {
		case planned:
			rest = append(rest, j)
		case nextTime:
			p.later = batch[i:]
			return p, rest
		case outdated:
			p.stale = true
			return p, append(rest, batch[i:]...)
		}
	}
	return p, rest
}

// take decides one job.
func (p *plan) take(j *job) outcome {
	if j.create != nil {
		return p.found(j)
	}
	o := p.c.owner
	if i, ok := p.numbers[j.post.ID]; ok {
		if !same(&p.append.Entries[i], &j.post) {
			j.answer(o, parley.Ack{}, errIDConflict())
			return answered
		}
		p.waiting = append(p.waiting, waiting{j, i, true})
		return planned
	}
	if j.post.Kind == parley.KindMembers && len(p.append.Entries) > 0 {
		// Whoever is told of entries is told by one state: who came or went in
		// the middle would get too much or too little.
		return nextTime
	}
	r, err := p.judge(&j.post)
	switch {
	case errors.Is(err, errStale):
		return outdated
	case err != nil && parley.CodeOf(err).Retry() == parley.GiveUp && !p.fresh:
		return outdated // memory may be behind: nobody is refused on its word
	case err != nil:
		if errors.Is(err, errKnew) && o.cfg.KnewBetter != nil {
			o.cfg.KnewBetter(j.post.Sender)
		}
		j.answer(o, parley.Ack{}, err)
		return answered
	case r.before != nil:
		o.cfg.Publisher.Confirm(p.state, r.before, j.told(o, r.before, true))
		return answered
	case r.already:
		p.waiting = append(p.waiting, waiting{j, r.index, true})
		return planned
	}
	p.alone = j.post.Kind == parley.KindMembers
	p.add(j, r.entry)
	r.settle(p)
	return planned
}

// head is the last number the plan reaches.
func (p *plan) head() parley.Seq {
	return p.append.Base + parley.Seq(len(p.append.Entries))
}

// planned returns the entry with that number, nil when the plan does not hold it.
func (p *plan) planned(seq parley.Seq) *parley.Entry {
	if seq <= p.append.Base || seq > p.head() {
		return nil
	}
	return &p.append.Entries[seq-p.append.Base-1]
}

func (p *plan) add(j *job, e parley.Entry) {
	p.count = e.Count
	p.numbers[e.ID] = len(p.append.Entries)
	p.waiting = append(p.waiting, waiting{j, len(p.append.Entries), false})
	p.append.Entries = append(p.append.Entries, e)
}

// setState has the append write state, which nobody changes from here on.
func (p *plan) setState(state *parley.Conversation) { p.state, p.append.State = state, state }

// next is the entry that post would be, its body and those it is withheld
// from aside.
func (p *plan) next(post *parley.Post) parley.Entry {
	e := parley.Entry{
		Conversation: p.c.id, Seq: p.head() + 1, Kind: kindOf(post), ID: post.ID, Sender: post.Sender, Device: post.Device,
		At: p.at, Body: post.Body, Ref: post.Ref, ReplyTo: post.ReplyTo, Count: p.count,
		Mentions: post.Mentions, Forwarded: post.Forwarded,
	}
	if e.Kind == parley.KindMessage {
		e.Count++
	}
	return e
}

// kindOf is what post wants to be.
func kindOf(post *parley.Post) parley.Kind {
	if post.Kind == "" {
		return parley.KindMessage
	}
	return post.Kind
}
