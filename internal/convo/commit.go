package convo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// maxTries bounds how often a batch is planned again after a conflict. Each
// conflict means that another owner got further, so few are ever needed.
const maxTries = 16

// plan is what one try would append, and whom to tell what.
type plan struct {
	append  store.Append
	state   *parley.Conversation
	numbers map[parley.MessageID]int // index into append.Entries
	waiting []waiting                // jobs whose answer depends on the append
	later   []*job                   // jobs whose entries have no room in this append
	term    uint64                   // when the plan was made
	stale   bool                     // the log is further than what is in memory: load and plan again
}

// waiting is a job whose answer is the entry at index.
type waiting struct {
	job   *job
	index int
	again bool
}

// commit appends a batch and answers each of its jobs exactly once.
func (c *conversation) commit(batch []*job) {
	o := c.owner
	for range maxTries {
		if err := c.load(); err != nil {
			fail(o, batch, err)
			return
		}
		p, rest := c.plan(batch)
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
		err := o.cfg.Log.Append(o.ctx, p.append)
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
// publishes what the log holds beyond what was. Only run calls it.
func (c *conversation) load() error {
	term := c.owner.cfg.Term(c.id)
	c.mu.Lock()
	known, doubt, told := c.loaded && c.certain(term), !c.doubt.IsZero(), c.told
	c.mu.Unlock()
	if known && !doubt {
		return nil
	}
	h, err := c.owner.cfg.Log.Load(c.owner.ctx, c.id)
	if err != nil {
		return coded("convo.load", err)
	}
	if doubt && h.State != nil {
		if err := c.publish(h.State, told, h.Seq); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.set(h, term)
	c.told = h.Seq
	c.mu.Unlock()
	return nil
}

// publish tells the entries told+1..head, which are in the log. Whoever knew
// of them already is told nothing new by it.
func (c *conversation) publish(state *parley.Conversation, told, head parley.Seq) error {
	for told < head {
		entries, err := c.owner.cfg.Log.Read(c.owner.ctx, c.id, told, int(min(head-told, maxBatch)))
		if err != nil {
			return coded("convo.read", err)
		}
		if len(entries) == 0 {
			return coded("convo.read", store.ErrCorrupt)
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

// plan decides every job of the batch at the present head. Those it can
// decide without writing are answered; the rest stand in the returned slice
// and, with their entries, in the plan.
func (c *conversation) plan(batch []*job) (plan, []*job) {
	o := c.owner
	term := o.cfg.Term(c.id)
	c.mu.Lock()
	marked := c.marked && c.certain(term) // another owner may have settled the mark
	c.mu.Unlock()
	p := plan{
		state:   c.state,
		append:  store.Append{Conversation: c.id, Base: c.head.Seq, Dirty: !marked},
		numbers: make(map[parley.MessageID]int, len(batch)),
		term:    term,
	}
	room := store.Room(p.append.Base)
	rest := batch[:0:0]
	count := c.head.Count
	at := o.cfg.Now().UTC().Truncate(time.Millisecond)
	for i, j := range batch {
		if len(p.append.Entries) == room {
			p.later = batch[i:]
			break
		}
		if j.create != nil {
			switch {
			case p.append.State != nil: // made by this very append
				p.waiting = append(p.waiting, waiting{j, 0, true})
				rest = append(rest, j)
				continue
			case p.state != nil:
				j.answer(o, parley.Ack{Conversation: c.id, Seq: 1, Again: true}, nil)
				continue
			}
			p.state, p.append.State = j.create, j.create
			p.add(j, c.founding(j, at))
			rest = append(rest, j)
			continue
		}
		if i, ok := p.numbers[j.post.ID]; ok {
			if !same(&p.append.Entries[i], &j.post) {
				j.answer(o, parley.Ack{}, errIDConflict())
				continue
			}
			p.waiting = append(p.waiting, waiting{j, i, true})
			rest = append(rest, j)
			continue
		}
		found, err := c.judge(p.state, p.head(), &j.post)
		if found != nil && found.Seq > c.head.Seq {
			p.stale = true
			return p, append(rest, batch[i:]...)
		}
		if err != nil {
			j.answer(o, parley.Ack{}, err)
			continue
		}
		if found != nil {
			o.cfg.Publisher.Confirm(p.state, found, j.told(o, found, true))
			continue
		}
		e := entryOf(&j.post, p.head()+1, at, &count)
		p.add(j, e)
		rest = append(rest, j)
	}
	return p, rest
}

// head is the last number the plan reaches.
func (p *plan) head() parley.Seq {
	return p.append.Base + parley.Seq(len(p.append.Entries))
}

func (p *plan) add(j *job, e parley.Entry) {
	p.numbers[e.ID] = len(p.append.Entries)
	p.waiting = append(p.waiting, waiting{j, len(p.append.Entries), false})
	p.append.Entries = append(p.append.Entries, e)
}

// judge says whether a post may be appended (nil, nil), was committed before
// (as this entry), or is refused.
func (c *conversation) judge(state *parley.Conversation, head parley.Seq, post *parley.Post) (*parley.Entry, error) {
	if state == nil {
		return nil, errNotFound("convo.post")
	}
	if m, ok := state.Member(post.Sender); !ok || m.Until != 0 {
		return nil, errNotFound("convo.post")
	}
	if post.ReplyTo > head || post.Ref > head {
		return nil, parley.E(parley.BadRequest, "convo.post", "reply_to: this conversation has no entry with that number")
	}
	// The look-up comes after the head is known, and the append is conditional
	// on that head: an id committed in between is a conflict, not a double.
	log, ctx := c.owner.cfg.Log, c.owner.ctx
	seq, err := log.Find(ctx, c.id, post.ID, post.Base)
	if err != nil {
		return nil, coded("convo.find", err)
	}
	if seq == 0 {
		return nil, nil
	}
	found, err := log.Read(ctx, c.id, seq-1, 1)
	if err != nil {
		return nil, coded("convo.read", err)
	}
	if len(found) == 0 || found[0].ID != post.ID {
		return nil, coded("convo.read", store.ErrCorrupt)
	}
	if !same(&found[0], post) {
		return nil, errIDConflict()
	}
	return &found[0], nil
}

// committed takes over what is durable now, tells the publisher, and has the
// jobs answered when it agrees.
func (c *conversation) committed(p plan) {
	o, entries := c.owner, p.append.Entries
	last := &entries[len(entries)-1]
	c.mu.Lock()
	c.head.Seq, c.head.Count = last.Seq, last.Count
	c.state, c.marked, c.term = p.state, true, p.term
	c.doubt = time.Time{} // nothing older can still happen at this head
	c.mu.Unlock()
	o.cfg.Publisher.Publish(p.state, entries, func(err error) {
		for _, w := range p.waiting {
			w.job.told(o, &entries[w.index], w.again)(err)
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
		j.answer(o, parley.Ack{Conversation: e.Conversation, ID: e.ID, Seq: e.Seq, At: e.At, Again: again}, nil)
	}
}

// founding is the first entry of a conversation: who belongs.
func (c *conversation) founding(j *job, at time.Time) parley.Entry {
	body := parley.MembersBody{Title: j.create.Title}
	for _, m := range j.create.Members {
		body.Add = append(body.Add, m.User)
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic("convo: strings do not marshal: " + err.Error())
	}
	j.create.Created = at
	return parley.Entry{
		Conversation: c.id, Seq: 1, Kind: parley.KindMembers, ID: j.post.ID,
		Sender: j.post.Sender, At: at, Body: parley.Body{Type: parley.MembersType, Data: data},
	}
}

// draft is the conversation Create would make.
func (o *Owner) draft(by parley.UserID, kind parley.ConversationKind, title string, members []parley.UserID) (*parley.Conversation, error) {
	all := append([]parley.UserID{by}, members...)
	slices.Sort(all)
	all = slices.Compact(all)
	c := &parley.Conversation{Kind: kind, Title: title}
	switch kind {
	case parley.Direct:
		if len(all) > 2 || len(members) == 0 {
			return nil, parley.E(parley.BadRequest, "convo.create", "members: a direct conversation has exactly one other member")
		}
		c.ID, c.Title = parley.DirectID(all[0], all[len(all)-1]), ""
	case parley.Group:
		c.ID = parley.ConversationID(parley.NewID("g", o.cfg.Rand))
	default:
		return nil, parley.E(parley.BadRequest, "convo.create", "kind: direct or group")
	}
	for _, u := range all {
		role := parley.RoleMember
		if u == by && kind == parley.Group {
			role = parley.RoleOwner
		}
		c.Members = append(c.Members, parley.Member{User: u, Role: role, Since: 1})
	}
	return c, nil
}

func entryOf(p *parley.Post, seq parley.Seq, at time.Time, count *uint64) parley.Entry {
	kind := p.Kind
	if kind == "" {
		kind = parley.KindMessage
	}
	if kind == parley.KindMessage {
		*count++
	}
	return parley.Entry{
		Conversation: p.Conversation, Seq: seq, Kind: kind, ID: p.ID, Sender: p.Sender, Device: p.Device,
		At: at, Body: p.Body, Ref: p.Ref, ReplyTo: p.ReplyTo, Count: *count,
	}
}

// same reports whether p is another try of what stands as e.
func same(e *parley.Entry, p *parley.Post) bool {
	kind := p.Kind
	if kind == "" {
		kind = parley.KindMessage
	}
	return e.Sender == p.Sender && e.Kind == kind && e.Body.Type == p.Body.Type &&
		bytes.Equal(e.Body.Data, p.Body.Data) && e.ReplyTo == p.ReplyTo && e.Ref == p.Ref
}

func fail(o *Owner, batch []*job, err error) {
	for _, j := range batch {
		j.answer(o, parley.Ack{}, err)
	}
}

// errRetired never leaves the package.
var errRetired = errors.New("convo: retired")

func errNotFound(op string) error {
	return parley.E(parley.NotFound, op, "there is no such conversation, or you are not a member of it")
}

func errIDConflict() error {
	return parley.E(parley.IDConflict, "convo.post", "this id already carries another message in this conversation; make a new id for a new message")
}

func errDraining() error {
	return &parley.Error{Code: parley.Draining, Op: "convo.post", Detail: "the server is shutting down; reconnect and send again with the same id", After: time.Second}
}

func overloaded(detail string) error {
	return &parley.Error{Code: parley.Overloaded, Op: "convo.post", Detail: detail + "; send again later with the same id", After: time.Second}
}

// coded turns the store's errors into what a person may see.
func coded(op string, err error) error {
	e := &parley.Error{Code: parley.Internal, Op: op, Err: err, After: time.Second}
	switch {
	case errors.Is(err, store.ErrFull):
		e.Code, e.Detail, e.After = parley.StorageFull, "the server's disk is full; nothing was stored. Send again later with the same id", 5*time.Second
	case errors.Is(err, store.ErrClosed):
		e.Code, e.Detail = parley.Draining, "the server is shutting down; reconnect and send again with the same id"
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Code, e.Detail = parley.Overloaded, "the storage did not answer in time; send again with the same id to learn whether it was stored"
	case errors.Is(err, store.ErrConflict):
		e.Code, e.Detail = parley.Overloaded, "the storage was busy; send again later with the same id"
	default:
		e.Detail = "the server could not read its storage; its operator should run parley doctor"
	}
	return e
}
