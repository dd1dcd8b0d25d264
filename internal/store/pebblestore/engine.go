package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/redact"

	"github.com/parley-im/parley/internal/store"
)

type vfsMode = os.FileMode

// engineDir is where Pebble lives, below the store's directory.
const engineDir = "db"

// engine is one life of the database under a store. Only its applier writes.
// When it breaks it is abandoned, not closed: see fence.
type engine struct {
	db    *pebble.DB
	fence *fence

	jobs    chan job
	results chan result // buffered: an applier that comes back late blocks nobody
	done    chan struct{}

	mu      sync.Mutex
	retired []*pebble.Snapshot // views nobody reads any more; the applier closes them
}

// job is a batch to commit. Only one is under way at a time.
type job struct {
	batch *pebble.Batch
	opts  *pebble.WriteOptions
}

type result struct {
	err  error
	snap *pebble.Snapshot // what stands now, with everything in it durable
}

// view is a state of the store in which everything is durable (but removed
// dirty marks). Pebble shows a batch to readers before its sync: readers of a
// view never see what a power cut could still take back.
type view struct {
	eng  *engine
	snap *pebble.Snapshot
	refs atomic.Int32
}

func (v *view) release() {
	if v.refs.Add(-1) == 0 {
		v.eng.retire(v.snap)
	}
}

func (e *engine) retire(s *pebble.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retired = append(e.retired, s)
}

func (e *engine) closeRetired() error {
	e.mu.Lock()
	list := e.retired
	e.retired = nil
	e.mu.Unlock()
	var err error
	for _, s := range list {
		err = errors.Join(err, s.Close())
	}
	return err
}

// shared is what all engines of one store's life use, one after the other.
type shared struct {
	o         *Options
	cache     *pebble.Cache
	manifests manifests
}

// openEngine opens the database. It refuses one whose manifest is not what
// seen says it began with. A failure that makes Pebble give up while opening
// is an error here.
func (sh *shared) openEngine(seen manifest) (*engine, error) {
	o, dir := sh.o, sh.o.FS.PathJoin(sh.o.Dir, engineDir)
	if err := seen.check(o.FS, dir); err != nil {
		return nil, err
	}
	f := newFence(o.FS, dir, &sh.manifests)
	e := &engine{fence: f, jobs: make(chan job), results: make(chan result, 1), done: make(chan struct{})}
	type opened struct {
		db  *pebble.DB
		err error
	}
	ch := make(chan opened, 1)
	// The opener ends with Open, or is parked when Pebble calls Fatalf.
	go func() {
		db, err := safely(func() (*pebble.DB, error) { return pebble.Open(dir, e.options(o, sh.cache)) })
		ch <- opened{db, err}
	}()
	select {
	case r := <-ch:
		if r.err != nil {
			f.shut()
			return nil, r.err
		}
		e.db = r.db
	case <-f.broken:
		f.shut()
		return nil, f.cause
	}
	f.armed.Store(true)
	go e.apply()
	return e, nil
}

// safely turns a panic of Pebble's into an error.
func safely[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebblestore: engine panicked: %v", r)
		}
	}()
	return f()
}

// apply is the goroutine that commits. The committer owns it: it ends when
// jobs is closed, or never when the engine broke under it.
func (e *engine) apply() {
	defer close(e.done)
	for j := range e.jobs {
		snap, err := safely(func() (*pebble.Snapshot, error) {
			if err := e.closeRetired(); err != nil {
				return nil, err
			}
			if err := e.db.Apply(j.batch, j.opts); err != nil {
				return nil, err
			}
			return e.db.NewSnapshot(), nil
		})
		e.results <- result{err, snap}
	}
}

// close ends the engine, in order when it is sound. One that breaks, or broke
// before, is fenced off and left behind. The committer has ended or never
// began; no view is in use.
func (e *engine) close() error {
	ended := make(chan error, 1)
	// It ends with the database, or is parked with a broken one.
	go func() {
		close(e.jobs)
		<-e.done
		_, err := safely(func() (struct{}, error) {
			return struct{}{}, errors.Join(e.closeRetired(), e.db.Close())
		})
		ended <- err
	}()
	select {
	case err := <-ended:
		e.fence.shut()
		return err
	case <-e.fence.broken:
		e.fence.shut()
		return fmt.Errorf("%w: %w", store.ErrUnavailable, e.fence.cause)
	}
}

// formatMajor is Pebble's own format. It is named, not "the newest", so that
// a new version of Pebble does not by itself make older Parleys unable to
// read the store.
const formatMajor = pebble.FormatValueSeparation

func (e *engine) options(o *Options, cache *pebble.Cache) *pebble.Options {
	l := engineLog{o.Logger, e.fence}
	p := &pebble.Options{
		FS:                          e.fence,
		Logger:                      l,
		Cache:                       cache,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		BytesPerSync:                512 << 10,
		WALBytesPerSync:             0,
		FormatMajorVersion:          formatMajor,
		// Deleting many files at once stalls the syncs of a disk.
		TargetByteDeletionRate: 128 << 20,
		MaxOpenFiles:           1000,
		CompactionConcurrencyRange: func() (int, int) {
			return 1, max(1, min(3, runtime.NumCPU()/2))
		},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				o.Logger.Warn("store engine: background work failed", "err", redacted("%v", []any{err}))
			},
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				o.Logger.Error("store engine: corruption found", "path", i.Path, "err", redacted("%v", []any{i.Details}))
			},
			WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
				o.Logger.Warn("store engine: writes stall", "reason", i.Reason)
			},
		},
	}
	for i := range p.Levels {
		p.Levels[i].BlockSize = 32 << 10
		p.Levels[i].IndexBlockSize = 256 << 10
		if i < len(p.Levels)-1 { // the last level is found by its index; filters there would cost 1.25 B a key
			p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		}
	}
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	return p
}

// engineLog takes what Pebble has to say.
type engineLog struct {
	*slog.Logger
	fence *fence
}

func (l engineLog) Infof(format string, args ...any) {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("store engine: " + redacted(format, args))
	}
}

func (l engineLog) Errorf(format string, args ...any) {
	l.Warn("store engine: " + redacted(format, args))
}

// redacted leaves out whatever Pebble has not declared free of our keys.
func redacted(format string, args []any) string {
	return redact.Sprintf(format, args...).Redact().StripMarkers()
}

// Fatalf must not return, and must not end the process without the store's
// word: the engine is abandoned.
func (l engineLog) Fatalf(format string, args ...any) {
	err := errors.New("pebblestore: engine gave up: " + redacted(format, args))
	l.Error("store engine: gave up", "err", err)
	l.fence.declareBroken(err)
	park()
}

var _ vfs.FS = (*fence)(nil)
