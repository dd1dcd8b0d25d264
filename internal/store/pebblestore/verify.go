package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	parley "github.com/parley-im/parley"
)

// Verified says how much Verify has looked at.
type Verified struct {
	Conversations, Entries, Users, Rows, Records uint64
	Remains                                      uint64 // bodies of deleted messages: a crash came between a delete and its Erase. No problem of the store's
	Problems                                     uint64
}

// Verify checks the store, as it stands at the call, against itself: that
// the numbers of every conversation have no gap and their counts are right,
// that each id leads to its entry and stands once, that each act leads to its
// entry and is found from a message, that markers and positions hold together,
// and that no inbox row is ahead of its conversation. It tells
// report of each problem, in a sentence for the operator without content. The
// error is of the checking itself: what cannot be read at all ends it, with
// store.ErrCorrupt.
func (s *Store) Verify(ctx context.Context, report func(problem string)) (Verified, error) {
	var out Verified
	err := s.read(ctx, func(v *view) error {
		c := check{ctx: ctx, view: v, salt: &s.salt, report: report}
		it, err := v.snap.NewIter(nil)
		if err != nil {
			return readErr("the store", err)
		}
		c.at = it
		for _, part := range []func() error{c.logs, c.ids, c.acts, c.states, c.marks, c.inboxes, c.positions, c.records} {
			if err = part(); err != nil {
				break
			}
		}
		out = c.done
		return errors.Join(err, it.Close())
	})
	return out, err
}

// check is one run of Verify over one view.
type check struct {
	ctx    context.Context
	view   *view
	at     *pebble.Iterator // for looking up: one iterator, over everything, costs far less than a Get each time
	salt   *salt
	report func(string)
	done   Verified
}

func (c *check) problem(format string, args ...any) {
	c.done.Problems++
	c.report(fmt.Sprintf(format, args...))
}

// each walks one space of keys until do fails.
func (c *check) each(what string, space byte, do func(k, value []byte) error) error {
	var fault error
	n := 0
	err := c.view.scan(what, []byte{space}, []byte{space + 1}, func(k, value []byte) (bool, error) {
		if fault = do(k, value); fault == nil && n%1024 == 0 {
			fault = c.ctx.Err()
		}
		n++
		return fault == nil, nil
	})
	if errors.Is(fault, errKey) || errors.Is(fault, errShort) {
		fault = corrupt(what, fault)
	}
	return errors.Join(err, fault)
}

// logs checks every entry against the one before it.
func (c *check) logs() error {
	var last parley.Entry
	return c.each("entries", spaceEntry, func(k, value []byte) error {
		id, seq, err := takeEntryKey(k)
		if err != nil {
			return err
		}
		e, err := decodeEntry(value, id, seq)
		if err != nil {
			c.problem("conversation %s: entry %d cannot be read", id, seq)
			e = parley.Entry{Conversation: id, Seq: seq, Kind: parley.KindMessage, Count: last.Count + 1}
		}
		if id != last.Conversation {
			c.done.Conversations++
			last = parley.Entry{Conversation: id}
		}
		if seq != last.Seq+1 {
			c.problem("conversation %s: entry %d follows entry %d", id, seq, last.Seq)
		} else if want := last.Count + messages(&e); e.Count != want {
			c.problem("conversation %s: entry %d counts %d messages, not %d", id, seq, e.Count, want)
		}
		if err == nil {
			if err := errors.Join(c.indexed(&e), c.points(&e)); err != nil {
				return err
			}
		}
		c.done.Entries++
		last = e
		return nil
	})
}

// lookUp is view.get by the iterator; the value is valid until the next one.
func (c *check) lookUp(what string, key []byte) (value []byte, found bool, err error) {
	if c.at.SeekGE(key) && bytes.Equal(c.at.Key(), key) {
		value, err = c.at.ValueAndErr()
		found = err == nil
	}
	if e := errors.Join(err, c.at.Error()); e != nil {
		return nil, false, readErr(what, e)
	}
	return value, found, nil
}

func messages(e *parley.Entry) uint64 {
	if e.Kind == parley.KindMessage {
		return 1
	}
	return 0
}

// indexed checks that an entry can be found by its id.
func (c *check) indexed(e *parley.Entry) error {
	key := idKey(nil, e.Conversation, c.salt.hash(e.ID), e.Seq)
	_, found, err := c.lookUp("ids", key)
	if err == nil && !found {
		c.problem("conversation %s: entry %d cannot be found by its id", e.Conversation, e.Seq)
	}
	return err
}

// ids checks that every key of the index leads to its entry, and that no id
// stands twice.
func (c *check) ids() error {
	var last parley.Entry
	var lastHash [hashLen]byte
	return c.each("ids", spaceID, func(k, _ []byte) error {
		id, h, seq, err := takeIDKey(k)
		if err != nil {
			return err
		}
		e, found, err := c.entry(id, seq)
		if err != nil {
			return err
		}
		switch {
		case !found:
			c.problem("conversation %s: an id leads to entry %d, which is not there", id, seq)
		case c.salt.hash(e.ID) != h:
			c.problem("conversation %s: an id leads to entry %d, which is another's", id, seq)
		case last.Conversation == id && lastHash == h && last.ID == e.ID:
			c.problem("conversation %s: entries %d and %d have the same id", id, last.Seq, seq)
		}
		last, lastHash = e, h
		return nil
	})
}

