package sim

import (
	"context"
	"errors"
	"time"
)

// pollLoop receives by long polling.
func (d *Device) pollLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if !d.poll(ctx) {
			d.mem.lost()
			pause(ctx, d.between(d.cfg.Backoff/20, d.cfg.Backoff))
		}
	}
}

// poll is one sync and the reads it calls for.
func (d *Device) poll(ctx context.Context) bool {
	client, call, cursor := d.client(), d.cfg.Recorder.Stamp(), d.mem.at()
	timeout := d.cfg.PollTimeout
	if d.cfg.Fault == Deaf && cursor != "" {
		if !pause(ctx, timeout) {
			return false
		}
		call = d.cfg.Recorder.Stamp()
	}
	if d.cfg.Fault == Deaf || cursor == "" {
		timeout = 0
	}
	pollCtx, cancel := context.WithTimeout(ctx, timeout+d.cfg.AckTimeout)
	answer, err := d.api.Sync(pollCtx, cursor, timeout)
	cancel()
	if err != nil {
		return false
	}
	d.mem.welcome(answer.Epoch)
	if answer.Resync {
		d.mem.reset(client, answer.Epoch)
	}
	d.mem.received(client, call, answer.Entries)
	d.mem.rows(client, call, answer.Changes)
	d.mem.keep(answer.Cursor)
	if !answer.More {
		d.mem.synced(client, call)
	}
	for {
		c, after, ok := d.mem.want()
		if !ok {
			return true
		}
		if !d.readEntries(ctx, c, after) {
			return false
		}
	}
}

// readEntries reads a stretch over HTTP.
func (d *Device) readEntries(ctx context.Context, c string, after uint64) bool {
	const limit = 100
	op := Op{Op: OpRead, Client: d.client(), User: d.cfg.User, Device: d.cfg.Name, Conversation: c,
		Call: d.cfg.Recorder.Stamp(), After: after, Limit: limit, Result: OK}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AckTimeout)
	defer cancel()
	page, err := d.api.Entries(ctx, c, after, limit)
	if err != nil {
		return false
	}
	op.Entries, op.Head = entriesOf(page.Items, page.Head), &page.Head
	d.mem.answered(op)
	return true
}

// sendLoop posts over HTTP what is pending, one at a time, and does the
// chores of a person with a browser.
func (d *Device) sendLoop(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.poke:
		case <-tick.C:
			d.pollChores(ctx)
		}
		for ctx.Err() == nil && !d.held() {
			drafts := d.mem.pending(1)
			if len(drafts) == 0 || !d.postOne(ctx, drafts[0]) {
				break
			}
		}
	}
}

// postOne is one try; false asks for a pause.
func (d *Device) postOne(ctx context.Context, draft *Draft) bool {
	client, call := d.client(), d.cfg.Recorder.Stamp()
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AckTimeout)
	defer cancel()
	posted, err := d.api.Post(ctx, draft)
	result, code := outcome(err)
	d.mem.ended(client, draft, call, posted.Seq, result, code)
	if result == Unknown {
		var r *Refusal
		after := d.between(0, d.cfg.Backoff)
		if errors.As(err, &r) && r.After > 0 {
			after = r.After
		}
		d.hold(after)
	}
	return result != Unknown
}

func (d *Device) pollChores(ctx context.Context) {
	if len(d.cfg.Conversations) == 0 {
		return
	}
	c := d.cfg.Conversations[d.intn(len(d.cfg.Conversations))]
	h := d.mem.head(c)
	if h == 0 {
		return
	}
	switch d.intn(12) {
	case 0:
		d.markRead(ctx, c, h)
	case 1:
		d.readEntries(ctx, c, h-min(h, 3))
	}
}

func (d *Device) markRead(ctx context.Context, c string, read uint64) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.AckTimeout)
	defer cancel()
	op := Op{Op: OpMark, Client: d.client(), User: d.cfg.User, Device: d.cfg.Name, Conversation: c,
		Call: d.cfg.Recorder.Stamp(), Marker: read}
	_, err := d.api.MarkRead(ctx, c, read)
	op.Result, op.Code = outcome(err)
	d.cfg.Recorder.Add(op)
}
