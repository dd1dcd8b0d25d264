// Package pebblestore is the embedded engine: everything durable in one
// directory, in one Pebble database behind one committer.
package pebblestore

import (
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options says where the store is and what it may use. Only Dir is needed.
type Options struct {
	Dir    string
	FS     vfs.FS       // nil: the operating system's
	Logger *slog.Logger // nil: nothing is logged

	CacheBytes    int64         // block cache; 0: 256 MiB
	MemTableBytes uint64        // 0: 64 MiB, less on a disk under 2 GiB
	QueueBytes    int64         // writes waiting, beyond which others are refused; 0: 64 MiB
	CommitTimeout time.Duration // after which a write is answered without an outcome; 0: 5 s
	MarkEvery     time.Duration // how often the high-water mark moves; 0: 250 ms

	// MinFree is how much of the disk stays free: below it and what the engine
	// may yet have to write from memory (two memtables), writes are refused
	// with store.ErrFull. 0: 64 MiB, or an eighth of a smaller disk.
	MinFree uint64

	// FreeSpace overrides how much room the disk has, for tests.
	FreeSpace func() (uint64, error)
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // nil: crypto/rand

	// UnsafeNoSyncForControlTests acknowledges before anything is durable.
	// Durability tests set it to see themselves fail.
	UnsafeNoSyncForControlTests bool
}

func (o Options) withDefaults() (*Options, error) {
	if o.Dir == "" {
		return nil, errors.New("pebblestore: no directory given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.CacheBytes = orElse(o.CacheBytes, 256<<20)
	o.QueueBytes = orElse(o.QueueBytes, 64<<20)
	o.CommitTimeout = orElse(o.CommitTimeout, 5*time.Second)
	o.MarkEvery = orElse(o.MarkEvery, 250*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.FreeSpace == nil {
		o.FreeSpace = func() (uint64, error) {
			u, err := o.FS.GetDiskUsage(o.Dir)
			if errors.Is(err, vfs.ErrUnsupported) {
				return math.MaxUint64, nil
			}
			return u.AvailBytes, err
		}
	}
	return &o, nil
}

// fitDisk chooses what was left open so that a small disk can be used too:
// what the guard keeps free must be a small part of the whole.
func (o *Options) fitDisk() {
	size := uint64(math.MaxUint64)
	if u, err := o.FS.GetDiskUsage(o.Dir); err == nil && u.TotalBytes > 0 {
		size = u.TotalBytes
	}
	o.MemTableBytes = orElse(o.MemTableBytes, max(1<<20, min(64<<20, size/32)))
	o.MinFree = orElse(o.MinFree, min(64<<20, size/8))
}

func orElse[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
