package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// judge checks the condition of one part against what the batch already holds
// and what stands, and adds the part's operations when it may. A conflict
// concerns the part; a fault is a failure to read and concerns everybody.
func (c *committer) judge(r *request, p *part) (conflict, fault error) {
	switch p.kind {
	case kindAppend:
		return c.judgeAppend(r, p)
	case kindSettle:
		return c.judgeSettle(r, p)
	case kindErase:
		return c.judgeErase(r, p)
	case kindInbox:
		pos, err := c.posOf(p.u)
		if err != nil {
			return nil, err
		}
		if uint64(pos) != p.base {
			return store.ErrConflict, nil
		}
		c.cur.inboxes[p.u] = parley.Pos(p.next)
	case kindRecords:
		for i := range p.conds {
			v, err := c.versionOf(r.buf[p.conds[i].lo:p.conds[i].hi])
			if err != nil {
				return nil, err
			}
			if v != p.conds[i].version {
				return store.ErrConflict, nil
			}
		}
		for i := range p.conds {
			c.cur.records[string(r.buf[p.conds[i].lo:p.conds[i].hi])] = p.conds[i].becomes
		}
	}
	c.cur.sync = true
	return nil, r.write(p, c.cur.batch)
}

func (c *committer) judgeAppend(r *request, p *part) (conflict, fault error) {
	h, err := c.headOf(p.c)
	if err != nil {
		return nil, err
	}
	if uint64(h.seq) != p.base {
		return store.ErrConflict, nil
	}
	c.cur.sync = true
	if err := r.write(p, c.cur.batch); err != nil {
		return nil, err
	}
	if !h.dirty {
		h.dirty = true
		if err := c.cur.batch.Set(dirtyKey(nil, p.c), nil, nil); err != nil {
			return nil, err
		}
	}
	c.cur.heads[p.c] = head{seq: parley.Seq(p.next), count: p.count, dirty: h.dirty}
	return nil, nil
}

func (c *committer) judgeSettle(r *request, p *part) (conflict, fault error) {
	h, err := c.headOf(p.c)
	if err != nil || uint64(h.seq) != p.base || !h.dirty {
		return nil, err
	}
	h.dirty = false
	c.cur.heads[p.c] = h
	return nil, r.write(p, c.cur.batch)
}

func (c *committer) headOf(id parley.ConversationID) (head, error) {
	if h, ok := c.cur.heads[id]; ok {
		return h, nil
	}
	if h, ok := c.heads.get(id); ok {
		return h, nil
	}
	h, err := c.view.head(id)
	if err == nil {
		c.heads.put(id, h)
	}
	return h, err
}

func (c *committer) posOf(u parley.UserID) (parley.Pos, error) {
	if p, ok := c.cur.inboxes[u]; ok {
		return p, nil
	}
	if p, ok := c.inboxes.get(u); ok {
		return p, nil
	}
	p, err := c.view.pos(u)
	if err == nil {
		c.inboxes.put(u, p)
	}
	return p, err
}

func (c *committer) versionOf(key []byte) (uint64, error) {
	if v, ok := c.cur.records[string(key)]; ok {
		return v, nil
	}
	v, _, err := c.view.record(key)
	return v, err
}

// corrupt says that what was read cannot be what was written, without saying
// what it was.
func corrupt(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", store.ErrCorrupt, what, err)
}

// readErr makes an error of Pebble's one of the contract's.
func readErr(what string, err error) error {
	if pebble.IsCorruptionError(err) {
		return corrupt(what, err)
	}
	return fmt.Errorf("pebblestore: read %s: %w", what, err)
}

// get reads one value; found is false when there is none. use must not keep
// its argument.
func (v *view) get(what string, key []byte, use func([]byte) error) (found bool, err error) {
	value, closer, err := v.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, readErr(what, err)
	}
	err = use(value)
	if err != nil {
		err = corrupt(what, err)
	}
	return true, errors.Join(err, closer.Close())
}

// last finds the newest entry of a conversation; key and value are valid
// until the iterator is closed.
func (v *view) head(c parley.ConversationID) (h head, err error) {
	prefix := conversationPrefix(nil, spaceEntry, c)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return h, readErr("head", err)
	}
	if it.Last() {
		h, err = decodeHead(it)
	}
	if e := it.Error(); e != nil {
		err = readErr("head", e)
	}
	if e := it.Close(); err == nil && e != nil {
		err = readErr("head", e)
	}
	if err != nil || h.seq == 0 {
		return head{}, err
	}
	h.dirty, err = v.get("dirty mark", dirtyKey(nil, c), func([]byte) error { return nil })
	return h, err
}

func decodeHead(it *pebble.Iterator) (h head, err error) {
	_, seq, err := takeEntryKey(it.Key())
	if err != nil {
		return h, corrupt("entry key", err)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return h, readErr("head", err)
	}
	count, err := entryCount(value, seq)
	if err != nil {
		return h, corrupt("entry", err)
	}
	return head{seq: seq, count: count}, nil
}

func (v *view) pos(u parley.UserID) (pos parley.Pos, err error) {
	_, err = v.get("inbox position", posKey(nil, u), func(b []byte) error {
		n, rest, err := takeUvarint(b)
		if err == nil && len(rest) != 0 {
			err = errValue
		}
		pos = parley.Pos(n)
		return err
	})
	return pos, err
}

func (v *view) record(key []byte) (version uint64, value []byte, err error) {
	_, err = v.get("record", key, func(b []byte) error {
		n, val, err := decodeRecord(b)
		version, value = n, append([]byte(nil), val...)
		return err
	})
	return version, value, err
}
