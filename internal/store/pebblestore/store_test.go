package pebblestore

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/storetest"
)

// small is Options for a test: little memory, so that flushes and
// compactions happen too.
func small(dir string, fs vfs.FS) Options {
	return Options{Dir: dir, FS: fs, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, MinFree: 1,
		Logger: slog.New(slog.DiscardHandler)}
}

func TestContractOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		dir := t.TempDir()
		return storetest.Place{Durable: true, Open: func() (store.Store, error) { return Open(small(dir, nil)) }}
	})
}

func TestContractInMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		fs := vfs.NewCrashableMem()
		return storetest.Place{Durable: true, Open: func() (store.Store, error) { return Open(small("/data", fs)) }}
	})
}
