package pebblestore

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// meta is what the database says of itself.
type meta struct {
	format uint64 // 0: a new database
	epoch  parley.Epoch
	commit uint64
	salt   salt
}

func readMeta(db pebble.Reader) (m meta, err error) {
	get := func(key []byte, use func([]byte) error) {
		if err != nil {
			return
		}
		value, closer, e := db.Get(key)
		if errors.Is(e, pebble.ErrNotFound) {
			return
		}
		if e != nil {
			err = readErr("meta", e)
			return
		}
		if e := use(value); e != nil {
			err = corrupt("meta", e)
		}
		err = errors.Join(err, closer.Close())
	}
	number := func(n *uint64) func([]byte) error {
		return func(b []byte) (err error) { *n, _, err = takeUvarint(b); return err }
	}
	get(keyFormat, number(&m.format))
	get(keyCommit, number(&m.commit))
	get(keyEpoch, func(b []byte) error { m.epoch = parley.Epoch(b); return nil })
	get(keySalt, func(b []byte) error {
		if len(b) != len(m.salt) {
			return errValue
		}
		m.salt = salt(b)
		return nil
	})
	return m, err
}

// settleLife decides whether this is the life of the store that the mark
// remembers, and begins a new epoch when it is not. It returns the number of
// the last commit.
func (s *Store) settleLife(eng *engine, m markValue, marked bool) (commit uint64, err error) {
	db, err := readMeta(eng.db)
	if err != nil {
		return 0, err
	}
	if db.format > Format {
		return 0, fmt.Errorf("pebblestore: the data in %s has format %d, and this parley knows formats up to %d: "+
			"run the version that wrote it, or a newer one", s.o.Dir, db.format, Format)
	}
	if db.format == 0 {
		if err := wantEmpty(eng.db); err != nil {
			return 0, err
		}
		if _, err := s.o.Rand.Read(db.salt[:]); err != nil {
			return 0, fmt.Errorf("pebblestore: no randomness: %w", err)
		}
	}
	s.epoch, s.salt = db.epoch, db.salt
	switch {
	case db.format == 0 && !marked:
		// a new store
	case !marked:
		s.o.Logger.Warn("store: no high-water mark, as in a restored backup; devices will resync", "commit", db.commit)
	case db.epoch != m.epoch:
		s.o.Logger.Warn("store: the high-water mark is of another life of this store; devices will resync", "commit", db.commit)
	case db.commit < m.commit:
		s.o.Logger.Error("store: THE END OF THE HISTORY WAS LOST: the database stands behind its high-water mark. "+
			"Check the disk; devices will resync", "commit", db.commit, "mark", m.commit)
	case db.format < Format:
		// Nothing is rewritten; but a program that does not know this format
		// must not open the store once something of it is in it.
		b := eng.db.NewBatch()
		if err := b.Set(keyFormat, uvarintValue(Format), nil); err != nil {
			return 0, err
		}
		return db.commit, eng.applyNow(b)
	default:
		return db.commit, nil
	}
	// Numbers of commits never go back, whatever was lost.
	commit = max(db.commit, m.commit) + 1
	s.epoch = parley.Epoch(parley.NewID("", s.o.Rand))
	b := eng.db.NewBatch()
	err = errors.Join(
		b.Set(keyFormat, uvarintValue(Format), nil),
		b.Set(keySalt, s.salt[:], nil),
		b.Set(keyEpoch, []byte(s.epoch), nil),
		b.Set(keyCommit, uvarintValue(commit), nil))
	if err != nil {
		return 0, err
	}
	return commit, eng.applyNow(b)
}

// applyNow commits b before the committer runs.
func (e *engine) applyNow(b *pebble.Batch) error {
	e.jobs <- job{b, pebble.Sync}
	select {
	case res := <-e.results:
		if res.err == nil {
			e.retire(res.snap)
		}
		return errors.Join(res.err, b.Close())
	case <-e.fence.broken:
		return e.fence.cause
	}
}

// wantEmpty fails for a database that has keys but does not say of which
// format.
func wantEmpty(db *pebble.DB) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return readErr("open", err)
	}
	some := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return readErr("open", err)
	}
	if some {
		return corrupt("open", errors.New("the database does not say its format"))
	}
	return nil
}

