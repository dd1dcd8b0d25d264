package convo

import (
	"errors"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// maxTries bounds how often a batch is planned again after a conflict. Each
// conflict means that another owner got further, so few are ever needed.
const maxTries = 16

// commit appends a batch and answers each of its jobs exactly once.
func (c *conversation) commit(batch []*job) {
	o := c.owner
	for range maxTries {
		fresh, err := c.load()
		if err != nil {
			fail(o, batch, err)
			return
		}
		p, rest := c.plan(batch, fresh)
		batch = rest
		if p.stale {
			c.forget()
			continue
		}
		if len(p.later) > 0 {
			c.putBack(p.later)
		}
		if len(p.append.Entries) == 0 {
			return
		}
		err = o.cfg.Log.Append(o.ctx, p.append)
		switch {
		case err == nil:
			c.committed(p)
			return
		case errors.Is(err, store.ErrConflict):
			c.forget() // whoever wrote tells of it
		default:
			// The outcome may be unknown. What is in memory is worth nothing
			// now; a retry with the same id reads what happened, and members
			// hear of what happened also without one: see look.
			c.mistrust()
			fail(o, batch, coded("convo.append", err))
			return
		}
	}
	fail(o, batch, overloaded("another server keeps writing to this conversation"))
}

// load reads the head from the store unless it is known for certain, and
// publishes what the log holds beyond what was. fresh is whether it read.
// Only run calls it.
func (c *conversation) load() (fresh bool, err error) {
	term := c.owner.cfg.Term(c.id)
	c.mu.Lock()
	known, doubt, told := c.loaded && c.certain(term), !c.doubt.IsZero(), c.told
	c.mu.Unlock()
	if known && !doubt {
		return false, nil
	}
	h, err := c.owner.cfg.Log.Load(c.owner.ctx, c.id)
	if err != nil {
		return false, coded("convo.load", err)
	}
	if doubt && h.State != nil {
		if err := c.publish(h.State, told, h.Seq); err != nil {
			return false, err
		}
	}
	c.mu.Lock()
	c.set(h, term)
	c.told = h.Seq
	c.mu.Unlock()
	return true, nil
}

// publish tells the entries told+1..head, which are in the log, and finishes
// the deletes among them. Whoever knew of them already is told nothing new by
// it.
func (c *conversation) publish(state *parley.Conversation, told, head parley.Seq) error {
	for told < head {
		entries, err := c.owner.cfg.Log.Read(c.owner.ctx, c.id, told, int(min(head-told, maxBatch)))
		if err != nil {
			return coded("convo.read", err)
		}
		if len(entries) == 0 {
			return coded("convo.read", store.ErrCorrupt)
		}
		for i := range entries {
			if e := &entries[i]; e.Kind == parley.KindDelete {
				if err := c.eraseFor(e.Ref); err != nil {
					return err
				}
			}
		}
		// Nobody waits for an answer: who asks again has it confirmed.
		c.owner.cfg.Publisher.Publish(state, entries, func(error) {})
		told = entries[len(entries)-1].Seq
		c.mu.Lock()
		c.told = told
		c.mu.Unlock()
	}
	return nil
}

// forget gives up what is in memory: the log holds more.
func (c *conversation) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded, c.state, c.head = false, nil, store.Head{}
}

// mistrust is forget when the log may hold what nobody was told of.
func (c *conversation) mistrust() {
	c.mu.Lock()
	if c.doubt.IsZero() {
		c.told = c.head.Seq
	}
	c.doubt = c.owner.cfg.Now().Add(doubtFor)
	c.mu.Unlock()
	c.forget()
}

// committed takes over what is durable now, has the bodies of what was
// deleted erased, tells the publisher, and has the jobs answered when it
// agrees. A delete whose bodies are not gone for certain is not acknowledged:
// a retry finishes it.
func (c *conversation) committed(p *plan) {
	o, entries := c.owner, p.append.Entries
	last := &entries[len(entries)-1]
	c.mu.Lock()
	c.head.Seq, c.head.Count = last.Seq, last.Count
	c.state, c.term = p.state, p.term
	c.doubt = time.Time{} // nothing older can still happen at this head
	c.mu.Unlock()
	var left error // nil: what was to be erased is
	if len(p.erase) > 0 {
		left = c.eraseAll(p.erase)
		for _, seq := range p.erase {
			if e := p.planned(seq); e != nil {
				e.Body = parley.Body{} // said and deleted in one go: not told either
			}
		}
	}
	o.cfg.Publisher.Publish(p.state, entries, func(err error) {
		for _, w := range p.waiting {
			e, err := &entries[w.index], err
			if err == nil && e.Kind == parley.KindDelete {
				err = left
			}
			w.job.told(o, e, w.again)(err)
		}
	})
}

// told returns what answers j, committed as e, once its sender's inbox is
// known to show it.
func (j *job) told(o *Owner, e *parley.Entry, again bool) func(error) {
	return func(err error) {
		if err != nil {
			j.answer(o, parley.Ack{}, err)
			return
		}
		// Its own id, also when another's post did already what it asks.
		j.answer(o, parley.Ack{Conversation: e.Conversation, ID: j.post.ID, Seq: e.Seq, At: e.At, Again: again}, nil)
	}
}

func fail(o *Owner, batch []*job, err error) {
	for _, j := range batch {
		j.answer(o, parley.Ack{}, err)
	}
}