// entry is false also for one that cannot be decoded: logs reports that.
func (c *check) entry(id parley.ConversationID, seq parley.Seq) (e parley.Entry, found bool, err error) {
	value, found, err := c.lookUp("entry", entryKey(nil, id, seq))
	if err != nil || !found {
		return e, false, err
	}
	if e, err = decodeEntry(value, id, seq); err != nil {
		return parley.Entry{}, false, nil
	}
	return e, true, nil
}

func (c *check) states() error {
	return c.each("states", spaceState, func(k, value []byte) error {
		id, rest, err := takeID[parley.ConversationID](k[1:])
		if err != nil || len(rest) != 0 {
			return errKey
		}
		state, err := decodeState(value)
		if err != nil {
			c.problem("conversation %s: its state cannot be read", id)
			return nil
		}
		h, err := c.view.head(id)
		if err != nil {
			return err
		}
		if h.seq == 0 {
			c.problem("conversation %s has a state and no entries", id)
		}
		for i := range state.Members {
			m := &state.Members[i]
			if m.Since > h.seq || m.Until > h.seq {
				c.problem("conversation %s: a membership is ahead of its head %d", id, h.seq)
			}
		}
		for _, seq := range state.Pins {
			e, found, err := c.entry(id, seq)
			if err != nil {
				return err
			}
			if !found || e.Kind != parley.KindMessage {
				c.problem("conversation %s: entry %d is pinned and is no message", id, seq)
			}
		}
		return nil
	})
}

func (c *check) marks() error {
	return c.each("dirty marks", spaceDirty, func(k, _ []byte) error {
		id := parley.ConversationID(k[1:])
		h, err := c.view.head(id)
		if err == nil && h.seq == 0 {
			c.problem("conversation %s is marked and has no entries", id)
		}
		return err
	})
}

// inboxes checks every row against its conversation and its user's position.
func (c *check) inboxes() error {
	var user parley.UserID
	var pos, top parley.Pos
	seen := map[parley.Pos]bool{}
	finish := func() {
		if user != "" && top != pos {
			c.problem("user %s: the inbox stands at %d, its last row at %d", user, pos, top)
		}
	}
	err := c.each("inboxes", spaceRow, func(k, value []byte) error {
		u, conv, err := takeRowKey(k)
		if err != nil {
			return err
		}
		if u != user {
			finish()
			user, top = u, 0
			clear(seen)
			c.done.Users++
			if pos, err = c.view.pos(u); err != nil {
				return err
			}
		}
		c.done.Rows++
		row, err := decodeRow(value, conv)
		if err != nil {
			c.problem("user %s: the row of conversation %s cannot be read", u, conv)
			return nil
		}
		if row.Pos == 0 || seen[row.Pos] {
			c.problem("user %s: the row of conversation %s has position %d, which is not its own", u, conv, row.Pos)
		}
		seen[row.Pos] = true
		top = max(top, row.Pos)
		return c.row(u, &row)
	})
	finish()
	return err
}

// row checks one row against its conversation.
func (c *check) row(u parley.UserID, row *parley.Row) error {
	h, err := c.view.head(row.Conversation)
	if err != nil {
		return err
	}
	if row.Head > h.seq {
		c.problem("user %s: the row of conversation %s is at %d, ahead of its head %d", u, row.Conversation, row.Head, h.seq)
		return nil
	}
	if row.Read > row.Head || row.Delivered > row.Head || row.ReadCount > row.Count {
		c.problem("user %s: a marker of conversation %s is ahead of the row's head %d", u, row.Conversation, row.Head)
		return nil
	}
	if n := len(row.Mentioned); n > 0 && row.Mentioned[n-1] > row.Head {
		c.problem("user %s: the row of conversation %s is mentioned at %d, ahead of its head %d", u, row.Conversation, row.Mentioned[n-1], row.Head)
	}
	for _, at := range []struct {
		seq   parley.Seq
		count uint64
	}{{row.Head, row.Count}, {row.Read, row.ReadCount}} {
		if at.seq == 0 {
			continue
		}
		e, found, err := c.entry(row.Conversation, at.seq)
		if err != nil {
			return err
		}
		if found && e.Count != at.count {
			c.problem("user %s: the row of conversation %s counts %d messages at %d, not %d", u, row.Conversation, at.count, at.seq, e.Count)
		}
	}
	return nil
}

// positions checks that every position has rows.
func (c *check) positions() error {
	return c.each("positions", spacePos, func(k, value []byte) error {
		u, rest, err := takeID[parley.UserID](k[1:])
		if err != nil || len(rest) != 0 {
			return errKey
		}
		prefix := rowPrefix(nil, u)
		if found := c.at.SeekGE(prefix) && bytes.HasPrefix(c.at.Key(), prefix); !found && c.at.Error() == nil {
			c.problem("user %s has a position and no rows", u)
		}
		if err := c.at.Error(); err != nil {
			return readErr("inboxes", err)
		}
		return nil
	})
}

func (c *check) records() error {
	return c.each("records", spaceRecord, func(k, value []byte) error {
		if _, _, err := takeRecordKey(k); err != nil {
			return err
		}
		if _, _, err := decodeRecord(value); err != nil {
			c.problem("a record cannot be read")
		}
		c.done.Records++
		return nil
	})
}
