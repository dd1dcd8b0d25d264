package fanout

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-im/parley"
)

const (
	// receiptPace is the least time between two receipts of one member in one
	// conversation: four a second at the most, however often devices mark.
	receiptPace = 250 * time.Millisecond
	// maxReceipts bounds the members and conversations that are remembered:
	// those whose receipts wait, and those that were told within receiptPace.
	// Past it receipts are dropped: whoever asks for a conversation gets them.
	maxReceipts = 8192
	// findWithin bounds the look for those who are to be told.
	findWithin = time.Second
)

// Receiver is a Watcher that also wants to know how far others have got.
type Receiver interface {
	// Receipt says how far another member has got in a conversation of the
	// user. It takes note and returns, as the methods of a Watcher do.
	Receipt(r parley.Receipt)
}

// Conversations knows who belongs.
type Conversations interface {
	Get(ctx context.Context, reader parley.UserID, id parley.ConversationID) (parley.Conversation, parley.Member, parley.Seq, error)
}

// Nodes takes receipts to other nodes. It does not block, and what it cannot
// take is lost.
type Nodes interface {
	// ToConversation takes r to where its conversation lives; false: here.
	ToConversation(r parley.Receipt) bool
	// ToInboxes takes r to where the inboxes of users live, and returns those
	// of them that live here.
	ToInboxes(users []parley.UserID, r parley.Receipt) (here []parley.UserID)
}

// Privacy knows who keeps to themself how far they have read.
type Privacy interface {
	// HidesRead returns those of users who do.
	HidesRead(ctx context.Context, users []parley.UserID) (map[parley.UserID]bool, error)
}

// ReceiptsConfig is what Receipts works with; what has no default is required.
type ReceiptsConfig struct {
	Fanout        *Fanout
	Conversations Conversations // those that live here
	Nodes         Nodes         // nil: everything lives here
	Privacy       Privacy       // nil: nobody hides anything
	Blocks        Blocks        // nil: nobody blocks
	MaxMembers    int           // of a conversation whose members hear of each other
	Now           func() time.Time
	Logger        *slog.Logger
}

// Receipts tells the members of a conversation how far each other has got.
//
// A receipt is a hint and nothing more: the markers are in the member's own
// inbox row, and whoever missed a receipt finds them there. So it waits for
// nothing durable, the newest stands for those before it, and it is dropped
// where too many wait. It goes from the member's inbox to the owner of the
// conversation, who knows the members; from there to their inboxes, and from
// those to the sessions that watch: alone, that is all here.
//
// Who hides how far they have read is told of as far as things were delivered,
// and hears no more of others. When it is not known, everybody hides. In a
// direct conversation who blocks the other tells nothing, not even what was
// delivered: what the other says waits for ever, as with somebody who is away.
// In a group that would tell: there the markers of who blocks go on with
// everybody's.
type Receipts struct {
	// static after NewReceipts
	cfg    ReceiptsConfig
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{} // capacity one: there is something to tell
	done   chan struct{} // closed when the loop has ended

	mu      sync.Mutex
	slips   map[about]*slip
	due     []*slip // to be told now, in the order they came
	resting []*slip // told within the pace, the first one told first

	// owned by the loop
	delivered map[about]parley.Seq // told last where Read was hidden; maxReceipts at most
}

// about is what a receipt is about; there is one at a time.
type about struct {
	conversation parley.ConversationID
	user         parley.UserID
}

// slip is the newest that is known about a member in a conversation.
type slip struct {
	parley.Receipt
	here  bool      // another node said that the conversation lives here
	fresh bool      // it was not told
	until time.Time // when the next may be told, while it rests
}

// NewReceipts begins to tell; Close ends it.
func NewReceipts(cfg ReceiptsConfig) *Receipts {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Receipts{
		cfg: cfg, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		slips: make(map[about]*slip),
	}
	go r.run()
	return r
}

// Close drops what waits and returns when nothing runs.
func (r *Receipts) Close() {
	r.cancel()
	<-r.done
}

// Note takes note that the markers of a member whose inbox lives here moved.
// It does no I/O.
func (r *Receipts) Note(n parley.Receipt) { r.put(n, false) }

// Heard is Note for another node, which says that the conversation lives
// here. That is taken as said: views that differ must not send a receipt back
// and forth.
func (r *Receipts) Heard(n parley.Receipt) { r.put(n, true) }

func (r *Receipts) put(n parley.Receipt, here bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := about{n.Conversation, n.User}
	s := r.slips[key]
	switch {
	case s == nil && len(r.slips) >= maxReceipts:
		return
	case s == nil:
		s = &slip{Receipt: n, here: here, fresh: true}
		r.slips[key] = s
		r.due = append(r.due, s)
		select {
		case r.wake <- struct{}{}:
		default: // it is awake
		}
		return
	}
	s.here = s.here || here
	if n.Delivered > s.Delivered || n.Read > s.Read {
		s.Delivered, s.Read, s.fresh = max(s.Delivered, n.Delivered), max(s.Read, n.Read), true
	}
}

// run tells what is due until the server ends.
func (r *Receipts) run() {
	defer close(r.done)
	rest := time.NewTimer(0)
	defer rest.Stop()
	for r.ctx.Err() == nil {
		s, wait := r.next()
		if s.fresh {
			r.tell(&s)
			continue
		}
		var over <-chan time.Time
		if wait > 0 {
			rest.Reset(wait)
			over = rest.C
		}
		select {
		case <-r.wake:
		case <-over:
		case <-r.ctx.Done():
		}
	}
}

