package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	parley "github.com/parley-im/parley"
	"github.com/parley-im/parley/internal/store"
)

// Store is the embedded engine. Open makes one.
type Store struct {
	// static after Open
	shared
	epoch parley.Epoch
	salt  salt
	guard *guard
	mark  *mark
	lock  io.Closer

	queue     queue
	quit      chan struct{} // closed by Close: serve what waits and end
	committed chan struct{} // closed when the committer has ended
	closeOnce sync.Once
	closeErr  error
	end       *committer // what the committer left, readable once committed is closed

	life   sync.RWMutex // held for reading by every operation but queued writes
	closed bool         // guarded by life

	mu    sync.RWMutex
	now   *view // guarded by mu: the newest durable state
	state error // guarded by mu: why the engine takes no writes, or nil
}

var _ store.Store = (*Store)(nil)

const lockFile = "lock"

// Open opens the store in o.Dir, making it when there is none. It fails when
// another process has it open, and when its format is newer than ours.
func Open(o Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	fs := opts.FS
	if err := makeDir(fs, opts.Dir); err != nil {
		return nil, fmt.Errorf("pebblestore: make the data directory: %w", err)
	}
	opts.fitDisk()
	lock, err := fs.Lock(fs.PathJoin(opts.Dir, lockFile))
	if err != nil {
		return nil, lockErr(opts.Dir, err)
	}
	s, err := openLocked(opts)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	return s, nil
}

func openLocked(o *Options) (*Store, error) {
	m, marked, err := readMark(o.FS, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("pebblestore: read the high-water mark: %w", err)
	}
	s := &Store{shared: shared{o: o, cache: pebble.NewCache(o.CacheBytes)}, guard: newGuard(o),
		quit: make(chan struct{}), committed: make(chan struct{})}
	s.queue.wake = make(chan struct{}, 1)
	eng, err := s.openEngine(m.manifest)
	if err != nil {
		s.cache.Unref()
		return nil, openErr(err)
	}
	commit, err := s.settleLife(eng, m, marked)
	if err == nil {
		err = syncDir(o.FS, o.Dir)
	}
	if err == nil {
		s.mark, err = newMark(o, markValue{commit: commit, epoch: s.epoch, turn: m.turn}, &s.manifests)
	}
	if err != nil {
		err = errors.Join(err, eng.close())
		s.cache.Unref()
		return nil, err
	}
	s.start(eng, commit)
	return s, nil
}

func lockErr(dir string, err error) error {
	return fmt.Errorf("cannot lock the data directory %s, another parley may be serving it: %w", dir, err)
}

func openErr(err error) error {
	if errors.Is(err, store.ErrCorrupt) {
		return err
	}
	if pebble.IsCorruptionError(err) {
		return corrupt("open", err)
	}
	return fmt.Errorf("pebblestore: open: %w", err)
}

func (s *Store) start(eng *engine, commit uint64) {
	c := &committer{s: s, eng: eng, commit: commit,
		heads:   newLRU[parley.ConversationID, head](64 << 10),
		inboxes: newLRU[parley.UserID, parley.Pos](64 << 10),
		retry:   time.NewTimer(time.Hour), tick: time.NewTimer(time.Hour)}
	c.retry.Stop()
	c.tick.Stop()
	c.cur.heads = map[parley.ConversationID]head{}
	c.cur.inboxes = map[parley.UserID]parley.Pos{}
	c.cur.records = map[string]uint64{}
	c.view = s.publish(eng, eng.db.NewSnapshot())
	s.end = c
	go c.run()
}

// publish makes snap what readers see, and returns the caller's reference.
func (s *Store) publish(eng *engine, snap *pebble.Snapshot) *view {
	v := &view{eng: eng, snap: snap}
	v.refs.Store(2)
	s.mu.Lock()
	old := s.now
	s.now = v
	s.mu.Unlock()
	if old != nil {
		old.release()
	}
	return v
}

func (s *Store) acquire() *view {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.now.refs.Add(1)
	return s.now
}

func (s *Store) setState(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = err
}

// read runs do on the newest durable state. When the engine is exchanged
// under a reader, files it looks for may be gone: then it reads once more.
func (s *Store) read(ctx context.Context, do func(*view) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	for {
		v := s.acquire()
		err := do(v)
		v.release()
		if err == nil {
			return nil
		}
		s.mu.RLock()
		exchanged := s.now.eng != v.eng
		s.mu.RUnlock()
		if exchanged {
			continue
		}
		select {
		case <-v.eng.fence.broken: // what is wrong may be the engine, not the data
			return fmt.Errorf("%w: %v", store.ErrUnavailable, err)
		default:
			return err
		}
	}
}

// Epoch implements store.Life.
func (s *Store) Epoch() parley.Epoch { return s.epoch }

// Writable implements store.Life.
func (s *Store) Writable() error {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	if err := s.guard.check(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state
}

// Close implements store.Life.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.shutDown() })
	return s.closeErr
}

func (s *Store) shutDown() error {
	s.queue.mu.Lock()
	s.queue.closed = true
	s.queue.mu.Unlock()
	close(s.quit)
	<-s.committed

	s.life.Lock() // waits for readers
	defer s.life.Unlock()
	s.closed = true
	c := s.end
	s.now.release()
	c.view.release()
	if c.hung || c.lost {
		// Something may still write: what it writes was never acknowledged,
		// but nobody else may open the directory before this process ends.
		return errors.Join(fmt.Errorf("%w: closed while the disk did not answer", store.ErrUnavailable), s.mark.close())
	}
	var err error
	if c.eng != nil {
		err = c.eng.close()
		s.cache.Unref()
	} else {
		c.broken.fence.shut()
		err = fmt.Errorf("%w: closed after the disk failed", store.ErrUnavailable)
	}
	return errors.Join(err, s.mark.close(), s.lock.Close())
}

// makeDir makes dir and what leads to it, durably.
func makeDir(fs vfs.FS, dir string) error {
	var made []string // what was not there, deepest first
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || d == fs.PathDir(d) {
			break
		}
		made = append(made, d)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range made {
		if err := syncDir(fs, fs.PathDir(d)); err != nil {
			return err
		}
	}
	return nil
}

func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
