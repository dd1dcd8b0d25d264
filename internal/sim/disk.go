package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/memstore"
	"github.com/parley-im/parley/internal/store/pebblestore"
)

// Disk is what a world's server keeps its store on.
type Disk interface {
	// Open opens the store, as a server that starts does.
	Open() (store.Store, error)
	// Crash leaves what a loss of power leaves at this instant. A store that
	// is open goes on with what it had, which nobody will see again.
	Crash(r *rand.Rand)
	// Ail makes writes fail while it lasts.
	Ail(ailing bool)
}

// MemoryDisk never loses anything, whoever crashes. While it ails, writes
// happen and some of them are answered as if nobody knew.
type MemoryDisk struct {
	store  *memstore.Store
	ailing atomic.Bool
}

// NewMemoryDisk returns an empty one; chance says which writes fail.
func NewMemoryDisk(chance func() bool) *MemoryDisk {
	d := &MemoryDisk{store: memstore.New()}
	d.store.FailAfter(func(string) error {
		if d.ailing.Load() && chance() {
			return store.ErrUnavailable
		}
		return nil
	})
	return d
}

// Open implements Disk.
func (d *MemoryDisk) Open() (store.Store, error) { return unclosed{d.store}, nil }

// Crash implements Disk: there is nothing that was not kept.
func (d *MemoryDisk) Crash(*rand.Rand) {}

// Ail implements Disk.
func (d *MemoryDisk) Ail(ailing bool) { d.ailing.Store(ailing) }

// unclosed outlives its servers.
type unclosed struct{ store.Store }

func (unclosed) Close() error { return nil }

// PebbleDisk is the embedded engine on crashable memory: a crash keeps what
// was synced, and of the rest what chance leaves. While it ails, it is full.
type PebbleDisk struct {
	fs     *vfs.MemFS // replaced by Crash, between two Opens
	full   atomic.Bool
	noSync bool
}

// NewPebbleDisk returns an empty one. noSync is the control: the engine then
// acknowledges before anything is durable.
func NewPebbleDisk(noSync bool) (*PebbleDisk, error) {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll(diskDir, 0o700); err != nil {
		return nil, fmt.Errorf("sim: make a disk: %w", err)
	}
	root, err := fs.OpenDir("/")
	if err != nil {
		return nil, fmt.Errorf("sim: make a disk: %w", err)
	}
	if err := errors.Join(root.Sync(), root.Close()); err != nil {
		return nil, fmt.Errorf("sim: make a disk: %w", err)
	}
	return &PebbleDisk{fs: fs, noSync: noSync}, nil
}

// diskDir is there, and durable, before the store is first opened.
const diskDir = "/data"

// Open implements Disk.
func (d *PebbleDisk) Open() (store.Store, error) {
	s, err := pebblestore.Open(pebblestore.Options{
		Dir: diskDir, FS: d.fs, CacheBytes: 4 << 20, MemTableBytes: 512 << 10,
		FreeSpace: func() (uint64, error) {
			if d.full.Load() {
				return 0, nil
			}
			return math.MaxUint64, nil
		},
		UnsafeNoSyncForControlTests: d.noSync,
	})
	if err != nil {
		return nil, fmt.Errorf("sim: open the store: %w", err)
	}
	return s, nil
}

// Crash implements Disk.
func (d *PebbleDisk) Crash(r *rand.Rand) {
	d.fs = d.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r})
}

// Ail implements Disk.
func (d *PebbleDisk) Ail(ailing bool) { d.full.Store(ailing) }
