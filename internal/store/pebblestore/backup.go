package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parley-im/parley/internal/store"
)

// onEngine runs do on the engine in use, beside its reads and writes. When
// the engine breaks meanwhile, do is left behind with it; when the store is
// closed, the context of do ends and Close waits for it.
func (s *Store) onEngine(ctx context.Context, do func(context.Context, *engine) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	s.mu.RLock()
	eng := s.now.eng
	s.mu.RUnlock()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	// It ends with do, or is parked with a broken engine.
	go func() {
		_, err := safely(func() (struct{}, error) { return struct{}{}, do(ctx, eng) })
		done <- err
	}()
	for quit := s.quit; ; {
		select {
		case err := <-done:
			if err != nil && pebble.IsCorruptionError(err) {
				return corrupt("the store", err)
			}
			return err
		case <-eng.fence.broken:
			return fmt.Errorf("%w: %w", store.ErrUnavailable, eng.fence.cause)
		case <-quit:
			cancel()
			quit = nil
		}
	}
}

// Checkpoint writes a copy of the store as it stands into dir, which must not
// exist: a directory that Open can serve, as another life of the store. It
// holds everything acknowledged before the call. Writing goes on meanwhile.
// On the same file system tables are linked, not copied: that takes little
// time, and space only as the store changes. A failure leaves nothing, and
// does not concern the store.
func (s *Store) Checkpoint(ctx context.Context, dir string) error {
	fs := s.o.FS
	if _, err := fs.Stat(dir); err == nil {
		return fmt.Errorf("pebblestore: %s is there already; a copy needs a directory of its own", dir)
	}
	if err := makeDir(fs, dir); err != nil {
		return fmt.Errorf("pebblestore: make a directory for the copy: %w", err)
	}
	err := s.onEngine(ctx, func(_ context.Context, eng *engine) error {
		return eng.db.Checkpoint(fs.PathJoin(dir, engineDir), pebble.WithFlushedWAL())
	})
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("pebblestore: copy the store: %w", err), fs.RemoveAll(dir))
	}
	return nil
}

// Restore makes a store in to out of the copy that Checkpoint made in from,
// which it leaves as it is. It refuses a directory that holds a store. The
// restored store has no high-water mark: when it is opened it takes a new
// epoch, and every device resyncs. A Restore that was interrupted can be
// begun again.
func Restore(fs vfs.FS, from, to string) error {
	source, target := fs.PathJoin(from, engineDir), fs.PathJoin(to, engineDir)
	desc, err := pebble.Peek(source, fs)
	if err != nil {
		return fmt.Errorf("pebblestore: look at the copy: %w", err)
	}
	if !desc.Exists {
		return fmt.Errorf("pebblestore: %s is not a copy of a store", from)
	}
	for _, name := range []string{target, fs.PathJoin(to, markFile)} {
		if _, err := fs.Stat(name); err == nil {
			return fmt.Errorf("pebblestore: %s holds a store already; restore into an empty directory", to)
		} else if !isNotExist(err) {
			return fmt.Errorf("pebblestore: look at the directory: %w", err)
		}
	}
	if err := makeDir(fs, to); err != nil {
		return fmt.Errorf("pebblestore: make the data directory: %w", err)
	}
	lock, err := fs.Lock(fs.PathJoin(to, lockFile))
	if err != nil {
		return lockErr(to, err)
	}
	return errors.Join(restore(fs, source, target), lock.Close())
}

func restore(fs vfs.FS, source, target string) error {
	part := target + ".part"
	if err := fs.RemoveAll(part); err != nil {
		return fmt.Errorf("pebblestore: clear what an earlier restore left: %w", err)
	}
	ok, err := vfs.Clone(fs, fs, source, part, vfs.CloneSync)
	if err == nil && !ok {
		err = errors.New("the copy is gone")
	}
	if err == nil {
		err = fs.Rename(part, target)
	}
	if err == nil {
		err = syncDir(fs, fs.PathDir(target))
	}
	if err != nil {
		return fmt.Errorf("pebblestore: restore: %w", err)
	}
	return nil
}

// Compact rewrites the store so that it takes the least room: what was erased
// or replaced before the call is in no table any more. It may take long; writing
// goes on meanwhile.
func (s *Store) Compact(ctx context.Context) error {
	err := s.onEngine(ctx, func(ctx context.Context, eng *engine) error {
		// Views that nobody reads would keep what they see.
		if err := eng.closeRetired(); err != nil {
			return err
		}
		return eng.db.Compact(ctx, []byte{0}, []byte{0xff}, true)
	})
	if err != nil {
		return fmt.Errorf("pebblestore: compact: %w", err)
	}
	return nil
}

// DiskUsage returns how many bytes the files of the store have.
func (s *Store) DiskUsage() (uint64, error) {
	fs, sum := s.o.FS, uint64(0)
	for _, dir := range []string{s.o.Dir, fs.PathJoin(s.o.Dir, engineDir)} {
		names, err := fs.List(dir)
		if err != nil {
			return 0, fmt.Errorf("pebblestore: disk usage: %w", err)
		}
		for _, name := range names {
			info, err := fs.Stat(fs.PathJoin(dir, name))
			if isNotExist(err) {
				continue // deleted meanwhile
			}
			if err != nil {
				return 0, fmt.Errorf("pebblestore: disk usage: %w", err)
			}
			if !info.IsDir() {
				sum += uint64(info.Size())
			}
		}
	}
	return sum, nil
}
