package webhook

import (
	"context"
	"errors"
	"log/slog"
	"time"

	parley "github.com/parley-im/parley"
)

// pauses is how long a webhook is left alone after each failure in a row, as
// Standard Webhooks suggests: more than three days in all. After the last it is
// paused.
var pauses = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// runner tells one webhook. It alone touches hook.
type runner struct {
	d    *Deliverer
	ctx  context.Context
	hook Hook
	told map[parley.ConversationID]parley.Seq // beyond the cursor
}

// run tells until the registration changes under it, goes, is paused, or
// belongs to another node.
func (r *runner) run() {
	for r.ctx.Err() == nil && r.d.cfg.Owns(r.hook.Bot) {
		if !r.sleep(r.hook.Next.Sub(r.d.cfg.Now())) {
			return
		}
		more, err := r.tell()
		switch {
		case err == nil && more:
		case err == nil:
			err = r.rest()
		}
		if err != nil && !r.failed(err) {
			return
		}
	}
}

// rest waits for news, and looks whether the registration stands as it did.
func (r *runner) rest() error {
	ctx, cancel := context.WithTimeout(r.ctx, waitAtMost)
	defer cancel()
	if err := r.d.cfg.News.Wait(ctx, r.hook.Bot, r.cursor()); err != nil && ctx.Err() == nil {
		return err
	}
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	now, err := r.d.cfg.Hooks.Hook(r.ctx, r.hook.Bot)
	if err == nil && now.Version != r.hook.Version {
		return errChanged
	}
	return err
}

// errChanged: somebody changed the registration.
var errChanged = errors.New("webhook: the registration changed")

// failed takes note of what went wrong, and reports whether to go on.
func (r *runner) failed(err error) bool {
	var refused *refusal
	switch code := parley.CodeOf(err); {
	case r.ctx.Err() != nil, errors.Is(err, errChanged), code == parley.Conflict, code == parley.NotFound:
		return false // whoever changed it has it begin anew
	case !errors.As(err, &refused):
		r.d.cfg.Logger.Warn("a webhook could not be served; trying again", slog.Any("err", err))
		return r.sleep(brokenPause)
	}
	h := r.hook
	h.Error = refused.Error()
	pause := refused.after
	if h.Failures < len(pauses) {
		pause = max(pause, pauses[h.Failures])
	}
	h.Failures++
	h.Next = r.d.cfg.Now().Add(pause).UTC().Truncate(time.Millisecond)
	h.Paused = refused.gone || h.Failures > len(pauses)
	saved, err := r.d.cfg.Hooks.SaveHook(r.ctx, h)
	if err != nil {
		return false
	}
	r.hook = saved
	return !h.Paused
}

func (r *runner) sleep(d time.Duration) bool {
	if d <= 0 {
		return r.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// cursor is where the webhook stands. One of another life of the store, or
// none, stands at nothing.
func (r *runner) cursor() parley.Cursor {
	if c, ok := parley.ParseCursor(r.hook.Cursor); ok && c.Epoch == r.d.cfg.Epoch {
		return c
	}
	return parley.Cursor{Epoch: r.d.cfg.Epoch}
}

// tell tells what lies after the cursor, one page of rows of it, and moves the
// cursor. more: there may be more at once.
func (r *runner) tell() (more bool, err error) {
	at := r.cursor()
	rows, now, err := r.d.cfg.Inboxes.After(r.ctx, r.hook.Bot, at.Pos, rowsAtOnce)
	if err != nil || len(rows) == 0 {
		if at.Pos > now && err == nil {
			err = r.moved(parley.Cursor{Epoch: at.Epoch}) // the store is younger than the cursor
		}
		return false, err
	}
	for i := range rows {
		if err := r.tellRow(&rows[i], at); err != nil {
			return false, err
		}
	}
	at.Lag += rows[len(rows)-1].Pos - at.Pos
	at.Pos = rows[len(rows)-1].Pos
	if at.Pos >= now {
		at.Lag = 0
	}
	return true, r.moved(at)
}

// moved keeps the cursor: all before it was told.
func (r *runner) moved(at parley.Cursor) error {
	h := r.hook
	h.Cursor, h.Failures, h.Next, h.Error = at.String(), 0, time.Time{}, ""
	saved, err := r.d.cfg.Hooks.SaveHook(r.ctx, h)
	if err == nil {
		r.hook, r.told = saved, nil
	}
	return err
}

// tellRow tells the entries of one conversation that the cursor lacks. What
// was told is marked as delivered and read, so that a row that no longer
// remembers the cursor still says where to go on.
func (r *runner) tellRow(row *parley.Row, at parley.Cursor) error {
	had, known := row.HeadFor(at)
	if !known {
		had = max(row.Delivered, max(row.Since, 1)-1)
	}
	had = max(had, r.told[row.Conversation])
	for had < row.Head {
		entries, _, err := r.d.cfg.History.Read(r.ctx, r.hook.Bot, row.Conversation, had, int(min(entriesAtOnce, row.Head-had)))
		if parley.CodeOf(err) == parley.NotFound || err == nil && len(entries) == 0 {
			return nil // not the bot's any more
		}
		if err != nil {
			return err
		}
		for i := range entries {
			e := &entries[i]
			if e.Sender != r.hook.Bot && e.Kind != parley.KindWithheld && !e.At.Before(r.hook.Since) {
				if err := r.post(e); err != nil {
					return err
				}
			}
			had = e.Seq
			if r.told == nil {
				r.told = make(map[parley.ConversationID]parley.Seq)
			}
			r.told[row.Conversation] = had
		}
		r.d.cfg.Inboxes.MarkSoon(r.hook.Bot, row.Conversation, had, had)
	}
	return nil
}
