package sim

import (
	"context"
	"slices"
	"time"

	"github.com/parley-im/parley/wire"
)

// Life is what people do besides talking: they say it otherwise, take it back,
// mention each other, feel, search; some block, some lead a group that others
// come to and go from.
type Life struct {
	Mates  map[string][]string // by conversation: who else is there at first, and may be mentioned
	Blocks []string            // the users it blocks and unblocks
	Leads  string              // the group it adds to and removes from; "": none
	Wards  []string            // whom
	Whole  []string            // those of them whom it adds with the whole history, now and then; they block nobody
	Leaves string              // the group it leaves now and then
	Pause  time.Duration       // between two things done besides talking, on average
}

// mention returns who a new message to c mentions: now and then one mate.
func (d *Device) mention(c string) []string {
	if d.cfg.Life == nil || d.intn(6) != 0 {
		return nil
	}
	mates := d.cfg.Life.Mates[c]
	if len(mates) == 0 {
		return nil
	}
	return []string{mates[d.intn(len(mates))]}
}

// act queues an act now and then, after something was said: mostly on a
// message of this device's own.
func (d *Device) act() {
	if d.cfg.Life == nil {
		return
	}
	draft := &Draft{ID: d.newID()}
	var ok bool
	switch n := d.intn(40); {
	case n < 2:
		draft.Kind, draft.Text = kindEdit, "what "+draft.ID+" says instead"
		draft.Conversation, draft.Target, ok = d.mem.mine(d.intn(1 << 20))
	case n < 3:
		draft.Kind = kindDelete
		draft.Conversation, draft.Target, ok = d.mem.mine(d.intn(1 << 20))
	case n < 5:
		draft.Kind, draft.Text = kindReaction, []string{"", "👍", "🌧️"}[d.intn(3)]
		draft.Conversation = d.cfg.Conversations[d.intn(len(d.cfg.Conversations))]
		draft.Target, ok = d.mem.recent(draft.Conversation, d.intn(6))
	}
	if ok {
		d.mem.compose(draft)
		d.wake()
	}
}

// liveOn does, until everything is said, what is done by HTTP and tried once.
func (d *Device) liveOn(ctx context.Context) {
	for !d.composed() && pause(ctx, d.between(0, 2*d.cfg.Life.Pause)) {
		d.mu.Lock()
		d.busy = true
		d.mu.Unlock()
		d.chore(ctx)
		d.mu.Lock()
		d.busy = false
		d.mu.Unlock()
	}
}

// chore is one such thing.
func (d *Device) chore(ctx context.Context) {
	l := d.cfg.Life
	switch n := d.intn(4); {
	case n == 0 && d.intn(3) == 0:
		d.search(ctx)
	case n == 1 && len(l.Blocks) > 0:
		d.block(ctx, l.Blocks[d.intn(len(l.Blocks))])
	case n > 0 && l.Leads != "":
		d.manage(ctx, l.Leads, l.Wards[d.intn(len(l.Wards))])
	case n == 3 && l.Leaves != "" && d.intn(3) == 0:
		d.once(ctx, OpLeave, l.Leaves, d.cfg.User, func(ctx context.Context, id string) error { return d.api.Remove(ctx, l.Leaves, id, "me") })
	}
}

// once tries something once, records how that ended, and reports whether that
// is known.
func (d *Device) once(ctx context.Context, op, c, about string, do func(ctx context.Context, id string) error) bool {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AckTimeout)
	defer cancel()
	line := Op{Op: op, Client: d.client(), User: d.cfg.User, Device: d.cfg.Name, Conversation: c, About: about, ID: d.newID(), Call: d.cfg.Recorder.Stamp()}
	line.Result, line.Code = outcome(do(ctx, line.ID))
	d.cfg.Recorder.Add(line)
	return line.Result != Unknown
}

// block blocks for a while, and unblocks. Of all the devices of a user only
// one does, so that the later change has the greater rev; a try whose outcome
// is unknown is made again with the same one.
func (d *Device) block(ctx context.Context, user string) {
	change := func(op string) {
		rev := uint64(time.Now().UnixMilli())
		for range 20 {
			if d.once(ctx, op, "", user, func(ctx context.Context, _ string) error {
				return d.api.Block(ctx, user, op == OpBlock, rev)
			}) || !pause(ctx, d.between(0, 2*time.Second)) {
				return
			}
		}
	}
	change(OpBlock)
	pause(ctx, d.between(0, 4*time.Second))
	change(OpClear)
}

// manage adds a user to a group, or removes one: one of the two is refused.
func (d *Device) manage(ctx context.Context, c, user string) {
	if d.intn(2) == 0 {
		d.once(ctx, OpRemove, c, user, func(ctx context.Context, id string) error { return d.api.Remove(ctx, c, id, user) })
		return
	}
	all := slices.Contains(d.cfg.Life.Whole, user) && d.intn(2) == 0
	d.once(ctx, OpAdd, c, user, func(ctx context.Context, id string) error { return d.api.Add(ctx, c, id, user, all) })
}

// search looks for what everybody says.
func (d *Device) search(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AckTimeout)
	defer cancel()
	client, call := d.client(), d.cfg.Recorder.Stamp()
	found, err := d.api.Search(ctx, "says")
	if err != nil {
		return false
	}
	byConversation := map[string][]wire.Entry{}
	for _, e := range found {
		byConversation[e.Conversation] = append(byConversation[e.Conversation], e)
	}
	for _, c := range sorted(byConversation) {
		d.cfg.Recorder.Add(Op{Op: OpSearch, Client: client, User: d.cfg.User, Device: d.cfg.Name, Conversation: c, Call: call,
			Entries: entriesOf(byConversation[c], 0), Result: OK})
	}
	return true
}