// reopening is what came of opening another engine.
type reopening struct {
	eng    *engine
	commit uint64
	err    error
}

const (
	reviveEvery  = 500 * time.Millisecond
	maxAbandoned = 16 // each may hold a few memtables until the process ends
)

// abandon gives up the engine: its last batch has an unknown outcome, and
// another engine will find out what is on the disk.
func (c *committer) abandon(cause error) {
	c.s.o.Logger.Error("store: the engine failed and will be opened again", "err", redacted("%v", []any{cause}))
	c.hung = false
	c.s.setState(store.ErrUnavailable)
	c.answerAll(store.ErrUnavailable)
	c.cur.reset()
	c.broken = c.eng
	c.broken.fence.declareBroken(cause)
	c.eng = nil
	c.abandoned++
	c.retry.Reset(reviveEvery / 10)
	c.refuse(store.ErrUnavailable)
}

// revive begins to open another engine, when there is room and reason.
func (c *committer) revive() {
	if c.eng != nil || c.reopened != nil {
		return
	}
	if c.abandoned > maxAbandoned {
		c.s.o.Logger.Error("store: the engine failed too often; restart parley when the disk is well")
		return
	}
	if c.s.guard.check() != nil {
		c.retry.Reset(reviveEvery)
		return
	}
	c.reopened = make(chan reopening, 1)
	go c.s.reopen(c.broken, c.reopened)
}

// reopen is run by a goroutine of the committer's and ends with its answer.
func (s *Store) reopen(old *engine, answer chan<- reopening) {
	old.fence.shut()
	eng, err := s.openEngine(s.manifests.last())
	if err != nil {
		answer <- reopening{err: err}
		return
	}
	m, err := readMeta(eng.db)
	if err == nil && m.epoch != s.epoch {
		err = corrupt("reopen", errors.New("another epoch"))
	}
	if err != nil {
		answer <- reopening{err: errors.Join(err, eng.close())}
		return
	}
	answer <- reopening{eng: eng, commit: m.commit}
}

// adopt takes the engine that was opened into service.
func (c *committer) adopt(re reopening) {
	c.reopened = nil
	if re.err == nil && re.commit < c.commit {
		// What was promised is gone. The mark remembers how far it went, so
		// the next start begins a new epoch; this life cannot go on.
		c.s.o.Logger.Error("store: acknowledged writes are gone after a failure of the disk; restart parley",
			"commit", re.commit, "acknowledged", c.commit)
		c.s.setState(fmt.Errorf("%w: the end of the history was lost, restart parley", store.ErrCorrupt))
		re.err = re.eng.close()
		return
	}
	if re.err != nil {
		c.s.o.Logger.Error("store: cannot open the engine again yet", "err", redacted("%v", []any{re.err}))
		c.retry.Reset(reviveEvery)
		return
	}
	c.s.o.Logger.Info("store: the engine is open again", "commit", re.commit)
	c.eng, c.broken, c.commit = re.eng, nil, re.commit
	c.heads.clear()
	c.inboxes.clear()
	old := c.view
	c.view = c.s.publish(re.eng, re.eng.db.NewSnapshot())
	old.release()
	c.s.mark.reached(c.commit)
	c.s.setState(nil)
	c.s.queue.signal()
}

// stop serves what waits, and waits for what is under way, but not for ever.
func (c *committer) stop() {
	for c.s.queue.len() > 0 {
		c.serve()
	}
	if c.hung {
		c.tick.Reset(c.s.o.CommitTimeout)
		select {
		case res := <-c.eng.results:
			c.finish(res)
		case <-c.eng.fence.broken:
			c.abandon(c.eng.fence.cause)
		case <-c.tick.C:
			c.eng.fence.declareBroken(store.ErrClosed)
		}
	}
	c.retry.Stop()
	if c.reopened == nil {
		return
	}
	c.tick.Reset(c.s.o.CommitTimeout)
	select {
	case re := <-c.reopened:
		if re.err == nil {
			c.adopt(re)
		}
	case <-c.tick.C: // an engine that opens after this is never used; the lock of the directory stays
		c.lost = true
	}
}