// next takes one slip to be told now. If there is none it is not fresh, and
// wait is how long it will take until one may be; 0: until one is put.
func (r *Receipts) next() (s slip, wait time.Duration) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.resting) > 0 && !now.Before(r.resting[0].until) {
		rested := r.resting[0]
		r.resting = r.resting[1:]
		if rested.fresh {
			r.due = append(r.due, rested)
		} else {
			delete(r.slips, about{rested.Conversation, rested.User})
		}
	}
	if len(r.due) == 0 {
		if len(r.resting) > 0 {
			wait = r.resting[0].until.Sub(now)
		}
		return slip{}, wait
	}
	first := r.due[0]
	r.due = r.due[1:]
	s = *first
	first.here, first.fresh, first.until = false, false, now.Add(receiptPace)
	r.resting = append(r.resting, first)
	return s, 0
}

// tell takes one receipt to the other members, or to the node that knows them.
func (r *Receipts) tell(s *slip) {
	if !s.here && r.cfg.Nodes != nil && r.cfg.Nodes.ToConversation(s.Receipt) {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, findWithin)
	defer cancel()
	c, m, _, err := r.cfg.Conversations.Get(ctx, s.User, s.Conversation)
	if err != nil {
		if parley.CodeOf(err) != parley.NotFound && r.ctx.Err() == nil {
			r.cfg.Logger.Debug("receipt dropped", slog.Any("err", err))
		}
		return
	}
	to := others(&c, &m, r.cfg.MaxMembers)
	if c.Kind == parley.Direct && len(to) > 0 && r.apart(ctx, s.User, to[0]) {
		return
	}
	open, discreet := r.part(ctx, s.User, to)
	r.send(open, s.Receipt)
	if s.Read = 0; len(discreet) > 0 && r.news(s.Receipt) {
		r.send(discreet, s.Receipt)
	}
}

// send takes one receipt to users, wherever their inboxes live.
func (r *Receipts) send(to []parley.UserID, n parley.Receipt) {
	if len(to) > 0 && r.cfg.Nodes != nil {
		to = r.cfg.Nodes.ToInboxes(to, n)
	}
	r.Tell(to, n)
}

// apart reports whether user tells other nothing: user blocks other, or it is
// not known.
func (r *Receipts) apart(ctx context.Context, user, other parley.UserID) bool {
	if r.cfg.Blocks == nil {
		return false
	}
	blockers, err := r.cfg.Blocks.Blockers(ctx, other, []parley.UserID{user})
	if err != nil && r.ctx.Err() == nil {
		r.cfg.Logger.Warn("who blocks whom is not known; telling nothing", slog.Any("err", err))
	}
	return err != nil || len(blockers) > 0
}

// part parts those who hear all of of's receipts from those who do not hear
// how far of has read.
func (r *Receipts) part(ctx context.Context, of parley.UserID, to []parley.UserID) (open, discreet []parley.UserID) {
	if r.cfg.Privacy == nil || len(to) == 0 {
		return to, nil
	}
	hides, err := r.cfg.Privacy.HidesRead(ctx, append(slices.Clip(to), of))
	if err != nil && r.ctx.Err() == nil {
		r.cfg.Logger.Warn("who hides receipts is not known; hiding all", slog.Any("err", err))
	}
	if err != nil || hides[of] {
		return nil, to
	}
	for _, u := range to {
		if hides[u] {
			discreet = append(discreet, u)
		} else {
			open = append(open, u)
		}
	}
	return open, discreet
}

// news reports whether a receipt without Read says anything: one that came
// because somebody read must not say that by coming.
func (r *Receipts) news(n parley.Receipt) bool {
	key := about{n.Conversation, n.User}
	if n.Delivered <= r.delivered[key] {
		return false
	}
	if r.delivered == nil || len(r.delivered) >= maxReceipts {
		r.delivered = make(map[about]parley.Seq)
	}
	r.delivered[key] = n.Delivered
	return true
}

// Discreet returns receipts, of a conversation of that kind, as reader may
// have them: without Read where its user hides it, or reader does, or that is
// not known; without anything of who blocks reader in a direct one.
func (r *Receipts) Discreet(ctx context.Context, reader parley.UserID, kind parley.ConversationKind, all []parley.Receipt) []parley.Receipt {
	all = slices.DeleteFunc(slices.Clone(all), func(n parley.Receipt) bool {
		return kind == parley.Direct && n.User != reader && r.apart(ctx, n.User, reader)
	})
	if r.cfg.Privacy == nil || len(all) == 0 {
		return all
	}
	users := make([]parley.UserID, 0, len(all)+1)
	for i := range all {
		users = append(users, all[i].User)
	}
	hides, err := r.cfg.Privacy.HidesRead(ctx, append(users, reader))
	if err != nil && r.ctx.Err() == nil {
		r.cfg.Logger.Warn("who hides receipts is not known; hiding all", slog.Any("err", err))
	}
	for i := range all {
		if o := &all[i]; o.User != reader && (err != nil || hides[reader] || hides[o.User]) {
			o.Read = 0
		}
	}
	return all
}

// others returns the members of c who hear of m: all others who belong now,
// if m does and they are not more than most with m.
func others(c *parley.Conversation, m *parley.Member, most int) []parley.UserID {
	if m.Until != 0 {
		return nil
	}
	var to []parley.UserID
	for i := range c.Members {
		if o := &c.Members[i]; o.Until == 0 && o.User != m.User {
			to = append(to, o.User)
		}
	}
	if len(to)+1 > most {
		return nil
	}
	return to
}

// Tell tells the watchers of users, also on other nodes.
func (r *Receipts) Tell(users []parley.UserID, n parley.Receipt) {
	each(r.cfg.Fanout, users, true, func(w Receiver) { w.Receipt(n) })
}

// Show tells the watchers of users here, and only them.
func (r *Receipts) Show(users []parley.UserID, n parley.Receipt) {
	each(r.cfg.Fanout, users, false, func(w Receiver) { w.Receipt(n) })
}
